//! `farrier module check`: what a module needs, and which devices can run it.

use crate::args::OutputArgs;
use crate::commands::deploy::{parse_bytes, parse_config, placement_of};
use crate::complete;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::{self, maybe};
use crate::grid::{Align, Grid, Look, Tone, facts, plain};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::{AskedOfDevices, DeviceEligibility, ModuleEligibility, ModuleNeeds, TableNeeds};
use gateway_client::Client;
use worker_protocol::WasiCapability;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier module check filter
  farrier module check filter@2 --device pi --device gate
  farrier module check filter --sensor probe --accelerator npu:edge-x --label room=hall
  farrier module check filter --memory-bytes-max 2MiB -o json")]
pub struct CheckArgs {
    /// NAME@VERSION, NAME for its newest, or an id
    #[arg(value_name = "MODULE", add = ArgValueCompleter::new(complete::modules))]
    reference: String,
    /// A device by name or id; can be given several times [default: all]
    #[arg(short, long = "device", value_name = "DEVICE", add = ArgValueCompleter::new(complete::devices))]
    devices: Vec<String>,
    /// Linear memory at most that it would be deployed with [default: the module's, or 16MiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    memory_bytes_max: Option<u64>,
    /// A sensor that it would open; can be given several times
    #[arg(long = "sensor", value_name = "SENSOR")]
    sensors: Vec<String>,
    /// An actuator that it would set; can be given several times
    #[arg(long = "actuator", value_name = "ACTUATOR")]
    actuators: Vec<String>,
    /// A label that a device would have to have; can be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_config)]
    labels: Vec<(String, String)>,
    /// An accelerator that a device would have to have; can be given several times
    #[arg(long = "accelerator", value_name = "ACCELERATOR")]
    accelerators: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &CheckArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let placement = placement_of(args.labels.clone(), args.accelerators.clone())?;
    let asked = AskedOfDevices {
        sensors: args.sensors.clone(),
        actuators: args.actuators.clone(),
        placement: placement.unwrap_or_default(),
    };
    let checked = client
        .eligibility(&args.reference, args.memory_bytes_max, &asked)
        .await
        .map_err(|error| Failure::from(error).if_not_found_try("farrier module ls"))?;
    let checked = select(checked, &args.devices)?;
    if checked.devices.is_empty() {
        console.note("no devices yet; enrol one: farrier device enrol-token");
    }
    let can_run = |device: &&DeviceEligibility| device.can_run;
    let names = |devices: &[DeviceEligibility]| {
        devices.iter().filter(can_run).map(|d| d.device_name.clone()).collect()
    };
    console.show(
        args.output.format(),
        &checked,
        || names(&checked.devices),
        |look| view(&checked, look),
    )
}

/// Those that were named, each of which must be there.
fn select(checked: ModuleEligibility, names: &[String]) -> Result<ModuleEligibility, Failure> {
    let is_called = |device: &DeviceEligibility, name: &String| {
        device.device_name == *name || device.device == *name
    };
    let is_there = |name: &&String| !checked.devices.iter().any(|d| is_called(d, name));
    if let Some(stranger) = names.iter().find(is_there) {
        let message = format!("there is no device {stranger:?}");
        return Err(Failure::new(Exit::NotFound, message).or_try("farrier device ls"));
    }
    let is_wanted = |device: &DeviceEligibility| {
        names.is_empty() || names.iter().any(|name| is_called(device, name))
    };
    let devices = checked.devices.into_iter().filter(is_wanted).collect();
    Ok(ModuleEligibility { devices, ..checked })
}

fn view(checked: &ModuleEligibility, look: &Look) -> String {
    let mut text = facts(&needs_in_words(checked));
    if !checked.devices.is_empty() {
        text += &format!("\n{}", matrix(&checked.devices, look));
    }
    text
}

fn needs_in_words(checked: &ModuleEligibility) -> Vec<(&'static str, String)> {
    let ModuleNeeds { imports, wasi, proposals, tables, .. } = &checked.needs;
    let needs = &checked.needs;
    let or_none = |list: &[String]| {
        if list.is_empty() { "none".to_owned() } else { list.join(", ") }
    };
    let memory = format!(
        "{} at the start, at most {}",
        format::bytes(needs.memory_start_bytes),
        format::bytes(needs.memory_bytes_max)
    );
    let start = needs.has_start.map(|has_start| if has_start { "yes" } else { "no" });
    let mut rows = vec![
        ("module", format!("{}@{}", checked.name, checked.version)),
        ("imports", or_none(imports)),
        ("proposals", or_none(proposals)),
        ("memory", memory),
        ("stack in it", maybe(needs.guest_stack_bytes, format::bytes)),
        ("data", format::bytes(needs.data_bytes)),
        ("tables", maybe(tables.as_deref(), tables_in_words)),
        ("start function", maybe(start, str::to_owned)),
    ];
    if !wasi.is_empty() {
        let advice = wasi.iter().any(|need| need == WasiCapability::Sockets.name());
        let advice = if advice { "; there are no sockets: docs/wasi.md" } else { "" };
        rows.insert(2, ("of WASI", wasi.join(", ") + advice));
    }
    rows
}

fn tables_in_words(tables: &[TableNeeds]) -> String {
    let in_words = |table: &TableNeeds| match table.max_slots {
        Some(max) => format!("{} slots, at most {max}", table.min_slots),
        None => format!("{} slots, no maximum", table.min_slots),
    };
    match tables {
        [] => "none".to_owned(),
        tables => tables.iter().map(in_words).collect::<Vec<_>>().join("; "),
    }
}

fn matrix(devices: &[DeviceEligibility], look: &Look) -> String {
    let mut columns = vec![
        ("DEVICE", Align::Left),
        ("TARGET", Align::Left),
        ("BOUNDS", Align::Left),
        ("CAN RUN", Align::Left),
        ("FREE", Align::Right),
        ("STACK", Align::Right),
        ("WHY", Align::Left),
    ];
    if look.wide {
        columns.insert(1, ("ID", Align::Left));
    }
    let mut grid = Grid::new(look, &columns);
    for device in devices {
        let verdict = if device.can_run { ("yes", Tone::Good) } else { ("no", Tone::Bad) };
        let mut cells = vec![
            plain(&device.device_name),
            plain(&device.target),
            plain(&device.bounds_checks),
            (verdict.0.to_owned(), verdict.1),
            plain(maybe(device.memory_free_bytes, format::bytes)),
            plain(maybe(device.stack_bytes, format::bytes)),
            plain(why(device)),
        ];
        if look.wide {
            cells.insert(1, plain(&device.device));
        }
        grid.row(cells);
    }
    grid.to_text()
}

/// Each obstacle with what to do, then what is worth knowing.
fn why(device: &DeviceEligibility) -> String {
    let obstacles = device.obstacles.iter().map(|o| format!("{}. {}", o.detail, o.advice));
    obstacles.chain(device.remarks.iter().cloned()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;

    #[test]
    fn each_device_has_its_line_and_its_reason() {
        expect![[r#"
            module:          filter@2
            imports:         farrier.publish
            proposals:       simd
            memory:          1.1 MiB at the start, at most 16.0 MiB
            stack in it:     1.0 MiB
            data:            1.2 KiB
            tables:          4 slots, at most 4
            start function:  no

            DEVICE  TARGET         BOUNDS    CAN RUN     FREE    STACK  WHY
            pi      aarch64-linux  software  yes      8.6 MiB  1.2 KiB  it may grow to 16777216 bytes of memory, and 9000000 are free there now
            gate    riscv64-linux  software  no             -        -  gate cannot run filter@2 because the module uses the WebAssembly proposal "simd", and the runtime has no vectors on riscv64-linux. Build the module without that feature, and deploy that build there.
        "#]].assert_eq(&view(&sample::eligibility(), &Look::plain(false)));
    }

    #[test]
    fn what_it_needs_of_wasi_has_a_line_where_there_is_any() {
        let mut checked = sample::eligibility();
        let line = |checked: &ModuleEligibility| {
            let rows = needs_in_words(checked).into_iter();
            rows.filter(|(name, _)| *name == "of WASI").map(|(_, words)| words).collect::<Vec<_>>()
        };
        assert!(line(&checked).is_empty());
        checked.needs.wasi = vec!["clock".to_owned(), "directories".to_owned()];
        assert_eq!(line(&checked), ["clock, directories"]);
        checked.needs.wasi.push("sockets".to_owned());
        let sockets = "clock, directories, sockets; there are no sockets: docs/wasi.md";
        assert_eq!(line(&checked), [sockets]);
    }

    #[test]
    fn devices_are_chosen_by_name_or_id_and_must_be_there() {
        let chosen = select(sample::eligibility(), &["gate".to_owned()]).unwrap();
        assert_eq!(chosen.devices.len(), 1);
        let id = chosen.devices[0].device.clone();
        assert_eq!(select(sample::eligibility(), &[id]).unwrap(), chosen);
        assert_eq!(select(sample::eligibility(), &[]).unwrap().devices.len(), 2);
        let failure = select(sample::eligibility(), &["moon".to_owned()]).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
    }
}
