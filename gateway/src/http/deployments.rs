//! Deployments.

use super::HttpState;
use super::extract::{Json, Path, Query};
use super::paging::PageQuery;
use super::problem::ApiError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gateway_api::{Deployment, DeploymentPlan, NewDeployment};

pub async fn create(
    State(state): State<HttpState>,
    Json(new): Json<NewDeployment>,
) -> Result<(StatusCode, Json<Deployment>), ApiError> {
    let deployment = state.run(move |app| app.deploy(&new)).await?;
    Ok((StatusCode::CREATED, Json(deployment)))
}

pub async fn plan(
    State(state): State<HttpState>,
    Json(new): Json<NewDeployment>,
) -> Result<Json<DeploymentPlan>, ApiError> {
    state.run(move |app| app.plan_deployment(&new)).await.map(Json)
}

pub async fn list(
    State(state): State<HttpState>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let request = query.request();
    let page = state.run(move |app| app.deployments_page(&request)).await?;
    query.answer(page)
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
