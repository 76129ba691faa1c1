//! `cargo xtask fuzz`: the functions of `tests/fuzz-targets` for longer than the tests
//! run them, on the stable compiler.

use crate::run;
use std::path::Path;

/// Tests that fuzz what is read from a disk: a package, and its module of them.
const DISKS: [(&str, &str); 2] =
    [("farrier-gateway", "store::journal::fuzz_tests"), ("farrier-agent", "state::fuzz_tests")];

/// The part of the time that each of them gets.
const DISK_SHARE: f64 = 0.1;

fn run_disks(workspace: &Path, minutes: f64, seed: Option<u64>) -> anyhow::Result<()> {
    let seconds = (minutes * 60.0 * DISK_SHARE).ceil() as u64;
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    for (package, module) in DISKS {
        let mut command = run::cargo(workspace);
        command.args(["test", "--locked", "-p", package, "--lib", module, "--", "--nocapture"]);
        command.env("FARRIER_FUZZ_SECONDS", seconds.to_string());
        command.env("FARRIER_FUZZ_SEED", seed.to_string()).env("RUST_BACKTRACE", "0");
        run::step(&format!("fuzz what {package} reads from its disk, seed {seed}"), &mut command)?;
    }
    Ok(())
}

pub fn run(
    workspace: &Path,
    minutes: f64,
    seed: Option<u64>,
    only: Option<&str>,
) -> anyhow::Result<()> {
    let findings = workspace.join("target/fuzz-findings");
    let mut command = run::program(workspace, "fuzz", "fuzz-targets")?;
    let here = if only.is_some() { minutes } else { minutes * (1.0 - 2.0 * DISK_SHARE) };
    command.arg("--minutes").arg(here.to_string()).arg("--findings").arg(&findings);
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    if let Some(only) = only {
        command.arg("--only").arg(only);
    }
    // A finding would be printed twice: the panic, and then what to do with it.
    command.env("RUST_BACKTRACE", "0");
    let mut done = run::step(&format!("fuzz for {minutes} minutes"), &mut command);
    if only.is_none() {
        done = done.and(run_disks(workspace, minutes, seed));
    }
    eprintln!(
        "With a nightly compiler, libFuzzer looks for the same with coverage: fuzz/README.md"
    );
    done
}
