//! Starts the runner of real programs, which fetches and builds them itself.

use crate::{executors, kit, run};
use anyhow::{Context, bail};
use std::path::Path;
use std::process::Command;

/// The runner, with more arguments to come. It finds the executors in the kit.
pub fn command(workspace: &Path) -> anyhow::Result<Command> {
    run::program(workspace, "dev", "programs")
}

pub fn run(workspace: &Path, arguments: &[String]) -> anyhow::Result<()> {
    executors::build(workspace)?;
    // Some run as on a device.
    kit::build_devices(workspace)?;
    kit::build_host(workspace)?;
    let status = command(workspace)?.args(arguments).status().context("start the runner")?;
    if !status.success() {
        bail!("the programs ended with {status}");
    }
    Ok(())
}
