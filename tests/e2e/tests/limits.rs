//! Modules that misbehave on a device, and what becomes of them and their neighbour.

use anyhow::ensure;
use gateway_api::{AppStatus, DeviceSelector, Limit, LimitAction, ModuleLimits, NewDeployment};
use gateway_client::Upload;
use harness::{Fleet, Kit};

const DEVICE: &str = "demo-x86-64";
const SPIN_LATER: &str = "gt_u (global.get $ticks) (i32.const 40)";

/// Deploys a misbehaving example, changed as `Fleet::push_wat` says.
async fn deploy_wat(fleet: &Fleet, name: &str, part: &str, by: &str) -> anyhow::Result<()> {
    let module = fleet.push_wat(name, part, by).await?;
    let new = NewDeployment {
        interval_ms: Some(20),
        channels: vec!["flood".into()],
        ..Fleet::deployment(&module.id, DeviceSelector::All)
    };
    fleet.client().create_deployment(&new).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_call_is_ended_and_stays_so_until_the_next_deployment() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    let before = fleet.status(DEVICE, "sensor-filter").await?;
    deploy_wat(&fleet, "spin", "gt_u (global.get $ticks) (i32.const 1)", SPIN_LATER).await?;
    let is_stopped = |app: &AppStatus| app.state == "stopped: time limit";
    let stopped = fleet.wait_app("the time limit", DEVICE, "spin", is_stopped).await?;
    let refusal = stopped.refusal.as_ref();
    ensure!(
        refusal.is_some_and(|refusal| refusal.code == 25 && !refusal.advice.is_empty()),
        "{stopped:?}"
    );
    fleet.check_filter_went_on(&before).await?;

    // Nor does a restart of the agent start it again.
    fleet.restart_agent(DEVICE)?;
    let is_back = |app: &AppStatus| app.report_boot_id != stopped.report_boot_id;
    let still = fleet.wait_app("the agent's new start", DEVICE, "spin", is_back).await?;
    ensure!(still.state == "stopped: time limit" && still.version == 1, "{still:?}");
    fleet.wait_running(DEVICE, "sensor-filter", 1).await?;

    // Deploying another module does not start it again; deploying it does.
    deploy_wat(&fleet, "flood", "", "").await?;
    fleet.wait_running(DEVICE, "flood", 1).await?;
    let still = fleet.status(DEVICE, "spin").await?;
    ensure!(still.state == "stopped: time limit" && still.calls == 0, "{still:?}");
    let again = Fleet::deployment("spin", DeviceSelector::All);
    fleet.client().create_deployment(&again).await?;
    let runs = |app: &AppStatus| app.state == "running";
    fleet.wait_app("its own deployment", DEVICE, "spin", runs).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_traps_gets_a_fresh_instance_each_time() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    let before = fleet.status(DEVICE, "sensor-filter").await?;
    deploy_wat(&fleet, "trap", "(i32.const 3)", "(i32.const 40)").await?;
    let has_trapped = |app: &AppStatus| app.traps >= 2 && app.restarts >= 1;
    let trapped = fleet.wait_app("two traps", DEVICE, "trap", has_trapped).await?;
    ensure!(trapped.calls > trapped.traps, "a fresh instance ticks before it traps: {trapped:?}");
    fleet.check_filter_went_on(&before).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metered_module_counts_its_gas_over_its_instances() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    ensure!(fleet.status(DEVICE, "sensor-filter").await?.gas_used.is_none(), "it is not metered");
    let module = fleet.push_wat("trap", "(i32.const 3)", "(i32.const 40)").await?;
    let new = NewDeployment {
        interval_ms: Some(20),
        metering: true,
        canonical_nans: true,
        ..Fleet::deployment(&module.id, DeviceSelector::All)
    };
    fleet.client().create_deployment(&new).await?;
    let has_counted = |app: &AppStatus| app.gas_used.is_some_and(|gas| gas > 0);
    let first = fleet.wait_app("gas", DEVICE, "trap", has_counted).await?;
    let has_restarted = |app: &AppStatus| app.restarts > first.restarts;
    let later = fleet.wait_app("a fresh instance", DEVICE, "trap", has_restarted).await?;
    ensure!(later.gas_used > first.gas_used, "what instances before used is kept: {later:?}");
    let artifacts = fleet.client().module("trap").await?.artifacts;
    ensure!(
        artifacts.iter().any(|artifact| artifact.policy == ["gas-1", "canonical"]),
        "{artifacts:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_logs_and_messages_is_bounded_and_counted() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    let before = fleet.status(DEVICE, "sensor-filter").await?;
    deploy_wat(&fleet, "flood", "", "").await?;
    let is_bounded = |app: &AppStatus| app.log_lines_dropped > 0 && app.publishes_dropped > 0;
    fleet.wait_app("dropped lines and messages", DEVICE, "flood", is_bounded).await?;
    fleet.check_filter_went_on(&before).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_misbehaves_at_once_is_refused_before_any_device_sees_it()
-> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    let before = fleet.status(DEVICE, "sensor-filter").await?;
    let text = "(module (func (export \"tick\") (result i32) unreachable))";
    let upload = Upload::from_bytes(wat::parse_str(text)?);
    let module = fleet.client().push_module(Some("bad"), &upload, |_, _| {}).await?.module;
    let new = Fleet::deployment(&module.id, DeviceSelector::All);
    let deployment = fleet.client().create_deployment(&new).await?;
    let ended = fleet.wait_deployment(&deployment.id, |_| {}).await?;
    ensure!(ended.state == gateway_api::DeploymentState::Failed, "{ended:?}");
    ensure!(ended.progress[0].detail.contains("unreachable"), "{ended:?}");
    fleet.check_filter_went_on(&before).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_uses_too_much_gas_is_stopped_and_its_neighbour_goes_on() -> anyhow::Result<()>
{
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    let before = fleet.status(DEVICE, "sensor-filter").await?;
    let part = "gt_u (global.get $ticks) (i32.const 1)";
    let module = fleet.push_wat("spin", part, SPIN_LATER).await?;
    let mut limits = ModuleLimits { gas_per_call_max: Some(100_000), ..ModuleLimits::default() };
    limits.actions.ask(Limit::GasPerCall, LimitAction::Stop);
    let interval_ms = Some(20);
    let new =
        NewDeployment { interval_ms, limits, ..Fleet::deployment(&module.id, DeviceSelector::All) };
    fleet.client().create_deployment(&new).await?;
    let is_stopped = |app: &AppStatus| app.state == "stopped: gas limit";
    let stopped = fleet.wait_app("the limit of gas", DEVICE, "spin", is_stopped).await?;
    ensure!(stopped.refusal.as_ref().is_some_and(|refusal| refusal.code == 55), "{stopped:?}");
    let hit = stopped.limit_hits.iter().find(|hit| hit.limit == Limit::GasPerCall);
    ensure!(hit.is_some_and(|hit| hit.hits == 1), "{stopped:?}");
    ensure!(stopped.limit_last.is_some_and(|last| last.action == LimitAction::Stop), "{stopped:?}");
    fleet.check_filter_went_on(&before).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_traps_again_and_again_is_quarantined_over_a_restart() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    deploy_wat(&fleet, "trap", "(i32.const 3)", "(i32.const 2)").await?;
    let is_quarantined = |app: &AppStatus| app.state == "quarantined";
    let app = fleet.wait_app("the quarantine", DEVICE, "trap", is_quarantined).await?;
    ensure!(app.refusal.as_ref().is_some_and(|refusal| refusal.code == 26), "{app:?}");
    ensure!(app.detail.starts_with("8 traps within a minute: tick: "), "{app:?}");
    fleet.restart_agent(DEVICE)?;
    let is_back = |again: &AppStatus| again.report_boot_id != app.report_boot_id;
    let still = fleet.wait_app("the agent's new start", DEVICE, "trap", is_back).await?;
    ensure!(still.state == "quarantined", "{still:?}");
    fleet.wait_running(DEVICE, "sensor-filter", 1).await?;
    Ok(())
}
