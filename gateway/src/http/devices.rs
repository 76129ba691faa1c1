//! Devices, and how a device loses its rights.

use super::HttpState;
use super::extract::{Json, Path, Query};
use super::paging::{answer, request_of};
use super::problem::ApiError;
use crate::app::DeviceSearch;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gateway_api::Device;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevicesQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    sort: String,
    limit: Option<usize>,
    cursor: Option<String>,
    fields: Option<String>,
}

pub async fn list(
    State(state): State<HttpState>,
    Query(query): Query<DevicesQuery>,
) -> Result<Response, ApiError> {
    let page = request_of(query.limit, &query.cursor);
    let search = DeviceSearch { q: query.q, sort: query.sort, page };
    let page = state.run(move |app| app.search_devices(&search)).await?;
    answer(page, query.fields.as_deref())
}

pub async fn show(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
) -> Result<Json<Device>, ApiError> {
    state.run(move |app| app.device(&reference)).await.map(Json)
}

pub async fn revoke(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
) -> Result<Json<Device>, ApiError> {
    state.run(move |app| app.revoke_device(&reference)).await.map(Json)
}

pub async fn remove(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.run(move |app| app.remove_device(&reference)).await?;
    Ok(StatusCode::NO_CONTENT)
}
