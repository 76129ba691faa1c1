//! Messages to modules.

use serde::{Deserialize, Serialize};

/// One message for one module on one device. It is sent once and not kept: a device that
/// is not online does not get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    pub app: String,
    /// One that the application's deployment subscribes to.
    pub channel: String,
    /// Hexadecimal, at most 1,024 bytes.
    pub payload: String,
}

/// The message is on its way. Whether the module has taken it, its report says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SentMessage {
    pub device: String,
    /// Grows with every message to the device.
    pub counter: u64,
    pub payload_bytes: u64,
}
