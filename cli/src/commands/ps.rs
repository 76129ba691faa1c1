//! `farrier ps`: every application on every device, once or as it changes.

use crate::args::OutputArgs;
use crate::commands::device::ticks;
use crate::commands::watch::Watched;
use crate::console::Console;
use crate::failure::Failure;
use crate::format::{self, maybe};
use crate::grid::{Align, Grid, Look, plain};
use crate::{refusal, state};
use clap::Args;
use gateway_api::{AppStatus, Connection, Event, LimitHit, TrapCount, TrapStatus};
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
Figures marked \"incl. emulator\" hold the work of the emulator that runs the device.
With --watch, -o json and jsonl write one document a line.

Examples:
  farrier ps
  farrier ps --watch
  farrier ps -o json")]
pub struct PsArgs {
    /// Show it again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &PsArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let format = args.output.format();
    if args.watch {
        return WATCHED.watch(format, client, console, async || client.ps().await).await;
    }
    let apps = client.ps().await?;
    if apps.items.is_empty() {
        console.note("nothing runs yet; deploy a module: farrier deploy MODULE --all");
    }
    WATCHED.show(format, &apps, console)
}

fn concerns_ps(event: &Event) -> bool {
    matches!(
        event,
        Event::Resync
            | Event::Device { .. }
            | Event::Artifact { .. }
            | Event::Deployment { .. }
            | Event::DeploymentRemoved { .. }
    )
}

const WATCHED: Watched<AppStatus> = Watched {
    concerns: concerns_ps,
    name: |app| format!("{}/{}@{}", app.device_name, app.app, app.version),
    view,
};

/// Also a part of `farrier device show`.
pub fn view(apps: &[AppStatus], look: &Look) -> String {
    if apps.is_empty() {
        return String::new();
    }
    let mut columns = vec![
        ("DEVICE", Align::Left),
        ("TARGET", Align::Left),
        ("MODULE", Align::Left),
        ("STATE", Align::Left),
        ("CPU", Align::Right),
        ("MEMORY", Align::Right),
        ("ARTIFACT", Align::Right),
        ("COMPILE", Align::Right),
        ("RESTARTS", Align::Right),
    ];
    if look.wide {
        columns.extend([
            ("PEAK", Align::Right),
            ("OVERHEAD", Align::Right),
            ("WORKER", Align::Right),
            ("WORKER CPU", Align::Right),
            ("CALLS", Align::Right),
            ("TRAPS", Align::Right),
            ("GAS", Align::Right),
            ("PUBLISHED", Align::Right),
            ("CHECKS", Align::Right),
            ("LATE TICKS", Align::Right),
            ("REPORTED", Align::Left),
        ]);
    }
    columns.push(("NOTE", Align::Left));
    let mut grid = Grid::new(look, &columns);
    for app in apps {
        let mut cells = vec![
            plain(&app.device_name),
            plain(&app.target),
            plain(format!("{}@{}", app.app, app.version)),
            state::app(&app.state),
            plain(maybe(app.cpu_percent, format::percent)),
            plain(format::bytes(app.memory_bytes)),
            plain(maybe(app.artifact_bytes, format::bytes)),
            plain(maybe(app.compile_ms, format::millis)),
            plain(app.restarts.to_string()),
        ];
        if look.wide {
            let checks = app.checks_passed + app.checks_failed;
            cells.extend([
                plain(format::bytes(app.memory_peak_bytes)),
                plain(maybe(app.overhead_bytes, format::bytes)),
                plain(format::bytes(app.worker_rss_bytes)),
                plain(maybe(app.worker_cpu_us, |us| format::millis(us / 1_000))),
                plain(app.calls.to_string()),
                plain(app.traps.to_string()),
                plain(maybe(app.gas_used, |gas| gas.to_string())),
                plain(app.published.to_string()),
                plain(format!("{}/{checks}", app.checks_passed)),
                plain(maybe(app.ticks.as_ref(), ticks::short)),
                plain(format::ago(look.now_ms, app.reported_at_ms)),
            ]);
        }
        cells.push(plain(note(app, look)));
        grid.row(cells);
    }
    let mut text = grid.to_text();
    for app in apps {
        if let Some(refusal) = &app.refusal {
            let who = format!("{}@{} on {}", app.app, app.version, app.device_name);
            text += &refusal::explain(&who, refusal);
        }
    }
    text
}

fn note(app: &AppStatus, look: &Look) -> String {
    let mut notes = Vec::new();
    if app.connection == Some(Connection::Offline) {
        notes.push(format!(
            "device offline, as of {}",
            format::ago(look.now_ms, app.reported_at_ms)
        ));
    }
    if app.emulated {
        notes.push("incl. emulator".to_owned());
    }
    if app.fallback {
        notes.push("earlier version".to_owned());
    }
    notes.extend(app.refusal.as_ref().map(refusal::short));
    notes.extend(limits_note(app));
    notes.extend(traps_note(app));
    notes.extend(program_note(app));
    notes.extend(app.last_trap.as_ref().map(last_trap_note));
    if let Some(company) = &app.company {
        let (pid, others) = (company.pid, company.modules.saturating_sub(1));
        notes.push(format!("shares process {pid} with {others}"));
    }
    if app.checks_failed > 0 {
        notes.push(format!("{} known answers wrong", app.checks_failed));
    }
    if app.publishes_dropped > 0 {
        notes.push(dropped(app.publishes_dropped, "value"));
    }
    if app.log_lines_dropped > 0 {
        notes.push(dropped(app.log_lines_dropped, "log line"));
    }
    if !app.detail.is_empty() {
        notes.push(app.detail.clone());
    }
    notes.join("; ")
}

/// As `1 log line dropped`.
fn dropped(count: u64, what: &str) -> String {
    format!("{count} {what}{} dropped", if count == 1 { "" } else { "s" })
}

/// As `exit code 0, 3 runs`; nothing before the first end.
fn program_note(app: &AppStatus) -> Option<String> {
    let program = app.program?;
    let exit_code = program.exit_code?;
    let runs = if program.runs == 1 { "run" } else { "runs" };
    Some(format!("exit code {exit_code}, {} {runs}", program.runs))
}

/// As `gas-rate reached 12 times, last throttled`.
fn limits_note(app: &AppStatus) -> Option<String> {
    let reached = |hit: &LimitHit| format!("{} reached {}x", hit.limit, hit.hits);
    let mut note = app.limit_hits.iter().map(reached).collect::<Vec<_>>().join(", ");
    if let Some(last) = &app.limit_last {
        note += &format!(", last {} then {}", last.limit, last.action);
    }
    if app.throttled {
        note += ", throttled now";
    }
    (!note.is_empty()).then_some(note)
}

/// As `trapped: divide-by-zero 2x, unreachable 1x`.
fn traps_note(app: &AppStatus) -> Option<String> {
    let kind = |of: &TrapCount| format!("{} {}x", of.kind, of.count);
    let kinds = app.trap_kinds.iter().map(kind).collect::<Vec<_>>().join(", ");
    (!kinds.is_empty()).then(|| format!("trapped: {kinds}"))
}

/// As ``last: integer divide by zero in `filter::update` (function 12) at Wasm offset
/// 0x3f1``.
fn last_trap_note(trap: &TrapStatus) -> String {
    let mut note = format!("last: {}", trap.detail);
    let Some(place) = &trap.place else {
        return note + &format!(" in the call of {}", trap.export);
    };
    note += &match &place.name {
        Some(name) => format!(" in `{name}` (function {})", place.function),
        None => format!(" in function {}", place.function),
    };
    if let Some(offset) = place.offset {
        let at = if place.is_line { "at or soon after" } else { "at" };
        note += &format!(" {at} Wasm offset {offset:#x}");
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;
    use gateway_api::{TrapKind, TrapPlaceStatus};

    #[test]
    fn an_application_takes_a_line_and_its_refusal_stands_below() {
        expect![[r#"
            DEVICE  TARGET         MODULE    STATE                 CPU   MEMORY  ARTIFACT  COMPILE  RESTARTS  NOTE
            pi      aarch64-linux  filter@2  running              3.4%  1.1 MiB  40.0 KiB    84 ms         0  incl. emulator
            vision  riscv64-linux  xxhash@1  stopped: time limit     -      0 B         -        -         3  device offline, as of 10 s ago; earlier version; refusal 25; 4 values dropped

            xxhash@1 on vision: refusal 25: A call ran longer than its limit, and the worker was ended.
              detail: tick ran 1004 ms
              try: Raise the limit, or make the call shorter; deploy again to restart it.
        "#]].assert_eq(&view(&sample::apps(), &Look::plain(false)));
        expect![[r#"
            DEVICE  TARGET         MODULE    STATE     CPU   MEMORY  ARTIFACT  COMPILE  RESTARTS     PEAK  OVERHEAD   WORKER  WORKER CPU  CALLS  TRAPS  GAS  PUBLISHED  CHECKS  LATE TICKS  REPORTED  NOTE
            pi      aarch64-linux  filter@2  running  3.4%  1.1 MiB  40.0 KiB    84 ms         0  1.1 MiB         -  9.0 MiB           -    120      0    -        120     2/2           -  1 s ago   incl. emulator
        "#]].assert_eq(&view(&sample::apps()[..1], &Look::plain(true)));
    }

    #[test]
    fn reached_limits_are_in_the_note() {
        let mut app = sample::apps().remove(0);
        app.limit_hits = vec![LimitHit { limit: gateway_api::Limit::GasRate, hits: 12 }];
        let (limit, action) = (gateway_api::Limit::GasRate, gateway_api::LimitAction::Throttle);
        app.limit_last = Some(gateway_api::LimitLast { limit, action });
        app.throttled = true;
        let expected = "gas-rate reached 12x, last gas-rate then throttle, throttled now";
        assert_eq!(limits_note(&app).unwrap(), expected);
    }

    #[test]
    fn traps_are_in_the_note_by_kind() {
        let mut app = sample::apps().remove(0);
        let count = |kind, count| TrapCount { kind, count };
        app.trap_kinds =
            vec![count(TrapKind::DivideByZero, 2), count(TrapKind::MemoryOutOfBounds, 1)];
        assert_eq!(dropped(1, "log line"), "1 log line dropped");
        let expected = "trapped: divide-by-zero 2x, memory-out-of-bounds 1x";
        assert_eq!(traps_note(&app).unwrap(), expected);
    }

    #[test]
    fn the_last_trap_is_told_with_its_place() {
        let place = |name: Option<&str>, offset, is_line| TrapPlaceStatus {
            function: 12,
            name: name.map(str::to_owned),
            offset,
            is_line,
        };
        let told = |place| {
            last_trap_note(&TrapStatus {
                export: "tick".into(),
                kind: Some(TrapKind::DivideByZero),
                detail: "integer divide by zero".into(),
                place,
            })
        };
        assert_eq!(
            told(Some(place(Some("filter::update"), Some(0x3f1), false))),
            "last: integer divide by zero in `filter::update` (function 12) at Wasm offset 0x3f1"
        );
        let told_line = told(Some(place(None, Some(0x3f1), true)));
        let expected = "in function 12 at or soon after Wasm offset 0x3f1";
        assert!(told_line.ends_with(expected), "{told_line}");
        let whole = told(Some(place(None, None, false)));
        assert!(whole.ends_with("in function 12"), "{whole}");
        assert!(told(None).ends_with("in the call of tick"));
    }

    #[test]
    fn a_devices_text_cannot_drive_the_terminal() {
        let mut apps = sample::apps();
        apps[0].device_name = "pi\x1b]0;owned\x07".to_owned();
        apps[0].detail = "\x1b[2J".to_owned();
        assert!(!view(&apps, &Look::plain(true)).contains(['\x1b', '\x07']));
    }
}
