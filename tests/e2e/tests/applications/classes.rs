//! A real-time class from the application file to the kernel and back into the API.

use super::{DEVICE, farrier};
use anyhow::{Context, ensure};
use gateway_api::{AppStatus, Refusal};
use harness::{DeviceClass, Fleet, Kit, wait_for};
use linux_scheduler::{Class, set};
use std::path::Path;
use std::time::Duration;

/// What the device's owner allows. Workers run as the agent does, so that the class itself is
/// all that is asked of the kernel, and what the test asks for itself is the same.
const ALLOWED: &str = "[scheduling]\npolicies = [\"fifo\"]\nutilization_percent_max = 30\n\
                       priority_max = 20\n[workers]\nuid_count = 0\n";

/// A fifth of a processor.
fn module(name: &str, policy: &str, priority: &str) -> String {
    format!(
        "[[module]]\nname = \"{name}\"\nfile = \"{name}.wasm\"\ninterval_ms = 2\n\
         health_window_ms = 500\nclass = \"real-time\"\n[module.limits]\ncall_ms_max = 100\n\
         [module.real_time]\npolicy = \"{policy}\"\nruntime_us = 400\ndeadline_us = 1500\n{priority}"
    )
}

/// Whether whoever runs this test may have what the device is asked for. A container's
/// limits or its control group can forbid it to root as well.
fn may_be_real_time() -> bool {
    let asked = std::thread::spawn(|| set(0, Class::Fifo { priority: 16 }).is_ok());
    asked.join().unwrap_or(false)
}

async fn apply(fleet: &mut Fleet, path: &Path, modules: &[String]) -> anyhow::Result<String> {
    let text = format!("format = 1\nname = \"drive\"\ndevices = \"all\"\n{}", modules.concat());
    std::fs::write(path, text)?;
    let path = path.to_str().context("a path of text")?;
    let ran = farrier(fleet, &["app", "apply", path, "--accept-more"])?.ok()?;
    Ok(ran.stderr)
}

/// Waits until a module of the application is refused for this.
async fn refusal_of(fleet: &Fleet, module: &str, code: u16) -> anyhow::Result<Refusal> {
    let client = fleet.client().clone();
    wait_for(&format!("refusal {code}"), Duration::from_secs(90), async || {
        let modules = client.application("drive").await?.modules;
        let of_it = modules.iter().filter(|found| found.name == module);
        let mut refusals = of_it.flat_map(|found| &found.deployment.progress);
        let found = refusals.find_map(|device| device.refusal.clone().filter(|r| r.code == code));
        Ok(found.ok_or_else(|| format!("{modules:?}")))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_time_module_has_its_class_and_its_punctuality_is_told() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    for (name, tick) in [("motor", "(i32.const 0)"), ("pump", "(nop) (i32.const 0)")] {
        let text = format!("(module (func (export \"tick\") (result i32) {tick}))");
        std::fs::write(data.path().join(format!("{name}.wasm")), wat::parse_str(text)?)?;
    }
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    let mut options = fleet.agent_options(DeviceClass::X86_64, DEVICE).await?;
    options.more_config = ALLOWED.to_owned();
    fleet.start_device_with(options)?;
    fleet.wait_online(DEVICE).await?;
    let path = data.path().join("drive.toml");

    // What the owner does not allow goes no further than the gateway.
    apply(&mut fleet, &path, &[module("motor", "deadline", "")]).await?;
    let refused = refusal_of(&fleet, "motor", 65).await?;
    ensure!(refused.detail.contains("scheduling.policies"), "{refused:?}");
    ensure!(fleet.client().ps().await?.items.is_empty(), "it was sent to the device");

    let motor = module("motor", "fifo", "priority = 15\n");
    apply(&mut fleet, &path, std::slice::from_ref(&motor)).await?;
    if !may_be_real_time() {
        let refused = refusal_of(&fleet, "motor", 67).await?;
        ensure!(refused.detail.contains("EPERM"), "{refused:?}");
        let status = fleet.status(DEVICE, "motor").await?;
        ensure!(status.ticks.is_none(), "it does not run as best-effort instead: {status:?}");
        return Ok(());
    }
    let is_measured = |app: &AppStatus| {
        let last = app.ticks.as_ref().and_then(|ticks| ticks.last.as_ref());
        app.state == "running" && last.is_some_and(|last| last.ticks > 50)
    };
    let running = fleet.wait_app("punctual ticks", DEVICE, "motor", is_measured).await?;
    let class = running.scheduling.as_ref().map(ToString::to_string);
    ensure!(class.as_deref() == Some("fifo 15"), "{running:?}");
    let ticks = running.ticks.as_ref().context("it ticks")?;
    ensure!((ticks.period_us, ticks.deadline_us) == (2_000, 1_500), "{ticks:?}");
    ensure!(ticks.missed <= ticks.ticks && ticks.ticks > 50, "{ticks:?}");
    let last = ticks.last.as_ref().context("since the report before")?;
    ensure!(last.response.p99_us <= last.response.max_us, "{ticks:?}");
    ensure!(last.response.max_us <= ticks.response_max_us, "{ticks:?}");
    ensure!(last.jitter_us <= last.start.max_us - last.start.min_us, "{ticks:?}");
    let shown = farrier(&mut fleet, &["device", "show", DEVICE])?.ok()?.stdout;
    ensure!(shown.contains("\nmotor is scheduled as fifo 15\n"), "{shown}");

    // Another fifth is more than is left.
    let pump = module("pump", "fifo", "");
    apply(&mut fleet, &path, &[motor, pump]).await?;
    let refused = refusal_of(&fleet, "pump", 66).await?;
    let sum = "20.0 % of a processor is asked for, 20.0 % is in use by other real-time modules, \
               and this device allows 30.0 %";
    ensure!(refused.detail.contains(sum), "{refused:?}");
    fleet.check_filter_went_on(&running).await
}
