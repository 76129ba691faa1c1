//! The folder of binaries and modules that `cargo xtask` builds.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub struct Kit {
    directory: PathBuf,
    gateway: PathBuf,
}

/// A kind of device, and how its programs are started on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceClass {
    pub target: &'static str,
    pub bounds_checks: &'static str,
    /// In front of each program of that architecture; empty where it is native.
    pub launcher: &'static [&'static str],
}

impl DeviceClass {
    pub const X86_64: DeviceClass =
        DeviceClass { target: "x86_64-linux", bounds_checks: "hardware", launcher: &[] };
    pub const AARCH64: DeviceClass = DeviceClass {
        target: "aarch64-linux",
        bounds_checks: "software",
        launcher: &["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
    };
    pub const RISCV64: DeviceClass = DeviceClass {
        target: "riscv64-linux",
        bounds_checks: "software",
        launcher: &["qemu-riscv64-static", "-L", "/usr/riscv64-linux-gnu"],
    };
    /// Nothing compiles for it: it is in no list of devices that run something.
    pub const ARMV7: DeviceClass = DeviceClass {
        target: "armv7-linux",
        bounds_checks: "software",
        launcher: &["qemu-arm-static", "-L", "/usr/arm-linux-gnueabihf"],
    };
    /// Those that run modules.
    pub const ALL: [DeviceClass; 3] = [Self::X86_64, Self::AARCH64, Self::RISCV64];

    /// The name that tests and the demo give to the device of this class.
    pub fn device_name(self) -> String {
        format!("demo-{}", self.target.trim_end_matches("-linux").replace('_', "-"))
    }
}

impl Kit {
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let directory = directory.canonicalize().with_context(|| {
            format!("no kit in {}: build it by `cargo xtask demo`", directory.display())
        })?;
        let kit = Self { gateway: directory.join("bin/farrier-gateway"), directory };
        for class in DeviceClass::ALL {
            for program in [kit.agent(class), kit.runtime(class)] {
                if !program.is_file() {
                    bail!("{} is missing: build it by `cargo xtask devices`", program.display());
                }
            }
        }
        Ok(kit)
    }

    /// The kit that `cargo xtask test` names, or that of this workspace.
    pub fn for_tests() -> anyhow::Result<Self> {
        let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/kit");
        Self::open(&std::env::var_os("FARRIER_KIT").map_or_else(default, PathBuf::from))
    }

    /// The same with another build of the gateway.
    pub fn with_gateway(self, program: &Path) -> anyhow::Result<Self> {
        let gateway = program.canonicalize().with_context(|| program.display().to_string())?;
        Ok(Self { gateway, ..self })
    }

    pub fn gateway(&self) -> PathBuf {
        self.gateway.clone()
    }

    pub fn signer(&self) -> PathBuf {
        self.directory.join("bin/farrier-signer")
    }

    pub fn command_line(&self) -> PathBuf {
        self.directory.join("bin/farrier")
    }

    pub fn agent(&self, class: DeviceClass) -> PathBuf {
        self.directory.join(class.target).join("farrier-agent")
    }

    pub fn runtime(&self, class: DeviceClass) -> PathBuf {
        self.directory.join(class.target).join("farrier-runtime")
    }

    /// A file of `modules/`, such as `sensor-filter.wasm`.
    pub fn module(&self, file: &str) -> PathBuf {
        self.directory.join("modules").join(file)
    }

    pub fn read_module(&self, file: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.module(file);
        std::fs::read(&path)
            .with_context(|| format!("read {}: build it by `cargo xtask firmware`", path.display()))
    }
}
