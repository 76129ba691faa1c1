//! Everything about the broker: who attacks it, who attacks through it, and another
//! one in its place. Gateway and devices are real, with TLS between them.

mod broker_flood;
mod fingerprint;
mod https;
mod identity;
mod malicious_broker;
mod malicious_device;
mod middle;
mod mosquitto;
mod session;
mod spoofed_report;

use harness::{DeviceClass, Fleet, GatewayOptions, Kit};
use std::path::Path;
use std::time::Duration;

/// The device that others are after.
const VICTIM: &str = "demo-x86-64";
const FILTER: &str = "sensor-filter";
const SOON: Duration = Duration::from_secs(60);

/// A gateway with TLS on its own broker, and a device that runs the filter.
async fn tls_fleet(data: &Path) -> anyhow::Result<Fleet> {
    let options = GatewayOptions { mqtt_tls: true, ..GatewayOptions::new(data) };
    let mut fleet = Fleet::start_with(Kit::for_tests()?, options)?;
    fleet.add_device(DeviceClass::X86_64).await?;
    fleet.deploy_filter().await?;
    Ok(fleet)
}

/// How often a device's agent has lost its connection, by its own word.
fn losses(fleet: &mut Fleet, device: &str) -> anyhow::Result<usize> {
    let log = std::fs::read_to_string(fleet.agent(device)?.log_file())?;
    Ok(log.matches("no connection to the broker").count())
}
