//! What a deployment would do, before it is made.

use crate::{Obstacle, PlanDifference};
use serde::{Deserialize, Serialize};

/// What a deployment would do if it were made now. Nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeploymentPlan {
    /// The module's name, under which it would run on devices.
    pub app: String,
    pub module: String,
    pub module_version: u32,
    /// Those that it would take the place of on some device.
    pub replaces: Vec<ReplacedDeployment>,
    /// One for each device that it would be for, by their names.
    pub devices: Vec<DevicePlan>,
    /// Of the fleet, those that it would not be for: not named, or without what is asked for.
    pub other_device_count: u32,
    /// Compilations that it would have to wait for.
    pub compile_count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReplacedDeployment {
    pub id: String,
    pub module_version: u32,
    pub device_count: u32,
    /// What would be different on these devices.
    pub differences: Vec<PlanDifference>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DevicePlan {
    pub device: String,
    pub device_name: String,
    pub target: String,
    pub action: DevicePlanAction,
    /// The deployment that decides until now what runs there under this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Whether there is no code for it yet.
    pub needs_compile: bool,
    /// Why it cannot run it; the deployment is made all the same.
    pub obstacles: Vec<Obstacle>,
    /// What is worth knowing and keeps it from nothing.
    pub remarks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DevicePlanAction {
    /// Nothing of this name runs there.
    Add,
    Change,
    /// The same runs there already.
    Keep,
    /// There are obstacles.
    Refuse,
}

impl DevicePlanAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Keep => "keep",
            Self::Refuse => "refuse",
        }
    }
}
