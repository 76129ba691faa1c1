//! Who is logged in, to what.

use crate::TrustSummary;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// `farrier-gateway` and its version.
    pub gateway: String,
    pub compiler: String,
    pub targets: Vec<String>,
    pub upload_bytes_max: u64,
    /// The gateway's disk is full: changes are refused until there is space.
    #[serde(default)]
    pub storage_full: bool,
    pub trust: TrustSummary,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoginLink {
    pub url: String,
    pub expires_at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewClaimToken {
    /// How long it is good, 1 to 86,400; 3,600 unless given.
    #[serde(default)]
    pub valid_s: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClaimToken {
    /// Shown once; the gateway keeps its hash.
    pub token: String,
    pub expires_at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Overview {
    pub devices_online: u32,
    pub devices_offline: u32,
    pub devices_new: u32,
    pub modules: u32,
    pub deployments_in_progress: u32,
    pub deployments_failed: u32,
    pub apps_running: u32,
    pub apps_not_running: u32,
    /// Sums over the online devices, from their last reports.
    pub app_cpu_percent: f64,
    pub app_memory_bytes: u64,
    /// Artifacts by state.
    pub artifacts_ready: u32,
    pub artifacts_in_work: u32,
    pub artifacts_refused: u32,
    /// As in [`Session`].
    #[serde(default)]
    pub storage_full: bool,
    /// What devices were sent since the gateway's start.
    #[serde(default)]
    pub delivery: Delivery,
}

/// Blocks of releases and artifacts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Delivery {
    /// Published once for all who listen.
    pub shared_blocks: u64,
    /// Published for one device alone.
    pub own_blocks: u64,
    /// Bytes of these messages with their topics.
    pub published_bytes: u64,
}
