//! The audit log, by pages.

use super::HttpState;
use super::extract::{Json, Query};
use super::problem::ApiError;
use axum::extract::State;
use gateway_api::AuditPage;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// The record behind which the page begins.
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

pub async fn page(
    State(state): State<HttpState>,
    Query(AuditQuery { after, limit }): Query<AuditQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    state.run(move |app| app.audit(after, limit)).await.map(Json)
}
