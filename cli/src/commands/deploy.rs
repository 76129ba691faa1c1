//! `farrier deploy`: asks for a module on devices, and waits for it if told to.

use crate::args::{Format, OutputArgs, WaitArgs};
use crate::commands::deploy_plan;
use crate::commands::deployment;
use crate::commands::tail::telling;
use crate::commands::wasi_args::WasiArgs;
use crate::complete;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::progress::DeployProgress;
use crate::wait;
use clap::{ArgGroup, Args};
use clap_complete::engine::ArgValueCompleter;
use gateway_api::{
    AskedOfDevices, DeviceEligibility, DeviceSelector, Limit, LimitAction, LimitActions,
    LimitError, ModuleLimits, NOT_PLACED, NewDeployment, Placement, Provisions,
};
use gateway_client::Client;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("where").required(true)), after_help = "\
Examples:
  farrier deploy filter --all
  farrier deploy filter@2 --device pi --device gate --wait --timeout 60
  farrier deploy filter --all --sensor temperature --channel average --interval-ms 500
  farrier deploy alarm --all --sensor temperature --config high=30 --config unit=celsius
  farrier deploy report --device pi --stdout log --clock --restart always --interval-ms 60000
  farrier deploy filter --all --gas-per-call 5000000 --gas-per-s 20000000 --on gas-rate=stop
  farrier deploy filter@2 --all --dry-run")]
pub struct DeployArgs {
    /// NAME@VERSION, NAME for its newest, or an id
    #[arg(add = ArgValueCompleter::new(complete::modules))]
    module: String,
    /// A device by name or id; can be given several times
    #[arg(short, long = "device", group = "where", value_name = "DEVICE", add = ArgValueCompleter::new(complete::devices))]
    devices: Vec<String>,
    /// Every device, also those that enrol later
    #[arg(long, group = "where")]
    all: bool,
    /// Time between two ticks [default: 1000]
    #[arg(long, value_name = "MS")]
    interval_ms: Option<u32>,
    /// Time that one call may take [default: 1000, for a program 60000]
    #[arg(long, value_name = "MS")]
    call_ms_max: Option<u32>,
    /// Linear memory at most, such as 65536, 64KiB or 2MiB [default: the module's, or 16MiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    memory_bytes_max: Option<u64>,
    /// A sensor that it may open, by the devices' name for it; can be given several times
    #[arg(long = "sensor", value_name = "SENSOR")]
    sensors: Vec<String>,
    /// A channel that it may publish on; can be given several times
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<String>,
    /// Text that it can look up by the key; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_config)]
    config: Vec<(String, String)>,
    /// What it may store on each device, such as 4096 or 64KiB, at most 256KiB [default: nothing]
    #[arg(long, value_name = "BYTES", value_parser = parse_storage)]
    storage: Option<u32>,
    /// A channel whose messages it gets, of other modules of the device and of `farrier send`;
    /// can be given several times
    #[arg(long = "subscribe", value_name = "CHANNEL")]
    subscriptions: Vec<String>,
    /// An actuator that it may set, by the devices' name for it; can be given several times
    #[arg(long = "actuator", value_name = "ACTUATOR")]
    actuators: Vec<String>,
    /// A label that a device has to have; with --all, those that have it are chosen; can be
    /// given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_config)]
    labels: Vec<(String, String)>,
    /// An accelerator that a device has to have, by the devices' name for it; can be given
    /// several times
    #[arg(long = "accelerator", value_name = "ACCELERATOR")]
    accelerators: Vec<String>,
    /// Count what it does in gas, the same on every architecture; `farrier ps --wide` shows it
    #[arg(long)]
    metering: bool,
    /// Gas of one call at most; the module is metered for it (docs/limits.md)
    #[arg(long, value_name = "GAS")]
    gas_per_call: Option<u64>,
    /// Gas on the average of a second at most; the module is metered for it
    #[arg(long, value_name = "GAS")]
    gas_per_s: Option<u64>,
    /// What follows at a limit, such as gas-per-call=stop; can be given several times.
    /// Limits: gas-per-call, gas-rate, call-time, log-rate, message-rate; what each can do
    /// is in docs/limits.md
    #[arg(long = "on", value_name = "LIMIT=ACTION", value_parser = parse_limit_action)]
    on: Vec<(Limit, LimitAction)>,
    /// Give NaNs the same bits on every architecture
    #[arg(long)]
    canonical_nans: bool,
    /// How long it has to be well before devices keep it in place of the version before,
    /// such as 500ms, 30s or 10m; one that is not well makes way for that [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_time_ms)]
    health_window: Option<u32>,
    /// Only ask the gateway what it would do: on which devices, in place of what, and which
    /// cannot run it and why
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    wasi: WasiArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: DeployArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let limits = limits_of(&args)?;
    let devices = if args.all { DeviceSelector::All } else { DeviceSelector::These(args.devices) };
    let new = NewDeployment {
        module: args.module,
        devices,
        interval_ms: args.interval_ms,
        call_ms_max: args.call_ms_max,
        memory_bytes_max: args.memory_bytes_max,
        sensors: args.sensors,
        channels: args.channels,
        metering: args.metering,
        canonical_nans: args.canonical_nans,
        health_window_ms: args.health_window,
        provisions: Provisions {
            config: config_of(args.config)?,
            storage_bytes: args.storage,
            subscriptions: args.subscriptions,
            actuators: args.actuators,
            wasi: args.wasi.to_wasi()?,
        },
        limits,
        placement: placement_of(args.labels, args.accelerators)?,
        scheduling: Default::default(),
    };
    let format = args.output.format();
    if args.dry_run {
        return deploy_plan::run(&new, format, client, console).await;
    }
    warn_of_obstacles(client, &new, console).await;
    make(args.wait.timeout_s(), format, client, console, create(client, &new)).await
}

/// Makes a deployment and shows it, at once or when it has ended.
pub async fn make(
    timeout_s: Option<u64>,
    format: Format,
    client: &Client,
    console: &Console,
    creation: impl Future<Output = Result<gateway_api::Deployment, Failure>>,
) -> Result<(), Failure> {
    let Some(timeout_s) = timeout_s else {
        let deployment = creation.await?;
        console.note(format!("follow it: farrier deployment show {}", deployment.id));
        return deployment::show_one(format, &deployment, console);
    };
    let timeout = Duration::from_secs(timeout_s);
    // Before the deployment is made, so that none of its events is missed.
    let events = client.events_with(telling(console)).await?;
    let mut deployment = creation.await?;
    let mut progress = DeployProgress::new(console);
    progress.update(&deployment);
    let update = |deployment: &_| progress.update(deployment);
    let ended =
        wait::until_settled(client, events, &mut deployment, timeout, console, update).await;
    progress.finish();
    let ended = ended?;
    deployment::show_one(format, &deployment, console)?;
    wait::verdict(&deployment, ended, timeout)
}

/// `None` if nothing is asked for: a gateway from before there was any is not asked.
pub fn placement_of(
    labels: Vec<(String, String)>,
    accelerators: Vec<String>,
) -> Result<Option<Placement>, Failure> {
    let mut placement = Placement { accelerators, ..Placement::default() };
    for (key, value) in labels {
        if placement.labels.contains_key(&key) {
            return Err(Failure::new(Exit::Usage, format!("--label {key} is given twice")));
        }
        placement.labels.insert(key, value);
    }
    Ok(Some(placement).filter(|placement| !placement.is_empty()))
}

/// What the gateway would refuse, too, but in the words of this command.
fn limits_of(args: &DeployArgs) -> Result<ModuleLimits, Failure> {
    let mut actions = LimitActions::default();
    for (limit, action) in &args.on {
        if actions.asked(*limit).is_some() {
            return Err(Failure::new(Exit::Usage, format!("--on {limit} is given twice")));
        }
        actions.ask(*limit, *action);
    }
    actions.check().map_err(|e| Failure::new(Exit::Usage, format!("--on: {e}")))?;
    for (limit, given, option) in [
        (Limit::GasPerCall, args.gas_per_call, "--gas-per-call"),
        (Limit::GasRate, args.gas_per_s, "--gas-per-s"),
    ] {
        if actions.asked(limit).is_some() && given.is_none() {
            return Err(Failure::new(Exit::Usage, format!("--on {limit} needs {option} GAS")));
        }
    }
    let (gas_per_call_max, gas_per_s_max) = (args.gas_per_call, args.gas_per_s);
    Ok(ModuleLimits { gas_per_call_max, gas_per_s_max, actions })
}

fn parse_limit_action(text: &str) -> Result<(Limit, LimitAction), String> {
    let (limit, action) = text.split_once('=').ok_or("give it as LIMIT=ACTION")?;
    let parse = || Ok((limit.parse()?, action.parse()?));
    parse().map_err(|e: LimitError| e.to_string())
}

/// Says beforehand which of the devices cannot run it. The deployment is made all the
/// same: the others shall run it, and free memory may come back.
async fn warn_of_obstacles(client: &Client, new: &NewDeployment, console: &Console) {
    // What is wrong with the request itself is said when it is made.
    let asked = AskedOfDevices {
        sensors: new.sensors.clone(),
        actuators: new.provisions.actuators.clone(),
        placement: new.placement.clone().unwrap_or_default(),
    };
    let checked = client.eligibility(&new.module, new.memory_bytes_max, &asked).await;
    let Ok(checked) = checked else { return };
    let is_meant = |device: &&DeviceEligibility| match &new.devices {
        // It is for those that have what is asked for, and for no others.
        DeviceSelector::All => !device.obstacles.iter().any(|o| o.code == Some(NOT_PLACED)),
        DeviceSelector::These(these) => {
            these.contains(&device.device) || these.contains(&device.device_name)
        }
    };
    for device in checked.devices.iter().filter(is_meant) {
        for obstacle in &device.obstacles {
            console.warn(format!("{}. {}", obstacle.detail, obstacle.advice));
        }
    }
}

async fn create(client: &Client, new: &NewDeployment) -> Result<gateway_api::Deployment, Failure> {
    let created = client.create_deployment(new).await;
    created.map_err(|e| Failure::from(e).if_not_found_try("farrier module ls; farrier device ls"))
}

pub fn parse_storage(text: &str) -> Result<u32, String> {
    parse_bytes(text)?.try_into().map_err(|_| "that is more than a device can grant".to_owned())
}

/// The gateway knows the bounds.
pub fn parse_config(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("give KEY=VALUE, such as unit=celsius")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub fn config_of(entries: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let mut config = BTreeMap::new();
    for (key, value) in entries {
        if config.contains_key(&key) {
            return Err(Failure::new(
                Exit::Usage,
                format!("--config gives {key:?} twice; give it once"),
            ));
        }
        config.insert(key, value);
    }
    Ok(config)
}

pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        unit => return Err(format!("unit {unit:?} is not one of B, KiB, MiB, GiB")),
    };
    let count: u64 = digits.parse().map_err(|_| "give a whole number, such as 64KiB".to_owned())?;
    count.checked_mul(factor).ok_or_else(|| "that is more than there is".to_owned())
}

fn parse_time_ms(text: &str) -> Result<u32, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let factor = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        unit => return Err(format!("unit {unit:?} is not one of ms, s, m, h")),
    };
    let count: u32 = digits.parse().map_err(|_| "give a whole number, such as 30s".to_owned())?;
    count.checked_mul(factor).ok_or_else(|| "that is longer than a device waits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_configuration_may_hold_an_equals_sign() {
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(parse_config("a=b=c"), Ok(entry("a", "b=c")));
        assert_eq!(parse_config("a="), Ok(entry("a", "")));
        assert!(parse_config("a").is_err());
        assert!(config_of(vec![entry("a", "1"), entry("b", "2")]).is_ok());
        assert!(config_of(vec![entry("a", "1"), entry("a", "2")]).is_err());
    }

    #[test]
    fn actions_at_limits_are_read_by_their_names() {
        let stop = (Limit::GasPerCall, LimitAction::Stop);
        assert_eq!(parse_limit_action("gas-per-call=stop"), Ok(stop));
        for wrong in ["", "stop", "gas-per-call", "gas-per-call=", "heat=stop", "call-time=melt"] {
            assert!(parse_limit_action(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_need_a_unit() {
        assert_eq!(parse_time_ms("500ms"), Ok(500));
        assert_eq!(parse_time_ms("30s"), Ok(30_000));
        assert_eq!(parse_time_ms("2h"), Ok(7_200_000));
        for wrong in ["", "30", "s", "-1s", "1.5s", "30sec", "9999h"] {
            assert!(parse_time_ms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_are_read_with_and_without_a_unit() {
        assert_eq!(parse_bytes("65536"), Ok(65_536));
        assert_eq!(parse_bytes("64KiB"), Ok(65_536));
        assert_eq!(parse_bytes("2 MiB"), Ok(2 << 20));
        for wrong in ["", "KiB", "-1", "1.5MiB", "64KB", "99999999999GiB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
