//! What devices report: figures, log lines, published values.

use super::HttpState;
use super::extract::{Json, Query};
use super::problem::ApiError;
use crate::app::{LogQuery, PublishedQuery};
use axum::extract::State;
use gateway_api::{AppStatus, List, LogLine, Overview, Published};
use serde::Deserialize;

pub async fn overview(State(state): State<HttpState>) -> Result<Json<Overview>, ApiError> {
    state.run(|app| Ok(app.overview())).await.map(Json)
}

pub async fn ps(State(state): State<HttpState>) -> Result<Json<List<AppStatus>>, ApiError> {
    let items = state.run(|app| Ok(app.ps())).await?;
    Ok(Json(List { items }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogsQuery {
    device: Option<String>,
    app: Option<String>,
    limit: Option<usize>,
}

pub async fn logs(
    State(state): State<HttpState>,
    Query(LogsQuery { device, app, limit }): Query<LogsQuery>,
) -> Result<Json<List<LogLine>>, ApiError> {
    let query = LogQuery { device: given(device), app: given(app), limit };
    let items = state.run(move |app| app.logs(&query)).await?;
    Ok(Json(List { items }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValuesQuery {
    device: Option<String>,
    app: Option<String>,
    channel: Option<String>,
    limit: Option<usize>,
}

pub async fn published(
    State(state): State<HttpState>,
    Query(ValuesQuery { device, app, channel, limit }): Query<ValuesQuery>,
) -> Result<Json<List<Published>>, ApiError> {
    let (device, app, channel) = (given(device), given(app), given(channel));
    let query = PublishedQuery { device, app, channel, limit };
    let items = state.run(move |app| app.published(&query)).await?;
    Ok(Json(List { items }))
}

/// `device=` is how a form says "any".
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
