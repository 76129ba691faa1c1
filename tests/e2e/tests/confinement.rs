//! What is around each worker, as operators see it: no more is claimed than there is.

use anyhow::{Context, ensure};
use gateway_api::AppStatus;
use harness::{DeviceClass, Fleet, Kit};

const FILTER: &str = "sensor-filter";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_confines_a_worker_is_reported_and_under_an_emulator_what_is_missing_is_not()
-> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start_with_filter(Kit::for_tests()?, data.path()).await?;
    let native = confinement(&mut fleet, DeviceClass::X86_64).await?;
    for name in ["no-new-privileges", "open-files-limit", "data-limit", "syscall-filter"] {
        ensure!(has(&native, name), "{name} is missing in {native:?}");
    }
    ensure!(native.iter().any(|name| name.starts_with("landlock")), "{native:?}");

    fleet.add_device(DeviceClass::AARCH64).await?;
    fleet.wait_running(&DeviceClass::AARCH64.device_name(), FILTER, 1).await?;
    let emulated = confinement(&mut fleet, DeviceClass::AARCH64).await?;
    // qemu-user has neither, and leaves the limit of data alone.
    for name in ["syscall-filter", "landlock", "landlock-partial", "data-limit"] {
        ensure!(!has(&emulated, name), "{name} is claimed in {emulated:?}");
    }
    ensure!(has(&emulated, "no-core-dumps"), "{emulated:?}");

    let shown = fleet.farrier().args(["device", "show", "demo-x86-64"]).output()?;
    let shown = String::from_utf8(shown.stdout)?;
    let expected = format!("{FILTER} is confined by: {}", native.join(", "));
    ensure!(shown.contains(&expected), "{shown}");
    Ok(())
}

fn has(names: &[String], wanted: &str) -> bool {
    names.iter().any(|name| name == wanted)
}

async fn confinement(fleet: &mut Fleet, class: DeviceClass) -> anyhow::Result<Vec<String>> {
    let is_told = |app: &AppStatus| app.state == "running" && app.confinement.is_some();
    let app = fleet.wait_app("a worker", &class.device_name(), FILTER, is_told).await?;
    app.confinement.context("it was told")
}
