//! What a malicious broker, wire or disk can try on a device. Each attempt is
//! refused by number, and the module that runs goes on running.

use anyhow::{Context, ensure};
use coset::CborSerializable;
use device_protocol::{AppState, Block, RefusalCode, Report, Topic};
use ed25519_dalek::SigningKey;
use embedded_broker::{AccessControl, Broker, BrokerConfig, Limits, Login, LoginFuture, Who};
use gateway_api::{AppStatus, Device, DeviceSelector};
use harness::{DeviceClass, Fleet, Forwarder, GatewayOptions, Kit, Route, wait_for};
use module_package::{ArtifactId, BLOCK_BYTES, DeviceId, Domain, Manifest, seal};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const DEVICE: &str = "demo-x86-64";
const SOON: Duration = Duration::from_secs(60);

/// A device whose way to the broker is in our hands, running the filter.
async fn fleet_behind_forwarder(
    data: &Path,
    compress_blocks: bool,
) -> anyhow::Result<(Fleet, Forwarder)> {
    let forwarder = Forwarder::start().await?;
    let options = GatewayOptions {
        mqtt_advertise: Some(forwarder.address()),
        compress_blocks: Some(compress_blocks),
        ..GatewayOptions::new(data)
    };
    let mut fleet = Fleet::start_with(Kit::for_tests()?, options)?;
    forwarder.set_route(Route::To(fleet.gateway().mqtt()));
    fleet.add_device(DeviceClass::X86_64).await?;
    fleet.deploy_filter().await?;
    Ok((fleet, forwarder))
}

/// Lets everyone in and everything through.
struct Anyone;

impl AccessControl for Anyone {
    fn authenticate<'a>(&'a self, _: &'a str, _: &'a [u8]) -> LoginFuture<'a> {
        Box::pin(async { Login::Allowed })
    }

    fn may_publish(&self, _: &Who, _: &str) -> bool {
        true
    }

    fn may_retain(&self, _: &Who, _: &str) -> bool {
        true
    }

    fn may_subscribe(&self, _: &Who, _: &str) -> bool {
        true
    }
}

/// A broker of the attacker, with his client on it.
struct MaliciousBroker {
    broker: Broker,
    client: AsyncClient,
    reports: watch::Receiver<Option<Report>>,
}

impl MaliciousBroker {
    async fn start() -> anyhow::Result<Self> {
        let listen = ([127, 0, 0, 1], 0).into();
        let config = BrokerConfig { listen, limits: Limits::default() };
        let broker = Broker::start(config, Arc::new(Anyone)).await?;
        let address = broker.local_addr();
        let mut options = MqttOptions::new("attacker", address.ip().to_string(), address.port());
        options.set_credentials("attacker", "anything").set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 16);
        let (send, reports) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Packet::Publish(message)) = event
                    && let Some(report) = read_report(&message.payload)
                {
                    send.send_replace(Some(report));
                }
            }
        });
        client.subscribe(device_protocol::up_filter(), QoS::AtLeastOnce).await?;
        Ok(Self { broker, client, reports })
    }

    /// Puts a manifest where the device will read it.
    async fn plant(&self, device: &DeviceId, sealed: Vec<u8>) -> anyhow::Result<()> {
        let topic = Topic::Manifest(device.clone()).to_string();
        Ok(self.client.publish(topic, QoS::AtLeastOnce, true, sealed).await?)
    }

    async fn wait_report(
        &self,
        what: &str,
        is_wanted: impl Fn(&Report) -> bool,
    ) -> anyhow::Result<Report> {
        let reports = self.reports.clone();
        wait_for(what, SOON, async || {
            let last = reports.borrow().clone();
            Ok(match last {
                Some(report) if is_wanted(&report) => Ok(report),
                other => Err(format!("{other:?}")),
            })
        })
        .await
    }
}

/// Reads a report without checking who signed it: that is the gateway's job.
fn read_report(sealed: &[u8]) -> Option<Report> {
    let payload = coset::CoseSign1::from_slice(sealed).ok()?.payload?;
    minicbor::decode(&payload).ok()
}

fn key_of_gateway(fleet: &Fleet, name: &str) -> anyhow::Result<SigningKey> {
    let path = find_file(fleet.data(), name).with_context(|| format!("no file {name}"))?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(std::fs::read_to_string(path)?.trim(), &mut bytes)?;
    Ok(SigningKey::from_bytes(&bytes))
}

fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => find_file(&path, name),
            false => (entry.file_name() == name).then_some(path),
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_strange_old_and_misdirected_manifests_are_refused_by_number() -> anyhow::Result<()>
{
    let data = tempfile::tempdir()?;
    let (mut fleet, forwarder) = fleet_behind_forwarder(data.path(), true).await?;
    let device = fleet.client().device(DEVICE).await?;
    let id: DeviceId = device.id.parse()?;
    let before = fleet.status(DEVICE, "sensor-filter").await?;
    let assign = key_of_gateway(&fleet, "assign.key")?;
    let release = key_of_gateway(&fleet, "release.key")?;
    let stranger = SigningKey::from_bytes(&[7; 32]);

    let manifest = |seq: u64, device: &DeviceId| Manifest {
        version: 1,
        epoch: 1,
        seq,
        device: device.clone(),
        issued_at_ms: 0,
        not_after_ms: None,
        apps: vec![],
    };
    let sealed = |manifest: &Manifest, key: &SigningKey, domain: Domain| {
        seal(domain, minicbor::to_vec(manifest).expect("a manifest can be encoded"), key)
    };
    let next = manifest(device.generation + 1, &id);
    let mut forged = sealed(&next, &assign, Domain::Manifest);
    *forged.last_mut().context("a signature")? ^= 1;
    let other = DeviceId::of_key(&[9; 32]);
    let attempts = [
        (RefusalCode::UnknownKey, sealed(&next, &stranger, Domain::Manifest)),
        (RefusalCode::WrongRole, sealed(&next, &release, Domain::Manifest)),
        (RefusalCode::BadSignature, forged),
        (RefusalCode::BadSignature, sealed(&next, &assign, Domain::Release)),
        (RefusalCode::WrongDevice, sealed(&manifest(99, &other), &assign, Domain::Manifest)),
        (
            RefusalCode::Rollback,
            sealed(&manifest(device.generation - 1, &id), &assign, Domain::Manifest),
        ),
        (
            RefusalCode::Equivocation,
            sealed(&manifest(device.generation, &id), &assign, Domain::Manifest),
        ),
        (RefusalCode::Malformed, b"hello".to_vec()),
        (RefusalCode::TooLong, vec![0; 17 * 1024]),
    ];

    let malicious = MaliciousBroker::start().await?;
    forwarder.set_route(Route::To(malicious.broker.local_addr()));
    malicious.wait_report("a report to the attacker", |_| true).await?;
    for (code, sealed) in attempts {
        malicious.plant(&id, sealed).await?;
        let what = format!("refusal {}", code.number());
        let is_refused = |report: &Report| report.refused.as_ref().is_some_and(|r| r.code == code);
        let refused =
            malicious.wait_report(&what, is_refused).await.with_context(|| fleet.logs())?;
        ensure!(refused.seq == device.generation, "{what} moved the device to {}", refused.seq);
        let calls = |report: &Report| report.apps.first().map_or(0, |app| app.calls);
        let went_on = |report: &Report| calls(report) > calls(&refused);
        let after = malicious.wait_report("the module's next ticks", went_on).await?;
        ensure!(after.apps[0].state == AppState::Running, "{what}: {after:?}");
    }

    // Home again: the true manifest is a repeat, and clears the refusal.
    forwarder.set_route(Route::To(fleet.gateway().mqtt()));
    fleet
        .wait_device("the device's return", DEVICE, |device| {
            device.refusal.is_none() && device.apps.iter().any(|app| app.calls > before.calls)
        })
        .await?;
    fleet.check_filter_went_on(&before).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artifact_changed_on_the_wire_never_runs_and_is_fetched_again() -> anyhow::Result<()> {
    change_on_the_wire(false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_artifact_changed_on_the_wire_never_runs_and_is_fetched_again()
-> anyhow::Result<()> {
    change_on_the_wire(true).await
}

/// Changes a few bytes in the middle of a block on each way to the device, as the
/// gateway sends it: compressed or not.
async fn change_on_the_wire(compress_blocks: bool) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let (mut fleet, forwarder) = fleet_behind_forwarder(data.path(), compress_blocks).await?;
    let before = fleet.status(DEVICE, "sensor-filter").await?;
    let artifact = compile_wide_filter(&mut fleet, data.path())?;
    let sent = first_block_sent(&artifact, compress_blocks)?;
    let part: Arc<[u8]> = sent[sent.len() / 2..][..24].into();
    let changed: Arc<[u8]> = part.iter().map(|byte| byte ^ 0x55).collect();
    forwarder.set_route(Route::Changing(fleet.gateway().mqtt(), part, changed));

    fleet.push("sensor-filter", "sensor-filter-wide.wasm").await?;
    let new = Fleet::filter_deployment("sensor-filter", DeviceSelector::All);
    fleet.client().create_deployment(&new).await?;
    let wrong_hash = RefusalCode::WrongHash.number();
    let is_refused =
        |device: &Device| device.refusal.as_ref().is_some_and(|refusal| refusal.code == wrong_hash);
    fleet.wait_device("the refusal", DEVICE, is_refused).await?;
    ensure!(forwarder.changed() > 0, "the device refused a block that was not changed");
    let refused = fleet.status(DEVICE, "sensor-filter").await?;
    ensure!(refused.version == 2 && refused.state == "fetching", "{refused:?}");
    // The figures are those of version 1, which goes on.
    let ticks = |app: &AppStatus| app.calls > refused.calls;
    let went_on = fleet.wait_app("ticks of version 1", DEVICE, "sensor-filter", ticks).await?;
    ensure!(went_on.restarts == before.restarts && went_on.state == "fetching", "{went_on:?}");

    forwarder.set_route(Route::To(fleet.gateway().mqtt()));
    let running = fleet.wait_running(DEVICE, "sensor-filter", 2).await?;
    let compiled = ArtifactId::of(&artifact).to_string();
    ensure!(running.artifact.as_ref() == Some(&compiled), "not {compiled}: {running:?}");
    Ok(())
}

/// The bytes in the gateway's message for the artifact's first block.
fn first_block_sent(artifact: &[u8], compress_blocks: bool) -> anyhow::Result<Vec<u8>> {
    let bytes = artifact[..artifact.len().min(BLOCK_BYTES as usize)].to_vec();
    if !compress_blocks {
        return Ok(bytes);
    }
    let block = Block::packed(0, artifact.len() as u64, bytes);
    ensure!(block.compression.is_some(), "the artifact is not worth compressing");
    Ok(block.bytes)
}

/// The same bytes that the gateway compiles: the compiler is deterministic.
fn compile_wide_filter(fleet: &mut Fleet, folder: &Path) -> anyhow::Result<Vec<u8>> {
    let output = folder.join("wide.aot");
    let module = fleet.kit.module("sensor-filter-wide.wasm");
    let mut command = fleet.farrier();
    command.arg("compile").arg(module).args(["--target", "x86_64-linux", "-o"]).arg(&output);
    let result = command.output()?;
    ensure!(result.status.success(), "{result:?}");
    Ok(std::fs::read(output)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artifact_changed_on_the_devices_disk_is_not_run_and_is_fetched_again()
-> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let (mut fleet, forwarder) = fleet_behind_forwarder(data.path(), true).await?;
    let before = fleet.status(DEVICE, "sensor-filter").await?;
    let artifact = before.artifact.clone().context("the artifact's id is reported")?;
    let file = find_file(&fleet.agent(DEVICE)?.store(), &artifact)
        .with_context(|| format!("no file {artifact} in the store"))?;
    let good = std::fs::read(&file)?;
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&file, &bad)?;

    // Bytes on the disk are nothing to a worker that runs.
    fleet.check_filter_went_on(&before).await?;

    // A new worker would get them: with the plug pulled there is nothing to run.
    forwarder.set_route(Route::Cut);
    fleet.restart_agent(DEVICE)?;
    wait_for("the agent's word about the damage", SOON, async || {
        let log = fleet.agent(DEVICE)?.log_tail();
        Ok(if log.contains("refusal 17") && log.contains(&artifact) { Ok(()) } else { Err(log) })
    })
    .await?;

    forwarder.set_route(Route::To(fleet.gateway().mqtt()));
    let runs_again = |app: &AppStatus| {
        app.state == "running" && app.report_boot_id != before.report_boot_id && app.calls > 0
    };
    fleet.wait_app("the new start", DEVICE, "sensor-filter", runs_again).await?;
    ensure!(std::fs::read(&file)? == good, "the artifact on the disk is whole again");
    Ok(())
}
