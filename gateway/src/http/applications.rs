//! Applications: what a file would change, applying it, and what is applied.

use super::HttpState;
use super::extract::{Json, Path, Query};
use super::paging::PageQuery;
use super::problem::ApiError;
use crate::app::Applied;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gateway_api::{Application, ApplicationPlan, AppliedApplication, NewApplication};

pub async fn plan(
    State(state): State<HttpState>,
    Json(new): Json<NewApplication>,
) -> Result<Json<ApplicationPlan>, ApiError> {
    state.run(move |app| app.plan_application(&new)).await.map(Json)
}

pub async fn apply(
    State(state): State<HttpState>,
    Json(new): Json<NewApplication>,
) -> Result<(StatusCode, Json<AppliedApplication>), ApiError> {
    let (applied, application) = state.run(move |app| app.apply_application(&new)).await?;
    let status = match applied {
        Applied::Changed => StatusCode::CREATED,
        Applied::AsItWas => StatusCode::OK,
    };
    Ok((status, Json(application)))
}

pub async fn list(
    State(state): State<HttpState>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let request = query.request();
    let page = state.run(move |app| app.applications_page(&request)).await?;
    query.answer(page)
}

pub async fn show(
    State(state): State<HttpState>,
    Path(name): Path<String>,
) -> Result<Json<Application>, ApiError> {
    state.run(move |app| app.application(&name)).await.map(Json)
}

pub async fn remove(
    State(state): State<HttpState>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.run(move |app| app.remove_application(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
