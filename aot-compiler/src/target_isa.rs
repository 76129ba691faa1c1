//! A target of the registry → Cranelift code generators for it.
//!
//! CPU features come from the target's file and from nowhere else: what the machine
//! that compiles has does not matter. A name that this file does not know is an
//! error, so that a typing mistake does not quietly become slower code.

use crate::error::CompileError;
use crate::intake::Effort;
use cranelift_codegen::isa::{self, OwnedTargetIsa, TargetFrontendConfig, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use target_spec::{Arch, BoundsChecks, Target};

/// Generators for one target, one for each effort.
pub(crate) struct TargetIsas {
    full: OwnedTargetIsa,
    plain: OwnedTargetIsa,
    linear: OwnedTargetIsa,
}

impl TargetIsas {
    /// `has_tail_calls`: Cranelift takes a tail caller's frame down by the frame pointer,
    /// which other functions need not keep.
    pub fn build(
        target: &Target,
        bounds: BoundsChecks,
        has_tail_calls: bool,
    ) -> Result<Self, CompileError> {
        let frame_pointers = if has_tail_calls { "true" } else { "false" };
        let build = |level, allocator| {
            let choices = [
                ("opt_level", level),
                ("regalloc_algorithm", allocator),
                ("preserve_frame_pointers", frame_pointers),
            ];
            build_one(target, bounds, &choices)
        };
        Ok(Self {
            full: build("speed", "backtracking")?,
            plain: build("none", "backtracking")?,
            linear: build("none", "single_pass")?,
        })
    }

    pub fn frontend_config(&self) -> TargetFrontendConfig {
        self.full.frontend_config()
    }

    pub fn of_effort(&self, effort: Effort) -> &dyn TargetIsa {
        match effort {
            Effort::Full => &*self.full,
            Effort::Plain => &*self.plain,
            Effort::Linear => &*self.linear,
        }
    }
}

fn build_one(
    target: &Target,
    bounds: BoundsChecks,
    choices: &[(&str, &str)],
) -> Result<OwnedTargetIsa, CompileError> {
    let mut flags = settings::builder();
    let fixed = [
        // All calls stay within the text section or go through the loader's PLT.
        ("is_pic", "false"),
        ("use_colocated_libcalls", "true"),
        ("unwind_info", "false"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        // A frame of several pages must touch each: with hardware checks the guard
        // pages below the stack are what catches an overflow.
        ("enable_probestack", if bounds == BoundsChecks::Hardware { "true" } else { "false" }),
        ("probestack_strategy", "inline"),
    ];
    for (name, value) in fixed.iter().chain(choices) {
        flags.set(name, value).map_err(|e| CompileError::bug(format!("setting {name}: {e}")))?;
    }
    let architecture = match target.arch {
        Arch::X86_64 => "x86_64-unknown-linux-gnu",
        Arch::Aarch64 => "aarch64-unknown-linux-gnu",
        Arch::Riscv64 => "riscv64gc-unknown-linux-gnu",
    };
    let triple = architecture.parse().map_err(|e| CompileError::bug(format!("triple: {e}")))?;
    let mut builder = isa::lookup(triple).map_err(CompileError::bug)?;
    for feature in &target.cpu_features {
        for setting in settings_of_feature(target, feature)? {
            let cannot = |e| CompileError::bug(format!("CPU feature {feature}: {e}"));
            builder.enable(setting).map_err(cannot)?;
        }
    }
    builder.finish(settings::Flags::new(flags)).map_err(CompileError::bug)
}

/// Cranelift's settings for a feature of `targets/*.toml`, empty if it has none.
fn settings_of_feature(
    target: &Target,
    feature: &str,
) -> Result<&'static [&'static str], CompileError> {
    let settings: Option<&'static [&'static str]> = match target.arch {
        Arch::X86_64 => match feature {
            "sse3" => Some(&["has_sse3"]),
            "ssse3" => Some(&["has_ssse3"]),
            "sse4.1" => Some(&["has_sse41"]),
            "sse4.2" => Some(&["has_sse42"]),
            "popcnt" => Some(&["has_popcnt"]),
            "lzcnt" => Some(&["has_lzcnt"]),
            "bmi1" => Some(&["has_bmi1"]),
            "bmi2" => Some(&["has_bmi2"]),
            "avx" => Some(&["has_avx"]),
            "avx2" => Some(&["has_avx2"]),
            "fma" => Some(&["has_fma"]),
            _ => None,
        },
        Arch::Aarch64 => match feature {
            "lse" => Some(&["has_lse"]),
            _ => None,
        },
        // zicsr is part of F, zifencei of G (RISC-V ISA manual, "Naming Conventions").
        Arch::Riscv64 => match feature {
            "m" => Some(&["has_m"]),
            "a" => Some(&["has_a"]),
            "f" => Some(&["has_f", "has_zicsr"]),
            "d" => Some(&["has_d", "has_zifencei"]),
            "c" => Some(&["has_c", "has_zca", "has_zcd"]),
            "zba" => Some(&["has_zba"]),
            "zbb" => Some(&["has_zbb"]),
            "zbs" => Some(&["has_zbs"]),
            _ => None,
        },
    };
    settings.ok_or_else(|| CompileError::TargetCannot {
        target: target.id.to_string(),
        why: format!(
            "its file names the CPU feature {feature:?}, which this compiler does not know"
        ),
    })
}
