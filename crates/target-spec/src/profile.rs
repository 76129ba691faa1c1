//! The note that our compiler leaves in every AoT file, and a runtime reads.
//!
//! WAMR's format records neither the bounds-check mode nor the CPU features, and
//! its loader runs a file of the wrong mode without a word. So the compiler adds
//! a custom section (AoT section id 100, sub-id 0 "raw") called [`SECTION_NAME`]
//! whose bytes are the text below, and a runtime refuses what is not its own.
//! Stock WAMR skips the section.
//!
//! ```text
//! farrier-aot 1
//! target x86_64-linux
//! bounds hardware
//! cpu-features sse3,ssse3
//! compiler aot-compiler 0.1.0 cranelift 0.135.8
//! ```
//!
//! A file that was compiled by a policy has version 2, with three lines more; one
//! without keeps version 1, which every runtime reads.
//!
//! ```text
//! metering 1
//! nan canonical
//! suspend-checks yes
//! ```
//!
//! The note is no proof of origin: that is the signed release.

use crate::{BoundsChecks, TargetId};
use std::fmt;
use std::str::FromStr;

pub const SECTION_NAME: &str = "farrier.profile";

/// Longest note that is read.
pub const PROFILE_BYTES_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AotProfile {
    pub target: TargetId,
    pub bounds_checks: BoundsChecks,
    pub cpu_features: Vec<String>,
    pub compiler: String,
    pub policy: CodePolicy,
}

/// What was asked of the code beyond doing what the module says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CodePolicy {
    /// The version of the cost table, if the compiler made the module count its gas.
    pub metering: Option<u32>,
    pub nan_rule: NanRule,
    /// Whether code looks at loops and on entry for a wish to stop it.
    pub suspend_checks: bool,
}

/// Which bits a NaN has that an instruction computes; `docs/determinism.md`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NanRule {
    /// Those of the processor, as WebAssembly allows.
    #[default]
    AsComputed,
    /// The same on every processor, wherever they can be seen.
    Canonical,
}

impl NanRule {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsComputed => "as-computed",
            Self::Canonical => "canonical",
        }
    }
}

impl fmt::Display for NanRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the NaN rule {0:?} does not exist: use \"as-computed\" or \"canonical\"")]
pub struct InvalidNanRule(pub String);

impl FromStr for NanRule {
    type Err = InvalidNanRule;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "as-computed" => Ok(Self::AsComputed),
            "canonical" => Ok(Self::Canonical),
            _ => Err(InvalidNanRule(name.to_owned())),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    #[error("the profile note is {0} bytes, more than {PROFILE_BYTES_MAX}")]
    TooLong(usize),
    #[error("the profile note is not UTF-8 text")]
    NotText,
    #[error("line {line} of the profile note should be \"{expected} …\"")]
    Line { line: usize, expected: &'static str },
    #[error("the profile note has the unknown version {0:?}; this build reads versions 1 and 2")]
    Version(String),
    #[error("profile note: {0}")]
    Value(String),
}

impl AotProfile {
    pub fn to_bytes(&self) -> Vec<u8> {
        let version = if self.policy == CodePolicy::default() { 1 } else { 2 };
        let mut text = format!(
            "farrier-aot {version}\ntarget {}\nbounds {}\ncpu-features {}\ncompiler {}\n",
            self.target,
            self.bounds_checks,
            self.cpu_features.join(","),
            self.compiler
        );
        if version == 2 {
            let CodePolicy { metering, nan_rule, suspend_checks } = self.policy;
            let metering = metering.map_or("none".to_owned(), |version| version.to_string());
            let suspend_checks = if suspend_checks { "yes" } else { "no" };
            text +=
                &format!("metering {metering}\nnan {nan_rule}\nsuspend-checks {suspend_checks}\n");
        }
        text.into_bytes()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProfileError> {
        if bytes.len() > PROFILE_BYTES_MAX {
            return Err(ProfileError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ProfileError::NotText)?;
        let mut lines = text.split('\n').enumerate();
        let mut value_of = |key: &'static str| {
            let (index, line) = lines.next().unwrap_or((0, ""));
            let error = ProfileError::Line { line: index + 1, expected: key };
            line.strip_prefix(key).and_then(|rest| rest.strip_prefix(' ')).ok_or(error)
        };
        let version = value_of("farrier-aot")?;
        if !["1", "2"].contains(&version) {
            return Err(ProfileError::Version(version.to_owned()));
        }
        let target = value_of("target")?.parse().map_err(to_value_error)?;
        let bounds_checks = value_of("bounds")?.parse().map_err(to_value_error)?;
        let cpu_features = value_of("cpu-features")?
            .split(',')
            .filter(|feature| !feature.is_empty())
            .map(str::to_owned)
            .collect();
        let compiler = value_of("compiler")?.to_owned();
        let policy = match version {
            "1" => CodePolicy::default(),
            _ => CodePolicy {
                metering: match value_of("metering")? {
                    "none" => None,
                    version => Some(version.parse().map_err(to_value_error)?),
                },
                nan_rule: value_of("nan")?.parse().map_err(to_value_error)?,
                suspend_checks: match value_of("suspend-checks")? {
                    "yes" => true,
                    "no" => false,
                    other => {
                        let message = format!("suspend-checks {other:?} is neither yes nor no");
                        return Err(ProfileError::Value(message));
                    }
                },
            },
        };
        Ok(Self { target, bounds_checks, cpu_features, compiler, policy })
    }
}

fn to_value_error(error: impl std::error::Error) -> ProfileError {
    ProfileError::Value(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> AotProfile {
        AotProfile {
            target: "riscv64-linux".parse().unwrap(),
            bounds_checks: BoundsChecks::Software,
            cpu_features: vec!["m".into(), "a".into()],
            compiler: "aot-compiler 0.1.0 cranelift 0.135.8".into(),
            policy: CodePolicy::default(),
        }
    }

    #[test]
    fn a_profile_survives_the_round_trip() {
        assert_eq!(AotProfile::from_bytes(&example().to_bytes()), Ok(example()));
        let plain = AotProfile { cpu_features: vec![], ..example() };
        assert_eq!(AotProfile::from_bytes(&plain.to_bytes()), Ok(plain));
        for metering in [None, Some(1)] {
            for (nan_rule, suspend_checks) in
                [(NanRule::Canonical, false), (NanRule::AsComputed, true)]
            {
                let policy = CodePolicy { metering, nan_rule, suspend_checks };
                let profile = AotProfile { policy, ..example() };
                assert_eq!(AotProfile::from_bytes(&profile.to_bytes()), Ok(profile));
            }
        }
    }

    #[test]
    fn a_file_without_a_policy_keeps_the_note_that_every_runtime_reads() {
        assert!(example().to_bytes().starts_with(b"farrier-aot 1\n"));
        let policy = CodePolicy { metering: Some(1), ..CodePolicy::default() };
        let text = String::from_utf8(AotProfile { policy, ..example() }.to_bytes()).unwrap();
        assert!(text.starts_with("farrier-aot 2\n"));
        let damaged = text.replace("suspend-checks no", "suspend-checks perhaps");
        let error = AotProfile::from_bytes(damaged.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "profile note: suspend-checks \"perhaps\" is neither yes nor no");
    }

    #[test]
    fn a_damaged_profile_is_refused_by_line() {
        let text = String::from_utf8(example().to_bytes()).unwrap();
        let broken = text.replace("bounds software", "bound software");
        assert_eq!(
            AotProfile::from_bytes(broken.as_bytes()).unwrap_err().to_string(),
            "line 3 of the profile note should be \"bounds …\""
        );
        assert!(AotProfile::from_bytes(b"").is_err());
        assert!(AotProfile::from_bytes(&[b'a'; PROFILE_BYTES_MAX + 1]).is_err());
    }
}
