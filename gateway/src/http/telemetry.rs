//! What devices report: figures, log lines, published values.

use super::HttpState;
use super::extract::{Json, Query};
use super::paging::{PageQuery, answer, request_of};
use super::problem::ApiError;
use crate::app::{LogQuery, PublishedQuery, Since};
use axum::extract::State;
use axum::response::Response;
use gateway_api::Overview;
use serde::Deserialize;

pub async fn overview(State(state): State<HttpState>) -> Result<Json<Overview>, ApiError> {
    state.run(|app| Ok(app.overview())).await.map(Json)
}

pub async fn ps(
    State(state): State<HttpState>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let request = query.request();
    let page = state.run(move |app| app.ps_page(&request)).await?;
    query.answer(page)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogsQuery {
    device: Option<String>,
    app: Option<String>,
    since_ms: Option<u64>,
    last_s: Option<u64>,
    limit: Option<usize>,
    cursor: Option<String>,
    fields: Option<String>,
}

pub async fn logs(
    State(state): State<HttpState>,
    Query(LogsQuery { device, app, since_ms, last_s, limit, cursor, fields }): Query<LogsQuery>,
) -> Result<Response, ApiError> {
    let query = LogQuery {
        device: given(device),
        app: given(app),
        since: Since { since_ms, last_s },
        page: request_of(limit, &cursor),
    };
    let page = state.run(move |app| app.logs_page(&query)).await?;
    answer(page, fields.as_deref())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValuesQuery {
    device: Option<String>,
    app: Option<String>,
    channel: Option<String>,
    since_ms: Option<u64>,
    last_s: Option<u64>,
    limit: Option<usize>,
    cursor: Option<String>,
    fields: Option<String>,
}

pub async fn published(
    State(state): State<HttpState>,
    Query(query): Query<ValuesQuery>,
) -> Result<Response, ApiError> {
    let ValuesQuery { device, app, channel, since_ms, last_s, limit, cursor, fields } = query;
    let (device, app, channel) = (given(device), given(app), given(channel));
    let since = Since { since_ms, last_s };
    let query = PublishedQuery { device, app, channel, since, page: request_of(limit, &cursor) };
    let page = state.run(move |app| app.published_page(&query)).await?;
    answer(page, fields.as_deref())
}

/// `device=` is how a form says "any".
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
