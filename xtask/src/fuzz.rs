//! `cargo xtask fuzz`: the functions of `tests/fuzz-targets` for longer than the tests
//! run them, on the stable compiler.

use crate::run;
use std::path::Path;

pub fn run(
    workspace: &Path,
    minutes: f64,
    seed: Option<u64>,
    only: Option<&str>,
) -> anyhow::Result<()> {
    let findings = workspace.join("target/fuzz-findings");
    let mut command = run::cargo(workspace);
    command.args(["run", "--quiet", "--locked", "-p", "fuzz-targets", "--"]);
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
