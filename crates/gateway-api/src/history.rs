//! What was measured over time: series cut into equal buckets, for charts.
//!
//! Answers are columns and not rows, because a chart draws columns and 300 buckets of
//! twelve series have to stay small.

use crate::History;
use serde::{Deserialize, Serialize};

/// Most buckets of an answer, and how many there are unless fewer are asked for.
pub const HISTORY_POINTS_MAX: u32 = 300;

/// One thing that is measured. Without `app` it is of the device as a whole, or of all
/// devices; `docs/http-api.md` says what each is of which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HistoryMetric {
    CpuPercent,
    MemoryBytes,
    MemoryLimitBytes,
    RssBytes,
    GasPerS,
    CallsPerS,
    HostCallsPerS,
    MessagesPerS,
    DropsPerS,
    TickP99Us,
    TickMissesPerS,
    DevicesOnline,
}

impl HistoryMetric {
    pub const ALL: [Self; 12] = [
        Self::CpuPercent,
        Self::MemoryBytes,
        Self::MemoryLimitBytes,
        Self::RssBytes,
        Self::GasPerS,
        Self::CallsPerS,
        Self::HostCallsPerS,
        Self::MessagesPerS,
        Self::DropsPerS,
        Self::TickP99Us,
        Self::TickMissesPerS,
        Self::DevicesOnline,
    ];

    /// As it is written in `series=` and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CpuPercent => "cpu_percent",
            Self::MemoryBytes => "memory_bytes",
            Self::MemoryLimitBytes => "memory_limit_bytes",
            Self::RssBytes => "rss_bytes",
            Self::GasPerS => "gas_per_s",
            Self::CallsPerS => "calls_per_s",
            Self::HostCallsPerS => "host_calls_per_s",
            Self::MessagesPerS => "messages_per_s",
            Self::DropsPerS => "drops_per_s",
            Self::TickP99Us => "tick_p99_us",
            Self::TickMissesPerS => "tick_misses_per_s",
            Self::DevicesOnline => "devices_online",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    /// For axes: `%`, `B`, `/s`, `µs`, or nothing for a count.
    pub fn unit(self) -> &'static str {
        match self {
            Self::CpuPercent => "%",
            Self::MemoryBytes | Self::MemoryLimitBytes | Self::RssBytes => "B",
            Self::GasPerS
            | Self::CallsPerS
            | Self::HostCallsPerS
            | Self::MessagesPerS
            | Self::DropsPerS
            | Self::TickMissesPerS => "/s",
            Self::TickP99Us => "µs",
            Self::DevicesOnline => "",
        }
    }
}

/// Several series over the same buckets. Bucket `n` is from `from_ms + n * step_ms` and
/// as long as `step_ms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HistoryRange {
    /// At or before the `from` that was asked for: a multiple of `step_ms`.
    pub from_ms: u64,
    pub step_ms: u64,
    /// How many buckets each column of each series has.
    pub points: u32,
    /// By `app`, the whole first, and then in the order of the metrics. One of which
    /// nothing was measured in the range is not there.
    pub series: Vec<HistorySeries>,
}

/// `null` where nothing was measured, in all columns alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HistorySeries {
    pub metric: HistoryMetric,
    /// The module, by the name that it runs under; none for a device or a fleet as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    pub unit: String,
    pub min: Vec<Option<f64>>,
    pub avg: Vec<Option<f64>>,
    pub max: Vec<Option<f64>>,
    /// At most 5 % of what was measured in the bucket is above it. Exact up to a minute;
    /// of longer buckets it is the largest of their minutes, so never too small.
    pub p95: Vec<Option<f64>>,
}

/// What `GET /api/v1/devices/{ref}/history` answers: with any parameter a range, without
/// one the points of the last reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum DeviceHistory {
    Range(HistoryRange),
    Recent(History),
}

/// Which part of a history. Unless said: all series, the last fifteen minutes, and as
/// many buckets as there may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    pub metrics: Vec<HistoryMetric>,
    /// Of this module only.
    pub app: Option<String>,
    pub from_ms: Option<u64>,
    pub to_ms: Option<u64>,
    pub points: Option<u32>,
}

impl HistoryQuery {
    /// The query string's parameters. There is always one, which is what asks a device
    /// for a range.
    pub fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let names: Vec<&str> = self.metrics.iter().map(|metric| metric.as_str()).collect();
        let mut pairs = Vec::new();
        if !names.is_empty() {
            pairs.push(("series", names.join(",")));
        }
        pairs.extend(self.app.clone().map(|app| ("app", app)));
        pairs.extend(self.from_ms.map(|from| ("from", from.to_string())));
        pairs.extend(self.to_ms.map(|to| ("to", to.to_string())));
        pairs.push(("points", self.points.unwrap_or(HISTORY_POINTS_MAX).to_string()));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_written_one_way_everywhere() {
        for metric in HistoryMetric::ALL {
            let json = serde_json::to_string(&metric).unwrap();
            assert_eq!(json, format!("\"{}\"", metric.as_str()));
            assert_eq!(HistoryMetric::of_name(metric.as_str()), Some(metric));
        }
        assert_eq!(HistoryMetric::of_name("height"), None);
    }

    #[test]
    fn a_range_and_the_last_points_are_told_apart() {
        let range = HistoryRange { from_ms: 0, step_ms: 1_000, points: 0, series: Vec::new() };
        let recent = History { device: Vec::new(), apps: Vec::new() };
        for history in [DeviceHistory::Range(range), DeviceHistory::Recent(recent)] {
            let json = serde_json::to_string(&history).unwrap();
            assert_eq!(serde_json::from_str::<DeviceHistory>(&json).unwrap(), history);
        }
    }

    #[test]
    fn a_query_always_asks_for_a_range() {
        assert_eq!(HistoryQuery::default().to_pairs(), [("points", "300".to_owned())]);
        let metrics = vec![HistoryMetric::CpuPercent, HistoryMetric::GasPerS];
        let query = HistoryQuery { metrics, from_ms: Some(5), ..HistoryQuery::default() };
        let [series, from, _] = query.to_pairs().try_into().unwrap();
        assert_eq!(series, ("series", "cpu_percent,gas_per_s".to_owned()));
        assert_eq!(from, ("from", "5".to_owned()));
    }
}
