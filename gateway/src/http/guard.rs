//! Login, roles, and protection against changes that another site's page causes.
//!
//! A bearer token is never sent by a browser on its own, a cookie is. So a request
//! that is let in by the cookie and changes something must say that it comes from
//! our own pages; the cookie's SameSite=Strict is the first line, this the second.

use super::problem::ApiError;
use super::{HttpState, cookies, rights};
use crate::app::Caller;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use gateway_api::ProblemCode;

tokio::task_local! {
    /// Who asks, for the audit log.
    pub static ACTOR: String;
}

/// Hands the [`Caller`] on as an extension of the request.
pub async fn require_login(
    State(state): State<HttpState>,
    route: MatchedPath,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = caller_of(&state, request.headers()).await?;
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if caller.is_by_session() && !is_safe {
        refuse_other_sites(request.headers())?;
    }
    let least = rights::least_role(request.method(), route.as_str());
    if caller.role < least {
        return Err(ApiError::new(
            ProblemCode::Forbidden,
            format!(
                "This needs the role {least}, and you have {}. An admin can give it: \
                 farrier user set-role.",
                caller.role
            ),
        ));
    }
    let actor = caller.actor();
    request.extensions_mut().insert(caller);
    Ok(ACTOR.scope(actor, next.run(request)).await)
}

/// Who asks, by token or session.
pub async fn caller_of(state: &HttpState, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let refused = |detail: &str| ApiError::new(ProblemCode::LoginRequired, detail);
    if let Some(token) = bearer_token(headers) {
        let token = token.to_owned();
        let known = state.run(move |app| Ok(app.caller_by_token(&token))).await?;
        return known.ok_or_else(|| {
            refused("The bearer token is not known here, has ended, or was revoked.")
        });
    }
    let Some(cookie) = cookies::session_of(headers) else {
        return Err(refused("Send a bearer token, or log in with the browser."));
    };
    let known = state.run(move |app| Ok(app.caller_by_cookie(&cookie))).await?;
    known.ok_or_else(|| refused("The session has ended. Log in again."))
}

/// For changes that a cookie lets in, and for logging in itself.
pub fn refuse_other_sites(headers: &HeaderMap) -> Result<(), ApiError> {
    if !is_cross_site(headers) {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::Forbidden,
        "The request comes from another site's page. Use the gateway's own pages, or a bearer token.",
    ))
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
