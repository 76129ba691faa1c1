//! Builds every test of the workspace at once, and starts them one by one.
//!
//! `cargo test -p PACKAGE` chooses the features of shared crates for that package, and
//! `cargo test --workspace` for all: two builds of two hundred crates. Built at once and
//! started from here, each crate is compiled for one choice.

use crate::run;
use anyhow::{Context, bail};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

pub struct TestBinary {
    /// The package's, in the workspace.
    pub folder: PathBuf,
    /// Of the file in `tests/`, or of the library or program itself.
    pub name: String,
    manifest_dir: PathBuf,
    path: PathBuf,
}

impl fmt::Display for TestBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.folder.display())
    }
}

impl TestBinary {
    /// Where and with what cargo starts it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        run::without_our_variables(&mut command);
        command.current_dir(&self.manifest_dir).env("CARGO_MANIFEST_DIR", &self.manifest_dir);
        command
    }
}

pub fn build(workspace: &Path) -> anyhow::Result<Vec<TestBinary>> {
    eprintln!("▸ build the tests");
    let started = Instant::now();
    let mut command = run::cargo(workspace);
    command.args(["test", "--locked", "--no-run"]).args(run::ALL_BUT_XTASK);
    command.args(["--message-format", "json-render-diagnostics"]);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo to build the tests")?;
    if !output.status.success() {
        bail!("cargo test --no-run ended with {}", output.status);
    }
    let mut binaries = Vec::new();
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{")) {
        let message = serde_json::from_slice(line).context("read a message of cargo")?;
        binaries.extend(of_message(workspace, &message));
    }
    binaries.sort_by(|a, b| (&a.folder, &a.name).cmp(&(&b.folder, &b.name)));
    eprintln!("  {} test binaries: {:.0} s", binaries.len(), started.elapsed().as_secs_f64());
    Ok(binaries)
}

fn of_message(workspace: &Path, message: &Value) -> Option<TestBinary> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let path = PathBuf::from(message["executable"].as_str()?);
    let manifest_dir = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let folder = manifest_dir.strip_prefix(workspace).ok()?.to_owned();
    let name = message["target"]["name"].as_str()?.to_owned();
    Some(TestBinary { folder, name, manifest_dir, path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_test_is_found_among_what_cargo_says() {
        let mut message = json!({
            "reason": "compiler-artifact",
            "manifest_path": "/w/device-agent/runtime/Cargo.toml",
            "target": { "kind": ["test"], "name": "limits" },
            "profile": { "test": true },
            "executable": "/w/target/debug/deps/limits-00",
        });
        let found = of_message(Path::new("/w"), &message).unwrap();
        assert_eq!(found.to_string(), "limits of device-agent/runtime");
        assert_eq!(found.path, Path::new("/w/target/debug/deps/limits-00"));
        message["profile"]["test"] = json!(false);
        assert!(of_message(Path::new("/w"), &message).is_none());
        message["executable"] = Value::Null;
        message["profile"]["test"] = json!(true);
        assert!(of_message(Path::new("/w"), &message).is_none());
    }
}
