//! The main job on this machine: a gateway, three devices of three
//! architectures, two modules, and a look at what they do.

use anyhow::{Context, bail};
use clap::Parser;
use gateway_api::{AppStatus, Deployment, Device, DeviceSelector, ProgressState};
use harness::{DeviceClass, FILTER_WINDOW, Fleet, Kit, wait_for};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Values that each device must have published before they count as compared.
const AVERAGES_MIN: usize = 20;

#[derive(Parser)]
#[command(
    about = "Runs Farrier's main job on this machine: `cargo xtask demo` builds and starts it."
)]
struct Arguments {
    /// The folder with the binaries and modules.
    #[arg(long)]
    kit: PathBuf,
    /// Where gateway and devices keep their data; a new directory by default.
    #[arg(long)]
    data: Option<PathBuf>,
    /// End with status 0 once everything was verified.
    #[arg(long)]
    once: bool,
    /// Print the summary as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    dashboard: String,
    login_link: String,
    data: PathBuf,
    seconds: f64,
    verified: Vec<String>,
    devices: Vec<Device>,
    apps: Vec<AppStatus>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match demo(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `{error:?}`: its backtrace would hide the reason.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(arguments: Arguments) -> anyhow::Result<()> {
    let started = Instant::now();
    let data = match &arguments.data {
        Some(data) => data.clone(),
        None => tempfile::Builder::new().prefix("farrier-demo-").tempdir()?.keep(),
    };
    let kit = Kit::open(&arguments.kit)?;
    eprintln!("Data of the gateway and the devices: {}", data.display());
    let job = run(kit, &data);
    let (mut fleet, verified) = tokio::select! {
        result = job => result?,
        signal = interruption() => bail!("{} before everything was verified", signal?),
    };

    let apps = fleet.client().ps().await?.items;
    let link = fleet.client().create_login_link().await?.url;
    let dashboard = fleet.gateway().url().to_owned();
    eprintln!("\n{}\n", table(&apps));
    for line in &verified {
        eprintln!("verified: {line}");
    }
    eprintln!("\nDashboard: {dashboard}\nLog in:    {link}  (good once, for ten minutes)");
    eprintln!(
        "Command line:\n  export FARRIER_GATEWAY={dashboard}\n  export FARRIER_TOKEN_FILE={}\n  {} ps",
        fleet.gateway().token_file().display(),
        fleet.kit.command_line().display()
    );
    if arguments.json {
        let seconds = started.elapsed().as_secs_f64();
        let devices = fleet.client().devices().await?.items;
        let summary =
            Summary { dashboard, login_link: link, data, seconds, verified, devices, apps };
        println!("{}", serde_json::to_string_pretty(&summary)?);
    }
    if !arguments.once {
        eprintln!("\nRunning until Ctrl-C.");
        tokio::select! {
            signal = interruption() => eprintln!("\n{}: ending.", signal?),
            result = watch(&mut fleet) => result?,
        }
    }
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM: either way every process that was started ends too.
async fn interruption() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.map(|()| "interrupted").map_err(Into::into),
        _ = terminate.recv() => Ok("told to end"),
    }
}

/// Ends only when a process has.
async fn watch(fleet: &mut Fleet) -> anyhow::Result<()> {
    loop {
        fleet.check_alive()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn run(kit: Kit, data: &std::path::Path) -> anyhow::Result<(Fleet, Vec<String>)> {
    let mut fleet = Fleet::start(kit, data)?;
    eprintln!("The gateway serves on {}", fleet.gateway().url());
    for class in DeviceClass::ALL {
        fleet.start_device(class).await?;
        eprintln!("Started {} ({})", class.device_name(), class.target);
    }
    for class in DeviceClass::ALL {
        fleet.wait_online(&class.device_name()).await?;
        eprintln!("{} is enrolled and reports", class.device_name());
    }
    let filter = fleet.push("sensor-filter", "sensor-filter.wasm").await?;
    let xxhash = fleet.push_xxhash().await?;
    eprintln!("Uploaded {}@{} and {}@{}", filter.name, filter.version, xxhash.name, xxhash.version);
    let client = fleet.client().clone();
    let all = DeviceSelector::All;
    let deployments = [
        client.create_deployment(&Fleet::filter_deployment(&filter.id, all.clone())).await?,
        client.create_deployment(&Fleet::deployment(&xxhash.id, all)).await?,
    ];
    for deployment in &deployments {
        let mut last = String::new();
        let ended = fleet.wait_deployment(&deployment.id, |deployment| {
            let line = progress(deployment);
            if line != last {
                eprintln!("{line}");
                last = line;
            }
        });
        let ended = ended.await?;
        if let Some(failed) = ended.progress.iter().find(|p| p.state != ProgressState::Running) {
            bail!(
                "{} does not run on {}: {failed:?}\n{}",
                ended.app,
                failed.device_name,
                fleet.logs()
            );
        }
    }
    let verified = verify(&mut fleet).await?;
    Ok((fleet, verified))
}

fn progress(deployment: &Deployment) -> String {
    let of_device = |p: &gateway_api::DeviceProgress| {
        let bytes = match p.state {
            ProgressState::Fetching => format!(" {}/{}", p.fetched_bytes, p.fetch_total_bytes),
            _ => String::new(),
        };
        format!("{}: {}{bytes}", p.device_name, p.state.as_str())
    };
    let devices: Vec<String> = deployment.progress.iter().map(of_device).collect();
    format!("{}@{}  {}", deployment.app, deployment.module_version, devices.join("  "))
}

/// Everything that `--once` promises; an error says what did not hold.
async fn verify(fleet: &mut Fleet) -> anyhow::Result<Vec<String>> {
    let mut verified = Vec::new();
    for class in DeviceClass::ALL {
        let device = class.device_name();
        let filter = fleet.wait_running(&device, "sensor-filter", 1).await?;
        let count = wait_for("enough averages", Duration::from_secs(60), async || {
            let count = fleet.check_averages(&device, "sensor-filter", FILTER_WINDOW, 0).await?;
            Ok(if count >= AVERAGES_MIN { Ok(count) } else { Err(format!("{count} values")) })
        });
        let count = count.await.with_context(|| fleet.logs())?;
        verified.push(format!("{device}: {count} averages equal this machine's, bit for bit"));
        let has_passed = |status: &AppStatus| status.checks_passed > 0 && status.state == "running";
        let xxhash = fleet.wait_app("known answers", &device, "xxhash", has_passed).await?;
        if xxhash.checks_failed > 0 || filter.traps > 0 {
            bail!("{device}: a known answer failed or the filter trapped: {xxhash:?} {filter:?}");
        }
        verified.push(format!(
            "{device}: the known answers of xxhash held {} times",
            xxhash.checks_passed
        ));
    }
    Ok(verified)
}

fn table(apps: &[AppStatus]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY).set_header([
        "device",
        "architecture",
        "module",
        "state",
        "CPU",
        "memory",
        "artifact",
        "compiled in",
    ]);
    for app in apps {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        let note = if app.emulated { " (with emulator)" } else { "" };
        table.add_row([
            app.device_name.clone(),
            app.target.trim_end_matches("-linux").to_owned(),
            format!("{}@{}", app.app, app.version),
            app.state.clone(),
            or_dash(app.cpu_percent.map(|percent| format!("{percent:.1} %{note}"))),
            format!("{} KiB", app.memory_bytes / 1024),
            or_dash(app.artifact_bytes.map(|bytes| format!("{bytes} B"))),
            or_dash(app.compile_ms.map(|ms| format!("{ms} ms"))),
        ]);
    }
    table
}
