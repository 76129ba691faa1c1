//! What a module needs, and which devices have it.

use serde::{Deserialize, Serialize};

/// `code` of an [`Obstacle`]: the device lacks a label or an accelerator, so that a
/// deployment to all devices is not meant for it.
pub const NOT_PLACED: u16 = 80;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModuleEligibility {
    pub module: String,
    pub name: String,
    pub version: u32,
    pub needs: ModuleNeeds,
    /// Every registered device.
    pub devices: Vec<DeviceEligibility>,
}

/// The census of a module, as far as a device must meet it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModuleNeeds {
    /// As `farrier.log`.
    pub imports: Vec<String>,
    /// What these use of WASI, which a deployment grants one by one: `arguments`,
    /// `environment`, `stdout`, `clock`, `random`, `directories`. `sockets` cannot be granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wasi: Vec<String>,
    /// Proposals beyond WebAssembly 1.0 that it uses.
    pub proposals: Vec<String>,
    /// Linear memory at the start, and at most: its own maximum or the deployment's.
    pub memory_start_bytes: u64,
    pub memory_bytes_max: u64,
    /// The part of that which compilers of C and Rust set apart as a stack; absent
    /// where it cannot be told.
    pub guest_stack_bytes: Option<u64>,
    pub data_bytes: u64,
    /// Absent, like the next, for a module that an earlier gateway took in.
    pub tables: Option<Vec<TableNeeds>>,
    /// It has a function that runs before any of its exports.
    pub has_start: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TableNeeds {
    pub min_slots: u32,
    pub max_slots: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceEligibility {
    pub device: String,
    pub device_name: String,
    pub target: String,
    pub bounds_checks: String,
    /// There is no obstacle.
    pub can_run: bool,
    pub obstacles: Vec<Obstacle>,
    /// What is worth knowing and keeps it from nothing.
    pub remarks: Vec<String>,
    /// As of its last report.
    pub memory_free_bytes: Option<u64>,
    /// Native stack of the deepest chain of calls, once it is compiled and if that has
    /// a bound.
    pub stack_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Obstacle {
    /// The number with which the device would refuse; absent for what may change by
    /// itself, such as free memory.
    pub code: Option<u16>,
    /// As `pi cannot run filter@2 because …`.
    pub detail: String,
    /// What to do.
    pub advice: String,
}
