//! Builds all that a demo or an end-to-end test starts, into `target/kit`:
//!
//! ```text
//! bin/farrier, bin/farrier-gateway, bin/farrier-signer, bin/farrier-demo
//! <target id>/farrier-agent, <target id>/farrier-runtime
//! modules/*.wasm, modules/*.toml
//! ```
//!
//! The runtimes come from one cargo target directory for each profile of WAMR:
//! its CMake build is configured once and never again, so two profiles in one
//! directory would silently be one.

use crate::{firmware, run, web};
use anyhow::Context;
use std::path::{Path, PathBuf};

/// A target id, Rust's name for it, and the bounds checks of its devices here.
/// Emulated devices use software checks: with hardware ones each instance costs
/// 49 MB and 280 ms under qemu-user.
pub const DEVICES: [(&str, &str, &str); 3] = [
    ("x86_64-linux", "x86_64-unknown-linux-gnu", "hardware"),
    ("aarch64-linux", "aarch64-unknown-linux-gnu", "software"),
    ("riscv64-linux", "riscv64gc-unknown-linux-gnu", "software"),
];

/// Devices for which there is no code generator. They are built with the others, enrol
/// and report, and have no tests of their own but the end-to-end one.
const BARE_DEVICES: [(&str, &str, &str); 1] =
    [("armv7-linux", "armv7-unknown-linux-gnueabihf", "software")];

pub fn directory(workspace: &Path) -> PathBuf {
    workspace.join("target/kit")
}

/// Everything.
pub fn build(workspace: &Path) -> anyhow::Result<()> {
    web::build(workspace, web::WebProfile::Release)?;
    build_host(workspace)?;
    build_devices(workspace)?;
    firmware::build(workspace)
}

pub fn build_host(workspace: &Path) -> anyhow::Result<()> {
    let programs = ["farrier", "farrier-gateway", "farrier-signer", "farrier-demo"];
    run::build(workspace, "dev", &programs)?;
    for binary in programs {
        install(&workspace.join("target/debug").join(binary), &directory(workspace).join("bin"))?;
    }
    Ok(())
}

pub fn build_devices(workspace: &Path) -> anyhow::Result<()> {
    for bounds_checks in ["hardware", "software"] {
        let devices = DEVICES.iter().chain(&BARE_DEVICES);
        let devices = devices.filter(|(_, _, of)| *of == bounds_checks);
        let target_dir = workspace.join("target").join(format!("devices-{bounds_checks}"));
        let mut command = run::cargo(workspace);
        command
            .args(["build", "--locked", "--profile", "device"])
            .args(["-p", "farrier-agent", "-p", "farrier-runtime"])
            .env("FARRIER_BOUNDS_CHECKS", bounds_checks)
            .arg("--target-dir")
            .arg(&target_dir);
        for (_, triple, _) in devices.clone() {
            command.args(["--target", triple]);
        }
        run::step(
            &format!("build agents and runtimes with {bounds_checks} bounds checks"),
            &mut command,
        )?;
        for (id, triple, _) in devices {
            for binary in ["farrier-agent", "farrier-runtime"] {
                let built = target_dir.join(triple).join("device").join(binary);
                install(&built, &directory(workspace).join(id))?;
            }
        }
    }
    Ok(())
}

/// Copies a file into a folder of the kit, by way of a new file: a binary that
/// runs cannot be written to.
pub fn install(file: &Path, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let name = file.file_name().with_context(|| format!("{} has no name", file.display()))?;
    let new = folder.join(format!("{}.new", name.display()));
    std::fs::copy(file, &new).with_context(|| format!("copy {}", file.display()))?;
    std::fs::rename(&new, folder.join(name)).with_context(|| format!("rename {}", new.display()))
}
