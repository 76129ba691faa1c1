//! What a device writes, recorded once and replayed up to each operation with a torn
//! tail; then the store and the state are opened again.
//!
//! A seed makes a history of its own: the key, the enrolment, manifests accepted,
//! artifacts fetched and thrown away. What a call had returned before the cut is what
//! the device had promised, and must be there.

use super::documents::{self, Authority};
use super::replay_disk::{Operation, ReplayDisk};
use crate::{Kind, Outcome, Rig, Workplace, nothing_is_missing};
use anyhow::{Context, ensure};
use durable_disk::Disk;
use farrier_agent::state::{Enrolment, Progress, State};
use farrier_agent::store::{Store, StoreError};
use fastrand::Rng;
use module_package::{Accepted, BlobId, DeviceId, Order, open_manifest, order_manifest};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

pub const KIND: Kind = Kind {
    name: "device-prefixes",
    fault: "recorded writes of a device replayed up to each operation with a torn tail (the agent's code in one process)",
    oracle: "key, enrolment, highest generation and whole artifacts are there as promised; no artifact of other bytes; the store goes on",
    goal: 10_000,
    short_goal: 1_500,
    missing: nothing_is_missing,
    open: |_: &Workplace| Ok(Box::new(Prefixes)),
};

const DATA: &str = "/data";
const STORE: &str = "/data/store";
const STORE_BYTES_MAX: u64 = 1 << 22;

struct Prefixes;

/// What the device had promised after a number of operations.
#[derive(Clone, Default)]
struct Promise {
    key: Option<[u8; 32]>,
    device: Option<DeviceId>,
    seq: Option<u64>,
    artifacts: BTreeMap<BlobId, Vec<u8>>,
}

struct History {
    authority: Authority,
    device: DeviceId,
    operations: Vec<Operation>,
    /// Promises by the number of operations after which they were made.
    promises: Vec<(usize, Promise)>,
    /// The same once something was asked to be thrown away: it may be gone already.
    artifacts: BTreeMap<BlobId, Vec<u8>>,
}

impl Rig for Prefixes {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let history = record(&mut random)?;
        for count in 0..=history.operations.len() {
            let disk = ReplayDisk::after_cut(&history.operations[..count], &mut random);
            let promise = history.promises.iter().rev().find(|(at, _)| *at <= count);
            let promise = promise.map(|(_, promise)| promise.clone()).unwrap_or_default();
            check(&history, Rc::new(disk), &promise)
                .with_context(|| format!("cut after operation {count}"))?;
        }
        Ok(Outcome { faults: history.operations.len() as u64 + 1 })
    }
}

fn record(random: &mut Rng) -> anyhow::Result<History> {
    let authority = Authority::new(random)?;
    let disk = Rc::new(ReplayDisk::default());
    let mut promises: Vec<(usize, Promise)> = vec![];
    let mut promise = Promise::default();
    let mut all = BTreeMap::new();
    let shared: Rc<dyn Disk> = disk.clone();
    let state = State::open(shared.clone(), Path::new(DATA))?;
    let key = state.key()?;
    promise.key = Some(key.to_bytes());
    promises.push((disk.count(), promise.clone()));
    let device = DeviceId::of_key(&module_package::Signer::public_key(&key).0);
    state.set_enrolment(&Enrolment {
        device: device.clone(),
        root: authority.trust.clone(),
        sealed_root: authority.sealed_root.clone(),
        broker_url: "mqtt://127.0.0.1:1883".into(),
    })?;
    promise.device = Some(device.clone());
    promises.push((disk.count(), promise.clone()));
    let mut store = Store::open(shared, Path::new(STORE), STORE_BYTES_MAX)?;
    let mut seq = 0;
    for _ in 0..random.usize(3..10) {
        match random.u8(0..4) {
            0 | 1 => {
                seq += random.u64(1..5);
                let manifest = documents::manifest(random, &device, seq);
                let sealed = authority.seal_manifest(&manifest)?;
                let (_, id) = open_manifest(&sealed, &authority.trust, &device, None)?;
                let accepted = Accepted { epoch: 1, seq, manifest: id };
                state.set_progress(&Progress {
                    accepted: Some((accepted, sealed)),
                    ..Progress::default()
                })?;
                promise.seq = Some(seq);
            }
            2 => {
                let length = random.usize(1..100_000);
                let artifact: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
                let release = documents::release("app", &artifact);
                let mut missing: Vec<u32> = store.resume_artifact(&release)?.iter().collect();
                random.shuffle(&mut missing);
                for index in missing {
                    let block = artifact.chunks(release.block_bytes as usize).nth(index as usize);
                    store.write_block(&release, index, block.context("a block of it")?)?;
                }
                store.finish_artifact(release.artifact)?;
                let blob = BlobId::from(release.artifact);
                all.insert(blob, artifact.clone());
                promise.artifacts.insert(blob, artifact);
            }
            _ => {
                let keep = promise.artifacts.keys().filter(|_| random.bool()).copied().collect();
                // From the first operation of it on, what is not named may be gone.
                promise
                    .artifacts
                    .retain(|blob, _| std::collections::BTreeSet::contains(&keep, blob));
                promises.push((disk.count(), promise.clone()));
                store.keep_only(&keep)?;
            }
        }
        promises.push((disk.count(), promise.clone()));
    }
    Ok(History { authority, device, operations: disk.operations(), promises, artifacts: all })
}

fn check(history: &History, disk: Rc<ReplayDisk>, promise: &Promise) -> anyhow::Result<()> {
    let state = State::open(disk.clone(), Path::new(DATA))?;
    if let Some(key) = promise.key {
        ensure!(state.key()?.to_bytes() == key, "the device has another key");
    } else {
        state.key().context("a key that was never used")?;
    }
    let enrolment = state.enrolment()?;
    if let Some(device) = &promise.device {
        let found = enrolment.as_ref().map(|enrolment| &enrolment.device);
        ensure!(found == Some(device), "the enrolment is gone: {found:?}");
    }
    if let Some(enrolment) = &enrolment {
        ensure!(enrolment.sealed_root == history.authority.sealed_root, "another root is trusted");
    }
    check_progress(history, &state, promise)?;
    check_store(history, disk, promise)
}

fn check_progress(history: &History, state: &State, promise: &Promise) -> anyhow::Result<()> {
    let progress = state.progress()?;
    let accepted = progress.accepted.as_ref().map(|(accepted, _)| accepted.seq);
    ensure!(accepted >= promise.seq, "generation {accepted:?} where {:?} was", promise.seq);
    if let Some((accepted, sealed)) = &progress.accepted {
        let trust = &history.authority.trust;
        let (manifest, id) =
            open_manifest(sealed, trust, &history.device, None).context("the stored manifest")?;
        let order = order_manifest(Some(accepted), &manifest, id);
        ensure!(order == Ok(Order::Repeat), "another manifest is stored than accepted: {order:?}");
    }
    Ok(())
}

fn check_store(history: &History, disk: Rc<ReplayDisk>, promise: &Promise) -> anyhow::Result<()> {
    let mut store = Store::open(disk, Path::new(STORE), STORE_BYTES_MAX)?;
    for (blob, whole) in &history.artifacts {
        match store.read(blob, STORE_BYTES_MAX) {
            Ok(Some(found)) => ensure!(found == *whole, "blob {blob} has other bytes"),
            Ok(None) | Err(StoreError::Damaged(_)) => {
                ensure!(!promise.artifacts.contains_key(blob), "blob {blob} is gone");
            }
            Err(error) => return Err(error.into()),
        }
        // Whatever the cut left of it, it can be fetched, at most as a whole again.
        let release = documents::release("app", whole);
        if store.has(blob) {
            continue;
        }
        let missing = store.resume_artifact(&release)?;
        for index in missing.iter() {
            let block = whole.chunks(release.block_bytes as usize).nth(index as usize);
            store.write_block(&release, index, block.context("a block of it")?)?;
        }
        store.finish_artifact(release.artifact).context("fetch it again")?;
        let read = store.read(blob, STORE_BYTES_MAX)?;
        ensure!(read.as_ref() == Some(whole), "fetched again, it does not come back");
    }
    Ok(())
}
