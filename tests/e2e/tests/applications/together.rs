//! Modules of one application in one process: changed, and attacked from within.

use super::{DEVICE, farrier};
use anyhow::{Context, ensure};
use gateway_api::{AppStatus, Company};
use gateway_client::LogQuery;
use harness::{DeviceClass, Fleet, Kit, wait_for};
use std::path::Path;
use std::time::Duration;

/// The application's file, with `changing` as it is named there.
fn file(changing: &str) -> String {
    let module = |name: &str, file: &str, more: &str| {
        format!(
            "[[module]]\nname = \"{name}\"\nfile = \"{file}.wasm\"\ninterval_ms = 20\n\
             health_window_ms = 500\nisolation = \"application\"\n{more}"
        )
    };
    let steady = module("steady", "steady", "");
    let changing = module("changing", changing, "[module.limits]\ncall_ms_max = 100\n");
    format!("format = 1\nname = \"pair\"\ndevices = \"all\"\n{steady}{changing}")
}

fn write_module(folder: &Path, name: &str, tick: &str) -> anyhow::Result<()> {
    let text = format!(
        "(module (memory (export \"memory\") 1) (global $ticks (mut i32) (i32.const 0))
           (func (export \"tick\") (result i32)
             (global.set $ticks (i32.add (global.get $ticks) (i32.const 1)))
             {tick} (i32.const 0)))"
    );
    Ok(std::fs::write(folder.join(format!("{name}.wasm")), wat::parse_str(text)?)?)
}

fn company(app: &AppStatus) -> anyhow::Result<&Company> {
    app.company.as_ref().with_context(|| format!("it shares no process: {app:?}"))
}

async fn apply(fleet: &mut Fleet, path: &Path, changing: &str) -> anyhow::Result<()> {
    std::fs::write(path, file(changing))?;
    let path = path.to_str().context("a path of text")?;
    farrier(fleet, &["app", "apply", path, "--accept-more"])?.ok()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_of_one_process_are_changed_and_end_each_by_itself() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let folder = data.path();
    write_module(folder, "steady", "")?;
    write_module(folder, "first", "(nop)")?;
    write_module(folder, "second", "(nop) (nop)")?;
    // Long enough for what is waited for before: its own check, and a version that is kept.
    let later = |what: &str| format!("(if (i32.gt_u (global.get $ticks) (i32.const 100)) {what})");
    write_module(folder, "traps", &later("(then unreachable)"))?;
    write_module(folder, "spins", &later("(then (loop $l (br $l)))"))?;
    let mut fleet = Fleet::start(Kit::for_tests()?, folder)?;
    fleet.add_device(DeviceClass::X86_64).await?;
    let path = folder.join("pair.toml");

    apply(&mut fleet, &path, "first").await?;
    fleet.wait_running(DEVICE, "changing", 1).await?;
    let both =
        |app: &AppStatus| app.calls > 0 && app.company.as_ref().is_some_and(|c| c.modules == 2);
    let steady = fleet.wait_app("its company", DEVICE, "steady", both).await?;
    let pid = company(&steady)?.pid;
    let changing = fleet.wait_app("its company", DEVICE, "changing", both).await?;
    ensure!(company(&changing)?.pid == pid, "{steady:?}\n{changing:?}");

    // Another version of one of them: the other has neither ended nor begun anew.
    apply(&mut fleet, &path, "second").await?;
    let new = |app: &AppStatus| app.version == 2 && app.state == "running" && both(app);
    let changed = fleet.wait_app("version 2", DEVICE, "changing", new).await?;
    ensure!(company(&changed)?.pid == pid && changed.module != changing.module, "{changed:?}");
    fleet.check_filter_went_on(&steady).await?;
    let still = fleet.status(DEVICE, "steady").await?;
    ensure!(company(&still)?.pid == pid && company(&still)?.displaced == 0, "{still:?}");
    let shown = farrier(&mut fleet, &["device", "show", DEVICE])?.ok()?.stdout;
    for name in ["steady", "changing"] {
        let line = format!("\n{name} shares process {pid} with another\n");
        ensure!(shown.contains(&line), "{line} is not in {shown}");
    }
    let listed = farrier(&mut fleet, &["ps"])?.ok()?.stdout;
    ensure!(listed.contains("changing@2"), "{listed}");
    ensure!(listed.contains(&format!("shares process {pid} with 1")), "{listed}");

    // One that traps has a fresh instance, and costs nobody anything.
    apply(&mut fleet, &path, "traps").await?;
    let trapped = |app: &AppStatus| app.version == 3 && app.traps > 0;
    fleet.wait_app("a trap", DEVICE, "changing", trapped).await?;
    fleet.check_filter_went_on(&still).await?;
    let still = fleet.status(DEVICE, "steady").await?;
    ensure!(company(&still)?.pid == pid, "{still:?}");

    // One that counts no gas and never returns costs the process. It is stopped; its
    // neighbour is back at once, and people can read whose fault it was.
    apply(&mut fleet, &path, "spins").await?;
    let is_stopped = |app: &AppStatus| app.version == 4 && app.state == "stopped: time limit";
    let stopped = fleet.wait_app("the time limit", DEVICE, "changing", is_stopped).await?;
    ensure!(stopped.refusal.as_ref().is_some_and(|refusal| refusal.code == 25), "{stopped:?}");
    ensure!(stopped.detail.starts_with("tick ran for "), "{stopped:?}");
    let is_back = |app: &AppStatus| {
        app.state == "running" && app.company.as_ref().is_some_and(|c| c.displaced == 1)
    };
    let back = fleet.wait_app("its return", DEVICE, "steady", is_back).await?;
    ensure!(company(&back)?.displaced_by.as_deref() == Some("changing"), "{back:?}");
    ensure!(company(&back)?.pid != pid, "{back:?}");
    ensure!((back.restarts, back.traps) == (0, 0), "it did nothing wrong: {back:?}");
    fleet.check_filter_went_on(&back).await?;
    let shown = farrier(&mut fleet, &["device", "show", DEVICE])?.ok()?.stdout;
    ensure!(shown.contains("; started again once for the fault of changing\n"), "{shown}");
    names_the_culprit(&fleet).await
}

/// In the log of the one that was started again.
async fn names_the_culprit(fleet: &Fleet) -> anyhow::Result<()> {
    let client = fleet.client().clone();
    let query = LogQuery { app: Some("steady".into()), ..LogQuery::default() };
    wait_for("a line on whose fault it was", Duration::from_secs(60), async || {
        let lines = client.logs(&query).await?.items;
        let says =
            lines.iter().any(|line| line.text.starts_with("changing brought down the process"));
        Ok(if says { Ok(()) } else { Err(format!("{lines:?}")) })
    })
    .await
}
