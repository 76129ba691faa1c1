//! What a deployment gives its module beside sensors and channels to publish on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisions {
    /// Text that the module can look up by its key: at most 32 entries, 64 bytes a key,
    /// 512 bytes a value, 4,096 bytes in all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// What it may store on each device, at most 262,144; nothing unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<u32>,
    /// Channels whose messages it gets: of other modules of the device, and of operators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<String>,
    /// Actuators that it may set, by the devices' names for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actuators: Vec<String>,
}

impl Provisions {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
