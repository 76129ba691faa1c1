//! The rules that a compiler does not hold: who may depend on whom.
//!
//! Each rule is a question to `cargo tree` whose answer must be "nothing". They
//! exist because a dependency comes in by one line and leaves by none.

use crate::run;
use anyhow::{Context, bail};
use std::path::Path;
use std::process::Command;

/// A package, what its tree must not hold, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "farrier-agent",
        &["wamr", "wamrx-sys", "cranelift-codegen", "aot-compiler", "axum", "sled", "gateway-api"],
        "the process that holds the device's key never links WAMR or the gateway",
    ),
    (
        "farrier-runtime",
        &[
            "module-package",
            "device-protocol",
            "ed25519-dalek",
            "rumqttc",
            "ureq",
            "cranelift-codegen",
        ],
        "the process that runs modules knows no keys, manifests or networks",
    ),
    (
        "farrier-gateway",
        &["wamr", "wamrx-sys", "gateway-client"],
        "artifacts are run in a process of their own, never in the gateway",
    ),
    (
        "farrier-signer",
        &["farrier-gateway", "wamrx-sys", "tokio", "axum", "sled", "rumqttc", "device-protocol"],
        "the process that holds the release key has one socket and nothing of the gateway",
    ),
    (
        "harness",
        &["wamrx-sys", "farrier-gateway"],
        "the tests start the programs and link none of them",
    ),
    (
        "executor",
        &["wamr", "wamrx-sys", "cranelift-codegen"],
        "tests run compiled code in other processes, so that these can be emulated",
    ),
    (
        "farrier-executor",
        &["cranelift-codegen", "aot-compiler"],
        "it is built once for each machine, and only what was compiled runs there",
    ),
    (
        "farrier",
        &["wamrx-sys", "farrier-gateway", "device-protocol"],
        "the command line asks the gateway",
    ),
    ("web-ui", &["device-protocol", "module-package"], "browsers and devices are upgraded apart"),
    (
        "aot-compiler",
        &["tokio", "reqwest", "getrandom", "wamrx-sys"],
        "the compiler is a pure function of its input",
    ),
    ("gateway-api", &["axum", "tokio", "sled"], "the HTTP types build for the browser"),
    (
        "module-package",
        &["tokio", "getrandom"],
        "documents are checked without clock, disk or chance",
    ),
];

/// Found anywhere in the workspace's tree, this is a mistake.
const FORBIDDEN_EVERYWHERE: &[(&str, &str)] =
    &[("aws-lc-sys", "rustls runs on ring alone"), ("openssl-sys", "TLS is rustls")];

/// Workspaces of their own, whose lock files name packages of this one.
const OTHER_WORKSPACES: [&str; 2] = ["tests/bench", "fuzz"];

/// A dependency that was added here makes the other lock files too old, and then
/// nothing builds there that insists on them.
pub fn lock_files(workspace: &Path) -> anyhow::Result<()> {
    for folder in OTHER_WORKSPACES {
        let mut command = run::cargo(&workspace.join(folder));
        command.args(["metadata", "--locked", "--format-version", "1"]);
        run::output_of(&mut command).with_context(|| {
            format!("{folder}/Cargo.lock is too old: run `cargo update --workspace` in {folder}")
        })?;
    }
    Ok(())
}

pub fn dependencies(workspace: &Path) -> anyhow::Result<()> {
    lock_files(workspace)?;
    for (package, forbidden, why) in FORBIDDEN {
        let mut command = run::cargo(workspace);
        command
            .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let tree = run::output_of(command.args(["-p", package]))
            .with_context(|| format!("read the dependencies of {package}"))?;
        if let Some(found) = first_in(&tree, forbidden) {
            bail!(
                "{package} depends on {found}, but {why}: see `cargo tree -p {package} -i {found}`"
            );
        }
    }
    let mut command = run::cargo(workspace);
    command.args(["tree", "--locked", "--workspace", "--prefix", "none", "--format", "{p}"]);
    let tree = run::output_of(&mut command).context("read the workspace's dependencies")?;
    for (crate_name, why) in FORBIDDEN_EVERYWHERE {
        if first_in(&tree, &[crate_name]).is_some() {
            bail!(
                "{crate_name} is in the tree, but {why}: see `cargo tree --workspace -i {crate_name}`"
            );
        }
    }
    Ok(())
}

fn first_in<'a>(tree: &str, names: &[&'a str]) -> Option<&'a str> {
    let of_line = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    names.iter().find(|name| tree.lines().any(|line| of_line(line) == **name)).copied()
}

pub fn formatting(workspace: &Path) -> anyhow::Result<()> {
    for folder in ["", "tests/bench"].map(|folder| workspace.join(folder)) {
        let what = format!("cargo fmt --check in {}", folder.display());
        run::step(&what, run::cargo(&folder).args(["fmt", "--all", "--check"]))?;
    }
    Ok(())
}

pub fn style(workspace: &Path) -> anyhow::Result<()> {
    formatting(workspace)?;
    let mut clippy: Command = run::cargo(workspace);
    clippy.args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    run::step("cargo clippy", &mut clippy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_found_by_its_whole_name_only() {
        let tree = "farrier-agent v0.1.0 (/x)\nring v0.17.14\naxum-core v0.5.0";
        assert_eq!(first_in(tree, &["axum"]), None);
        assert_eq!(first_in(tree, &["axum", "ring"]), Some("ring"));
    }
}
