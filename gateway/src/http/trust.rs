//! Keys, root documents, releases that wait for their signature, and provenance.

use super::HttpState;
use super::extract::{Json, Path};
use super::problem::ApiError;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use gateway_api::{AcceptedRelease, List, NewGatewayKey, Trust, TrustKey, WaitingRelease};

/// RFC 9052, section 10.
const COSE: &str = "application/cose";
/// What the DSSE specification names its JSON.
const DSSE: &str = "application/vnd.dsse.envelope.v1+json";

pub async fn show(State(state): State<HttpState>) -> Result<Json<Trust>, ApiError> {
    state.run(|app| Ok(app.trust())).await.map(Json)
}

pub async fn new_key(
    State(state): State<HttpState>,
    Json(new): Json<NewGatewayKey>,
) -> Result<(StatusCode, Json<TrustKey>), ApiError> {
    let key = state.run(move |app| app.new_gateway_key(&new)).await?;
    Ok((StatusCode::CREATED, Json(key)))
}

pub async fn publish_root(
    State(state): State<HttpState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Trust>), ApiError> {
    let body = body?;
    let (is_new, trust) = state.run(move |app| app.publish_root(&body)).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(trust)))
}

pub async fn show_root(
    State(state): State<HttpState>,
    Path(version): Path<u32>,
) -> Result<impl IntoResponse, ApiError> {
    let sealed = state.run(move |app| app.sealed_root(version)).await?;
    Ok(([(CONTENT_TYPE, COSE)], sealed))
}

pub async fn waiting_releases(
    State(state): State<HttpState>,
) -> Result<Json<List<WaitingRelease>>, ApiError> {
    let items = state.run(|app| app.waiting_releases()).await?;
    Ok(Json(List { items }))
}

pub async fn submit_release(
    State(state): State<HttpState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<AcceptedRelease>), ApiError> {
    let body = body?;
    let accepted = state.run(move |app| app.submit_release(&body)).await?;
    Ok((StatusCode::CREATED, Json(accepted)))
}

pub async fn provenance(
    State(state): State<HttpState>,
    Path(artifact): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    let envelope = state.run(move |app| app.provenance(&artifact)).await?;
    Ok(([(CONTENT_TYPE, DSSE)], envelope))
}
