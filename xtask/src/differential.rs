//! `cargo xtask differential`: random modules in our compiled code and in two
//! interpreters, by `tests/differential`.

use crate::{executors, run};
use std::path::Path;
use std::process::Command;

/// What the tests run: the same modules each time, some forty seconds of them.
const TESTED: [&str; 4] = ["--from", "1", "--modules", "100"];

fn command(workspace: &Path, profile: &str) -> anyhow::Result<Command> {
    let mut command = run::program(workspace, profile, "differential")?;
    command.arg("--findings").arg(workspace.join("target/differential"));
    Ok(command)
}

/// It finds the executors in the kit.
pub fn tests(workspace: &Path) -> anyhow::Result<Command> {
    let mut command = command(workspace, "dev")?;
    command.args(TESTED).args(["--seconds", "600"]);
    Ok(command)
}

pub fn run(
    workspace: &Path,
    seconds: f64,
    seed: Option<u64>,
    only: Option<&str>,
) -> anyhow::Result<()> {
    executors::build(workspace)?;
    let mut command = command(workspace, "fuzz")?;
    command.arg("--seconds").arg(seconds.to_string());
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    if let Some(only) = only {
        command.args(["--only", only]);
    }
    run::step("compare random modules with other engines", &mut command)
}
