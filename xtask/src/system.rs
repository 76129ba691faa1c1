//! Finds what is missing on this machine and installs it by name.
//!
//! Rust targets by rustup, programs and headers from Debian. Nothing is
//! installed that is there already, and every installation is said.

use crate::run;
use anyhow::{Context, bail};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To build the dashboard and the example modules.
    WasmTarget,
    /// npm, for the module that nobody here wrote.
    Modules,
    /// WAMR's build: CMake, Ninja, and libclang for bindgen.
    Runtimes,
    /// To build agents and runtimes for other architectures.
    CrossCompilers,
    /// To run them here.
    Emulators,
    /// The browser of the dashboard's test.
    Browser,
    /// npm, pip and Rust for WASI: programs that nobody here wrote, and compilers.
    Programs,
    /// What faults are made with: a broker to kill, networks to cut, clocks to turn and
    /// file systems to pull the power from.
    Faults,
}

impl Need {
    pub const ALL: &[Need] = &[
        Need::WasmTarget,
        Need::Modules,
        Need::Runtimes,
        Need::CrossCompilers,
        Need::Emulators,
        Need::Browser,
        Need::Programs,
        Need::Faults,
    ];

    fn rust_targets(self) -> &'static [&'static str] {
        match self {
            Self::WasmTarget | Self::Modules => &["wasm32-unknown-unknown"],
            Self::CrossCompilers => &[
                "aarch64-unknown-linux-gnu",
                "riscv64gc-unknown-linux-gnu",
                "armv7-unknown-linux-gnueabihf",
            ],
            Self::Programs => &["wasm32-unknown-unknown", "wasm32-wasip1"],
            Self::Runtimes | Self::Emulators | Self::Browser | Self::Faults => &[],
        }
    }

    /// What must exist, and the Debian package that brings it.
    fn debian(self) -> &'static [(Probe, &'static str)] {
        use Probe::{File, Library, Program};
        match self {
            Self::WasmTarget => &[],
            Self::Modules => &[(Program("npm"), "npm")],
            Self::Runtimes => &[
                (Program("cmake"), "cmake"),
                (Program("ninja"), "ninja-build"),
                (Library("libclang"), "libclang-dev"),
            ],
            Self::CrossCompilers => &[
                (Program("aarch64-linux-gnu-gcc"), "gcc-aarch64-linux-gnu"),
                (File("/usr/aarch64-linux-gnu/include/stdio.h"), "libc6-dev-arm64-cross"),
                (Program("riscv64-linux-gnu-gcc"), "gcc-riscv64-linux-gnu"),
                (File("/usr/riscv64-linux-gnu/include/stdio.h"), "libc6-dev-riscv64-cross"),
                (Program("arm-linux-gnueabihf-gcc"), "gcc-arm-linux-gnueabihf"),
                (File("/usr/arm-linux-gnueabihf/include/stdio.h"), "libc6-dev-armhf-cross"),
            ],
            Self::Emulators => &[
                (Program("qemu-aarch64-static"), "qemu-user-static"),
                (Program("qemu-riscv64-static"), "qemu-user-static"),
                (Program("qemu-arm-static"), "qemu-user-static"),
            ],
            Self::Browser => &[
                (Program("chromium"), "chromium"),
                (File("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"), "fonts-dejavu-core"),
            ],
            Self::Programs => &[
                (Program("npm"), "npm"),
                (Program("python3"), "python3"),
                (Program("pip3"), "python3-pip"),
                (Program("make"), "make"),
            ],
            Self::Faults => &[
                (File("/usr/sbin/mosquitto"), "mosquitto"),
                (File("/usr/sbin/nft"), "nftables"),
                (File("/usr/sbin/mkfs.ext4"), "e2fsprogs"),
                (Program("ip"), "iproute2"),
                (Program("faketime"), "faketime"),
            ],
        }
    }
}

#[derive(Clone, Copy)]
enum Probe {
    Program(&'static str),
    File(&'static str),
    /// A shared library that bindgen can find: in an LLVM folder or the linker's.
    Library(&'static str),
}

impl Probe {
    fn is_there(self) -> bool {
        match self {
            Self::Program(name) => find_program(name),
            Self::File(path) => Path::new(path).exists(),
            Self::Library(name) => library_folders().any(|folder| has_library(&folder, name)),
        }
    }
}

fn find_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn library_folders() -> impl Iterator<Item = std::path::PathBuf> {
    let llvm = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let llvm = llvm.filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"));
    let llvm = llvm.map(|entry| entry.path().join("lib"));
    let usual = ["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu"].map(Into::into);
    let named = std::env::var_os("LIBCLANG_PATH").map(Into::into);
    llvm.chain(usual).chain(named)
}

fn has_library(folder: &Path, name: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| is_library_named(&entry.file_name().to_string_lossy(), name))
}

/// `libclang.so.1` and `libclang-14.so` are libclang; `libclang-cpp.so.14`, which
/// comes with many an LLVM package, is another library that bindgen cannot use.
fn is_library_named(file: &str, name: &str) -> bool {
    let Some((stem, _)) = file.split_once(".so") else { return false };
    let Some(version) = stem.strip_prefix(name) else { return false };
    version.is_empty() || version.starts_with('-') && !version.contains(char::is_alphabetic)
}

/// Installs what the given needs lack.
pub fn install(needs: &[Need]) -> anyhow::Result<()> {
    install_rust_targets(needs)?;
    install_debian_packages(needs)
}

fn install_rust_targets(needs: &[Need]) -> anyhow::Result<()> {
    let wanted: BTreeSet<&str> =
        needs.iter().flat_map(|need| need.rust_targets()).copied().collect();
    let missing: Vec<&str> = wanted.into_iter().filter(|target| !has_rust_target(target)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("Missing Rust targets: {}", missing.join(", "));
    let mut command = Command::new("rustup");
    command.args(["target", "add"]).args(&missing);
    run::step("install Rust targets by rustup", &mut command)
        .with_context(|| format!("could not run `rustup target add {}`", missing.join(" ")))
}

/// Asks the compiler that cargo uses, not rustup: a toolchain may be linked.
fn has_rust_target(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", target]);
    run::output_of(&mut command).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn install_debian_packages(needs: &[Need]) -> anyhow::Result<()> {
    let wanted = needs.iter().flat_map(|need| need.debian());
    let missing: BTreeSet<&str> =
        wanted.filter(|(probe, _)| !probe.is_there()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.iter().copied().collect::<Vec<_>>();
    eprintln!("Missing Debian packages: {}", packages.join(", "));
    let by_hand = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if !find_program("apt-get") {
        bail!(
            "this is no Debian: install what these packages hold, then run again: {}",
            packages.join(" ")
        );
    }
    let sudo = match rustix::process::geteuid().is_root() {
        true => None,
        // -n: a password prompt in the middle of a long build would be missed.
        false if run::output_of(Command::new("sudo").args(["-n", "true"])).is_ok() => Some("sudo"),
        false => bail!("run this as root, then try again:\n\n    sudo {by_hand}\n"),
    };
    let apt_get = |arguments: &[&str]| {
        let mut command = match sudo {
            Some(sudo) => {
                let mut command = Command::new(sudo);
                command.args(["-n", "apt-get"]);
                command
            }
            None => Command::new("apt-get"),
        };
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        command
    };
    run::step("read Debian's package lists", &mut apt_get(&["update", "-q"]))?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(&packages);
    run::step("install Debian packages", &mut apt_get(&arguments))
        .with_context(|| format!("install them yourself, then run again: sudo {by_hand}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpp_library_is_not_taken_for_libclang() {
        for file in ["libclang.so", "libclang.so.1", "libclang-14.so", "libclang-14.so.14.0.6"] {
            assert!(is_library_named(file, "libclang"), "{file}");
        }
        for file in ["libclang-cpp.so.14", "libclang.a", "libclangAST.so"] {
            assert!(!is_library_named(file, "libclang"), "{file}");
        }
    }
}
