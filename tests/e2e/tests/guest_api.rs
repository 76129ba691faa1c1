//! The guest API from a deployment's flags to what an operator sees, on a real device.

use anyhow::{Context, ensure};
use gateway_api::{AppStatus, DeviceSelector, NewDeployment, Provisions};
use gateway_client::{LogQuery, PublishedQuery, Upload};
use guest_toolchains::Toolchains;
use harness::{AgentOptions, DEPLOY_WITHIN, DeviceClass, Fleet, Kit, wait_for};
use std::collections::BTreeMap;
use std::path::Path;
use worker_protocol::GuestCall;

const DEVICE: &str = "demo-x86-64";
const APP: &str = "diary";

/// Counts its starts in its storage and greets with that number; then says again what it
/// is told.
const DIARY: &str = r#"(module
  (import "farrier" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
  (import "farrier" "kv_get" (func $kv_get (param i32 i32 i32 i32) (result i32)))
  (import "farrier" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))
  (import "farrier" "metric_set" (func $metric (param i32 i32 i32) (result i32)))
  (import "farrier" "random" (func $random (param i32 i32) (result i32)))
  (import "farrier" "clock_wall_ms" (func $wall (param i32) (result i32)))
  (import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))
  (import "farrier" "receive" (func $receive (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "greeting")
  (data (i32.const 16) "starts")
  (data (i32.const 32) "hello")
  (data (i32.const 48) "ticks")
  (data (i32.const 64) "speed")
  (data (i32.const 80) "echo")
  (func (export "init") (result i32) (local $len i32)
    (drop (call $kv_get (i32.const 16) (i32.const 6) (i32.const 100) (i32.const 1)))
    (i32.store8 (i32.const 100) (i32.add (i32.load8_u (i32.const 100)) (i32.const 1)))
    (if (call $kv_set (i32.const 16) (i32.const 6) (i32.const 100) (i32.const 1))
      (then (unreachable)))
    (local.set $len
      (call $config (i32.const 0) (i32.const 8) (i32.const 101) (i32.const 50)))
    (call $publish (i32.const 32) (i32.const 5) (i32.const 100)
      (i32.add (local.get $len) (i32.const 1))))
  (func (export "tick") (result i32) (local $len i32)
    (f64.store (i32.const 304) (f64.add (f64.load (i32.const 304)) (f64.const 1)))
    (if (call $metric (i32.const 48) (i32.const 5) (i32.const 304)) (then (unreachable)))
    (if (call $random (i32.const 320) (i32.const 32)) (then (unreachable)))
    (drop (call $wall (i32.const 360)))
    (local.set $len
      (call $receive (i32.const 64) (i32.const 5) (i32.const 400) (i32.const 100)))
    (if (i32.ge_s (local.get $len) (i32.const 0)) (then
      (drop (call $publish (i32.const 80) (i32.const 4) (i32.const 400) (local.get $len)))))
    (i32.const 0)))"#;

/// Copies sensors to actuators, and says what is refused.
const THERMOSTAT: &str = r#"(module
  (import "farrier" "sensor_open" (func $open (param i32 i32) (result i32)))
  (import "farrier" "sensor_read" (func $read (param i32 i32) (result i32)))
  (import "farrier" "actuator_set" (func $set (param i32 i32 i32) (result i32)))
  (import "farrier" "metric_set" (func $metric (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "cpu")
  (data (i32.const 16) "level")
  (data (i32.const 32) "fan")
  (data (i32.const 48) "lamp")
  (data (i32.const 64) "refused")
  (data (i32.const 80) "celsius")
  (func (export "tick") (result i32)
    (drop (call $read (call $open (i32.const 0) (i32.const 3)) (i32.const 104)))
    (drop (call $set (i32.const 32) (i32.const 3) (i32.const 104)))
    (drop (call $read (call $open (i32.const 16) (i32.const 5)) (i32.const 112)))
    (f64.store (i32.const 120)
      (f64.convert_i32_s (call $set (i32.const 48) (i32.const 4) (i32.const 112))))
    (drop (call $metric (i32.const 80) (i32.const 7) (i32.const 104)))
    (call $metric (i32.const 64) (i32.const 7) (i32.const 120))))"#;

/// Publishes a letter on each tick.
const SPEAKER: &str = r#"(module
  (import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "speed")
  (data (i32.const 16) "L")
  (func (export "tick") (result i32)
    (call $publish (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 1))))"#;

async fn device() -> anyhow::Result<(Fleet, tempfile::TempDir)> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    fleet.add_device(DeviceClass::X86_64).await?;
    Ok((fleet, data))
}

async fn push(fleet: &Fleet, name: &str, text: &str) -> anyhow::Result<String> {
    let upload = Upload::from_bytes(wat::parse_str(text)?);
    Ok(fleet.client().push_module(Some(name), &upload, |_, _| {}).await?.module.id)
}

async fn deploy_diary(fleet: &mut Fleet, text: &str, version: u32) -> anyhow::Result<()> {
    let module = push(fleet, APP, text).await?;
    let new = NewDeployment {
        interval_ms: Some(50),
        // A synced write on a busy machine is slow, and the test's module waits for it.
        call_ms_max: Some(60_000),
        channels: vec!["hello".into(), "echo".into()],
        provisions: Provisions {
            config: BTreeMap::from([("greeting".to_owned(), "hi".to_owned())]),
            storage_bytes: Some(100),
            subscriptions: vec!["speed".into()],
            ..Provisions::default()
        },
        ..Fleet::deployment(&module, DeviceSelector::All)
    };
    fleet.client().create_deployment(&new).await?;
    fleet.wait_running(DEVICE, APP, version).await?;
    Ok(())
}

/// Waits until this was published, and how often it was.
async fn wait_said(fleet: &Fleet, channel: &str, payload: &[u8]) -> anyhow::Result<usize> {
    let query = PublishedQuery {
        device: Some(DEVICE.into()),
        app: Some(APP.into()),
        channel: Some(channel.into()),
        since: None,
        limit: None,
    };
    let payload = hex::encode(payload);
    let what = format!("{payload} on {channel}");
    let waited = wait_for(&what, DEPLOY_WITHIN, async || {
        let values = fleet.client().published(&query).await?.items;
        let said: Vec<String> = values.into_iter().map(|value| value.payload).collect();
        let count = said.iter().filter(|said| **said == payload).count();
        Ok(if count > 0 { Ok(count) } else { Err(format!("{said:?}")) })
    });
    waited.await.with_context(|| fleet.logs())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_and_configuration_last_as_long_as_the_application() -> anyhow::Result<()> {
    let (mut fleet, _data) = device().await?;
    deploy_diary(&mut fleet, DIARY, 1).await?;
    wait_said(&fleet, "hello", b"\x01hi").await?;

    let called = |app: &AppStatus| {
        let calls = |name: &str| {
            app.host_calls
                .iter()
                .any(|call| call.import == name && call.calls > 2 && call.time_ns > 0)
        };
        calls("farrier.random") && calls("farrier.receive") && calls("farrier.clock_wall_ms")
    };
    let status = fleet.wait_app("counted calls", DEVICE, APP, called).await?;
    let random = status.host_calls.iter().find(|call| call.import == "farrier.random");
    ensure!(random.is_some_and(|call| call.bytes == 32 * call.calls), "{status:?}");
    ensure!(status.metrics.iter().any(|m| m.name == "ticks" && m.value >= 1.0), "{status:?}");
    ensure!(
        status.storage.is_some_and(|s| (s.used_bytes, s.quota_bytes) == (16 + 6 + 1, 100)),
        "{status:?}"
    );

    // The device's power is cut.
    fleet.restart_agent(DEVICE)?;
    wait_said(&fleet, "hello", b"\x02hi").await?;
    // Another version of the module.
    let other = DIARY.replace("(f64.const 1)", "(f64.const 2)");
    deploy_diary(&mut fleet, &other, 2).await?;
    wait_said(&fleet, "hello", b"\x03hi").await?;
    // It leaves the device and comes again.
    let deployments = fleet.client().deployments().await?.items;
    for deployment in deployments {
        fleet.client().delete_deployment(&deployment.id).await?;
    }
    fleet.wait_device("an empty device", DEVICE, |device| device.apps.is_empty()).await?;
    let third = DIARY.replace("(f64.const 1)", "(f64.const 3)");
    deploy_diary(&mut fleet, &third, 3).await?;
    let query = PublishedQuery { channel: Some("hello".into()), ..PublishedQuery::default() };
    let waited = wait_for("a fresh start", DEPLOY_WITHIN, async || {
        let said = fleet.client().published(&query).await?.items;
        let last = said.last().map(|value| value.payload.clone());
        Ok(if last == Some(hex::encode(b"\x01hi")) { Ok(()) } else { Err(format!("{last:?}")) })
    });
    waited.await.with_context(|| fleet.logs())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_the_module_from_an_operator_and_from_its_neighbour() -> anyhow::Result<()>
{
    let (mut fleet, _data) = device().await?;
    deploy_diary(&mut fleet, DIARY, 1).await?;
    let mut send = |channel: &str| {
        let args = ["send", APP, channel, "fast", "--device", DEVICE];
        fleet.farrier().args(args).output()
    };
    let output = send("speed")?;
    ensure!(output.status.success(), "{output:?}");
    ensure!(String::from_utf8_lossy(&output.stdout).starts_with("sent 4 bytes"), "{output:?}");
    let refused = send("hello")?;
    ensure!(!refused.status.success(), "{refused:?}");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(why.contains("it subscribes to speed"), "{why}");
    ensure!(wait_said(&fleet, "echo", b"fast").await? == 1, "a message is taken once");

    let speaker = push(&fleet, "speaker", SPEAKER).await?;
    let new = NewDeployment {
        interval_ms: Some(10),
        channels: vec!["speed".into()],
        ..Fleet::deployment(&speaker, DeviceSelector::All)
    };
    fleet.client().create_deployment(&new).await?;
    wait_said(&fleet, "echo", b"L").await?;
    // It speaks five times as often as it is listened to.
    let drops = |app: &AppStatus| app.inboxes.first().is_some_and(|inbox| inbox.dropped > 0);
    let status = fleet.wait_app("dropped messages", DEVICE, APP, drops).await?;
    let inbox = &status.inboxes[0];
    ensure!(inbox.channel == "speed" && inbox.depth <= 16, "{inbox:?}");
    ensure!(inbox.received > inbox.dropped + u64::from(inbox.depth), "{inbox:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_reads_the_devices_files_and_sets_its_actuators() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    let (sysfs, level, fan) =
        (data.path().join("sys"), data.path().join("level"), data.path().join("pwm1"));
    let zone = sysfs.join("class/thermal/thermal_zone3");
    std::fs::create_dir_all(&zone)?;
    std::fs::write(zone.join("temp"), "47250\n")?;
    std::fs::write(&level, "40\n")?;
    std::fs::write(&fan, "0\n")?;
    let options = fleet.agent_options(DeviceClass::X86_64, DEVICE).await?;
    let (level_path, fan_path) = (level.display(), fan.display());
    let more_config = format!(
        r#"
        [[sensor]]
        name = "cpu"
        kind = "thermal"
        zone = 3
        [[sensor]]
        name = "level"
        kind = "file"
        path = "{level_path}"
        scale = 0.1
        [[actuator]]
        name = "fan"
        kind = "file"
        path = "{fan_path}"
        min = 0
        max = 255
        decimals = 1
        [[actuator]]
        name = "lamp"
        kind = "simulated"
        min = 0
        max = 5
        "#
    );
    let sysfs_dir = Some(sysfs);
    fleet.start_device_with(AgentOptions { more_config, sysfs_dir, ..options })?;
    fleet.wait_online(DEVICE).await?;
    let module = push(&fleet, "thermostat", THERMOSTAT).await?;
    let new = NewDeployment {
        interval_ms: Some(200),
        call_ms_max: Some(60_000),
        sensors: vec!["cpu".into(), "level".into()],
        provisions: Provisions {
            actuators: vec!["fan".into(), "lamp".into()],
            ..Provisions::default()
        },
        ..Fleet::deployment(&module, DeviceSelector::All)
    };
    fleet.client().create_deployment(&new).await?;
    let reads = |name: &'static str, value: f64| {
        move |app: &AppStatus| app.metrics.iter().any(|m| m.name == name && m.value == value)
    };
    fleet.wait_app("the zone's degrees", DEVICE, "thermostat", reads("celsius", 47.25)).await?;
    let waited = wait_for("the fan's file", DEPLOY_WITHIN, async || {
        // It is emptied before it is written.
        let written = std::fs::read_to_string(&fan)?;
        Ok(if written == "47.2\n" { Ok(()) } else { Err(format!("{written:?}")) })
    });
    waited.await.with_context(|| fleet.logs())?;
    let query = LogQuery { app: Some("thermostat".into()), ..LogQuery::default() };
    let waited = wait_for("the lamp's log", DEPLOY_WITHIN, async || {
        let logs = fleet.client().logs(&query).await?.items;
        let is_set = logs.iter().any(|line| line.text == "actuator lamp set to 4");
        Ok(if is_set { Ok(()) } else { Err(format!("{logs:?}")) })
    });
    waited.await.with_context(|| fleet.logs())?;
    // Beyond the lamp's range.
    std::fs::write(&level, "60\n")?;
    fleet.wait_app("a refused value", DEVICE, "thermostat", reads("refused", -8.0)).await?;

    // What the device does not have is refused before anything is sent.
    let door = NewDeployment {
        provisions: Provisions { actuators: vec!["door".into()], ..Provisions::default() },
        ..new
    };
    let refused = fleet.client().create_deployment(&door).await?;
    let one = refused.progress.first().context("it concerns no device")?;
    let code = one.refusal.as_ref().map(|refusal| refusal.code);
    ensure!(code == Some(19) && one.detail.contains("no actuator \"door\""), "{refused:?}");
    Ok(())
}

/// By the C compiler that Zig brings; the same source is C++ where its name says so.
fn compile(fleet: &Fleet, name: &str, more: [&str; 2]) -> anyhow::Result<Vec<u8>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = fleet.data().join(name);
    std::fs::copy(workspace.join("tests/e2e/tests/every_function.c"), &source)?;
    let header = format!("-I{}", workspace.join("firmware-examples/sdk").display());
    let flags = ["-Wall", "-Wextra", "-Werror", "-Oz", "-nostdlib", &header];
    let link_flags = ["-Wl,--no-entry", "-Wl,-z,stack-size=4096"];
    let flags = [flags.as_slice(), &link_flags, &more].concat();
    let built = fleet.data().join(format!("{name}.wasm"));
    let tools = Toolchains::new(workspace.join("target/programs"));
    Ok(std::fs::read(tools.c(&source, "wasm32-freestanding", &flags, &built)?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_is_there_in_c_and_in_cpp() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = Fleet::start(Kit::for_tests()?, data.path())?;
    let options = fleet.agent_options(DeviceClass::X86_64, DEVICE).await?;
    let more_config =
        "[[actuator]]\nname = \"fan\"\nkind = \"simulated\"\nmin = -100\nmax = 100\n".to_owned();
    fleet.start_device_with(AgentOptions { more_config, ..options })?;
    fleet.wait_online(DEVICE).await?;
    for (app, file, flags) in [
        ("every-c", "every.c", ["-std=c11", "-DFIRST_NUMBER=1.5"]),
        ("every-cpp", "every.cpp", ["-std=c++17", "-DFIRST_NUMBER=2.5"]),
    ] {
        let upload = Upload::from_bytes(compile(&fleet, file, flags)?);
        let module = fleet.client().push_module(Some(app), &upload, |_, _| {}).await?.module;
        let new = NewDeployment {
            // Two synced writes each, of twenty that are allowed in a second.
            interval_ms: Some(250),
            call_ms_max: Some(60_000),
            sensors: vec!["temperature".into()],
            channels: vec!["number".into()],
            provisions: Provisions {
                config: BTreeMap::from([("unit".to_owned(), "K".to_owned())]),
                storage_bytes: Some(100),
                subscriptions: vec!["speed".into()],
                actuators: vec!["fan".into()],
                wasi: None,
            },
            ..Fleet::deployment(&module.id, DeviceSelector::All)
        };
        fleet.client().create_deployment(&new).await?;
        let has_ticked = |app: &AppStatus| app.state == "running" && app.calls >= 4;
        let status = fleet.wait_app("some ticks", DEVICE, app, has_ticked).await?;
        let mut called: Vec<String> =
            status.host_calls.iter().map(|call| call.import.clone()).collect();
        let mut all: Vec<String> = GuestCall::ALL.iter().map(|call| call.import_name()).collect();
        called.sort();
        all.sort();
        ensure!(called == all, "{called:?}");
        ensure!(status.traps == 0, "{status:?}");
        let query = LogQuery { app: Some(app.into()), ..LogQuery::default() };
        let logs = fleet.client().logs(&query).await?.items;
        let wrong = logs.iter().find(|line| line.text.starts_with("tick returned"));
        ensure!(wrong.is_none(), "{wrong:?}");
    }
    Ok(())
}
