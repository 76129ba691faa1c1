//! Series over time, of a device or of the fleet.

use super::HttpState;
use super::extract::{Json, Path, Query};
use super::problem::ApiError;
use axum::extract::State;
use gateway_api::{DeviceHistory, HistoryMetric, HistoryQuery, HistoryRange, ProblemCode};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryParameters {
    series: Option<String>,
    app: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
    points: Option<u32>,
}

impl HistoryParameters {
    fn is_empty(&self) -> bool {
        let Self { series, app, from, to, points } = self;
        series.is_none() && app.is_none() && from.is_none() && to.is_none() && points.is_none()
    }

    fn query(self) -> Result<HistoryQuery, ApiError> {
        let names = self.series.unwrap_or_default();
        let names = names.split(',').filter(|name| !name.is_empty());
        let mut metrics = names.map(to_metric).collect::<Result<Vec<_>, _>>()?;
        metrics.sort();
        metrics.dedup();
        let app = self.app.filter(|app| !app.is_empty());
        Ok(HistoryQuery { metrics, app, from_ms: self.from, to_ms: self.to, points: self.points })
    }
}

fn to_metric(name: &str) -> Result<HistoryMetric, ApiError> {
    HistoryMetric::of_name(name).ok_or_else(|| {
        let known = HistoryMetric::ALL.map(HistoryMetric::as_str).join(", ");
        let what =
            format!("There is no such series. Name some of {known}, with commas between them.");
        ApiError::new(ProblemCode::BadRequest, what)
    })
}

/// Without parameters what it always was: the points of the last reports.
pub async fn device(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
    Query(parameters): Query<HistoryParameters>,
) -> Result<Json<DeviceHistory>, ApiError> {
    if parameters.is_empty() {
        let recent = state.run(move |app| app.history(&reference)).await?;
        return Ok(Json(DeviceHistory::Recent(recent)));
    }
    let query = parameters.query()?;
    let range = state.run(move |app| app.device_history(&reference, &query)).await?;
    Ok(Json(DeviceHistory::Range(range)))
}

pub async fn fleet(
    State(state): State<HttpState>,
    Query(parameters): Query<HistoryParameters>,
) -> Result<Json<HistoryRange>, ApiError> {
    let query = parameters.query()?;
    state.run(move |app| app.fleet_history(&query)).await.map(Json)
}
