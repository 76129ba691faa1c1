//! Too much, too slowly, and cut off in the middle.

use crate::scene::{APP, DEVICE, Scene, Setting, module};
use crate::tap::{Fate, Way, encode};
use anyhow::{Context, ensure};
use bytes::Bytes;
use device_protocol::{AppState, Block, RefusalCode, Report, Topic, Want};
use gateway_api::{DeploymentState, DeviceSelector};
use module_package::{
    ARTIFACT_BYTES_MAX, BLOCK_BYTES, BlobId, Domain, HEARTBEAT_BYTES_MAX, MANIFEST_BYTES_MAX,
    Manifest, RELEASE_BYTES_MAX, ROOT_BYTES_MAX, Release, seal,
};
use std::path::Path;
use std::time::{Duration, Instant};

const LAMP: &str = "lamp";
const MIB: u64 = 1024 * 1024;

fn is_refused(code: RefusalCode) -> impl Fn(&Report) -> bool {
    move |report| report.refused.as_ref().is_some_and(|refused| refused.code == code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_data() -> anyhow::Result<()> {
    let setting = Setting { store_bytes_max: Some(2 * MIB as u32), ..Setting::default() };
    let mut scene = Scene::start_with(setting).await?;
    let before = Size::of(&mut scene)?;

    // Documents.
    let device = scene.device.clone();
    for (code, topic, bytes_max) in [
        (RefusalCode::TooLong, Topic::Manifest(device.clone()), MANIFEST_BYTES_MAX),
        (RefusalCode::TooLong, Topic::Heartbeat(device.clone()), HEARTBEAT_BYTES_MAX),
        (RefusalCode::RootRefused, Topic::Root(2), ROOT_BYTES_MAX),
    ] {
        scene.expect_refusal(code, &topic, &vec![0; bytes_max + 1]).await?;
        for _ in 0..500 {
            scene.say(&topic, &vec![0; bytes_max + 1]).await?;
        }
        scene.check_runs(APP, "one").await?;
    }

    // Packets: longer than any that the device takes, and one without an end.
    let (since, nobody) = (scene.since(), Topic::Blob(BlobId::of(b"nobody asked")));
    scene.say(&nobody, &vec![0; MIB as usize]).await?;
    scene.wait_report("a new connection", since, |_| true).await?;
    scene.check_runs(APP, "one").await?;
    // The longest length that a header can claim.
    let mut claim = Bytes::from_static(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
    let mut sent = 0;
    while scene.tap.say_raw(&device, claim).await && sent < 64 * MIB {
        claim = Bytes::from_static(&[0; 65_536]);
        sent += claim.len() as u64;
    }
    scene.check_runs(APP, "one").await?;

    // Blocks: of blobs that nobody wants, and in place of those of an update.
    let block = encode(&Block::plain(0, 1, vec![0; BLOCK_BYTES as usize]));
    for number in 0..1_000u32 {
        scene.say(&Topic::Blob(BlobId::of(&number.to_le_bytes())), &block).await?;
    }
    scene.check_runs(APP, "one").await?;
    ensure!(scene.report()?.refused.is_none(), "{:?}", scene.report()?.refused);
    let (since, size) = (scene.since(), BLOCK_BYTES as usize);
    let floods: Vec<Vec<u8>> = [
        Block::plain(0, u64::MAX, vec![0; size]),
        Block::plain(u32::MAX, u64::MAX, vec![0; size]),
        Block::plain(0, 300_000, vec![0; size + 1]),
        Block::packed(0, 300_000, vec![0; 16 * MIB as usize]),
        Block::plain(0, 300_000, vec![0; 2 * size]),
    ]
    .map(|block| encode(&block))
    .into();
    scene.tap.set_rule(move |way, topic, payload| match topic {
        Topic::Want(_) => match minicbor::decode::<Want>(payload) {
            Ok(want) => {
                let topic = Topic::Blob(want.blob);
                let endless = floods.iter().cycle().take(2_000);
                Fate::Instead(endless.map(|block| (topic.clone(), block.clone())).collect())
            }
            Err(_) => Fate::lost(),
        },
        Topic::Blob(_) | Topic::OwnBlob(..) if way == Way::ToDevice => Fate::lost(),
        _ => Fate::Pass,
    });
    scene.deploy(APP, module("two", 200_000), DeviceSelector::All).await?;
    scene.wait_report("the refusal", since, is_refused(RefusalCode::WrongHash)).await?;
    scene.check_runs(APP, "one").await?;
    scene.tap.open();
    scene.reconnect();
    scene.wait_settled(APP, "two").await?;

    // Sizes that are signed: by a stolen assign key, and by a stolen release key too.
    scene.tap.isolate();
    let lying = |artifact_bytes: u64| {
        let count = artifact_bytes.div_ceil(u64::from(BLOCK_BYTES)) as usize;
        let block_hashes = vec![BlobId::of(b""); count];
        let release = Release { artifact_bytes, block_hashes, ..scene.release_like(b"code")? };
        scene.offer(seal(Domain::Release, encode(&release), &scene.keys.release))
    };
    let [too_long, too_long_here] = [lying(ARTIFACT_BYTES_MAX + 1)?, lying(ARTIFACT_BYTES_MAX)?];
    scene.expect_app_refusal(RefusalCode::Inconsistent, too_long, "two").await?;
    scene.expect_app_refusal(RefusalCode::NoSpace, too_long_here, "two").await?;
    let since = scene.since();
    let entry = scene.offer(vec![0; RELEASE_BYTES_MAX + 1])?;
    let manifest = Manifest { apps: vec![entry], ..scene.next_manifest()? };
    scene.say_manifest(&scene.sealed_manifest(&manifest, &scene.keys.assign)).await?;
    scene.wait_report("the refusal", since, is_refused(RefusalCode::WrongHash)).await?;
    scene.check_runs(APP, "two").await?;
    scene.tap.open();
    scene.wait_settled(APP, "two").await?;

    let after = Size::of(&mut scene)?;
    println!("{before:?}, {after:?}");
    ensure!(after.memory_bytes < before.memory_bytes + 16 * MIB, "{before:?}, {after:?}");
    ensure!(after.disk_bytes < before.disk_bytes + MIB, "{before:?}, {after:?}");
    ensure!(after.log_bytes < before.log_bytes + 128 * 1024, "{before:?}, {after:?}");
    scene.update(APP, "three").await
}

/// What the agent has taken: its most memory ever, and files.
#[derive(Debug)]
struct Size {
    memory_bytes: u64,
    disk_bytes: u64,
    log_bytes: u64,
}

impl Size {
    fn of(scene: &mut Scene) -> anyhow::Result<Self> {
        let agent = scene.fleet.agent(DEVICE)?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", agent.process().pid()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().strip_suffix(" kB"));
        let memory_bytes = peak.context("the peak is known")?.parse::<u64>()? * 1024;
        let log_bytes = std::fs::metadata(agent.log_file())?.len();
        let disk_bytes = size_of_folder(&scene.store())?;
        Ok(Self { memory_bytes, disk_bytes, log_bytes })
    }
}

fn size_of_folder(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => size_of_folder(&entry.path())?,
            // It may have got its name in the meantime.
            false => entry.metadata().map_or(0, |metadata| metadata.len()),
        };
    }
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_retrieval() -> anyhow::Result<()> {
    let setting = Setting {
        fetch_patience_s: Some(3),
        fetch_bytes_per_s_min: Some(30_000),
        ..Setting::default()
    };
    let mut scene = Scene::start_with(setting).await?;

    // A block now and then, and then none at all.
    let pauses =
        [(Some(Duration::from_millis(1_200)), "bytes came in"), (None, "nothing came for")];
    for (pause, reason) in pauses {
        let mut last: Option<Instant> = None;
        scene.tap.set_rule(move |_, topic, payload| match topic {
            Topic::Blob(_) | Topic::OwnBlob(..) => {
                let is_late =
                    pause.is_some_and(|pause| last.is_none_or(|last| last.elapsed() > pause));
                if is_late && is_long(payload) {
                    last = Some(Instant::now());
                }
                match is_late || (pause.is_some() && !is_long(payload)) {
                    true => Fate::Pass,
                    false => Fate::lost(),
                }
            }
            _ => Fate::Pass,
        });
        let (since, seq) = (scene.since(), scene.report()?.seq);
        let slow = scene.deploy(APP, module("two", 640_000), DeviceSelector::All).await?;
        let is_given_up = |report: &Report| {
            let mut apps = report.apps.iter();
            report.seq > seq && apps.any(|app| app.refusal == Some(RefusalCode::FetchGivenUp))
        };
        let report = scene.wait_report("the end of the fetch", since, is_given_up).await?;
        let app = report.apps.first().context("it is reported")?;
        ensure!(app.state == AppState::Refused && app.fallback, "{app:?}");
        ensure!(app.detail.contains(reason), "{}", app.detail);
        scene.check_runs(APP, "one").await?;
        let ended = scene.fleet.wait_deployment(&slow, |_| ()).await?;
        ensure!(ended.state == DeploymentState::Failed, "{ended:?}");
    }

    // Neither the next deployment nor the same one again is any slower for it.
    scene.tap.open();
    scene.update(LAMP, "dark").await?;
    scene.deploy(APP, module("two", 640_000), DeviceSelector::All).await?;
    scene.wait_settled(APP, "two").await?;
    scene.update(APP, "three").await
}

/// Whether this is a block of the artifact with its ballast, and not of its release.
fn is_long(block: &[u8]) -> bool {
    minicbor::decode::<Block>(block).is_ok_and(|block| block.blob_bytes > 100_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_install() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    scene.update(LAMP, "dark").await?;
    scene.health_window_ms = 2_000;
    let set = [(APP, module("two", 200_000)), (LAMP, module("bright", 200_000))];
    let (sealed, manifest) = scene.deploy_set(&set).await?;
    let releases: Vec<BlobId> = manifest.apps.iter().map(|entry| entry.release.into()).collect();

    // Cut while blocks come, and the disk changes one of those that were there.
    lose_blocks(&scene, &releases, |so_far, _, _| so_far < 5);
    let since = scene.since();
    scene.say_manifest(&sealed).await?;
    let has_some = |report: &Report| report.apps.iter().any(|app| app.fetched_bytes > 100_000);
    scene.wait_report("some blocks", since, has_some).await?;
    scene.fleet.agent(DEVICE)?.process().kill()?;
    for partial in std::fs::read_dir(scene.store().join("partial"))? {
        let path = partial?.path();
        let mut bytes = std::fs::read(&path)?;
        bytes[0] ^= 1;
        std::fs::write(&path, bytes)?;
    }
    scene.restart().await?;
    check_old_set(&scene).await?;

    // Cut with one of the two whole.
    lose_blocks(&scene, &releases, |_, first, blob| first == blob);
    scene.reconnect();
    let since = scene.since();
    let is_half = |report: &Report| {
        let is_in = |state| report.apps.iter().any(|app| app.state == state);
        report.apps.len() == 2 && is_in(AppState::Starting) && is_in(AppState::Fetching)
    };
    scene.wait_report("one of the two staged", since, is_half).await?;
    scene.restart().await?;
    check_old_set(&scene).await?;

    // Cut while the whole set is on trial: it is complete, and has another chance.
    let since = scene.since();
    scene.tap.open();
    scene.reconnect();
    let is_on_trial = |report: &Report| {
        report.apps.len() == 2 && report.apps.iter().all(|app| app.trial_left_ms.is_some())
    };
    scene.wait_report("both on trial", since, is_on_trial).await?;
    scene.restart().await?;
    scene.wait_settled(APP, "two").await?;
    scene.wait_settled(LAMP, "bright").await?;
    check_store(&scene.store())?;
    scene.update(APP, "three").await
}

/// Lets blocks of artifacts through as `goes` says: it gets the number of those before,
/// the artifact that came first, and the one of this block.
fn lose_blocks(
    scene: &Scene,
    releases: &[BlobId],
    goes: impl Fn(usize, BlobId, BlobId) -> bool + Send + 'static,
) {
    let releases = releases.to_vec();
    let (mut so_far, mut first) = (0, None);
    scene.tap.set_rule(move |_, topic, _| match topic {
        Topic::Blob(blob) | Topic::OwnBlob(_, blob) if !releases.contains(blob) => {
            if goes(so_far, *first.get_or_insert(*blob), *blob) {
                so_far += 1;
                return Fate::Pass;
            }
            Fate::lost()
        }
        _ => Fate::Pass,
    });
}

/// The device is back, with the complete old set and nothing of the new one.
async fn check_old_set(scene: &Scene) -> anyhow::Result<()> {
    for _ in 0..2 {
        scene.check_runs(APP, "one").await?;
        scene.check_runs(LAMP, "dark").await?;
    }
    scene.check_never_ran("two")?;
    scene.check_never_ran("bright")?;
    check_store(&scene.store())
}

/// What has its name is whole.
fn check_store(store: &Path) -> anyhow::Result<()> {
    for blob in std::fs::read_dir(store.join("blobs"))? {
        let path = blob?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a blob's name")?;
        if let Ok(id) = name.parse::<BlobId>() {
            ensure!(BlobId::of(&std::fs::read(&path)?) == id, "{} is not whole", path.display());
        }
    }
    Ok(())
}
