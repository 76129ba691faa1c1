//! What this build of WAMR is, and which files it may therefore load.

use aot_reader::{AOT_VERSION, AotFile, ReadError};
use std::fmt;
use target_spec::profile::{AotProfile, ProfileError, SECTION_NAME};
use target_spec::{BoundsChecks, Registry, TargetError, TargetId};

/// Of the vendored sources; `Runtime` compares it with what the library says.
pub(crate) const WAMR_VERSION: (u32, u32, u32) = (2, 4, 3);

const SOFTWARE: bool = matches!(env!("FARRIER_WAMR_BOUNDS_CHECKS").as_bytes(), b"software");

/// What a build of WAMR runs. Devices have the first; the second exists to compare
/// our compiler with, on the machine that runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Files compiled ahead of time.
    Aot,
    /// WebAssembly modules, by WAMR's fast interpreter.
    Interpreter,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aot => "aot",
            Self::Interpreter => "interpreter",
        }
    }
}

/// Of this build.
pub const MODE: Mode = match env!("FARRIER_WAMR_MODE_OF_BUILD").as_bytes() {
    b"interpreter" => Mode::Interpreter,
    _ => Mode::Aot,
};

/// Optional processor features that a target may name, with their test here.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! detect {
    ($detector:ident: $($name:tt),* $(,)?) => {
        [$(($name, std::arch::$detector!($name))),*]
    };
}

/// How a runtime was built and what its processor has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// A target id, such as `riscv64-linux`.
    pub target: String,
    pub bounds_checks: BoundsChecks,
    /// `2.4.3`
    pub wamr_version: String,
    pub aot_version: u32,
    /// Of the features that `targets/*.toml` may name, those found here.
    pub cpu_features: Vec<String>,
    /// Proposals beyond WebAssembly 1.0 that the loader was built with.
    pub wasm_features: Vec<&'static str>,
}

impl Profile {
    pub fn of_this_build() -> Self {
        let (major, minor, patch) = WAMR_VERSION;
        let mut wasm_features = vec!["bulk-memory", "reference-types"];
        // WAMR has no vector instructions on RISC-V (build-scripts/config_common.cmake),
        // and its interpreter's need SIMDe, which cmake/common.cmake leaves out.
        if cfg!(not(target_arch = "riscv64")) && MODE == Mode::Aot {
            wasm_features.push("simd");
        }
        Self {
            target: format!("{}-{}", architecture(), std::env::consts::OS),
            bounds_checks: bounds_checks(),
            wamr_version: format!("{major}.{minor}.{patch}"),
            aot_version: AOT_VERSION,
            cpu_features: cpu_features(),
            wasm_features,
        }
    }

    /// The same for one of the targets that this build's runtime serves, such as
    /// `x86_64-v3-linux`; refused where the processor lacks what it needs.
    pub fn for_target(id: &str) -> Result<Self, TargetRefused> {
        let own = Self::of_this_build();
        let target = Registry::built_in().find(id)?;
        if !own.runs(&target.id) {
            return Err(TargetRefused::OtherRuntime { asked: id.to_owned(), own: own.target });
        }
        let lacking = target.missing_cpu_features(&own.cpu_features);
        if !lacking.is_empty() {
            let (asked, features) = (id.to_owned(), lacking.join(", "));
            return Err(TargetRefused::CpuFeatures { asked, features });
        }
        Ok(Self { target: id.to_owned(), ..own })
    }

    /// Whether code for a target runs here, if the processor has its features.
    fn runs(&self, target: &TargetId) -> bool {
        let known = Registry::built_in().get(target);
        known.is_ok_and(|target| target.runtime_id().as_str() == self.target)
    }

    /// Refuses a file that this build would run wrongly or without protection.
    pub fn check(&self, artifact: &[u8]) -> Result<AotProfile, ProfileMismatch> {
        let file = AotFile::parse(artifact)?;
        if file.version != self.aot_version {
            return Err(ProfileMismatch::AotVersion { file: file.version, own: self.aot_version });
        }
        let note = file.custom_section(SECTION_NAME).ok_or(ProfileMismatch::NoNote)?;
        let note = AotProfile::from_bytes(note)?;
        if !self.runs(&note.target) {
            let (file, own) = (note.target.to_string(), self.target.clone());
            return Err(ProfileMismatch::Target { file, own });
        }
        if note.bounds_checks != self.bounds_checks {
            let (file, own) = (note.bounds_checks, self.bounds_checks);
            return Err(ProfileMismatch::BoundsChecks { file, own });
        }
        let has = |feature: &String| self.cpu_features.contains(feature);
        match note.cpu_features.iter().find(|feature| !has(feature)) {
            Some(feature) => Err(ProfileMismatch::CpuFeature(feature.clone())),
            None => Ok(note),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "target {}", self.target)?;
        writeln!(f, "bounds {}", self.bounds_checks)?;
        writeln!(f, "wamr {}", self.wamr_version)?;
        writeln!(f, "aot {}", self.aot_version)?;
        writeln!(f, "cpu-features {}", self.cpu_features.join(","))?;
        writeln!(f, "wasm-features {}", self.wasm_features.join(","))
    }
}

/// Why a runtime cannot act as one of a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefused {
    #[error(transparent)]
    NoTarget(#[from] TargetError),
    #[error("target {asked} is not served by this runtime, which is one for {own}")]
    OtherRuntime { asked: String, own: String },
    #[error("target {asked} needs the CPU features {features}, which this processor has not")]
    CpuFeatures { asked: String, features: String },
}

/// Why a file is not for this runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileMismatch {
    #[error(transparent)]
    File(#[from] ReadError),
    #[error("the file has AoT version {file}, this runtime loads version {own}")]
    AotVersion { file: u32, own: u32 },
    #[error("the file has no note \"{SECTION_NAME}\", so it was not made by Farrier's compiler")]
    NoNote,
    #[error("read the file's note \"{SECTION_NAME}\": {0}")]
    Note(#[from] ProfileError),
    #[error("the file is for {file}, this runtime is for {own}")]
    Target { file: String, own: String },
    #[error("the file has {file} bounds checks, this runtime was built for {own} ones")]
    BoundsChecks { file: BoundsChecks, own: BoundsChecks },
    #[error("the file needs the CPU feature {0}, which this processor has not")]
    CpuFeature(String),
}

pub(crate) const fn bounds_checks() -> BoundsChecks {
    if SOFTWARE { BoundsChecks::Software } else { BoundsChecks::Hardware }
}

/// As targets call it. Rust says "arm" for all of 32-bit Arm, of which this is built for
/// one version.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "arm" => "armv7",
        other => other,
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<String> {
    present(&detect!(is_x86_feature_detected:
        "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "lzcnt", "bmi1", "bmi2", "avx", "avx2", "fma"))
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<String> {
    present(&detect!(is_aarch64_feature_detected: "lse", "pmull", "fp16", "dotprod"))
}

/// Those of the base are in every program for this target, so in this one. The
/// standard library's test for others is not stable in Rust 1.95, so none of them
/// is ever found.
#[cfg(target_arch = "riscv64")]
fn cpu_features() -> Vec<String> {
    ["m", "a", "f", "d", "c"].map(str::to_owned).to_vec()
}

/// No target of it has code, so none names a feature.
#[cfg(target_arch = "arm")]
fn cpu_features() -> Vec<String> {
    Vec::new()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn present(features: &[(&str, bool)]) -> Vec<String> {
    features.iter().filter(|(_, found)| *found).map(|(name, _)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use target_spec::profile::CodePolicy;

    fn file_with_note(note: &[u8]) -> Vec<u8> {
        let mut body = 0u32.to_le_bytes().to_vec();
        body.extend((SECTION_NAME.len() as u16 + 1).to_le_bytes());
        body.extend(SECTION_NAME.as_bytes());
        body.push(0);
        body.extend(note);
        let mut file = b"\0aot\x06\0\0\0".to_vec();
        file.extend(100u32.to_le_bytes());
        file.extend((body.len() as u32).to_le_bytes());
        file.extend(body);
        file
    }

    fn note_of(profile: &Profile) -> AotProfile {
        AotProfile {
            target: profile.target.parse().unwrap(),
            bounds_checks: profile.bounds_checks,
            cpu_features: profile.cpu_features.clone(),
            compiler: "test".into(),
            policy: CodePolicy::default(),
        }
    }

    #[test]
    fn a_file_of_the_same_profile_is_accepted() {
        let own = Profile::of_this_build();
        let note = note_of(&own);
        assert_eq!(own.check(&file_with_note(&note.to_bytes())), Ok(note));
    }

    #[test]
    fn a_target_with_more_features_is_served_where_the_processor_has_them() {
        let own = Profile::of_this_build();
        for target in Registry::built_in().all() {
            let has_features = target.missing_cpu_features(&own.cpu_features).is_empty();
            let outcome = Profile::for_target(target.id.as_str());
            match target.runtime_id().as_str() == own.target {
                true if has_features => assert_eq!(outcome.unwrap().target, target.id.as_str()),
                true => assert!(matches!(outcome, Err(TargetRefused::CpuFeatures { .. }))),
                false => assert!(matches!(outcome, Err(TargetRefused::OtherRuntime { .. }))),
            }
            let mut note = note_of(&own);
            (note.target, note.cpu_features) = (target.id.clone(), target.cpu_features.clone());
            let is_served = target.runtime_id().as_str() == own.target && has_features;
            assert_eq!(own.check(&file_with_note(&note.to_bytes())).is_ok(), is_served);
        }
        assert!(Profile::for_target("sparc-linux").is_err());
    }

    #[test]
    fn a_file_of_another_profile_is_refused_with_the_difference() {
        let own = Profile::of_this_build();
        let refusal = |note: AotProfile| {
            own.check(&file_with_note(&note.to_bytes())).unwrap_err().to_string()
        };
        let other_bounds = match own.bounds_checks {
            BoundsChecks::Hardware => BoundsChecks::Software,
            BoundsChecks::Software => BoundsChecks::Hardware,
        };
        let mut note = note_of(&own);
        note.bounds_checks = other_bounds;
        assert_eq!(
            refusal(note),
            format!(
                "the file has {other_bounds} bounds checks, this runtime was built for {} ones",
                own.bounds_checks
            )
        );
        let mut note = note_of(&own);
        note.target = "sparc-linux".parse().unwrap();
        assert_eq!(
            refusal(note),
            format!("the file is for sparc-linux, this runtime is for {}", own.target)
        );
        let mut note = note_of(&own);
        note.cpu_features.push("tachyons".into());
        assert_eq!(
            refusal(note),
            "the file needs the CPU feature tachyons, which this processor has not"
        );
        assert_eq!(own.check(b"\0aot\x06\0\0\0"), Err(ProfileMismatch::NoNote));
        assert_eq!(
            own.check(b"\0aot\x05\0\0\0"),
            Err(ProfileMismatch::AotVersion { file: 5, own: 6 })
        );
        assert!(own.check(&file_with_note(b"nonsense")).is_err());
    }
}
