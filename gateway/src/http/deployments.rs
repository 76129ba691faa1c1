//! Deployments.

use super::HttpState;
use super::extract::{Json, Path};
use super::problem::ApiError;
use axum::extract::State;
use axum::http::StatusCode;
use gateway_api::{Deployment, List, NewDeployment};

pub async fn create(
    State(state): State<HttpState>,
    Json(new): Json<NewDeployment>,
) -> Result<(StatusCode, Json<Deployment>), ApiError> {
    let deployment = state.run(move |app| app.deploy(&new)).await?;
    Ok((StatusCode::CREATED, Json(deployment)))
}

pub async fn list(State(state): State<HttpState>) -> Result<Json<List<Deployment>>, ApiError> {
    let items = state.run(|app| Ok(app.deployments())).await?;
    Ok(Json(List { items }))
}

pub async fn show(
    State(state): State<HttpState>,
    Path(id): Path<String>,
) -> Result<Json<Deployment>, ApiError> {
    state.run(move |app| app.deployment(&id)).await.map(Json)
}

pub async fn repeat(
    State(state): State<HttpState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Deployment>), ApiError> {
    let deployment = state.run(move |app| app.repeat_deployment(&id)).await?;
    Ok((StatusCode::CREATED, Json(deployment)))
}

pub async fn remove(
    State(state): State<HttpState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.run(move |app| app.remove_deployment(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
