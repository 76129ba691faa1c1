//! What a deployment gives its module beside sensors and channels to publish on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// What it may reach through WASI preview 1: docs/wasi.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasi: Option<Wasi>,
}

/// What is not given is denied. A module that imports the clocks or random bytes is
/// deployed only where it is said, by `true` or `false`, whether it gets them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Wasi {
    /// After the module's name: at most 32, 512 bytes each, 4,096 bytes in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Variables by their names, with the same bounds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Where standard output and standard error go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<WasiStdout>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<bool>,
    /// `false` lets a module be deployed that imports functions of sockets: they answer
    /// `notsock`. There is nothing that `true` could give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets: Option<bool>,
    /// What follows the end of a program; `on-failure` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<WasiRestart>,
    /// Directories in which it may work, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<WasiDirectory>,
}

/// Either `private_bytes` or `host` says what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WasiDirectory {
    /// Where the program finds it, such as `/data`.
    pub guest: String,
    /// One of the module's own on each device, and what it may hold, up to 67,108,864. It
    /// survives new versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_bytes: Option<u32>,
    /// One of the device's, by the name that its owner has given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Of one of the device's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WasiStdout {
    /// Line by line into the module's log.
    Log,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WasiRestart {
    /// Run again after a delay if its exit code was not 0 or it trapped.
    #[default]
    OnFailure,
    Never,
    /// The same, and at its interval if all was well.
    Always,
}

impl WasiRestart {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnFailure => "on-failure",
            Self::Never => "never",
            Self::Always => "always",
        }
    }
}

impl Provisions {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
