//! A device of a target for which there is no code generator: it is in the fleet, is
//! refused every deployment by that reason, and holds up nobody.

use anyhow::{Context, ensure};
use gateway_api::{ArtifactState, Connection, DeviceSelector, ProgressState};
use harness::{DeviceClass, Fleet, Kit};

const WHY: &str = "no code generator for armv7-linux";
const BOARD: &str = "demo-armv7";
const NEIGHBOUR: &str = "demo-x86-64";

fn farrier(fleet: &mut Fleet, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let output = fleet.farrier().args(arguments).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8(text)?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_armv7_device_enrols_reports_and_is_refused_while_its_neighbour_gets_the_deployment()
-> anyhow::Result<()> {
    let kit = Kit::for_tests()?;
    for program in [kit.agent(DeviceClass::ARMV7), kit.runtime(DeviceClass::ARMV7)] {
        let missing = || format!("{} is missing: `cargo xtask devices`", program.display());
        ensure!(program.is_file(), missing());
    }
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(kit, data.path())?;
    fleet.add_device(DeviceClass::X86_64).await?;
    fleet.add_device(DeviceClass::ARMV7).await?;
    let module = fleet.push("sensor-filter", "sensor-filter.wasm").await?;

    // What the dashboard and the command line ask before a deployment.
    let eligibility = fleet.client().eligibility(&module.id, None, &Default::default()).await?;
    let on = |name: &str| eligibility.devices.iter().find(|device| device.device_name == name);
    ensure!(on(NEIGHBOUR).context("no neighbour")?.can_run, "{eligibility:?}");
    let board = on(BOARD).context("no board")?;
    ensure!(!board.can_run && board.obstacles.len() == 1, "{board:?}");
    ensure!(board.obstacles[0].code == Some(60), "{board:?}");
    ensure!(board.obstacles[0].detail.ends_with(&format!("there is {WHY}")), "{board:?}");

    // One deployment to all: the neighbour runs it, the board is named with the reason.
    let deploy = ["deploy", "sensor-filter", "--all", "--wait"];
    let granted = ["--sensor", "temperature", "--channel", "average"];
    let (code, text) = farrier(&mut fleet, &[&deploy[..], &granted[..]].concat())?;
    ensure!(code.is_some_and(|code| code != 0), "a refused device is no success: {text}");
    ensure!(text.contains(BOARD) && text.contains(WHY), "{text}");
    fleet.wait_running(NEIGHBOUR, "sensor-filter", 1).await?;
    let deployments = fleet.client().deployments().await?.items;
    let [deployment] = deployments.as_slice() else { anyhow::bail!("{deployments:?}") };
    for progress in &deployment.progress {
        let is_board = progress.device_name == BOARD;
        ensure!((progress.state == ProgressState::Refused) == is_board, "{progress:?}");
        if is_board {
            ensure!(progress.detail == WHY, "{progress:?}");
            ensure!(progress.refusal.as_ref().is_some_and(|r| r.code == 60), "{progress:?}");
        }
    }

    // It goes on reporting, by an agent of its own architecture.
    let (_, shown) = farrier(&mut fleet, &["device", "show", BOARD])?;
    ensure!(shown.contains("armv7-linux (Linux on 32-bit Arm)"), "{shown}");
    ensure!(shown.contains(&format!("nothing can be deployed to it: {WHY}")), "{shown}");
    let before = fleet.client().device(BOARD).await?;
    ensure!(before.emulated && before.apps.is_empty(), "{before:?}");
    ensure!(before.undeployable.as_deref() == Some(WHY), "{before:?}");
    let client = fleet.client().clone();
    harness::wait_for("another report", std::time::Duration::from_secs(60), async || {
        let now = client.device(BOARD).await?;
        let goes_on = now.uptime_ms > before.uptime_ms && now.connection == Connection::Online;
        Ok(if goes_on { Ok(()) } else { Err(format!("{now:?}")) })
    })
    .await
    .with_context(|| fleet.logs())?;

    // Alone, it is refused as well, and nothing is compiled for it.
    let new = Fleet::filter_deployment(&module.id, DeviceSelector::These(vec![BOARD.into()]));
    let alone = fleet.client().create_deployment(&new).await?;
    let ended = fleet.wait_deployment(&alone.id, |_| {}).await?;
    ensure!(ended.progress.iter().all(|p| p.detail == WHY), "{ended:?}");
    let artifacts = fleet.client().module(&module.id).await?.artifacts;
    for artifact in &artifacts {
        let is_board = artifact.target == "armv7-linux";
        ensure!((artifact.state == ArtifactState::Refused) == is_board, "{artifact:?}");
        ensure!(!is_board || artifact.detail == WHY, "{artifact:?}");
    }
    let file = fleet.kit.module("sensor-filter.wasm").display().to_string();
    let output = data.path().join("filter.aot").display().to_string();
    let compile = ["compile", &file, "--target", "armv7-linux", "-o", &output];
    let (code, text) = farrier(&mut fleet, &compile)?;
    ensure!(code != Some(0) && text.contains(WHY), "{text}");
    Ok(())
}
