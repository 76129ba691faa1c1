//! The main job, and each part of it killed once.

use anyhow::{Context, ensure};
use gateway_api::{AppStatus, ArtifactState, DeviceSelector, List};
use gateway_client::PublishedQuery;
use harness::{DeviceClass, FILTER_WINDOW, FILTER_WINDOW_WIDE, Fleet, Kit, wait_for, wait_until};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_enrols_later_is_compiled_for_and_deployed_to_by_itself() -> anyhow::Result<()>
{
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    fleet.add_device(DeviceClass::X86_64).await?;
    let module = fleet.push("sensor-filter", "sensor-filter.wasm").await?;
    let new = Fleet::filter_deployment(&module.id, DeviceSelector::All);
    let deployment = fleet.client().create_deployment(&new).await?;
    fleet.wait_running("demo-x86-64", "sensor-filter", 1).await?;

    let targets = targets_of(&fleet, &module.id).await?;
    ensure!(
        targets == ["x86_64-linux"],
        "no other class is registered, but jobs ran for {targets:?}"
    );

    fleet.add_device(DeviceClass::RISCV64).await?;
    fleet.wait_running("demo-riscv64", "sensor-filter", 1).await?;
    let mut targets = targets_of(&fleet, &module.id).await?;
    targets.sort();
    ensure!(targets == ["riscv64-linux", "x86_64-linux"], "jobs ran for {targets:?}");
    let ended = fleet.wait_deployment(&deployment.id, |_| {}).await?;
    ensure!(ended.progress.len() == 2, "{ended:?}");
    Ok(())
}

async fn targets_of(fleet: &Fleet, module: &str) -> anyhow::Result<Vec<String>> {
    let artifacts = fleet.client().module(module).await?.artifacts;
    Ok(artifacts.into_iter().map(|artifact| artifact.target).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_architectures_run_both_modules_and_every_part_survives_being_killed()
-> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    for class in DeviceClass::ALL {
        fleet.start_device(class).await?;
    }
    for class in DeviceClass::ALL {
        fleet.wait_online(&class.device_name()).await?;
    }
    let filter = fleet.push("sensor-filter", "sensor-filter.wasm").await?;
    let xxhash = fleet.push_xxhash().await?;
    let all = DeviceSelector::All;
    fleet.client().create_deployment(&Fleet::filter_deployment(&filter.id, all.clone())).await?;
    fleet.client().create_deployment(&Fleet::deployment(&xxhash.id, all.clone())).await?;
    runs_everywhere(&mut fleet, "sensor-filter", 1).await?;
    runs_everywhere(&mut fleet, "xxhash", 1).await?;
    averages_come_in(&fleet, FILTER_WINDOW, 0).await?;
    known_answers_hold(&mut fleet).await?;
    the_command_line_sees_the_same(&mut fleet)?;

    // The gateway: everything is in place again, and nothing is compiled twice.
    let before = fleet.client().module(&filter.id).await?;
    fleet.restart_gateway()?;
    let after = fleet.client().module(&filter.id).await?;
    ensure!(before == after, "the gateway remembers {after:?}, not {before:?}");
    ensure!(after.artifacts.iter().all(|artifact| artifact.state == ArtifactState::Ready));
    ensure!(fleet.client().deployments().await?.items.len() == 2);
    runs_everywhere(&mut fleet, "sensor-filter", 1).await?;
    averages_come_in(&fleet, FILTER_WINDOW, 0).await?;

    // Each agent: it runs what it ran, from its own store.
    for class in DeviceClass::ALL {
        let device = class.device_name();
        let boot = fleet.status(&device, "sensor-filter").await?.report_boot_id;
        fleet.restart_agent(&device)?;
        let is_back = |app: &AppStatus| app.report_boot_id != boot && app.state == "running";
        fleet.wait_app("the agent's new start", &device, "sensor-filter", is_back).await?;
        fleet.wait_app("the agent's new start", &device, "xxhash", is_back).await?;
    }

    // A worker: its agent starts another, and the neighbour does not notice.
    for class in DeviceClass::ALL {
        let device = class.device_name();
        let neighbour = fleet.status(&device, "xxhash").await?;
        let before = fleet.status(&device, "sensor-filter").await?;
        kill_one_worker(&mut fleet, &device, "sensor-filter")?;
        let is_back = |app: &AppStatus| {
            app.state == "running" && app.restarts > before.restarts && app.calls > before.calls
        };
        fleet.wait_app("the worker's new start", &device, "sensor-filter", is_back).await?;
        let after = fleet.status(&device, "xxhash").await?;
        ensure!(after.restarts == neighbour.restarts, "the neighbour was restarted: {after:?}");
    }

    // An upgrade: version 2 has another window.
    let wide = fleet.push("sensor-filter", "sensor-filter-wide.wasm").await?;
    ensure!(wide.version == 2, "{wide:?}");
    let new = Fleet::filter_deployment("sensor-filter", all);
    fleet.client().create_deployment(&new).await?;
    runs_everywhere(&mut fleet, "sensor-filter", 2).await?;
    let now = now_of(&fleet).await?;
    averages_come_in(&fleet, FILTER_WINDOW_WIDE, now).await
}

async fn runs_everywhere(fleet: &mut Fleet, app: &str, version: u32) -> anyhow::Result<()> {
    for class in DeviceClass::ALL {
        let device = class.device_name();
        fleet.wait_running(&device, app, version).await?;
        // The first report after a start may come before the worker's first figures.
        let has_figures = |status: &AppStatus| status.memory_bytes > 0 && status.calls > 0;
        let status = fleet.wait_app("figures", &device, app, has_figures).await?;
        ensure!(status.traps == 0 && status.checks_failed == 0, "{status:?}");
        ensure!(status.emulated != class.launcher.is_empty(), "{status:?}");
        ensure!(status.artifact_bytes > Some(0), "{status:?}");
    }
    Ok(())
}

/// At least ten values from each device since a time, all equal to the host's.
async fn averages_come_in(fleet: &Fleet, window: u64, since_ms: u64) -> anyhow::Result<()> {
    for class in DeviceClass::ALL {
        let device = class.device_name();
        wait_for("ten averages", SOON, async || {
            let count = fleet.check_averages(&device, "sensor-filter", window, since_ms).await?;
            Ok(if count >= 10 { Ok(()) } else { Err(format!("{count} from {device}")) })
        })
        .await
        .with_context(|| fleet.logs())?;
    }
    Ok(())
}

/// The gateway's time of the newest value there is.
async fn now_of(fleet: &Fleet) -> anyhow::Result<u64> {
    let values = fleet.client().published(&PublishedQuery::default()).await?.items;
    Ok(values.iter().map(|value| value.time_ms).max().unwrap_or_default())
}

async fn known_answers_hold(fleet: &mut Fleet) -> anyhow::Result<()> {
    for class in DeviceClass::ALL {
        let has_passed = |status: &AppStatus| status.checks_passed > 1 && status.calls > 0;
        let device = class.device_name();
        let status = fleet.wait_app("two runs of the steps", &device, "xxhash", has_passed).await?;
        ensure!(status.checks_failed == 0, "{status:?}");
    }
    Ok(())
}

fn the_command_line_sees_the_same(fleet: &mut Fleet) -> anyhow::Result<()> {
    let output = fleet.farrier().args(["ps", "-o", "json"]).output()?;
    ensure!(output.status.success(), "{output:?}");
    let list: List<AppStatus> = serde_json::from_slice(&output.stdout)?;
    ensure!(list.items.len() == 6, "{list:?}");
    ensure!(list.items.iter().all(|app| app.state == "running"), "{list:?}");
    let output = fleet.farrier().args(["logs", "--app", "sensor-filter"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success() && text.contains("demo-riscv64"), "{text}");
    Ok(())
}

/// Kills the worker of an application, found as the agent's child with that name
/// among its arguments.
fn kill_one_worker(fleet: &mut Fleet, device: &str, app: &str) -> anyhow::Result<()> {
    let agent = fleet.agent(device)?.process().pid();
    let worker = children_of(agent)?
        .into_iter()
        .find(|pid| command_line_of(*pid).iter().any(|argument| argument == app))
        .with_context(|| format!("no worker of {agent} has {app} among its arguments"))?;
    let pid = rustix::process::Pid::from_raw(i32::try_from(worker)?).context("a pid is not 0")?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::KILL)?)
}

/// A child belongs to the thread that started it.
fn children_of(parent: u32) -> anyhow::Result<Vec<u32>> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{parent}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("children"))?;
        children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(children)
}

fn command_line_of(pid: u32) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_running_when_a_fleet_ends() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    let agent = fleet.agent("demo-x86-64")?.process().pid();
    let workers = children_of(agent)?;
    ensure!(!workers.is_empty(), "a running module has a worker");
    // The agent dies without a word; its workers see the closed socket.
    fleet.agent("demo-x86-64")?.process().kill()?;
    wait_until("the workers' end", SOON, async || {
        Ok(workers.iter().all(|pid| command_line_of(*pid).is_empty()))
    })
    .await
}
