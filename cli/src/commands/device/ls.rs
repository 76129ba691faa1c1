//! `farrier device ls`: every device in a line.

use crate::args::OutputArgs;
use crate::commands::watch::Watched;
use crate::console::Console;
use crate::failure::Failure;
use crate::format::{self, maybe};
use crate::grid::{Align, Grid, Look, plain};
use crate::{refusal, state};
use clap::Args;
use gateway_api::{Device, Event, List};
use gateway_client::{Client, ClientError, DeviceQuery};

/// Devices asked for at a time.
const PAGE: u32 = 500;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier device ls
  farrier device ls --watch
  farrier device ls status:offline arch:riscv64 -o name
  farrier device ls module:filter@2 kitchen --sort cpu")]
pub struct LsArgs {
    /// Which ones: words of the name, and facets as in the dashboard's search box, such as
    /// status:offline, arch:riscv64, module:filter@2 (docs/http-api.md)
    #[arg(value_name = "SEARCH")]
    search: Vec<String>,
    /// By which column, with a - in front from the largest
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Show it again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &LsArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let format = args.output.format();
    if args.watch {
        return WATCHED.watch(format, client, console, async || find(args, client).await).await;
    }
    let devices = find(args, client).await?;
    match devices.items.is_empty() {
        true if args.is_search() => console.note("no device is like that"),
        true => console.note("no devices yet; enrol one: farrier device enrol-token"),
        false => {}
    }
    WATCHED.show(format, &devices, console)
}

const WATCHED: Watched<Device> = Watched {
    concerns: |event| matches!(event, Event::Resync | Event::Device { .. }),
    name: |device| device.name.clone(),
    view,
};

impl LsArgs {
    fn is_search(&self) -> bool {
        !self.search.is_empty()
    }
}

async fn find(args: &LsArgs, client: &Client) -> Result<List<Device>, ClientError> {
    if !args.is_search() && args.sort.is_none() {
        return client.devices().await;
    }
    let mut query = DeviceQuery {
        q: args.is_search().then(|| args.search.join(" ")),
        sort: args.sort.clone(),
        limit: Some(PAGE),
        cursor: None,
    };
    let mut items = Vec::new();
    loop {
        let page = client.search_devices(&query).await?;
        items.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(List { items });
        }
    }
}

fn view(devices: &[Device], look: &Look) -> String {
    if devices.is_empty() {
        return String::new();
    }
    let mut columns = vec![
        ("DEVICE", Align::Left),
        ("TARGET", Align::Left),
        ("CONNECTION", Align::Left),
        ("LAST SEEN", Align::Left),
        ("CPU", Align::Right),
        ("MEMORY", Align::Right),
        ("APPS", Align::Right),
    ];
    if look.wide {
        columns.extend([
            ("ID", Align::Left),
            ("GENERATION", Align::Left),
            ("AGENT", Align::Left),
            ("RUNTIME", Align::Left),
            ("UP", Align::Right),
        ]);
    }
    columns.push(("NOTE", Align::Left));
    let mut grid = Grid::new(look, &columns);
    for device in devices {
        let mut cells = vec![
            plain(&device.name),
            plain(&device.target),
            state::connection(device.connection),
            plain(maybe(device.last_seen_ms, |seen| format::ago(look.now_ms, seen))),
            plain(maybe(device.cpu_percent, format::percent)),
            plain(memory(device)),
            plain(device.apps.len().to_string()),
        ];
        if look.wide {
            cells.extend([
                plain(&device.id),
                plain(generation(device)),
                plain(&device.agent),
                plain(&device.runtime),
                plain(format::span(device.uptime_ms / 1000)),
            ]);
        }
        cells.push(plain(note(device)));
        grid.row(cells);
    }
    let mut text = grid.to_text();
    for device in devices {
        for alarm in &device.alarms {
            text += &format!("{}: alarm, {}: {}\n", device.name, alarm.kind, alarm.text);
        }
        if let Some(refusal) = &device.refusal {
            text += &refusal::explain(&device.name, refusal);
        }
    }
    text
}

/// Used of all.
pub fn memory(device: &Device) -> String {
    let total_bytes = device.memory_total_bytes;
    let used_bytes = total_bytes.saturating_sub(device.memory_available_bytes);
    match total_bytes {
        0 => "-".to_owned(),
        _ => format!("{} / {}", format::bytes(used_bytes), format::bytes(total_bytes)),
    }
}

/// What it has, and what it should have if that is something else.
pub fn generation(device: &Device) -> String {
    match device.generation_wanted {
        wanted if wanted == device.generation => wanted.to_string(),
        wanted => format!("{} of {wanted}", device.generation),
    }
}

fn note(device: &Device) -> String {
    let mut notes = Vec::new();
    if device.revoked_at_ms.is_some() {
        notes.push("revoked".to_owned());
    }
    if device.emulated {
        notes.push("incl. emulator".to_owned());
    }
    if device.generation_wanted != device.generation {
        notes.push("behind".to_owned());
    }
    // A question for people, who may know of the copy.
    let ask = |kind: &str| if kind == "cloned" { "cloned?".to_owned() } else { kind.to_owned() };
    notes.extend(device.alarms.iter().map(|alarm| ask(&alarm.kind)));
    notes.extend(device.refusal.as_ref().map(refusal::short));
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;

    #[test]
    fn a_device_takes_a_line() {
        expect![[r#"
            DEVICE  TARGET         CONNECTION  LAST SEEN    CPU               MEMORY  APPS  NOTE
            pi      aarch64-linux  online      1 s ago    12.5%  512.0 MiB / 2.0 GiB     1  incl. emulator
            vision  riscv64-linux  offline     -              -  512.0 MiB / 2.0 GiB     1  behind; refusal 9

            vision: refusal 9: A manifest is older than the last one this device accepted.
              detail: 2 after 3
              try: Nothing if a message was only late.
        "#]].assert_eq(&view(&sample::devices(), &Look::plain(false)));
        expect![[r#"
            DEVICE  TARGET         CONNECTION  LAST SEEN    CPU               MEMORY  APPS  ID    GENERATION  AGENT                RUNTIME                    UP  NOTE
            pi      aarch64-linux  online      1 s ago    12.5%  512.0 MiB / 2.0 GiB     1  0a1b  4           farrier-agent 0.1.0  farrier-runtime 0.1.0  10 min  incl. emulator
        "#]].assert_eq(&view(&sample::devices()[..1], &Look::plain(true)));
    }

    #[test]
    fn a_narrow_terminal_wraps_and_colours_do_not_count() {
        let look = Look { width: Some(60), color: true, ..Look::plain(false) };
        let text = view(&sample::devices()[..1], &look);
        assert!(text.contains("\x1b["));
        let plain = view(&sample::devices()[..1], &Look { color: false, ..look });
        assert!(plain.lines().all(|line| line.chars().count() <= 60), "{plain}");
    }
}
