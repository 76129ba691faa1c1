//! Stolen keys, and how they are taken away from all devices.

use crate::scene::{APP, Scene, module};
use crate::tap::encode;
use anyhow::{Context, ensure};
use device_protocol::{RefusalCode, Topic};
use gateway_api::{GatewayKeyRole, NewGatewayKey};
use module_package::{
    BlobId, DOCUMENT_VERSION, Domain, Floor, Heartbeat, Manifest, Root, Signer, seal, seal_root,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_compromise() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let (_, first) = scene.true_manifest()?;
    let (first_release, _) = scene.true_release(APP)?;
    scene.update(APP, "two").await?;

    // With both keys the thief's module runs: that is what a stolen key means.
    let evil = scene.compile(&module("evil", 0), "x86_64-linux")?;
    scene.tap.serve(BlobId::of(&evil), evil.clone());
    let release = scene.release_like(&evil)?;
    let stolen = seal(Domain::Release, encode(&release), &scene.keys.release);
    let theft = scene.offer(stolen.clone())?;
    scene.tap.isolate();
    let manifest = Manifest { apps: vec![theft.clone()], ..scene.next_manifest()? };
    scene.say_manifest(&scene.sealed_manifest(&manifest, &scene.keys.assign)).await?;
    scene.wait_settled(APP, "evil").await?;

    // A root document of the thief's own takes no device away from the owner.
    let root = scene.root().await?;
    let next = |change: &dyn Fn(&mut Root)| {
        let mut next = Root { root_version: root.root_version + 1, ..root.clone() };
        change(&mut next);
        next
    };
    let stranger = scene.keys.stranger.public_key();
    let his = next(&|root| root.root_keys = vec![stranger]);
    let far = next(&|root| root.root_version += 5);
    for (topic, root, key) in [
        (Topic::Root(2), &his, &scene.keys.stranger),
        (Topic::Root(2), &his, &scene.keys.assign),
        (Topic::Root(2), &his, &scene.keys.root),
        (Topic::Root(2), &far, &scene.keys.root),
        (Topic::Root(7), &far, &scene.keys.root),
    ] {
        let since = scene.since();
        scene.say(&topic, &seal_root(root, &[key])).await?;
        let refused = scene.wait_report("the refusal of the root", since, |report| {
            let refused = report.refused.as_ref();
            refused.is_some_and(|refused| refused.code == RefusalCode::RootRefused)
        });
        let report = refused.await?;
        ensure!(report.root_version == Some(root_version_of(&scene)?), "{report:?}");
        let repeat = scene.sealed_manifest(&manifest, &scene.keys.assign);
        let since = scene.since();
        scene.say_manifest(&repeat).await?;
        scene.wait_report("its end", since, |report| report.refused.is_none()).await?;
    }

    // The owner rotates: new keys, the old ones revoked, the first version below the floor.
    for role in [GatewayKeyRole::Release, GatewayKeyRole::Assign] {
        scene.fleet.client().create_gateway_key(&NewGatewayKey { role }).await?;
    }
    let (new_release, new_assign) = (scene.key("release-2.key")?, scene.key("assign-2.key")?);
    let rotated = next(&|root| {
        root.release_keys = vec![new_release.public_key()];
        root.assign_keys = vec![new_assign.public_key()];
        root.revoked =
            [&scene.keys.release, &scene.keys.assign].map(|key| key.public_key().id()).into();
        root.floors = vec![Floor { app: APP.into(), app_version_min: 2 }];
    });
    scene.tap.open();
    scene.fleet.client().publish_root(seal_root(&rotated, &[&scene.keys.root])).await?;
    scene.wait_settled(APP, "two").await?;
    ensure!(scene.report()?.root_version == Some(rotated.root_version), "{:?}", scene.report()?);
    let after_rotation = scene.since();

    // From here on the stolen keys are of no use: neither by documents,
    let topic = Topic::Manifest(scene.device.clone());
    let heartbeat = Heartbeat {
        version: DOCUMENT_VERSION,
        device: scene.device.clone(),
        time_ms: u64::MAX,
        epoch: 1,
        seq: u64::MAX,
        manifest: None,
        root_version: 9,
        nonce: None,
    };
    let heartbeat = seal(Domain::Heartbeat, encode(&heartbeat), &scene.keys.assign);
    let manifest = Manifest { seq: u64::MAX, apps: vec![theft.clone()], ..scene.next_manifest()? };
    let manifest = scene.sealed_manifest(&manifest, &scene.keys.assign);
    scene.expect_refusal(RefusalCode::RevokedKey, &topic, &manifest).await?;
    let of_time = Topic::Heartbeat(scene.device.clone());
    scene.expect_refusal(RefusalCode::RevokedKey, &of_time, &heartbeat).await?;
    // nor where the thief of the new assign key lists what the old release key signed,
    // nor a version below the floor, which is a release that the new key would sign.
    let stolen_assign = std::mem::replace(&mut scene.keys.assign, new_assign);
    scene.tap.isolate();
    scene.expect_app_refusal(RefusalCode::RevokedKey, theft, "two").await?;
    let first_entry = first.apps.into_iter().next().context("the first version")?;
    let payload = module_package::payload_of(&first_release).context("the first release")?;
    let again = scene.offer(seal(Domain::Release, payload, &new_release))?;
    ensure!(again.app == first_entry.app && again.release != first_entry.release);
    scene.expect_app_refusal(RefusalCode::BelowFloor, again, "two").await?;
    scene.tap.open();
    scene.wait_settled(APP, "two").await?;

    // Nor after a power cut.
    scene.restart().await?;
    scene.wait_settled(APP, "two").await?;
    let manifest = Manifest { seq: u64::MAX, ..scene.next_manifest()? };
    let manifest = scene.sealed_manifest(&manifest, &stolen_assign);
    scene.expect_refusal(RefusalCode::RevokedKey, &topic, &manifest).await?;
    let since_rotation = scene.values(APP, after_rotation);
    ensure!(since_rotation.iter().all(|value| value == "two"), "{since_rotation:?}");
    scene.update(APP, "three").await
}

fn root_version_of(scene: &Scene) -> anyhow::Result<u32> {
    scene.report()?.root_version.context("it says its root")
}
