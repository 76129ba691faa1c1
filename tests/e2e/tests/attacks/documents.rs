//! Documents that are not by whom they have to be, or not for whom they are played to.

use crate::scene::{APP, SOON, Scene, module};
use crate::tap::{Fate, blocks_of, encode};
use anyhow::{Context, ensure};
use device_protocol::{AppState, Block, RefusalCode, Report, Topic};
use gateway_api::DeviceSelector;
use harness::wait_until;
use module_package::{AppEntry, BlobId, DeviceId, Domain, Manifest, Release, seal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arbitrary_software() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let evil = scene.compile(&module("evil", 0), "x86_64-linux")?;
    let release = scene.release_like(&evil)?;
    let sealed_by = |key| seal(Domain::Release, encode(&release), key);
    scene.tap.serve(BlobId::of(&evil), evil.clone());

    // Without a key: manifests that list it.
    let manifest = scene.next_manifest()?;
    let topic = Topic::Manifest(scene.device.clone());
    let mut changed = scene.true_manifest()?.0;
    let last = changed.len() - 1;
    changed[last] ^= 1;
    for (code, sealed) in [
        (RefusalCode::UnknownKey, scene.sealed_manifest(&manifest, &scene.keys.stranger)),
        (RefusalCode::WrongRole, scene.sealed_manifest(&manifest, &scene.keys.release)),
        (RefusalCode::BadSignature, changed),
        (RefusalCode::BadSignature, seal(Domain::Heartbeat, encode(&manifest), &scene.keys.assign)),
        (RefusalCode::Malformed, b"run this".to_vec()),
    ] {
        scene.expect_refusal(code, &topic, &sealed).await?;
    }

    // With the assign key: what the manifest lists is not signed by a release key.
    scene.tap.isolate();
    let (mut genuine, _) = scene.true_release(APP)?;
    let last = genuine.len() - 1;
    genuine[last] ^= 1;
    for (code, sealed) in [
        (RefusalCode::UnknownKey, sealed_by(&scene.keys.stranger)),
        (RefusalCode::WrongRole, sealed_by(&scene.keys.assign)),
        (RefusalCode::BadSignature, genuine),
        (RefusalCode::BadSignature, seal(Domain::Module, encode(&release), &scene.keys.release)),
        (RefusalCode::Malformed, evil.clone()),
    ] {
        scene.expect_app_refusal(code, scene.offer(sealed)?, "one").await?;
    }
    scene.tap.open();
    scene.wait_settled(APP, "one").await?;

    // On the wire: other blocks in place of those of an update.
    let blocks: Vec<Vec<u8>> = blocks_of(&evil).map(|block| encode(&block)).collect();
    scene.tap.set_rule(move |_, topic, payload| match topic {
        Topic::Blob(_) | Topic::OwnBlob(..) if is_of_artifact(payload) => {
            Fate::Instead(blocks.iter().map(|block| (topic.clone(), block.clone())).collect())
        }
        _ => Fate::Pass,
    });
    let since = scene.since();
    scene.deploy(APP, module("two", 0), DeviceSelector::All).await?;
    let is_refused = |report: &Report| {
        report.refused.as_ref().is_some_and(|refused| refused.code == RefusalCode::WrongHash)
    };
    scene.wait_report("the refusal of the blocks", since, is_refused).await?;
    scene.check_runs(APP, "one").await?;
    scene.tap.open();
    scene.wait_settled(APP, "two").await?;
    scene.check_never_ran("evil")
}

/// Releases are COSE, and artifacts are not.
fn is_of_artifact(block: &[u8]) -> bool {
    let block: Result<Block, _> = minicbor::decode(block);
    block.is_ok_and(|block| block.unpack().is_ok_and(|bytes| bytes.starts_with(b"\0aot")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_device() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let neighbour = scene.add_neighbour("neighbour").await?;
    let only = DeviceSelector::These(vec![neighbour.to_string()]);
    scene.deploy(APP, module("for the neighbour", 0), only).await?;
    let of_neighbour = |scene: &Scene| {
        let heard = scene.tap.heard();
        let mut values = heard.values.iter();
        values.any(|(device, _, value)| *device == neighbour && value == "for the neighbour")
    };
    wait_until("the neighbour's own update", SOON, async || Ok(of_neighbour(&scene))).await?;

    // Genuine, accepted by the one, and newer than what the other has.
    let its_topic = Topic::Manifest(neighbour.clone());
    let (sealed, manifest) = scene.true_manifests(&its_topic)?.pop().context("its manifest")?;
    ensure!(manifest.seq > scene.report()?.seq, "it would be refused for its age");
    let heartbeat = {
        let heard = scene.tap.heard();
        let mut of_neighbour = heard.documents.iter();
        let its = of_neighbour.find(|(topic, _)| *topic == Topic::Heartbeat(neighbour.clone()));
        its.context("its heartbeat")?.1.clone()
    };
    let topic = Topic::Manifest(scene.device.clone());
    scene.expect_refusal(RefusalCode::WrongDevice, &topic, &sealed).await?;
    let topic = Topic::Heartbeat(scene.device.clone());
    scene.expect_refusal(RefusalCode::WrongDevice, &topic, &heartbeat).await?;

    // Under the neighbour's own topic it is nothing to this device.
    let before = scene.report()?;
    scene.say(&its_topic, &sealed).await?;
    scene.check_runs(APP, "one").await?;
    scene.check_unchanged(&before)?;

    // A device that pretends to be two of them: signed for a third.
    let third = DeviceId::of_key(&[9; 32]);
    let manifest = Manifest { device: third, ..scene.next_manifest()? };
    let sealed = scene.sealed_manifest(&manifest, &scene.keys.assign);
    let topic = Topic::Manifest(scene.device.clone());
    scene.expect_refusal(RefusalCode::WrongDevice, &topic, &sealed).await?;
    scene.update(APP, "two").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_arch() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let two = module("two", 0);
    let [native, arm, riscv] = [
        scene.compile(&two, "x86_64-linux")?,
        scene.compile(&two, "aarch64-linux")?,
        scene.compile(&two, "riscv64-linux")?,
    ];
    for artifact in [&native, &arm, &riscv] {
        scene.tap.serve(BlobId::of(artifact), artifact.clone());
    }
    let change = |artifact: &[u8], change: &dyn Fn(&mut Release)| {
        let mut release = scene.release_like(artifact)?;
        change(&mut release);
        anyhow::Ok(release)
    };
    let releases = [
        (RefusalCode::WrongTarget, change(&arm, &|of| of.target.id = "aarch64-linux".into())?),
        (RefusalCode::WrongTarget, change(&riscv, &|of| of.target.id = "riscv64-linux".into())?),
        (
            RefusalCode::WrongTarget,
            change(&native, &|of| of.target.bounds_checks = "software".into())?,
        ),
        (RefusalCode::WrongTarget, change(&native, &|of| of.target.aot_version += 1)?),
        (
            RefusalCode::WrongTarget,
            change(&native, &|of| of.target.cpu_features = vec!["x".into()])?,
        ),
        (
            RefusalCode::UnknownImport,
            change(&native, &|of| of.imports = vec!["farrier.fly".into()])?,
        ),
        // A release key that lies: only the worker sees what is in the artifact.
        (RefusalCode::WrongTarget, change(&arm, &|_| ())?),
        (RefusalCode::WrongTarget, change(&riscv, &|_| ())?),
    ];
    scene.tap.isolate();
    for (code, release) in releases {
        let sealed = seal(Domain::Release, encode(&release), &scene.keys.release);
        scene.expect_app_refusal(code, scene.offer(sealed)?, "one").await?;
    }
    scene.check_never_ran("two")?;

    // The same by the same hand, for this device: what was refused was the target.
    let release = change(&native, &|_| ())?;
    let sealed = seal(Domain::Release, encode(&release), &scene.keys.release);
    let manifest = Manifest { apps: vec![scene.offer(sealed)?], ..scene.next_manifest()? };
    scene.say_manifest(&scene.sealed_manifest(&manifest, &scene.keys.assign)).await?;
    scene.wait_settled(APP, "two").await?;
    scene.tap.open();
    scene.wait_settled(APP, "one").await?;
    scene.update(APP, "three").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mix_and_match() -> anyhow::Result<()> {
    const LAMP: &str = "lamp";
    let mut scene = Scene::start().await?;
    scene.update(LAMP, "dark").await?;
    let (old_release, release) = scene.true_release(APP)?;
    let old_artifact = std::fs::read(scene.stored(release.artifact.into()))?;

    // Genuine bytes of the old version in place of the new one's: of the release, and
    // of the artifact.
    for is_release in [true, false] {
        let old = if is_release { old_release.clone() } else { old_artifact.clone() };
        let mark = if is_release { "two" } else { "three" };
        let serving = if is_release { "one" } else { "two" };
        let blocks: Vec<Vec<u8>> = blocks_of(&old).map(|block| encode(&block)).collect();
        scene.tap.set_rule(move |_, topic, payload| match topic {
            Topic::Blob(_) | Topic::OwnBlob(..) if is_of_artifact(payload) != is_release => {
                Fate::Instead(blocks.iter().map(|block| (topic.clone(), block.clone())).collect())
            }
            _ => Fate::Pass,
        });
        let since = scene.since();
        scene.deploy(APP, module(mark, 0), DeviceSelector::All).await?;
        let is_refused = |report: &Report| {
            report.refused.as_ref().is_some_and(|refused| refused.code == RefusalCode::WrongHash)
        };
        scene.wait_report("the refusal of the blocks", since, is_refused).await?;
        scene.check_runs(APP, serving).await?;
        scene.check_never_ran(mark)?;
        scene.tap.open();
        scene.wait_settled(APP, mark).await?;
        scene.forgive().await?;
    }

    // One application's release under another's name.
    scene.tap.isolate();
    let (_, manifest) = scene.true_manifest()?;
    let lamp = manifest.apps.iter().find(|entry| entry.app == LAMP).context("the lamp")?;
    let swapped = AppEntry { app: APP.into(), ..lamp.clone() };
    scene.expect_app_refusal(RefusalCode::Inconsistent, swapped, "three").await?;
    scene.tap.open();
    scene.wait_settled(APP, "three").await?;

    // Half of a set: while one of two cannot be fetched, the other stays as it was.
    let set = [(APP, module("four", 0)), (LAMP, module("bright", 0))];
    let (sealed, manifest) = scene.deploy_set(&set).await?;
    let lamp = manifest.apps.iter().find(|entry| entry.app == LAMP).context("the lamp")?.release;
    scene.tap.set_rule(move |_, topic, _| match topic {
        Topic::Manifest(_) => Fate::lost(),
        Topic::Blob(blob) | Topic::OwnBlob(_, blob) if *blob == lamp.into() => Fate::lost(),
        _ => Fate::Pass,
    });
    let since = scene.since();
    scene.say_manifest(&sealed).await?;
    let is_half = |report: &Report| {
        let state = |app: &str| report.apps.iter().find(|of| of.app == app).map(|of| of.state);
        (state(APP), state(LAMP)) == (Some(AppState::Starting), Some(AppState::Fetching))
    };
    scene.wait_report("one of the two staged", since, is_half).await?;
    for _ in 0..3 {
        scene.check_runs(APP, "three").await?;
        scene.check_runs(LAMP, "dark").await?;
    }
    scene.tap.open();
    scene.wait_settled(APP, "four").await?;
    scene.wait_settled(LAMP, "bright").await
}
