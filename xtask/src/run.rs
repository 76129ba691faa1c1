//! Starts other programs and says how long they took.

use anyhow::{Context, bail};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A cargo of this toolchain in the workspace, free of what this build was given.
pub fn cargo(workspace: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace);
    without_our_variables(&mut command);
    command
}

/// Takes away what the cargo that runs us has set for us alone: a build script that saw it
/// would believe it belonged to xtask and run again.
pub fn without_our_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
}

/// Whose features are chosen together: everything but xtask, which cargo built for itself
/// alone before it ran.
pub const ALL_BUT_XTASK: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// Builds programs of the workspace for this machine. What their crates have of features
/// is chosen for the whole workspace and not for them alone, so that they share their
/// builds with each other and with the tests.
pub fn build(workspace: &Path, profile: &str, programs: &[&str]) -> anyhow::Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--locked", "--profile", profile]).args(ALL_BUT_XTASK);
    command.args(programs.iter().flat_map(|program| ["--bin", program]));
    step(&format!("build {}", programs.join(", ")), &mut command)
}

/// One of the workspace's own programs, built and ready to start.
pub fn program(workspace: &Path, profile: &str, name: &str) -> anyhow::Result<Command> {
    build(workspace, profile, &[name])?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let mut command = Command::new(workspace.join("target").join(folder).join(name));
    command.current_dir(workspace);
    without_our_variables(&mut command);
    Ok(command)
}

/// Runs to the end with the terminal's output; its standard output goes to
/// standard error, because ours may be read by a program.
pub fn step(what: &str, command: &mut Command) -> anyhow::Result<()> {
    eprintln!("▸ {what}");
    let started = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("{what}: start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{what}: {} ended with {status}", command.get_program().display());
    }
    eprintln!("  {what}: {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// What a program printed, if it ended well.
pub fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let output =
        command.output().with_context(|| format!("start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{} ended with {}: {}",
            command.get_program().display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
