//! A broker that drops, repeats, reorders, forges, mixes up and keeps old messages for
//! later. No device runs anything that it should not, and the fleet converges as soon
//! as the broker is honest.

use crate::identity::Identity;
use crate::middle::{Message, Middle};
use crate::{FILTER, VICTIM};
use anyhow::{Context, ensure};
use device_protocol::{Block, RefusalCode, Topic};
use ed25519_dalek::SigningKey;
use gateway_api::{AppStatus, Device, DeviceSelector};
use harness::{DeviceClass, Fleet};
use module_package::{DeviceId, Domain, seal};

const OTHER: &str = "other";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malicious_broker() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let (mut fleet, middle) = Middle::start(data.path()).await?;
    fleet.add_device(DeviceClass::X86_64).await?;
    let options = fleet.agent_options(DeviceClass::X86_64, OTHER).await?;
    fleet.start_device_with(options)?;
    fleet.wait_online(OTHER).await?;
    fleet.deploy_filter().await?;
    fleet.wait_running(OTHER, FILTER, 1).await?;
    // Another generation, so that there is an older one.
    deploy_again(&mut fleet, 90).await?;
    converged(&mut fleet, 1).await?;
    let victim: DeviceId = fleet.client().device(VICTIM).await?.id.parse()?;
    let other = fleet.agent(OTHER)?.store();
    let other = Identity::read(&other)?;

    let before = fleet.status(VICTIM, FILTER).await?;
    false_manifests(&mut fleet, &middle, &victim, &other).await?;
    fleet.check_filter_went_on(&before).await?;

    drops_and_false_blocks(&mut fleet, &middle, &victim, &before).await?;
    repeats_and_reorders(&mut fleet, &middle, &victim).await?;
    old_manifest_after_a_start(&mut fleet, &middle, &victim).await?;

    middle.be_honest();
    deploy_again(&mut fleet, 80).await?;
    converged(&mut fleet, 2).await?;
    let device = fleet.client().device(VICTIM).await?;
    ensure!(device.refusal.is_none(), "{device:?}");
    Ok(())
}

/// The newest version of the filter, for all, under a new generation.
async fn deploy_again(fleet: &mut Fleet, interval_ms: u32) -> anyhow::Result<()> {
    let new = gateway_api::NewDeployment {
        interval_ms: Some(interval_ms),
        ..Fleet::filter_deployment(FILTER, DeviceSelector::All)
    };
    fleet.client().create_deployment(&new).await?;
    Ok(())
}

/// Both devices have the newest generation, and run that version.
async fn converged(fleet: &mut Fleet, version: u32) -> anyhow::Result<()> {
    for name in [VICTIM, OTHER] {
        let has_newest = |device: &Device| device.generation == device.generation_wanted;
        fleet.wait_device("the newest generation", name, has_newest).await?;
        fleet.wait_running(name, FILTER, version).await?;
    }
    Ok(())
}

fn manifests_of(middle: &Middle, device: &DeviceId) -> Vec<Vec<u8>> {
    let topic = Topic::Manifest(device.clone());
    let down = middle.down().into_iter();
    down.filter(|(of, _)| *of == topic).map(|(_, sealed)| sealed).collect()
}

/// Manifests of others, old ones, and forged ones, each refused by its number.
async fn false_manifests(
    fleet: &mut Fleet,
    middle: &Middle,
    victim: &DeviceId,
    other: &Identity,
) -> anyhow::Result<()> {
    let generation = fleet.client().device(VICTIM).await?.generation;
    let own = manifests_of(middle, victim);
    let (oldest, newest) = (own.first().context("an old one")?, own.last().context("a new one")?);
    ensure!(oldest != newest, "there is one generation only");
    let of_other = manifests_of(middle, &other.device).pop().context("another's")?;
    let mut flipped = newest.clone();
    let middle_byte = flipped.len() / 2;
    flipped[middle_byte] ^= 1;
    let stranger = SigningKey::from_bytes(&[7; 32]);
    let attempts = [
        (RefusalCode::WrongDevice, of_other),
        (RefusalCode::Rollback, oldest.clone()),
        (RefusalCode::BadSignature, flipped),
        (RefusalCode::UnknownKey, seal(Domain::Manifest, newest.clone(), &other.key)),
        (RefusalCode::UnknownKey, seal(Domain::Manifest, newest.clone(), &stranger)),
    ];
    let topic = Topic::Manifest(victim.clone());
    for (code, sealed) in attempts {
        middle.tell_devices(&topic, sealed).await?;
        let is_refused = |device: &Device| {
            device.refusal.as_ref().is_some_and(|refusal| refusal.code == code.number())
        };
        let what = format!("refusal {}", code.number());
        let device = fleet.wait_device(&what, VICTIM, is_refused).await?;
        ensure!(device.generation == generation, "{what} moved the device: {device:?}");
        // The genuine one is a repeat, and takes the refusal away.
        middle.tell_devices(&topic, newest.clone()).await?;
        let is_well = |device: &Device| device.refusal.is_none();
        fleet.wait_device("the end of the refusal", VICTIM, is_well).await?;
    }
    Ok(())
}

/// A version that the broker keeps from the victim, and then gives it with changed
/// blocks: it goes on with the one that it has.
async fn drops_and_false_blocks(
    fleet: &mut Fleet,
    middle: &Middle,
    victim: &DeviceId,
    before: &AppStatus,
) -> anyhow::Result<()> {
    let dropped = victim.clone();
    middle.play(move |message| match &message.0 {
        Topic::Manifest(of) if *of == dropped => vec![],
        _ => vec![message],
    });
    fleet.push(FILTER, "sensor-filter-wide.wasm").await?;
    deploy_again(fleet, 90).await?;
    fleet.wait_running(OTHER, FILTER, 2).await?;
    let device = fleet.client().device(VICTIM).await?;
    ensure!(device.generation < device.generation_wanted, "{device:?}");
    ensure!(fleet.status(VICTIM, FILTER).await?.version == 1);
    fleet.check_filter_went_on(before).await?;

    middle.play(|(topic, payload)| match &topic {
        Topic::Blob(_) | Topic::OwnBlob(..) => vec![(topic, change_block(&payload))],
        _ => vec![(topic, payload)],
    });
    let newest = manifests_of(middle, victim).pop().context("the one that was dropped")?;
    middle.tell_devices(&Topic::Manifest(victim.clone()), newest).await?;
    let wrong_hash = RefusalCode::WrongHash.number();
    let is_refused =
        |device: &Device| device.refusal.as_ref().is_some_and(|refusal| refusal.code == wrong_hash);
    fleet.wait_device("the refusal of the blocks", VICTIM, is_refused).await?;
    let fetching = fleet.status(VICTIM, FILTER).await?;
    ensure!(fetching.state == "fetching", "{fetching:?}");
    let went_on = |app: &AppStatus| app.calls > fetching.calls;
    let after = fleet.wait_app("ticks of version 1", VICTIM, FILTER, went_on).await?;
    ensure!(after.restarts == before.restarts && after.state == "fetching", "{after:?}");
    Ok(())
}

fn change_block(payload: &[u8]) -> Vec<u8> {
    let Ok(mut block) = minicbor::decode::<Block>(payload) else { return payload.to_vec() };
    let middle_byte = block.bytes.len() / 2;
    if let Some(byte) = block.bytes.get_mut(middle_byte) {
        *byte ^= 0x55;
    }
    minicbor::to_vec(block).expect("a block can be encoded")
}

/// Every message comes twice, and after it the one before again: all of it is genuine,
/// and the victim gets where it should.
async fn repeats_and_reorders(
    fleet: &mut Fleet,
    middle: &Middle,
    victim: &DeviceId,
) -> anyhow::Result<()> {
    let mut last: Option<Message> = None;
    middle.play(move |message| {
        let earlier = last.replace(message.clone());
        [Some(message.clone()), Some(message), earlier].into_iter().flatten().collect()
    });
    fleet.wait_running(VICTIM, FILTER, 2).await?;
    // All of its manifests, in the order in which they make least sense.
    let topic = Topic::Manifest(victim.clone());
    for sealed in manifests_of(middle, victim).into_iter().rev() {
        middle.tell_devices(&topic, sealed).await?;
    }
    converged(fleet, 2).await
}

/// The broker has kept the first manifest for the moment at which the device starts
/// and knows least.
async fn old_manifest_after_a_start(
    fleet: &mut Fleet,
    middle: &Middle,
    victim: &DeviceId,
) -> anyhow::Result<()> {
    let newest = fleet.client().device(VICTIM).await?.generation;
    let boot = fleet.status(VICTIM, FILTER).await?.report_boot_id;
    let oldest = manifests_of(middle, victim).into_iter().next().context("an old one")?;
    middle.play(|(topic, payload)| match &topic {
        Topic::Manifest(_) => vec![],
        _ => vec![(topic, payload)],
    });
    middle.tell_devices(&Topic::Manifest(victim.clone()), oldest).await?;
    fleet.restart_agent(VICTIM)?;
    let rollback = RefusalCode::Rollback.number();
    let runs = |app: &AppStatus| {
        app.state == "running" && app.report_boot_id != boot && app.version == 2 && app.calls > 0
    };
    fleet.wait_app("version 2 after the start", VICTIM, FILTER, runs).await?;
    let is_refused =
        |device: &Device| device.refusal.as_ref().is_some_and(|refusal| refusal.code == rollback);
    let device = fleet.wait_device("the refusal of the old one", VICTIM, is_refused).await?;
    ensure!(device.generation == newest, "{device:?}");
    Ok(())
}
