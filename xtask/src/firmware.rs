//! Builds the example modules and fetches the one that nobody here wrote.

use crate::{kit, run};
use anyhow::Context;
use std::path::Path;
use std::process::Command;

/// All examples, with their test files, into `target/kit/examples`; the one in Go is for who
/// asks for it, because its compiler takes a minute.
pub fn build_examples(workspace: &Path, with_go: bool) -> anyhow::Result<()> {
    let mut command = run::program(workspace, "dev", "guest-toolchains")?;
    command.arg(workspace).arg(kit::directory(workspace).join("examples"));
    command.args(with_go.then_some("--with-go"));
    run::step("build the examples of every language", &mut command)
}

/// Examples in Rust with tests of their own, which run on this machine.
pub const TESTED_HERE: [&str; 3] = ["sensor-filter", "threshold", "level-meter/signal"];

pub fn unit_tests(workspace: &Path, example: &str) -> anyhow::Result<Command> {
    let version = run::output_of(Command::new("rustc").arg("-vV").current_dir(workspace))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let mut command = run::cargo(&workspace.join("firmware-examples").join(example));
    command.args(["test", "--locked", "--target", host.context("rustc names no host")?]);
    command.arg("--target-dir").arg(workspace.join("target/guests"));
    Ok(command)
}

/// What the demo runs: the sensor filter in two versions, xxhash from npm, and its known answers.
pub fn build(workspace: &Path) -> anyhow::Result<()> {
    let examples = workspace.join("firmware-examples");
    let modules = kit::directory(workspace).join("modules");
    for (name, features) in [("sensor-filter", ""), ("sensor-filter-wide", "wide-window")] {
        let wasm = build_guest(workspace, &examples.join("sensor-filter"), features)?;
        let named = wasm.with_file_name(format!("{name}.wasm"));
        std::fs::copy(&wasm, &named).with_context(|| format!("copy {}", wasm.display()))?;
        kit::install(&named, &modules)?;
    }
    let xxhash = examples.join("xxhash");
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&xxhash);
    run::step("fetch xxhash-wasm from npm", &mut npm)?;
    kit::install(&xxhash.join("node_modules/xxhash-wasm/workerd/xxhash.wasm"), &modules)?;
    let steps = modules.join("xxhash.toml");
    std::fs::copy(xxhash.join("known-answers.toml"), &steps)
        .with_context(|| format!("write {}", steps.display()))?;
    for entry in std::fs::read_dir(examples.join("misbehaving")).context("read misbehaving")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wat") {
            kit::install(&path, &modules)?;
        }
    }
    Ok(())
}

fn build_guest(
    workspace: &Path,
    guest: &Path,
    features: &str,
) -> anyhow::Result<std::path::PathBuf> {
    let target_dir = workspace.join("target/guests");
    let mut command = run::cargo(workspace);
    command
        .current_dir(guest)
        .args(["build", "--release", "--locked", "--target", "wasm32-unknown-unknown"])
        .args(["--features", features])
        .arg("--target-dir")
        .arg(&target_dir);
    run::step(&format!("build {} [{features}]", guest.display()), &mut command)?;
    Ok(target_dir.join("wasm32-unknown-unknown/release/sensor_filter.wasm"))
}
