//! A device is stolen: once it is revoked its session, over TLS, ends within a second,
//! and it gets nothing any more.

use anyhow::{Context, ensure};
use gateway_api::{Connection, DeviceSelector};
use harness::{DeviceClass, Fleet, GatewayOptions, Kit, wait_for};
use std::time::{Duration, Instant};

const DEVICE: &str = "demo-x86-64";
const SOON: Duration = Duration::from_secs(60);

/// From the request to the gateway to the agent's word that the connection is gone.
const SESSION_ENDS_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stolen_device() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let options = GatewayOptions { mqtt_tls: true, ..GatewayOptions::new(data.path()) };
    let mut fleet = Fleet::start_with(Kit::for_tests()?, options)?;
    fleet.add_device(DeviceClass::X86_64).await?;
    fleet.deploy_filter().await?;

    let lost = |log: &str| log.matches("no connection to the broker").count();
    let before = lost(&fleet.agent(DEVICE)?.log_tail());
    let began = Instant::now();
    fleet.client().revoke_device(DEVICE).await?;
    let mut took = None;
    while took.is_none() && began.elapsed() < SOON {
        if lost(&fleet.agent(DEVICE)?.log_tail()) > before {
            took = Some(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = took.context("the session did not end").with_context(|| fleet.logs())?;
    println!("the session ended {took:?} after the request");
    ensure!(took < SESSION_ENDS_WITHIN, "the session ended only after {took:?}");

    // It tries again, is refused, and a new deployment is nothing to it.
    let new = Fleet::filter_deployment("sensor-filter", DeviceSelector::All);
    let deployment = fleet.client().create_deployment(&new).await?;
    ensure!(deployment.progress.is_empty(), "{deployment:?}");
    wait_for("the refusal of its logins and of its renewal", SOON, async || {
        let log = fleet.agent(DEVICE)?.log_tail();
        let refused = log.contains("refuses the login") && log.contains("was revoked");
        Ok(if refused { Ok(()) } else { Err(log) })
    })
    .await?;
    let device = fleet.client().device(DEVICE).await?;
    ensure!(device.revoked_at_ms.is_some(), "{device:?}");
    fleet.wait_device("offline", DEVICE, |device| device.connection == Connection::Offline).await?;

    // Nor does a restart of either side help it, nor does a claim token.
    fleet.restart_gateway()?;
    fleet.restart_agent(DEVICE)?;
    wait_for("the refusal after the restart", SOON, async || {
        let log = fleet.agent(DEVICE)?.log_tail();
        Ok(if log.contains("was revoked") { Ok(()) } else { Err(log) })
    })
    .await?;
    let device = fleet.client().device(DEVICE).await?;
    ensure!(device.connection != Connection::Online, "{device:?}");
    Ok(())
}
