//! Everything that a program is run as.

use aot_compiler::{CompileOptions, Metering};
use serde::Serialize;
use target_spec::BoundsChecks;
use target_spec::profile::NanRule;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    Native,
    /// For `x86_64-linux` with hardware bounds checks and no policy.
    Ours,
    /// The same, metered.
    OursMetered,
    /// The same, with canonical NaNs.
    OursCanonical,
    /// The same for `x86_64-v3-linux`.
    OursV3,
    /// Only compiled, for its size: this process has a WAMR with hardware checks.
    OursSoftware,
    /// The same, metered.
    OursMeteredSoftware,
    /// At the CPU features of `x86_64-linux`.
    Wasmtime,
    /// At the CPU features of `x86_64-v3-linux`.
    WasmtimeV3,
    /// WAMR's fast interpreter, in a process of its own.
    Interpreter,
}

/// The target that runs everywhere, and the one for processors since about 2013.
pub const BASE: &str = "x86_64-linux";
pub const V3: &str = "x86_64-v3-linux";

impl Variant {
    /// What our compiler makes, with target and options.
    pub fn of_ours() -> Vec<(Self, &'static str, CompileOptions)> {
        let hardware = CompileOptions::new(BoundsChecks::Hardware);
        let software = CompileOptions::new(BoundsChecks::Software);
        let metering = Metering::Gas;
        vec![
            (Self::Ours, BASE, hardware),
            (Self::OursMetered, BASE, CompileOptions { metering, ..hardware }),
            (
                Self::OursCanonical,
                BASE,
                CompileOptions { nan_rule: NanRule::Canonical, ..hardware },
            ),
            (Self::OursV3, V3, hardware),
            (Self::OursSoftware, BASE, software),
            (Self::OursMeteredSoftware, BASE, CompileOptions { metering, ..software }),
        ]
    }

    /// Whether `--quick` leaves it out.
    pub fn is_for_thorough_runs(self) -> bool {
        matches!(self, Self::OursV3 | Self::WasmtimeV3 | Self::Interpreter)
    }

    pub fn runs_here(self) -> bool {
        !matches!(self, Self::OursSoftware | Self::OursMeteredSoftware)
    }
}
