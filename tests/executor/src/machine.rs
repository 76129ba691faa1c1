//! The builds of the executor: architecture, bounds checks, and how they start here.

use std::path::PathBuf;
use target_spec::BoundsChecks::{self, Hardware, Software};

/// What the executor loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// AoT files.
    Aot,
    /// WebAssembly modules, by WAMR's fast interpreter.
    Interpreter,
}

impl Mode {
    /// As in `FARRIER_WAMR_MODE`, the variable that chooses how WAMR is built.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aot => "aot",
            Self::Interpreter => "interpreter",
        }
    }
}

/// One build of the executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Also its folder below `target/kit/executors`.
    pub name: &'static str,
    /// The target to compile for.
    pub target_id: &'static str,
    /// Rust's name for it.
    pub triple: &'static str,
    pub bounds_checks: BoundsChecks,
    pub mode: Mode,
}

const X86_64: (&str, &str) = ("x86_64-linux", "x86_64-unknown-linux-gnu");
const AARCH64: (&str, &str) = ("aarch64-linux", "aarch64-unknown-linux-gnu");
const RISCV64: (&str, &str) = ("riscv64-linux", "riscv64gc-unknown-linux-gnu");

impl Machine {
    pub const X86_64_HARDWARE: Self = Self::aot("x86_64-hardware", X86_64, Hardware);
    pub const X86_64_SOFTWARE: Self = Self::aot("x86_64-software", X86_64, Software);
    pub const AARCH64_SOFTWARE: Self = Self::aot("aarch64-software", AARCH64, Software);
    pub const RISCV64_SOFTWARE: Self = Self::aot("riscv64-software", RISCV64, Software);
    /// Each instance reserves 8 GiB, which costs qemu-user 49 MB: for few of them.
    pub const AARCH64_HARDWARE: Self = Self::aot("aarch64-hardware", AARCH64, Hardware);
    /// As for the one before.
    pub const RISCV64_HARDWARE: Self = Self::aot("riscv64-hardware", RISCV64, Hardware);
    pub const X86_64_INTERPRETER: Self =
        Self { mode: Mode::Interpreter, ..Self::aot("x86_64-interpreter", X86_64, Hardware) };

    pub const ALL: [Self; 7] = [
        Self::X86_64_HARDWARE,
        Self::X86_64_SOFTWARE,
        Self::AARCH64_SOFTWARE,
        Self::RISCV64_SOFTWARE,
        Self::AARCH64_HARDWARE,
        Self::RISCV64_HARDWARE,
        Self::X86_64_INTERPRETER,
    ];

    const fn aot(
        name: &'static str,
        (target_id, triple): (&'static str, &'static str),
        bounds_checks: BoundsChecks,
    ) -> Self {
        Self { name, target_id, triple, bounds_checks, mode: Mode::Aot }
    }

    /// The architecture, as in `aarch64`.
    pub fn arch(&self) -> &'static str {
        self.target_id.trim_end_matches("-linux")
    }

    pub fn is_native(&self) -> bool {
        self.arch() == std::env::consts::ARCH
    }

    /// The program and the first arguments that start a binary of this machine.
    pub fn launcher(&self) -> Vec<String> {
        match self.is_native() {
            true => Vec::new(),
            false => {
                let arch = self.arch();
                [format!("qemu-{arch}-static"), "-L".into(), format!("/usr/{arch}-linux-gnu")]
                    .to_vec()
            }
        }
    }

    /// Where `cargo xtask executors` puts it, or below `FARRIER_EXECUTORS`.
    pub fn binary(&self) -> PathBuf {
        let folder = std::env::var_os("FARRIER_EXECUTORS").map(PathBuf::from);
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/kit/executors");
        folder.unwrap_or_else(|| own.into()).join(self.name).join("farrier-executor")
    }
}
