//! `cargo xtask fuzz`: the functions of `tests/fuzz-targets` for longer than the tests
//! run them, on the stable compiler.

use crate::run;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// They are a workspace of their own, which keeps its build apart.
fn place(workspace: &Path) -> [OsString; 4] {
    let manifest = workspace.join("tests/fuzz-targets/Cargo.toml");
    let target_dir = workspace.join("target/fuzz");
    ["--manifest-path".into(), manifest.into(), "--target-dir".into(), target_dir.into()]
}

/// Their tests: each function for its share of a minute, and all that was ever found.
pub fn tests(workspace: &Path) -> Command {
    let mut command = run::cargo(workspace);
    command.args(["test", "--locked", "--no-fail-fast"]).args(place(workspace));
    command
}

pub fn run(
    workspace: &Path,
    minutes: f64,
    seed: Option<u64>,
    only: Option<&str>,
) -> anyhow::Result<()> {
    let findings = workspace.join("target/fuzz-findings");
    let mut command = run::cargo(workspace);
    command.args(["run", "--quiet", "--locked"]).args(place(workspace)).arg("--");
    command.arg("--minutes").arg(minutes.to_string()).arg("--findings").arg(&findings);
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    if let Some(only) = only {
        command.arg("--only").arg(only);
    }
    // A finding would be printed twice: the panic, and then what to do with it.
    command.env("RUST_BACKTRACE", "0");
    let done = run::step(&format!("fuzz for {minutes} minutes"), &mut command);
    eprintln!(
        "With a nightly compiler, libFuzzer looks for the same with coverage: fuzz/README.md"
    );
    done
}
