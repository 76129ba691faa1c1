//! Applications: several modules that one application file describes.

use crate::{Deployment, DeploymentState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An application file, and what it needs to be read elsewhere than beside its modules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewApplication {
    /// The file's text: docs/application-file.md.
    pub file: String,
    /// The SHA-256 of each Wasm file that it names, by the path as it is written there.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Whether it may ask for more than what runs now.
    #[serde(default)]
    pub accept_more: bool,
    /// The version that the application has to have now, 0 if there is none: what was
    /// looked at is what is changed.
    #[serde(default)]
    pub expected_version: Option<u32>,
}

/// What applying a file would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApplicationPlan {
    pub application: String,
    /// The version that is there, 0 if there is none.
    pub from_version: u32,
    /// The same, if nothing would change.
    pub to_version: u32,
    /// Paths of the file whose modules have to be uploaded first. What their bytes
    /// decide is compared once they are here.
    pub missing: Vec<String>,
    /// Those of the file in its order, then those that would go.
    pub modules: Vec<ModulePlan>,
    /// Whether any difference asks for more than what runs now.
    pub asks_for_more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModulePlan {
    pub module: String,
    pub action: PlanAction,
    pub differences: Vec<PlanDifference>,
    /// For each kind of device that it would run on, what runs there.
    pub builds: Vec<PlanBuild>,
    /// What keeps devices from running it, and what it takes the place of.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PlanAction {
    Add,
    Change,
    Keep,
    Remove,
}

impl PlanAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Keep => "keep",
            Self::Remove => "remove",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanDifference {
    /// The field, such as `memory_bytes_max` or `sensor`.
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether it needs a yes.
    pub is_more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanBuild {
    pub target: String,
    pub device_count: u32,
    /// `name@version`, or the path where it has to be uploaded first.
    pub build: String,
    /// Why not an earlier one of `any_of`, or why it will be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Something wrong with the file's text, or with what it asks for at that place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileProblem {
    /// Both count from 1.
    pub line: u32,
    pub column: u32,
    /// What is wrong, and what to do.
    pub what: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Application {
    pub name: String,
    /// Counts the files that changed anything, from 1.
    pub version: u32,
    pub applied_at_ms: u64,
    /// Of all its modules together.
    pub state: DeploymentState,
    pub modules: Vec<ApplicationModule>,
    /// The text that was applied last.
    pub file: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApplicationModule {
    pub name: String,
    pub deployment: Deployment,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AppliedApplication {
    pub application: Application,
    /// What was changed.
    pub plan: ApplicationPlan,
}
