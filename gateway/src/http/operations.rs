//! For whoever watches over the gateway: is it there, can it work, which one is it, and
//! its figures.
//!
//! `/healthz`, `/readyz` and `/version` are open, because what starts and balances
//! services has no login; they say nothing of devices or modules. `/metrics` is not: it
//! tells how large a fleet is and how it does. That the asker is on loopback opens
//! nothing, because behind a reverse proxy everybody is. A scraper gets a secret of its
//! own (`metrics_token_file`), which opens this path and no other; whoever is logged in
//! may read it too.

use super::HttpState;
use super::extract::Json;
use super::guard::{bearer_token, caller_of};
use super::problem::ApiError;
use crate::metrics;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use gateway_api::ProblemCode;
use module_package::BlobId;
use serde::Serialize;

pub async fn healthz() -> &'static str {
    "ok\n"
}

#[derive(Serialize)]
pub struct Ready {
    ready: bool,
}

pub async fn readyz(State(state): State<HttpState>) -> Result<Json<Ready>, ApiError> {
    let missing = state.run(|app| Ok(app.not_ready())).await?;
    if missing.is_empty() {
        return Ok(Json(Ready { ready: true }));
    }
    let reasons = missing.iter().map(|missing| format!("{}: {}", missing.part, missing.why));
    let detail = "The gateway runs and cannot do all of its work; `reasons` says what is missing.";
    Err(ApiError::new(ProblemCode::Unavailable, detail).with_reasons(reasons.collect()))
}

#[derive(Serialize)]
pub struct Version {
    name: &'static str,
    version: &'static str,
    /// Versions of the API's path.
    api: [&'static str; 1],
}

pub async fn version() -> Json<Version> {
    Json(Version { name: "farrier-gateway", version: env!("CARGO_PKG_VERSION"), api: ["v1"] })
}

pub async fn read_metrics(
    State(state): State<HttpState>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let is_scraper = bearer_token(&headers)
        .is_some_and(|token| state.metrics_token == Some(BlobId::of(token.as_bytes())));
    if !is_scraper && caller_of(&state, &headers).await.is_err() {
        return Err(ApiError::new(
            ProblemCode::LoginRequired,
            "Send the secret of metrics_token_file as a bearer token; docs/metrics.md says how.",
        ));
    }
    let text = state
        .run(|app| Ok(app.metrics().text(&app.standing())))
        .await?
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}
