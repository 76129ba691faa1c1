//! `cargo xtask faults`: faults of many kinds for as long as one likes, by
//! `tests/faults`.

use crate::{kit, run};
use anyhow::{Context, bail};
use std::path::Path;

/// The long run; the arguments are the runner's own.
pub fn run(workspace: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let lists = arguments.iter().any(|argument| argument == "--list" || argument == "--help");
    if !lists {
        kit::build(workspace)?;
    }
    let mut command = run::program(workspace, "dev", "faults")?;
    command.args(arguments).env("FARRIER_KIT", kit::directory(workspace));
    let status = command.status().context("start the fault runner")?;
    if !status.success() {
        bail!("the fault runner ended with {status}");
    }
    Ok(())
}
