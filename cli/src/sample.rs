//! Fixed answers of a gateway, for the tests of views.

use gateway_api::{AppStatus, CompileRecord, Deployment, Device, Module, ModuleEligibility};
use serde::de::DeserializeOwned;

pub const NOW_MS: u64 = 1_772_373_787_250;

fn read<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

pub fn module() -> Module {
    read(include_str!("../tests/data/module.json"))
}

/// One that was refused.
pub fn compile() -> CompileRecord {
    read(include_str!("../tests/data/compile.json"))
}

/// One device that can run it, and one that cannot.
pub fn eligibility() -> ModuleEligibility {
    read(include_str!("../tests/data/eligibility.json"))
}

pub fn deployment() -> Deployment {
    read(include_str!("../tests/data/deployment.json"))
}

/// One that is well, and one that refused.
pub fn devices() -> Vec<Device> {
    read(include_str!("../tests/data/devices.json"))
}

pub fn apps() -> Vec<AppStatus> {
    read(include_str!("../tests/data/apps.json"))
}
