//! What a device has to have to be chosen.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// With `devices: all` it selects the devices that have all of it; a device that is named
/// and lacks something refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Labels of the agent's configuration, with their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Accelerators, by the devices' names for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accelerators: Vec<String>,
}

impl Placement {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What else a module would be deployed with, for the question which devices can run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AskedOfDevices {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensors: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actuators: Vec<String>,
    #[serde(default)]
    pub placement: Placement,
}
