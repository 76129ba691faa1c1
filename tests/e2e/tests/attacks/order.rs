//! Genuine documents at the wrong time: old ones, the same ones, none, and ones from far
//! ahead.

use crate::scene::{APP, DEVICE, Scene, Setting, Since, module, now_ms};
use crate::tap::{Fate, Way, encode};
use anyhow::ensure;
use device_protocol::{ClockTrust, RefusalCode, Report, Topic};
use gateway_api::{Device, DeviceSelector, GatewayKeyRole, NewGatewayKey};
use module_package::{Domain, Heartbeat, Manifest, Root, Signer, payload_of, seal, seal_root};

const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1_000;

fn is_refused(code: RefusalCode) -> impl Fn(&Report) -> bool {
    move |report| report.refused.as_ref().is_some_and(|refused| refused.code == code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollback() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let (old, _) = scene.true_manifest()?;
    scene.update(APP, "two").await?;
    let topic = Topic::Manifest(scene.device.clone());
    scene.expect_refusal(RefusalCode::Rollback, &topic, &old).await?;
    let earlier = Manifest { epoch: 0, seq: 1_000, ..scene.next_manifest()? };
    let earlier = scene.sealed_manifest(&earlier, &scene.keys.assign);
    scene.expect_refusal(RefusalCode::Rollback, &topic, &earlier).await?;
    let present = scene.true_manifest()?.1;
    let other = Manifest { apps: vec![], ..present };
    let other = scene.sealed_manifest(&other, &scene.keys.assign);
    scene.expect_refusal(RefusalCode::Equivocation, &topic, &other).await?;

    // Nor after a power cut, with the old one the first that it hears.
    let first = old.clone();
    let of_device = topic.clone();
    scene.tap.set_rule(move |way, topic, _| match topic {
        Topic::Manifest(_) if way == Way::ToDevice => {
            Fate::Instead(vec![(of_device.clone(), first.clone())])
        }
        _ => Fate::Pass,
    });
    let since = scene.since();
    scene.restart().await?;
    scene.wait_report("the refusal", since, is_refused(RefusalCode::Rollback)).await?;
    scene.check_runs(APP, "two").await?;
    scene.tap.open();
    scene.forgive().await?;

    // Going back is for the operator: a new manifest that names the old module.
    scene.deploy(APP, module("one", 0), DeviceSelector::All).await?;
    scene.wait_settled(APP, "one").await?;
    scene.update(APP, "three").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay() -> anyhow::Result<()> {
    let setting = Setting { heartbeat_s: Some(1), ..Setting::default() };
    let mut scene = Scene::start_with(setting).await?;
    let is_told = |report: &Report| report.clock == Some(ClockTrust::Heartbeat);
    scene.wait_report("the time", Since::START, is_told).await?;
    let topic = Topic::Manifest(scene.device.clone());
    let recorded = scene.tap.heard().documents.clone();

    // Everything again and again is nothing new.
    let before = scene.report()?;
    for _ in 0..20 {
        for (topic, payload) in &recorded {
            scene.say(topic, payload).await?;
        }
    }
    scene.check_runs(APP, "one").await?;
    ensure!(scene.report()?.refused.is_none(), "{:?}", scene.report()?);
    scene.check_unchanged(&before)?;

    // What was taken away does not come back.
    let (old, _) = scene.true_manifest()?;
    let since = scene.since();
    let deployments = scene.fleet.client().deployments().await?.items;
    for deployment in deployments {
        scene.fleet.client().delete_deployment(&deployment.id).await?;
    }
    scene.wait_report("nothing to run", since, |report| report.apps.is_empty()).await?;
    scene.expect_refusal(RefusalCode::Rollback, &topic, &old).await?;
    let (since, seq) = (scene.since(), scene.report()?.seq);

    // Nor at a device that has just started and hears nothing but the past: neither
    // does it learn the time from answers to questions that it asked before.
    scene.tap.isolate();
    scene.restart().await?;
    let replayed = scene.since();
    for (topic, payload) in &recorded {
        scene.say(topic, payload).await?;
    }
    scene.wait_report("the refusal", replayed, is_refused(RefusalCode::Rollback)).await?;
    let last = scene.since();
    scene.wait_report("one more report", last, |_| true).await?;
    let report = scene.report()?;
    ensure!(report.apps.is_empty() && report.seq == seq, "{report:?}");
    ensure!(report.clock == Some(ClockTrust::Unknown), "{report:?}");
    ensure!(scene.values(APP, since).is_empty(), "what was removed has run");
    scene.tap.open();
    scene.update(APP, "two").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze() -> anyhow::Result<()> {
    let setting =
        Setting { heartbeat_s: Some(1), freeze_after_ms: Some(1_000), ..Setting::default() };
    let mut scene = Scene::start_with(setting).await?;
    let is_told = |report: &Report| report.clock == Some(ClockTrust::Heartbeat);
    scene.wait_report("the time", Since::START, is_told).await?;
    let alarm = |device: &Device| device.alarms.iter().any(|alarm| alarm.kind == "frozen");
    let no_alarm = |device: &Device| device.alarms.is_empty();
    scene.fleet.wait_device("no alarm", DEVICE, no_alarm).await?;

    // The new manifest is kept back, and the rest goes on.
    scene.tap.set_rule(|_, topic, _| match topic {
        Topic::Manifest(_) => Fate::lost(),
        _ => Fate::Pass,
    });
    let since = scene.since();
    scene.deploy(APP, module("two", 0), DeviceSelector::All).await?;
    let frozen = is_refused(RefusalCode::Frozen);
    let report = scene.wait_report("the device's word", since, &frozen).await?;
    let detail = report.refused.map(|refused| refused.detail).unwrap_or_default();
    ensure!(detail.starts_with("generation "), "{detail}");
    scene.fleet.wait_device("the alarm", DEVICE, alarm).await?;
    scene.check_runs(APP, "one").await?;
    scene.tap.open();
    scene.wait_settled(APP, "two").await?;
    scene.fleet.wait_device("the end of the alarm", DEVICE, no_alarm).await?;

    // Everything is kept back from a device that has just started, and old heartbeats
    // play.
    let recorded = scene.tap.heard().documents.clone();
    let mut next = (0..).map(move |turn| recorded[turn % recorded.len()].clone());
    scene.tap.set_rule(move |way, topic, _| match (way, topic) {
        (Way::ToDevice, Topic::Manifest(_) | Topic::Heartbeat(_) | Topic::Root(_)) => {
            let old = next.find(|(topic, _)| matches!(topic, Topic::Heartbeat(_)));
            Fate::Instead(old.into_iter().collect())
        }
        _ => Fate::Pass,
    });
    scene.restart().await?;
    let since = scene.since();
    scene.deploy(APP, module("three", 0), DeviceSelector::All).await?;
    let report = scene.wait_report("the device's word", since, &frozen).await?;
    let detail = report.refused.map(|refused| refused.detail).unwrap_or_default();
    ensure!(detail.starts_with("no heartbeat"), "{detail}");
    scene.fleet.wait_device("the alarm", DEVICE, alarm).await?;
    scene.check_runs(APP, "two").await?;
    scene.tap.open();
    scene.wait_settled(APP, "three").await?;
    scene.fleet.wait_device("the end of the alarm", DEVICE, no_alarm).await?;

    // One that was kept back until it had ended is not taken any more.
    scene.wait_report("the time", scene.since(), is_told).await?;
    let ended = Manifest { not_after_ms: Some(now_ms() - 1_000), ..scene.next_manifest()? };
    let ended = scene.sealed_manifest(&ended, &scene.keys.assign);
    let topic = Topic::Manifest(scene.device.clone());
    scene.expect_refusal(RefusalCode::Expired, &topic, &ended).await?;
    scene.update(APP, "four").await
}

fn is_answer(heartbeat: &[u8]) -> bool {
    let payload = payload_of(heartbeat).unwrap_or_default();
    minicbor::decode::<Heartbeat>(&payload).is_ok_and(|heartbeat| heartbeat.nonce.is_some())
}

/// Whoever has stolen the assign key uses up the numbers, and the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fast_forward() -> anyhow::Result<()> {
    let setting = Setting { heartbeat_s: Some(1), ..Setting::default() };
    let mut scene = Scene::start_with(setting).await?;
    let is_told = |report: &Report| report.clock == Some(ClockTrust::Heartbeat);
    let told = scene.wait_report("the time", Since::START, is_told).await?.uptime_ms;
    // The gateway answers one question a second, and the device asks again after ten.
    let may_ask = |report: &Report| report.uptime_ms > told + 1_500;
    scene.wait_report("a time to ask again", Since::START, may_ask).await?;
    let topic = Topic::Manifest(scene.device.clone());
    let assign = &scene.keys.assign;

    // An epoch that no root document has.
    let far = Manifest { epoch: u32::MAX, ..scene.next_manifest()? };
    let far = scene.sealed_manifest(&far, assign);
    scene.expect_refusal(RefusalCode::Inconsistent, &topic, &far).await?;

    // A time ten years ahead, by which every honest manifest has ended: the device
    // doubts it, asks, and goes on by the answer. Heartbeats that would make it doubt
    // sooner are kept back.
    scene.tap.set_rule(|_, topic, payload| match topic {
        Topic::Heartbeat(_) if !is_answer(payload) => Fate::lost(),
        _ => Fate::Pass,
    });
    let heartbeat = Heartbeat {
        version: module_package::DOCUMENT_VERSION,
        device: scene.device.clone(),
        time_ms: now_ms() + 10 * YEAR_MS,
        epoch: 1,
        seq: 1,
        manifest: None,
        root_version: 1,
        nonce: None,
    };
    let heartbeat = seal(Domain::Heartbeat, encode(&heartbeat), &scene.keys.assign);
    scene.say(&Topic::Heartbeat(scene.device.clone()), &heartbeat).await?;
    let since = scene.since();
    scene.deploy(APP, module("two", 0), DeviceSelector::All).await?;
    scene.wait_report("the refusal", since, is_refused(RefusalCode::Expired)).await?;
    scene.wait_settled(APP, "two").await?;
    scene.tap.open();

    // The last number that there is: the gateway has none above it.
    let last = Manifest { seq: u64::MAX, ..scene.next_manifest()? };
    let since = scene.since();
    scene.say_manifest(&scene.sealed_manifest(&last, &scene.keys.assign)).await?;
    scene.wait_report("the last number", since, |report| report.seq == u64::MAX).await?;
    scene.deploy(APP, module("three", 0), DeviceSelector::All).await?;
    scene.wait_report("a refusal", since, is_refused(RefusalCode::Rollback)).await?;
    scene.check_runs(APP, "two").await?;

    // A new epoch, with another assign key, leads back.
    let new = NewGatewayKey { role: GatewayKeyRole::Assign };
    scene.fleet.client().create_gateway_key(&new).await?;
    let root = scene.root().await?;
    let next = Root {
        root_version: root.root_version + 1,
        epoch: root.epoch + 1,
        assign_keys: vec![scene.key("assign-2.key")?.public_key()],
        revoked: vec![scene.keys.assign.public_key().id()],
        ..root
    };
    scene.fleet.client().publish_root(seal_root(&next, &[&scene.keys.root])).await?;
    scene.wait_settled(APP, "three").await?;
    let report = scene.report()?;
    ensure!(report.epoch == next.epoch && report.seq < 100, "{report:?}");

    // The stolen key is of no use any more.
    let again = Manifest { seq: u64::MAX, ..scene.next_manifest()? };
    let again = scene.sealed_manifest(&again, &scene.keys.assign);
    scene.expect_refusal(RefusalCode::RevokedKey, &topic, &again).await?;
    scene.update(APP, "four").await
}
