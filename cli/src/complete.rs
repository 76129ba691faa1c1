//! What a shell may complete an argument to: names that the gateway or a file knows.
//!
//! A completion never fails and never takes long: without an answer in time there is
//! nothing to offer.

use crate::args::{ColorChoice, GlobalArgs};
use crate::connect::connect;
use crate::console::Console;
use crate::contexts::Contexts;
use clap_complete::engine::CompletionCandidate;
use gateway_client::{Client, ClientError};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(800);
const CANDIDATES_MAX: usize = 500;

pub fn contexts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let contexts = Contexts::load().unwrap_or_default().contexts;
    offer(typed, contexts.into_iter().map(|(name, context)| (name, context.gateway)).collect())
}

pub fn devices(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask(async |client: &Client| {
        let devices = client.devices().await?.items;
        Ok(devices.into_iter().map(|device| (device.name, device.target)).collect())
    });
    offer(typed, found)
}

pub fn modules(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask(async |client: &Client| {
        let modules = client.modules().await?.items;
        let name = |name: &str, version| format!("{name}@{version}");
        Ok(modules.into_iter().map(|m| (name(&m.name, m.version), m.id)).collect())
    });
    offer(typed, found)
}

/// What runs, by the name that it runs under.
pub fn apps(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask(async |client: &Client| {
        let deployments = client.deployments().await?.items;
        let apps: BTreeSet<String> = deployments.into_iter().map(|d| d.app).collect();
        Ok(apps.into_iter().map(|app| (app, String::new())).collect())
    });
    offer(typed, found)
}

pub fn deployments(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask(async |client: &Client| {
        let deployments = client.deployments().await?.items;
        let what = |app: &str, version| format!("{app}@{version}");
        Ok(deployments.into_iter().map(|d| (d.id, what(&d.app, d.module_version))).collect())
    });
    offer(typed, found)
}

pub fn applications(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = ask(async |client: &Client| {
        let applications = client.applications().await?.items;
        Ok(applications.into_iter().map(|a| (a.name, String::new())).collect())
    });
    offer(typed, found)
}

/// Names with what explains them.
type Found = Vec<(String, String)>;

fn ask(question: impl AsyncFnOnce(&Client) -> Result<Found, ClientError>) -> Found {
    // What is typed before the argument is not known here; variables and the context are.
    let global = GlobalArgs {
        gateway: None,
        context: None,
        token_file: None,
        color: ColorChoice::Never,
        quiet: true,
        verbose: false,
    };
    let console = Console::new(&global);
    let Ok(client) = connect(&global, &console) else { return Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let answer =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, question(&client)).await });
    answer.ok().and_then(Result::ok).unwrap_or_default()
}

fn offer(typed: &OsStr, found: Found) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    // A shell would take a name with anything else in it apart, or run it.
    let is_plain = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@:".contains(c))
    };
    let fits = |(name, _): &(String, String)| name.starts_with(typed) && is_plain(name);
    let candidate = |(name, help): (String, String)| {
        let help = crate::format::printable(&help);
        CompletionCandidate::new(name).help((!help.is_empty()).then(|| help.into()))
    };
    found.into_iter().filter(fits).take(CANDIDATES_MAX).map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_and_what_a_shell_leaves_alone_is_offered() {
        let found = ["pi", "pi-2", "gate", "pi; rm -rf", "pi$(id)", "pi\x1b[2J"];
        let found = found.map(|name| (name.to_owned(), "aarch64-linux".to_owned())).to_vec();
        let offered = offer(OsStr::new("pi"), found);
        let names: Vec<_> = offered.iter().map(|c| c.get_value().to_str().unwrap()).collect();
        assert_eq!(names, ["pi", "pi-2"]);
        let many = (0..2_000).map(|n| (format!("d{n}"), String::new())).collect();
        assert_eq!(offer(OsStr::new(""), many).len(), CANDIDATES_MAX);
    }
}
