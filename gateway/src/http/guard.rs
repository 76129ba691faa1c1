//! Login, and protection against changes that another site's page causes.
//!
//! A bearer token is never sent by a browser on its own, a cookie is. So a request
//! that is let in by the cookie and changes something must say that it comes from
//! our own pages; the cookie's SameSite=Strict is the first line, this the second.

use super::HttpState;
use super::problem::ApiError;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use gateway_api::ProblemCode;
use tower_sessions::Session;

/// The session's only content.
pub const LOGGED_IN: &str = "logged_in";

tokio::task_local! {
    /// Who asks, for the audit log.
    pub static ACTOR: String;
}

pub async fn require_login(
    State(state): State<HttpState>,
    session: Session,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let actor = match actor_of(&state, &session, request.headers()).await? {
        Actor::Token(label) => format!("token {label}"),
        Actor::Browser => {
            let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
            if !is_safe && is_cross_site(request.headers()) {
                return Err(ApiError::new(
                    ProblemCode::Forbidden,
                    "The request comes from another site's page. Use the gateway's own pages, or a bearer token.",
                ));
            }
            "browser".to_owned()
        }
        Actor::Nobody(why) => return Err(ApiError::new(ProblemCode::LoginRequired, why)),
    };
    Ok(ACTOR.scope(actor, next.run(request)).await)
}

/// Whether somebody may read who is let in by token or session.
pub async fn is_logged_in(
    state: &HttpState,
    session: &Session,
    headers: &HeaderMap,
) -> Result<bool, ApiError> {
    Ok(!matches!(actor_of(state, session, headers).await?, Actor::Nobody(_)))
}

/// Who asks, by token or else by session.
enum Actor {
    /// With the token's label.
    Token(String),
    Browser,
    /// Nobody who is let in, and what to do.
    Nobody(&'static str),
}

async fn actor_of(
    state: &HttpState,
    session: &Session,
    headers: &HeaderMap,
) -> Result<Actor, ApiError> {
    if let Some(token) = bearer_token(headers) {
        let token = token.to_owned();
        return Ok(match state.run(move |app| Ok(app.token_label(&token))).await? {
            Some(label) => Actor::Token(label),
            None => Actor::Nobody("The bearer token is not known here."),
        });
    }
    Ok(match session.get::<bool>(LOGGED_IN).await.ok().flatten() {
        Some(true) => Actor::Browser,
        _ => Actor::Nobody("Send a bearer token, or open a login link in the browser."),
    })
}

pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Browsers send `Sec-Fetch-Site`, older ones at least `Origin`; what sends
/// neither is no browser.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    match text(ORIGIN.as_str()) {
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_none() || host != text(HOST.as_str())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_our_own_pages_and_programs_may_change_things_by_cookie() {
        for own in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://gateway:8080"), ("host", "gateway:8080")],
        ] {
            assert!(!is_cross_site(&headers(own)), "{own:?}");
        }
        for foreign in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://evil"), ("host", "gateway:8080")],
            &[("origin", "null"), ("host", "gateway:8080")],
            &[("origin", "http://gateway:8080")],
        ] {
            assert!(is_cross_site(&headers(foreign)), "{foreign:?}");
        }
    }
}
