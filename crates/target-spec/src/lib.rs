//! What Farrier knows of a device architecture, read from `targets/*.toml`.
//!
//! The compiler, the gateway and the command line ask here; nobody asks the
//! machine they run on. A target that is not in the registry does not exist.
//!
//! It does not compile and does not know any particular device.

pub mod metering;
pub mod profile;
mod registry;

use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

pub use registry::{DeviceTarget, Registry, TargetError};

/// The name of a target, such as `x86_64-linux`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct TargetId(String);

/// Longest target name that is accepted from outside.
pub const TARGET_ID_BYTES_MAX: usize = 48;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "target name {0:?} is not valid: use 1 to {TARGET_ID_BYTES_MAX} lower-case letters, digits, '_' or '-'"
)]
pub struct InvalidTargetId(pub String);

impl TargetId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TargetId {
    type Error = InvalidTargetId;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if name.is_empty() || name.len() > TARGET_ID_BYTES_MAX || !name.chars().all(is_allowed) {
            return Err(InvalidTargetId(name));
        }
        Ok(Self(name))
    }
}

impl FromStr for TargetId {
    type Err = InvalidTargetId;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(name.to_owned())
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The code generator that serves a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    #[serde(rename = "x86_64")]
    X86_64,
    Aarch64,
    Riscv64,
}

/// How compiled code catches an access beyond the linear memory.
///
/// The AoT file does not say which, and WAMR accepts one made for hardware
/// checks on a runtime without them, where it then reads out of bounds. So the
/// mode is part of what is signed and of what a runtime refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundsChecks {
    /// Guard pages behind 8 GiB of reserved address space, and a signal handler.
    Hardware,
    /// A comparison before each access.
    Software,
}

impl BoundsChecks {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Software => "software",
        }
    }
}

impl fmt::Display for BoundsChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bounds checks {0:?} do not exist: use \"hardware\" or \"software\"")]
pub struct InvalidBoundsChecks(pub String);

impl FromStr for BoundsChecks {
    type Err = InvalidBoundsChecks;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "hardware" => Ok(Self::Hardware),
            "software" => Ok(Self::Software),
            _ => Err(InvalidBoundsChecks(name.to_owned())),
        }
    }
}

/// The fields of an AoT file's target section that differ by architecture.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AotTarget {
    pub arch: String,
    pub e_machine: u16,
    pub e_flags: u32,
}

/// One file of `targets/`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub format: u32,
    pub id: TargetId,
    pub name: String,
    pub triple: String,
    /// The target whose runtime runs this code, if it is another one.
    pub runtime: Option<TargetId>,
    pub arch: Arch,
    pub abi: String,
    pub cpu_features: Vec<String>,
    pub bounds_checks: Vec<BoundsChecks>,
    pub simd: bool,
    /// 1: all tests run on real processors of this kind; 2: emulated, or in part.
    pub tier: u8,
    /// What the tier rests on.
    pub evidence: String,
    pub aot: AotTarget,
}

/// A file of `targets/` for devices that no code can be made for. They enrol and report,
/// and every deployment to them is refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BareTarget {
    pub format: u32,
    pub id: TargetId,
    pub name: String,
    pub triple: String,
    pub code_generator: NoCodeGenerator,
    pub bounds_checks: Vec<BoundsChecks>,
    /// What is known to work.
    pub evidence: String,
}

/// Said in the file, so that nobody takes it for an incomplete one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoCodeGenerator {
    None,
}

impl Target {
    /// The target that a runtime for this one is built as.
    pub fn runtime_id(&self) -> &TargetId {
        self.runtime.as_ref().unwrap_or(&self.id)
    }

    /// The mode used when nobody asks for one; the registry refuses an empty list.
    pub fn default_bounds_checks(&self) -> BoundsChecks {
        self.bounds_checks[0]
    }

    pub fn supports_bounds_checks(&self, mode: BoundsChecks) -> bool {
        self.bounds_checks.contains(&mode)
    }

    /// The features that code for this target may use and a device lacks.
    pub fn missing_cpu_features<'a>(&'a self, device_has: &[String]) -> Vec<&'a str> {
        self.cpu_features
            .iter()
            .filter(|feature| !device_has.contains(feature))
            .map(String::as_str)
            .collect()
    }
}
