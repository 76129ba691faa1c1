//! A gateway is lost with its disk and comes back from a backup. What its devices have
//! seen since then is learned from them, and they go on as if nothing had been.

use anyhow::{Context, ensure};
use gateway_api::{Device, DeviceSelector, NewDeployment};
use harness::{DeviceClass, Fleet, GatewayOptions, Kit};
use std::path::Path;
use std::process::Command;

const DEVICE: &str = "demo-x86-64";
const FILTER: &str = "sensor-filter";
/// Deployments after the backup.
const LATER: u64 = 4;

fn run(fleet: &Fleet, subcommand: &str, config: &Path, rest: &[&Path]) -> anyhow::Result<()> {
    let mut command = Command::new(fleet.kit.gateway());
    command.arg(subcommand).arg("--config").arg(config).args(rest);
    let output = command.output().context("start the gateway's program")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{subcommand}: {said}");
    Ok(())
}

fn is_settled(device: &Device, above: u64) -> bool {
    device.generation > above && device.generation == device.generation_wanted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_go_on_with_a_gateway_that_came_back_from_a_backup() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let options = GatewayOptions { mqtt_tls: true, ..GatewayOptions::new(data.path()) };
    let mut fleet = Fleet::start_with(Kit::for_tests()?, options)?;
    fleet.add_device(DeviceClass::X86_64).await?;
    fleet.deploy_filter().await?;
    let config = data.path().join("gateway.toml");
    let backup = data.path().join("backup");
    run(&fleet, "backup", &config, &[Path::new("--with-keys"), &backup])?;
    let at_backup = fleet.client().device(DEVICE).await?.generation;

    // Among what follows is a module that the backup does not have.
    let lost = fleet.push_xxhash().await?;
    fleet.client().create_deployment(&Fleet::deployment(&lost.id, DeviceSelector::All)).await?;
    fleet.wait_running(DEVICE, "xxhash", 1).await?;
    for number in 1..LATER {
        let new = NewDeployment {
            interval_ms: Some(100 + u32::try_from(number)?),
            ..Fleet::filter_deployment(FILTER, DeviceSelector::All)
        };
        fleet.client().create_deployment(&new).await?;
    }
    let above = at_backup + LATER - 1;
    let seen = fleet.wait_device("the later deployments", DEVICE, |d| is_settled(d, above)).await?;

    fleet.gateway().process().kill()?;
    std::fs::remove_dir_all(data.path().join("gateway"))?;
    run(&fleet, "restore", &config, &[&backup])?;
    fleet.restart_gateway()?;
    let learned = |device: &Device| is_settled(device, seen.generation);
    let back = fleet.wait_device("a generation above all seen", DEVICE, learned).await?;
    ensure!(back.refusal.is_none() && back.alarms.is_empty(), "{back:?}");
    // It runs what the backup says and nothing else.
    fleet.wait_running(DEVICE, FILTER, 1).await?;
    let names = |device: &Device| device.apps.iter().map(|app| app.app.clone()).collect::<Vec<_>>();
    let only_filter = |device: &Device| names(device) == [FILTER];
    fleet.wait_device("the end of what the backup has not", DEVICE, only_filter).await?;
    let before = fleet.status(DEVICE, FILTER).await?;
    fleet.check_filter_went_on(&before).await?;

    // And it goes on from there.
    let again = fleet.push_xxhash().await?;
    ensure!(again.id == lost.id, "the same bytes are the same module");
    fleet.client().create_deployment(&Fleet::deployment(&again.id, DeviceSelector::All)).await?;
    fleet.wait_running(DEVICE, "xxhash", 1).await?;
    Ok(())
}
