//! Only if it is still as I saw it: `ETag`, `If-None-Match` and `If-Match`.
//!
//! A tag is the hash of the answer's bytes, so it is strong and no two gateways and no
//! restart give the same answer another one. For a change the present answer is made
//! again and compared, while no other change of these resources is under way by HTTP:
//! whoever changes without a condition holds the gate with others, whoever has one alone.

use super::HttpState;
use super::problem::ApiError;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gateway_api::ProblemCode;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Longer answers are whole lists, and change with every report.
const TAGGED_BYTES_MAX: u64 = 1024 * 1024;

const CHANGED_SINCE: &str = "It is not as If-Match says: it was changed meanwhile, or is not \
                             there. Read it again, look at what changed, and repeat the request \
                             with the new ETag.";

/// What can be changed under a condition, and as what it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Module,
    Deployment,
    Application,
    Device,
    /// It changes these resources and has no resource of its own in its path.
    Several,
}

pub fn changed_by(method: &Method, route: &str) -> Option<Changed> {
    let route = route.strip_prefix("/api/v1").unwrap_or(route);
    let changed = match (method.as_str(), route) {
        ("PUT", "/modules/{reference}/known-answers") => Changed::Module,
        ("DELETE", "/deployments/{id}") => Changed::Deployment,
        ("DELETE", "/applications/{name}") => Changed::Application,
        ("DELETE", "/devices/{reference}") | ("POST", "/devices/{reference}/revoke") => {
            Changed::Device
        }
        ("POST", "/deployments" | "/deployments/{id}/repeat" | "/applications") => Changed::Several,
        _ => return None,
    };
    Some(changed)
}

pub async fn tag_and_compare(
    State(state): State<HttpState>,
    route: MatchedPath,
    parameters: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if *request.method() == Method::GET {
        let known = text_of(request.headers(), IF_NONE_MATCH);
        return tag(next.run(request).await, known.as_deref()).await;
    }
    let condition = text_of(request.headers(), IF_MATCH);
    let Some(changed) = changed_by(request.method(), route.as_str()) else {
        return match condition {
            None => Ok(next.run(request).await),
            Some(_) => Err(ApiError::new(
                ProblemCode::BadRequest,
                "If-Match is for changes of what has an ETag of its own: a module's known answers, \
                 a deployment, an application, a device. Leave it out here.",
            )),
        };
    };
    let Some(condition) = condition else {
        let _with_others = state.changes.read().await;
        return Ok(next.run(request).await);
    };
    let _alone = state.changes.write().await;
    let reference = parameters.iter().next().map(|(_, value)| value.to_owned());
    let present = present_tag(&state, changed, reference.unwrap_or_default()).await?;
    match present {
        Some(tag) if fits(&condition, &tag) => Ok(next.run(request).await),
        _ => Err(ApiError::new(ProblemCode::PreconditionFailed, CHANGED_SINCE)),
    }
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    // What is no text is no tag of ours, and fits none.
    headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned())
}

/// Whether one of the listed tags is this one. A weak tag is never ours.
fn fits(listed: &str, tag: &str) -> bool {
    listed.split(',').any(|one| is_tag(one.trim(), tag))
}

fn is_tag(one: &str, tag: &str) -> bool {
    one == "*" || one == tag
}

fn tag_of(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..16]))
}

/// Puts a tag on a JSON answer; one that the asker has already is not sent again.
async fn tag(response: Response, known: Option<&str>) -> Result<Response, ApiError> {
    let is_json = |value: &HeaderValue| value.as_bytes().starts_with(b"application/json");
    let is_tagged = response.status() == StatusCode::OK
        && response.headers().get(CONTENT_TYPE).is_some_and(is_json)
        && response.body().size_hint().exact().is_some_and(|bytes| bytes <= TAGGED_BYTES_MAX);
    if !is_tagged {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, TAGGED_BYTES_MAX as usize).await;
    let bytes = bytes.map_err(|error| ApiError::internal(error.to_string()))?;
    let tag = tag_of(&bytes);
    let is_known = known.is_some_and(|known| {
        known.split(',').any(|one| is_tag(one.trim().trim_start_matches("W/"), &tag))
    });
    let value = HeaderValue::try_from(tag).map_err(|e| ApiError::internal(e.to_string()))?;
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, value)]).into_response());
    }
    parts.headers.insert(ETAG, value);
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// `None` where it is not there.
async fn present_tag(
    state: &HttpState,
    changed: Changed,
    reference: String,
) -> Result<Option<String>, ApiError> {
    fn to_tag<T: Serialize>(
        found: Result<T, crate::app::AppError>,
    ) -> Result<Option<String>, crate::app::AppError> {
        match found {
            // The API's types always have a JSON form.
            Ok(found) => Ok(Some(tag_of(&serde_json::to_vec(&found).unwrap_or_default()))),
            Err(crate::app::AppError::Refused { code: ProblemCode::NotFound, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
    let tag = state.run(move |app| match changed {
        Changed::Module => to_tag(app.module(&reference)),
        Changed::Deployment => to_tag(app.deployment(&reference)),
        Changed::Application => to_tag(app.application(&reference)),
        Changed::Device => to_tag(app.device(&reference)),
        Changed::Several => Err(crate::app::AppError::bad_request(
            "If-Match is for a change of one thing that has an ETag. An application file says by \
             `expected_version` what it changes.",
        )),
    });
    tag.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_fits_by_any_and_a_star_by_all() {
        assert!(fits("\"a\", \"b\"", "\"b\"") && fits("*", "\"b\""));
        assert!(!fits("\"a\"", "\"b\"") && !fits("W/\"b\"", "\"b\"") && !fits("", "\"b\""));
    }
}
