//! `farrier device show`: one device with its figures and applications.

use super::ls::{generation, memory};
use super::{figures, guest, ticks};
use crate::args::OutputArgs;
use crate::commands::ps;
use crate::complete;
use crate::console::Console;
use crate::failure::Failure;
use crate::format::{self, maybe};
use crate::grid::{Look, facts};
use crate::{refusal, state};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::{Device, DeviceCapabilities};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier device show pi
  farrier device show pi -o json")]
pub struct ShowArgs {
    /// A device's name or id
    #[arg(value_name = "DEVICE", add = ArgValueCompleter::new(complete::devices))]
    reference: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &ShowArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let device = client
        .device(&args.reference)
        .await
        .map_err(|error| Failure::from(error).if_not_found_try("farrier device ls"))?;
    console.show(
        args.output.format(),
        &device,
        || vec![device.name.clone()],
        |look| view(&device, look),
    )
}

fn view(device: &Device, look: &Look) -> String {
    let seen = maybe(device.last_seen_ms, |seen| format::ago(look.now_ms, seen));
    let cpu = match device.emulated {
        true => format!("{} (incl. emulator)", maybe(device.cpu_percent, format::percent)),
        false => maybe(device.cpu_percent, format::percent),
    };
    let mut text = facts(&[
        ("device", device.name.clone()),
        ("id", device.id.clone()),
        ("target", format!("{} ({})", device.target, device.target_name)),
        ("bounds checks", device.bounds_checks.clone()),
        ("CPU features", device.cpu_features.join(", ")),
        ("connection", format!("{}, last seen {seen}", state::connection(device.connection).0)),
        ("generation", generation(device)),
        ("CPU", cpu),
        ("memory", memory(device)),
        ("agent", format!("{}, {}", device.agent, format::bytes(device.agent_rss_bytes))),
        ("runtime", device.runtime.clone()),
        ("store", format::bytes(device.store_bytes)),
        ("sensors", device.sensors.join(", ")),
        ("up", format::span(device.uptime_ms / 1000)),
        ("enrolled", format::ago(look.now_ms, device.enrolled_at_ms)),
        ("fingerprint", device.fingerprint.clone()),
        ("refused", format!("{} messages", device.refused_messages)),
    ]);
    text += &device.capabilities.as_ref().map(capabilities).unwrap_or_default();
    text += &figures::view(device);
    if let Some(revoked_ms) = device.revoked_at_ms {
        text += &format!("\nrevoked {}: it has no rights\n", format::ago(look.now_ms, revoked_ms));
    }
    if let Some(reason) = &device.undeployable {
        text += &format!("\nnothing can be deployed to it: {}\n", format::printable(reason));
    }
    for alarm in &device.alarms {
        text += &format!("\nalarm, {}: {}\n", alarm.kind, alarm.text);
    }
    if let Some(refusal) = &device.refusal {
        text += &refusal::explain(&device.name, refusal);
    }
    if !device.apps.is_empty() {
        text += &format!("\n{}", ps::view(&device.apps, look));
        text += &company(device);
        text += &confinement(device);
        text += &scheduling(device);
        text += &ticks::view(&device.apps, look);
        text += &guest::view(&device.apps, look);
    }
    text
}

/// What modules can be placed by, as far as there is any of it.
fn capabilities(has: &DeviceCapabilities) -> String {
    let labels: Vec<String> =
        has.labels.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let all = [
        ("actuators", has.actuators.join(", ")),
        ("accelerators", has.accelerators.join(", ")),
        ("labels", labels.join(", ")),
    ];
    let told: Vec<_> = all.into_iter().filter(|(_, text)| !text.is_empty()).collect();
    let mut text = if told.is_empty() { String::new() } else { facts(&told) };
    for (name, why) in &has.unavailable {
        text += &format!(
            "\n{} is not available: {}\n",
            format::printable(name),
            format::printable(why)
        );
    }
    text
}

/// Of those that asked for more than the usual, what the kernel says that they have.
fn scheduling(device: &Device) -> String {
    let line = |app: &gateway_api::AppStatus| {
        let in_force = app.scheduling.as_ref()?;
        Some(format!("\n{} is scheduled as {in_force}\n", format::printable(&app.app)))
    };
    device.apps.iter().filter_map(line).collect()
}

/// Which modules share a process.
fn company(device: &Device) -> String {
    let mut text = String::new();
    for app in &device.apps {
        let Some(company) = &app.company else { continue };
        text += &format!(
            "\n{} shares process {} with {}",
            format::printable(&app.app),
            company.pid,
            others(company.modules)
        );
        if company.displaced > 0 {
            let times = match company.displaced {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            };
            let who = match &company.displaced_by {
                Some(by) => format!("the fault of {}", format::printable(by)),
                None => "another's fault".to_owned(),
            };
            text += &format!("; started again {times} for {who}");
        }
        text.push('\n');
    }
    text
}

fn others(modules: u32) -> String {
    match modules.saturating_sub(1) {
        0 => "no other at the moment".to_owned(),
        1 => "another".to_owned(),
        others => format!("{others} others"),
    }
}

/// What is around each worker, by the names of docs/confinement.md.
fn confinement(device: &Device) -> String {
    let mut text = String::new();
    for app in &device.apps {
        let Some(names) = &app.confinement else { continue };
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        text += &format!(
            "\n{} is confined by: {}\n",
            format::printable(&app.app),
            format::printable(&names)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;

    #[test]
    fn a_device_shows_its_figures_and_applications() {
        expect![[r#"
            device:         pi
            id:             0a1b
            target:         aarch64-linux (Linux on 64-bit Arm)
            bounds checks:  software
            CPU features:   neon
            connection:     online, last seen 1 s ago
            generation:     4
            CPU:            12.5% (incl. emulator)
            memory:         512.0 MiB / 2.0 GiB
            agent:          farrier-agent 0.1.0, 6.0 MiB
            runtime:        farrier-runtime 0.1.0
            store:          1.0 MiB
            sensors:        temperature
            up:             10 min
            enrolled:       10 min ago
            fingerprint:    MCE9Y-3H6WH-388Y6-6D046
            refused:        0 messages

            DEVICE  TARGET         MODULE    STATE     CPU   MEMORY  ARTIFACT  COMPILE  RESTARTS  NOTE
            pi      aarch64-linux  filter@2  running  3.4%  1.1 MiB  40.0 KiB    84 ms         0  incl. emulator
        "#]].assert_eq(&view(&sample::devices()[0], &Look::plain(false)));
        let revoked = Device { revoked_at_ms: Some(sample::NOW_MS), ..sample::devices().remove(0) };
        let shown = view(&revoked, &Look::plain(false));
        assert!(shown.contains("\nrevoked now: it has no rights\n"), "{shown}");
        let reason = "no code generator for armv7-linux".to_owned();
        let bare = Device { undeployable: Some(reason), ..sample::devices().remove(0) };
        let shown = view(&bare, &Look::plain(false));
        let line = "\nnothing can be deployed to it: no code generator for armv7-linux\n";
        assert!(shown.contains(line), "{shown}");
    }
}
