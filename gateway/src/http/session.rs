//! Logging in and out.

use super::HttpState;
use super::extract::{Json, Query};
use super::guard::LOGGED_IN;
use super::problem::ApiError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Redirect;
use gateway_api::{LoginLink, ProblemCode, Session};
use serde::Deserialize;

pub async fn show(State(state): State<HttpState>) -> Json<Session> {
    Json(state.app.session())
}

pub async fn new_link(State(state): State<HttpState>) -> Result<Json<LoginLink>, ApiError> {
    Ok(Json(state.app.new_login_link()?))
}

#[derive(Deserialize)]
pub struct LoginQuery {
    token: String,
}

/// A link that someone opens; good once.
pub async fn login(
    State(state): State<HttpState>,
    session: tower_sessions::Session,
    Query(query): Query<LoginQuery>,
) -> Result<Redirect, ApiError> {
    if !state.app.use_login_link(&query.token) {
        return Err(ApiError::new(
            ProblemCode::LoginRequired,
            "The login link was used before or has ended. Ask for a new one at \
             POST /api/v1/login-links, or restart the gateway, which logs one.",
        ));
    }
    let fault = |e: tower_sessions::session::Error| ApiError::internal(e.to_string());
    // A new id, so that one that was known before is of no use.
    session.cycle_id().await.map_err(fault)?;
    session.insert(LOGGED_IN, true).await.map_err(fault)?;
    Ok(Redirect::to("/"))
}

pub async fn logout(session: tower_sessions::Session) -> Result<StatusCode, ApiError> {
    session.flush().await.map_err(|e| ApiError::internal(e.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}
