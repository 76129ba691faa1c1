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
//! The note is no proof of origin: that is the signed release.

use crate::{BoundsChecks, TargetId};

pub const SECTION_NAME: &str = "farrier.profile";

/// Longest note that is read.
pub const PROFILE_BYTES_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AotProfile {
    pub target: TargetId,
    pub bounds_checks: BoundsChecks,
    pub cpu_features: Vec<String>,
    pub compiler: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    #[error("the profile note is {0} bytes, more than {PROFILE_BYTES_MAX}")]
    TooLong(usize),
    #[error("the profile note is not UTF-8 text")]
    NotText,
    #[error("line {line} of the profile note should be \"{expected} …\"")]
    Line { line: usize, expected: &'static str },
    #[error("the profile note has the unknown version {0:?}; this build reads version 1")]
    Version(String),
    #[error("profile note: {0}")]
    Value(String),
}

impl AotProfile {
    pub fn to_bytes(&self) -> Vec<u8> {
        format!(
            "farrier-aot 1\ntarget {}\nbounds {}\ncpu-features {}\ncompiler {}\n",
            self.target,
            self.bounds_checks,
            self.cpu_features.join(","),
            self.compiler
        )
        .into_bytes()
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
        if version != "1" {
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
        Ok(Self { target, bounds_checks, cpu_features, compiler })
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
        }
    }

    #[test]
    fn a_profile_survives_the_round_trip() {
        assert_eq!(AotProfile::from_bytes(&example().to_bytes()), Ok(example()));
        let plain = AotProfile { cpu_features: vec![], ..example() };
        assert_eq!(AotProfile::from_bytes(&plain.to_bytes()), Ok(plain));
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
