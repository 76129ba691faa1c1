//! Users, their tokens and their sessions.

use super::HttpState;
use super::extract::{Json, Path};
use super::problem::ApiError;
use crate::app::Caller;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use gateway_api::{
    IssuedToken, List, LoginSession, NewPassword, NewRole, NewToken, NewUser, Token, User,
};

pub async fn list(State(state): State<HttpState>) -> Result<Json<List<User>>, ApiError> {
    Ok(Json(List { items: state.run(|app| Ok(app.users())).await? }))
}

pub async fn add(
    State(state): State<HttpState>,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, Json<User>), ApiError> {
    let user = state.run_hashing(move |app| app.add_user(&new)).await?;
    Ok((StatusCode::CREATED, Json(user)))
}

pub async fn set_role(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    Json(new): Json<NewRole>,
) -> Result<Json<User>, ApiError> {
    Ok(Json(state.run(move |app| app.set_role(&name, new.role)).await?))
}

/// Tries the present password, so it is bounded as logins are.
pub async fn set_password(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    peer: super::session::Peer,
    Path(name): Path<String>,
    Json(new): Json<NewPassword>,
) -> Result<StatusCode, ApiError> {
    let address = peer.map(|Extension(address)| address.0.ip());
    state.app.admit_login(address, Some(&name))?;
    state.run_hashing(move |app| app.set_password(&caller, &name, &new)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn remove(
    State(state): State<HttpState>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.run(move |app| app.remove_user(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn tokens(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<List<Token>>, ApiError> {
    Ok(Json(List { items: state.run(move |app| Ok(app.tokens(&caller))).await? }))
}

pub async fn make_token(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Json<IssuedToken>), ApiError> {
    let issued = state.run(move |app| app.make_token(&caller, &new)).await?;
    Ok((StatusCode::CREATED, Json(issued)))
}

pub async fn revoke_token(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.run(move |app| app.revoke_token(&caller, &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn sessions(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<List<LoginSession>>, ApiError> {
    Ok(Json(List { items: state.run(move |app| Ok(app.sessions(&caller))).await? }))
}

pub async fn end_session(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.run(move |app| app.end_session(&caller, &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
