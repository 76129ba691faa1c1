//! `farrier deployment show`: one deployment, device by device.

use super::ls::asked_for;
use crate::args::{Format, OutputArgs};
use crate::commands::wasi_args;
use crate::complete;
use crate::console::Console;
use crate::failure::Failure;
use crate::format::{self, maybe};
use crate::grid::{Align, Grid, Look, facts, plain};
use crate::{refusal, state};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::{Deployment, DeviceProgress, Limit, ModuleLimits, Provisions};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier deployment show 5f0c21a9
  farrier deployment show 5f0c21a9 -o json")]
pub struct ShowArgs {
    /// The deployment's id
    #[arg(add = ArgValueCompleter::new(complete::deployments))]
    id: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &ShowArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let deployment = client
        .deployment(&args.id)
        .await
        .map_err(|error| Failure::from(error).if_not_found_try("farrier deployment ls"))?;
    show_one(args.output.format(), &deployment, console)
}

/// Also what `farrier deploy` ends with.
pub fn show_one(format: Format, deployment: &Deployment, console: &Console) -> Result<(), Failure> {
    console.show(format, deployment, || vec![deployment.id.clone()], |look| view(deployment, look))
}

fn view(deployment: &Deployment, look: &Look) -> String {
    let or_none = |list: &[String]| {
        if list.is_empty() { "none".to_owned() } else { list.join(", ") }
    };
    let mut lines = vec![
        ("deployment", deployment.id.clone()),
        ("module", format!("{}@{}", deployment.app, deployment.module_version)),
        ("state", state::deployment(deployment.state).0),
        ("devices", asked_for(deployment)),
        ("interval", format::millis(deployment.interval_ms.into())),
        ("call at most", format::millis(deployment.call_ms_max.into())),
        ("memory at most", format::bytes(deployment.memory_bytes_max)),
        ("other limits", other_limits(&deployment.limits)),
        ("sensors", or_none(&deployment.sensors)),
        ("channels", or_none(&deployment.channels)),
    ];
    lines.extend(given(&deployment.provisions));
    lines.push(("made", format::ago(look.now_ms, deployment.created_at_ms)));
    let mut text = facts(&lines);
    if deployment.progress.is_empty() {
        return text + "\nno device is concerned yet\n";
    }
    text += &format!("\n{}", progress_view(&deployment.progress, look));
    for device in &deployment.progress {
        if let Some(refusal) = &device.refusal {
            text += &refusal::explain(&device.device_name, refusal);
        }
    }
    text
}

/// Lines for what was given only.
fn given(provisions: &Provisions) -> Vec<(&'static str, String)> {
    let config: Vec<String> =
        provisions.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let storage = provisions.storage_bytes.map(|bytes| format::bytes(bytes.into()));
    let lines = [
        ("config", config.join(", ")),
        ("storage", storage.unwrap_or_default()),
        ("subscribes", provisions.subscriptions.join(", ")),
        ("actuators", provisions.actuators.join(", ")),
        ("wasi", provisions.wasi.as_ref().map(wasi_args::in_words).unwrap_or_default()),
    ];
    lines.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// As `500 gas per call, then stop`.
fn other_limits(limits: &ModuleLimits) -> String {
    let mut words = Vec::new();
    for limit in Limit::ALL {
        let figure = match limit {
            Limit::GasPerCall => limits.gas_per_call_max.map(|gas| format!("{gas} gas per call")),
            Limit::GasRate => limits.gas_per_s_max.map(|gas| format!("{gas} gas a second")),
            Limit::CallTime | Limit::LogRate | Limit::MessageRate => {
                limits.actions.asked(limit).map(|_| limit.to_string())
            }
        };
        words.extend(figure.map(|figure| format!("{figure}, then {}", limits.actions.at(limit))));
    }
    if words.is_empty() { "the usual".to_owned() } else { words.join("; ") }
}

fn progress_view(progress: &[DeviceProgress], look: &Look) -> String {
    let mut columns = vec![
        ("DEVICE", Align::Left),
        ("TARGET", Align::Left),
        ("STATE", Align::Left),
        ("FETCHED", Align::Right),
    ];
    if look.wide {
        columns.extend([("DEVICE ID", Align::Left), ("GENERATION", Align::Right)]);
    }
    columns.push(("NOTE", Align::Left));
    let mut grid = Grid::new(look, &columns);
    for device in progress {
        let mut cells = vec![
            plain(&device.device_name),
            plain(&device.target),
            state::progress(device.state),
            plain(fetched(device)),
        ];
        if look.wide {
            cells.push(plain(&device.device));
            cells.push(plain(maybe(device.generation, |generation| generation.to_string())));
        }
        let refused = device.refusal.as_ref().map(refusal::short);
        let notes = refused.into_iter().chain(Some(device.detail.clone()));
        let notes: Vec<_> = notes.filter(|note| !note.is_empty()).collect();
        cells.push(plain(notes.join("; ")));
        grid.row(cells);
    }
    grid.to_text()
}

fn fetched(device: &DeviceProgress) -> String {
    match (device.fetched_bytes, device.fetch_total_bytes) {
        (_, 0) => "-".to_owned(),
        (fetched, total) if fetched >= total => format::bytes(total),
        (fetched, total) => format!("{}%", fetched.saturating_mul(100) / total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;

    #[test]
    fn limits_that_were_asked_for_are_said_with_what_follows() {
        let mut limits = ModuleLimits { gas_per_s_max: Some(500), ..ModuleLimits::default() };
        assert_eq!(other_limits(&limits), "500 gas a second, then throttle");
        limits.actions.call_time = Some(gateway_api::LimitAction::Restart);
        assert!(other_limits(&limits).ends_with("; call-time, then restart"));
    }

    #[test]
    fn a_refusal_is_explained_below_the_devices() {
        expect![[r#"
            deployment:      d-0007
            module:          filter@2
            state:           failed
            devices:         all
            interval:        1000 ms
            call at most:    1000 ms
            memory at most:  16.0 MiB
            other limits:    the usual
            sensors:         temperature
            channels:        average
            made:            60 s ago

            DEVICE  TARGET         STATE     FETCHED  NOTE
            pi      aarch64-linux  running  40.0 KiB
            vision  riscv64-linux  refused        2%  refusal 15

            vision: refusal 15: The device's store has no room.
              detail: 40960 bytes wanted, 1000 free
              try: Remove an application, or raise the store's limit.
        "#]]
        .assert_eq(&view(&sample::deployment(), &Look::plain(false)));
    }
}
