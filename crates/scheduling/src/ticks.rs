//! How punctual a module's ticks were.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Of a module with `tick`. Times are in microseconds on the monotonic clock, from the
/// moment when a tick was due.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(array)]
pub struct TickReport {
    /// Between two ticks.
    #[n(0)]
    pub period_us: u32,
    /// By when each has to be over.
    #[n(1)]
    pub deadline_us: u32,
    /// Ticks since the worker started, as far as they returned.
    #[n(2)]
    pub ticks: u64,
    /// Of these, those that were over after their deadline.
    #[n(3)]
    pub missed: u64,
    /// Ticks that were due while an earlier one was not over, and were left out.
    #[n(4)]
    pub skipped: u64,
    /// Ticks that took more processor time than a real-time module's `runtime_us`.
    #[n(5)]
    pub overran: u64,
    #[n(6)]
    pub response_max_us: u32,
    /// Since the report before.
    #[n(7)]
    pub last: Option<TickWindow>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(array)]
pub struct TickWindow {
    #[n(0)]
    pub ticks: u32,
    #[n(1)]
    pub missed: u32,
    /// From due to begun.
    #[n(2)]
    pub start: Spread,
    /// From due to over.
    #[n(3)]
    pub response: Spread,
    /// The largest difference between the start latencies of two ticks in a row (relative
    /// release jitter).
    #[n(4)]
    pub jitter_us: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(array)]
pub struct Spread {
    #[n(0)]
    pub min_us: u32,
    #[n(1)]
    pub mean_us: u32,
    /// Of few ticks it is the largest.
    #[n(2)]
    pub p99_us: u32,
    #[n(3)]
    pub max_us: u32,
}
