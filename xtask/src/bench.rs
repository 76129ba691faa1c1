//! Builds what `cargo xtask bench` compares, and runs it.
//!
//! `tests/bench` is a workspace of its own, because it builds a second WebAssembly
//! engine. Its programs are compiled once for WebAssembly with vector instructions
//! and once without, into an archive; from that, one module for each program is
//! linked with nothing but that program exported.
//!
//! Its lock file is not enforced: a dependency that the compiler gained would have
//! to be entered there too, before anybody could measure.

use crate::run;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Gateway and devices are built for speed; the runtime that checks is the kit's.
pub fn delivery(workspace: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let mut build = run::cargo(workspace);
    build.args(["build", "--locked", "--profile", "measured"]);
    build.args(["-p", "farrier-gateway", "-p", "farrier-sim"]);
    run::step("build the gateway and the simulated devices for speed", &mut build)?;
    let programs = workspace.join("target/measured");
    let mut command = Command::new(programs.join("farrier-sim"));
    command.current_dir(workspace).arg("bench").args(arguments);
    command.arg("--gateway").arg(programs.join("farrier-gateway"));
    command.env("FARRIER_KIT", crate::kit::directory(workspace));
    Err(std::os::unix::process::CommandExt::exec(&mut command)).context("start the benchmark")
}

pub fn isolation(workspace: &Path, arguments: &[String]) -> anyhow::Result<()> {
    beside_others(workspace, "isolation-bench", arguments)
}

pub fn real_time(workspace: &Path, arguments: &[String]) -> anyhow::Result<()> {
    beside_others(workspace, "real-time-bench", arguments)
}

/// The workers are the kit's, as devices have them; the agent's loop is built for speed.
fn beside_others(workspace: &Path, program: &str, arguments: &[String]) -> anyhow::Result<()> {
    let mut build = run::cargo(workspace);
    build.args(["build", "--locked", "--profile", "measured", "-p", "malicious"]);
    run::step("build the benchmark", &mut build)?;
    let mut command = Command::new(workspace.join("target/measured").join(program));
    command.current_dir(workspace).args(arguments);
    command.env("FARRIER_KIT", crate::kit::directory(workspace));
    Err(std::os::unix::process::CommandExt::exec(&mut command)).context("start the benchmark")
}

/// The probes are built like the devices' programs, and where these are.
pub fn device(workspace: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let mut command = run::cargo(workspace);
    command.args(["run", "--locked", "-p", "device-bench", "--"]).args(arguments);
    for bounds_checks in ["hardware", "software"] {
        let target_dir = workspace.join("target").join(format!("devices-{bounds_checks}"));
        let mut build = run::cargo(workspace);
        build.args(["build", "--locked", "--profile", "device"]);
        build.args(["-p", "device-probe", "-p", "farrier-runtime"]);
        build.args(["--target", PROBE_TRIPLE]).env("FARRIER_BOUNDS_CHECKS", bounds_checks);
        build.arg("--target-dir").arg(&target_dir);
        run::step(
            &format!("build probe and runtime with {bounds_checks} bounds checks"),
            &mut build,
        )?;
        let programs = target_dir.join(PROBE_TRIPLE).join("device");
        command.arg(format!("--{bounds_checks}")).arg(programs);
    }
    command.env("FARRIER_KIT", crate::kit::directory(workspace));
    Err(std::os::unix::process::CommandExt::exec(&mut command)).context("start the benchmark")
}

/// The only architecture that runs here without an emulator.
const PROBE_TRIPLE: &str = "x86_64-unknown-linux-gnu";

pub fn compiler(workspace: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let bench = workspace.join("tests/bench");
    let target_dir = workspace.join("target/bench");
    let mut build = run::cargo(&bench);
    run::step("build the benchmark", build.args(["build", "--release"]))?;
    let binary = target_dir.join("release/compiler-bench");
    let modules = target_dir.join("modules");
    std::fs::create_dir_all(&modules).with_context(|| format!("make {}", modules.display()))?;

    let programs = run::output_of(Command::new(&binary).arg("--list"))?;
    let plain = build_archive(&bench, &target_dir.join("plain"), "")?;
    let simd = build_archive(&bench, &target_dir.join("simd"), "-C target-feature=+simd128")?;
    let interpreter = build_interpreter(&bench, &target_dir.join("interpreter"))?;
    let linker = linker()?;
    for program in programs.lines() {
        let (name, kind) = program.split_once(' ').context("read the list of programs")?;
        let archive = if kind == "simd" { &simd } else { &plain };
        link(&linker, archive, name, &modules.join(name).with_extension("wasm"))?;
    }

    let mut command = Command::new(&binary);
    command.current_dir(workspace).arg("--modules").arg(&modules);
    // A quick run does not wait for the slowest.
    if !arguments.iter().any(|argument| argument == "--quick") {
        command.arg("--interpreter").arg(&interpreter);
    }
    command.args(arguments);
    Err(std::os::unix::process::CommandExt::exec(&mut command)).context("start the benchmark")
}

/// Another build of WAMR, so another target directory.
fn build_interpreter(bench: &Path, target_dir: &Path) -> anyhow::Result<PathBuf> {
    let mut command = run::cargo(bench);
    command
        .args(["build", "--release", "-p", "interpreter-child", "--target-dir"])
        .arg(target_dir)
        .env("FARRIER_WAMR_MODE", "interpreter");
    run::step("build WAMR's interpreter", &mut command)?;
    Ok(target_dir.join("release/interpreter-child"))
}

fn build_archive(bench: &Path, target_dir: &Path, flags: &str) -> anyhow::Result<PathBuf> {
    let mut command = run::cargo(bench);
    command
        .args(["rustc", "--release", "-p", "kernels", "--crate-type", "staticlib"])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(target_dir)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags);
    run::step(&format!("build the programs for WebAssembly {flags}"), &mut command)?;
    Ok(target_dir.join("wasm32-unknown-unknown/release/libkernels.a"))
}

/// The linker that comes with the Rust toolchain, which rustc uses for WebAssembly.
fn linker() -> anyhow::Result<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = run::output_of(Command::new(rustc).args(["--print", "target-libdir"]))?;
    // The folder `bin` is the neighbour of the host's `lib`.
    let folder = Path::new(folder.trim()).parent().context("find the toolchain's programs")?;
    Ok(folder.join("bin/rust-lld"))
}

/// The stack comes first and has 1 MiB, as rustc has it.
fn link(linker: &Path, archive: &Path, export: &str, module: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(linker);
    command
        .args(["-flavor", "wasm", "--no-entry", "--gc-sections", "--strip-all", "-O3"])
        .args(["--stack-first", "-z", "stack-size=1048576", "--export", export])
        .arg(archive)
        .arg("-o")
        .arg(module);
    run::output_of(&mut command).with_context(|| format!("link the program {export}"))?;
    Ok(())
}
