//! Logging in and out, and who is logged in, to what.

use super::extract::{Json, Query};
use super::guard::refuse_other_sites;
use super::problem::ApiError;
use super::{HttpState, cookies};
use crate::app::{Caller, SESSION_MS_MAX, Visitor};
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect};
use gateway_api::{Login, LoginLink, Me, NewLogin, ProblemCode, Session};
use serde::Deserialize;
use std::net::SocketAddr;

/// The connection's other end; there is none in tests without a port.
pub type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

type SetCookie = [(axum::http::HeaderName, HeaderValue); 1];

pub async fn show(State(state): State<HttpState>) -> Json<Session> {
    Json(state.app.session())
}

pub async fn me(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Me>, ApiError> {
    Ok(Json(state.run(move |app| Ok(app.me(&caller))).await?))
}

pub async fn new_link(
    State(state): State<HttpState>,
    caller: Extension<Caller>,
) -> Result<Json<LoginLink>, ApiError> {
    Ok(Json(state.app.login_link_of(&caller)?))
}

#[derive(Deserialize)]
pub struct LoginQuery {
    token: String,
}

/// A link that someone opens; good once.
pub async fn open_link(
    State(state): State<HttpState>,
    peer: Peer,
    headers: HeaderMap,
    Query(query): Query<LoginQuery>,
) -> Result<(SetCookie, Redirect), ApiError> {
    let Some(opens) = state.app.use_login_link(&query.token) else {
        return Err(ApiError::new(
            ProblemCode::LoginRequired,
            "The login link was used before or has ended. Ask for a new one with \
             `farrier dashboard`, or restart the gateway, which prints one.",
        ));
    };
    let visitor = visitor(&peer, &headers);
    let cookie = state.run(move |app| app.begin_session(opens, &visitor)).await?;
    Ok((set_cookie(&state, &cookie), Redirect::to("/")))
}

pub async fn log_in(
    State(state): State<HttpState>,
    peer: Peer,
    headers: HeaderMap,
    Json(new): Json<NewLogin>,
) -> Result<impl IntoResponse, ApiError> {
    // Else another site could log a browser in as somebody of its choice.
    refuse_other_sites(&headers)?;
    let visitor = visitor(&peer, &headers);
    state.app.admit_login(visitor.address, new.name.as_deref())?;
    let logged_in = state.run_hashing(move |app| app.log_in(&new, &visitor)).await?;
    let set = logged_in.cookie.as_ref().map(|cookie| set_cookie(&state, cookie));
    let login: Json<Login> = Json(logged_in.login);
    Ok(match set {
        Some(set) => (set, login).into_response(),
        None => login.into_response(),
    })
}

pub async fn log_out(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, SetCookie), ApiError> {
    state.run(move |app| app.log_out(&caller)).await?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookies::removing())]))
}

fn set_cookie(state: &HttpState, cookie: &str) -> SetCookie {
    let is_secure = state.app.is_behind_tls();
    [(SET_COOKIE, cookies::setting(cookie, SESSION_MS_MAX, is_secure))]
}

/// The address is the connection's: what a header says of it anybody can write.
fn visitor(peer: &Peer, headers: &HeaderMap) -> Visitor {
    let address = peer.as_ref().map(|Extension(ConnectInfo(address))| address.ip());
    let browser = headers.get(USER_AGENT).and_then(|text| text.to_str().ok());
    Visitor { address, browser: browser.map(str::to_owned) }
}
