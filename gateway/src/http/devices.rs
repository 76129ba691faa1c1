//! Devices and their charts, and how a device loses its rights.

use super::HttpState;
use super::extract::{Json, Path};
use super::problem::ApiError;
use axum::extract::State;
use axum::http::StatusCode;
use gateway_api::{Device, History, List};

pub async fn list(State(state): State<HttpState>) -> Result<Json<List<Device>>, ApiError> {
    let items = state.run(|app| Ok(app.devices())).await?;
    Ok(Json(List { items }))
}

pub async fn show(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
) -> Result<Json<Device>, ApiError> {
    state.run(move |app| app.device(&reference)).await.map(Json)
}

pub async fn history(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
) -> Result<Json<History>, ApiError> {
    state.run(move |app| app.history(&reference)).await.map(Json)
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
