//! `farrier doctor`: what somebody who says "it does not work" should look at.
//!
//! The checks follow the way of a command: to the gateway, in with the token, what the
//! gateway thinks of itself, its fleet, and last what only `run` and `test` need.

use crate::args::{GlobalArgs, OutputArgs};
use crate::connect::connect_to;
use crate::console::{Console, now_ms};
use crate::contexts;
use crate::failure::{Exit, Failure};
use crate::format;
use crate::grid::{Align, Grid, Tone, plain};
use crate::local::find;
use clap::Args;
use gateway_api::{Connection, DeploymentState, Device, Session, Trust};
use gateway_client::{Client, ClientError};
use serde::Serialize;
use std::time::Instant;

/// A root document that ends sooner than this should be followed by the next.
const ROOT_NOTICE_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// More names than this do not fit into a line.
const NAMES_MAX: usize = 5;

#[derive(Debug, Args)]
#[command(after_help = "\
A check ends with ok, warning or failed; the command ends with 1 if one failed. It only
looks, and changes nothing.

Examples:
  farrier doctor
  farrier doctor --context lab
  farrier doctor -o json")]
pub struct DoctorArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, detail: detail.into(), advice: None }
    }

    fn warning(name: &'static str, detail: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        Self { name, verdict: Verdict::Warning, detail: detail.into(), advice }
    }

    fn failed(name: &'static str, failure: Failure) -> Self {
        let detail = match failure.causes.last() {
            Some(cause) => format!("{}: {cause}", failure.message),
            None => failure.message,
        };
        Self { name, verdict: Verdict::Failed, detail, advice: failure.advice }
    }
}

pub async fn run(args: &DoctorArgs, global: &GlobalArgs, console: &Console) -> Result<(), Failure> {
    let mut checks = Vec::new();
    at_gateway(&mut checks, global, console).await;
    checks.push(match find::runtime(None) {
        Ok(path) => Check::ok("local runtime", path.display().to_string()),
        Err(failure) => {
            let advice = failure.advice.unwrap_or_default();
            let detail = format!("{}; `farrier run` and `test` need it", failure.message);
            Check::warning("local runtime", detail, &advice)
        }
    });
    let format = args.output.format();
    let names = || checks.iter().map(|check| check.name.to_owned()).collect();
    console.show(format, &checks, names, |look| {
        let mut grid = Grid::new(
            look,
            &[("CHECK", Align::Left), ("RESULT", Align::Left), ("DETAIL", Align::Left)],
        );
        for check in &checks {
            let verdict = match check.verdict {
                Verdict::Ok => ("ok".to_owned(), Tone::Good),
                Verdict::Warning => ("warning".to_owned(), Tone::Busy),
                Verdict::Failed => ("failed".to_owned(), Tone::Bad),
            };
            let advice = check.advice.as_ref().map(|advice| format!(" (try: {advice})"));
            let detail = format!("{}{}", check.detail, advice.unwrap_or_default());
            grid.row(vec![plain(check.name), verdict, plain(detail)]);
        }
        grid.to_text()
    })?;
    match checks.iter().filter(|check| check.verdict == Verdict::Failed).count() {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, "a check failed")),
        count => Err(Failure::new(Exit::Failed, format!("{count} checks failed"))),
    }
}

/// What comes after a check that failed would fail too, and is left out.
async fn at_gateway(checks: &mut Vec<Check>, global: &GlobalArgs, console: &Console) {
    let place = contexts::place(global);
    let client = match place.and_then(|place| Ok((connect_to(&place, global, console)?, place))) {
        Ok((client, place)) => {
            checks.push(Check::ok("address", format!("{}, by {}", place.gateway, place.by)));
            client
        }
        Err(failure) => return checks.push(Check::failed("address", failure)),
    };
    let asked_at = Instant::now();
    if let Err(error) = client.healthz().await {
        return checks.push(Check::failed("gateway answers", error.into()));
    }
    let took_ms = u64::try_from(asked_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    checks.push(Check::ok("gateway answers", format!("in {}", format::millis(took_ms))));
    let session = match client.session().await {
        Ok(session) => session,
        Err(error) => return checks.push(Check::failed("login", error.into())),
    };
    checks.push(Check::ok("login", "the token is good"));
    checks.push(version(&session, env!("CARGO_PKG_VERSION")));
    checks.push(storage(&session));
    for check in [trust(&client).await, fleet(&client).await, deployments(&client).await] {
        checks.push(check.unwrap_or_else(|(name, error)| Check::failed(name, error.into())));
    }
}

fn version(session: &Session, own: &str) -> Check {
    let gateway = session.gateway.split_whitespace().last().unwrap_or_default();
    if gateway.trim_start_matches('v') == own {
        return Check::ok("version", format!("{own}, as the gateway"));
    }
    Check::warning(
        "version",
        format!("this is farrier {own}, the gateway is {}", session.gateway),
        "use the command of the gateway's release",
    )
}

fn storage(session: &Session) -> Check {
    match session.storage_full {
        false => Check::ok("storage", "the gateway has space"),
        true => Check::failed(
            "storage",
            Failure::new(Exit::Failed, "the gateway's disk is full; it refuses changes")
                .or_try("make space on the gateway's disk; it goes on by itself"),
        ),
    }
}

async fn trust(client: &Client) -> Result<Check, (&'static str, ClientError)> {
    let trust = client.trust().await.map_err(|e| ("trust", e))?;
    Ok(trust_check(&trust, now_ms()))
}

fn trust_check(trust: &Trust, now_ms: u64) -> Check {
    let summary = &trust.summary;
    if summary.root_version == 0 {
        let failure = Failure::new(Exit::Failed, "the gateway waits for its first root document");
        return Check::failed("trust", failure.or_try("farrier root publish"));
    }
    let what = format!(
        "root {} of {} keys, {} must sign",
        summary.root_version, summary.root_key_count, summary.threshold
    );
    if let Some(end) = trust.not_after_ms {
        if end <= now_ms {
            let failure = Failure::new(Exit::Failed, format!("{what}; it has expired"));
            return Check::failed("trust", failure.or_try("farrier root rotate, and publish it"));
        }
        if end - now_ms < ROOT_NOTICE_MS {
            let days = (end - now_ms) / (24 * 60 * 60 * 1_000);
            let detail = format!("{what}; it expires in {days} days");
            return Check::warning("trust", detail, "farrier root rotate, and publish it");
        }
    }
    if summary.releases_waiting > 0 {
        let detail =
            format!("{what}; {} builds wait for their signature", summary.releases_waiting);
        return Check::warning("trust", detail, "farrier release list");
    }
    if summary.release_key_online && summary.threshold == 1 {
        let detail = format!("{what}; the gateway holds the release key itself");
        return Check::warning("trust", detail, "farrier root init, for anything but a trial");
    }
    Check::ok("trust", what)
}

async fn fleet(client: &Client) -> Result<Check, (&'static str, ClientError)> {
    let devices = client.devices().await.map_err(|e| ("devices", e))?.items;
    let pending = client.pending_enrolments().await.map_err(|e| ("devices", e))?.items.len();
    Ok(fleet_check(&devices, pending))
}

fn fleet_check(devices: &[Device], pending: usize) -> Check {
    let names = |wanted: &dyn Fn(&Device) -> bool| -> Vec<&str> {
        devices.iter().filter(|d| wanted(d)).map(|d| d.name.as_str()).collect()
    };
    let known = |device: &Device| device.revoked_at_ms.is_none();
    let alarmed = names(&|d| known(d) && !d.alarms.is_empty());
    let offline = names(&|d| known(d) && d.connection == Connection::Offline);
    let count = devices.iter().filter(|d| known(d)).count();
    if !alarmed.is_empty() {
        let failure = format!("somebody has to look at {}", listed(&alarmed));
        let advice = format!("farrier device show {}", alarmed[0]);
        return Check::failed("devices", Failure::new(Exit::Failed, failure).or_try(advice));
    }
    if !offline.is_empty() {
        let detail = format!("{} of {count} offline: {}", offline.len(), listed(&offline));
        return Check::warning("devices", detail, &format!("farrier logs --device {}", offline[0]));
    }
    if pending > 0 {
        let detail = format!("{count} online, {pending} wait to be let in");
        return Check::warning("devices", detail, "farrier device pending");
    }
    match count {
        0 => Check::warning("devices", "there are none", "docs/enrolment.md says how one comes in"),
        count => Check::ok("devices", format!("{count}, none offline")),
    }
}

async fn deployments(client: &Client) -> Result<Check, (&'static str, ClientError)> {
    let deployments = client.deployments().await.map_err(|e| ("deployments", e))?.items;
    let names: Vec<String> = deployments
        .iter()
        .filter(|d| d.state == DeploymentState::Failed)
        .map(|d| format!("{}@{}", d.app, d.module_version))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(match names.as_slice() {
        [] => Check::ok("deployments", "none failed"),
        names => Check::warning("deployments", format!("failed: {}", listed(names)), "farrier ps"),
    })
}

fn listed(names: &[&str]) -> String {
    let mut text = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_MAX {
        text += &format!(" and {} more", names.len() - NAMES_MAX);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use gateway_api::Alarm;

    #[test]
    fn what_needs_somebody_comes_before_what_can_wait() {
        let mut devices = sample::devices();
        devices.iter_mut().for_each(|d| {
            d.connection = Connection::Online;
            d.alarms.clear();
        });
        let verdict = |devices: &[Device], pending| fleet_check(devices, pending).verdict;
        assert_eq!(verdict(&devices, 0), Verdict::Ok);
        assert_eq!(verdict(&devices, 2), Verdict::Warning);
        devices[0].connection = Connection::Offline;
        let check = fleet_check(&devices, 2);
        assert!(check.detail.contains(&devices[0].name), "{check:?}");
        let (kind, text) = ("cloned".to_owned(), "two answer".to_owned());
        devices[1].alarms = vec![Alarm { kind, text }];
        assert_eq!(verdict(&devices, 0), Verdict::Failed);
        devices[1].revoked_at_ms = Some(1);
        assert_eq!(verdict(&devices, 0), Verdict::Warning);
        assert_eq!(verdict(&[], 0), Verdict::Warning);
    }

    #[test]
    fn long_lists_are_cut_with_a_count() {
        assert_eq!(listed(&["a", "b"]), "a, b");
        assert_eq!(listed(&["a"; 9]), "a, a, a, a, a and 4 more");
    }
}
