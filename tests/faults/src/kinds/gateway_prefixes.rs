//! What the gateway's store writes, recorded once and replayed up to each operation with
//! a torn tail; then the store is opened again.
//!
//! A seed makes a history of its own: single changes, several at once, from one thread or
//! from some, with journal segments so small that they are turned and snapshots taken.
//! The index is made anew from the journal each time, as after the loss of it.

use super::replay_disk::{Operation, ReplayDisk};
use crate::{Kind, Outcome, Rig, nothing_is_missing};
use anyhow::{Context, ensure};
use farrier_gateway::store::record::AccessRecord;
use farrier_gateway::store::{Change, JournalLimits, LocalConfig, LocalStore, SledPlace, Store};
use farrier_gateway::surroundings::Surroundings;
use fastrand::Rng;
use module_package::BlobId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const KIND: Kind = Kind {
    name: "gateway-prefixes",
    fault: "recorded writes of the gateway's journal replayed up to each operation with a torn tail (the store's code in one process)",
    oracle: "every acknowledged change is there with its last content; of the unacknowledged one all or nothing; the store goes on",
    goal: 10_000,
    short_goal: 300,
    missing: nothing_is_missing,
    open: |workplace| Ok(Box::new(Prefixes { folder: workplace.folder.clone() })),
};

const JOURNAL: &str = "/data/journal";

/// Records whose contents change. Each change changes a pair of them, to the same.
const PAIRS: u8 = 5;

struct Prefixes {
    folder: PathBuf,
}

/// Contents by pair, after a number of operations.
struct Promise {
    at: usize,
    contents: BTreeMap<u8, u64>,
}

impl Rig for Prefixes {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Recorded { operations, promises, asked } = record(&self.folder, &mut random)?;
        for count in 0..=operations.len() {
            let disk = ReplayDisk::after_cut(&operations[..count], &mut random);
            let promise = promises.iter().rev().find(|promise| promise.at <= count);
            check(&self.folder, disk, promise, &asked)
                .with_context(|| format!("cut after operation {count}"))?;
        }
        Ok(Outcome { faults: operations.len() as u64 + 1 })
    }
}

fn open(folder: &Path, disk: Arc<ReplayDisk>, may_create: bool) -> anyhow::Result<LocalStore> {
    let index = folder.join("index");
    if index.exists() {
        std::fs::remove_dir_all(&index)?;
    }
    let store = LocalStore::open_with(LocalConfig {
        disk,
        journal: PathBuf::from(JOURNAL),
        place: Box::new(SledPlace { path: index }),
        limits: JournalLimits { segment_bytes: 1_000, history_bytes_max: 1 << 40 },
        clock: Surroundings::of_the_system().clock,
        may_create,
    })?;
    Ok(store)
}

/// Two records with one content.
fn change(pair: u8, content: u64) -> Vec<Change> {
    let record = |number: u8| {
        let token_hash = BlobId::of(&[pair, number]);
        Change::Access(AccessRecord::of_administrator(token_hash, content.to_string()))
    };
    vec![record(0), record(1)]
}

struct Recorded {
    operations: Vec<Operation>,
    promises: Vec<Promise>,
    /// The last content that was asked for, by pair.
    asked: BTreeMap<u8, u64>,
}

fn record(folder: &Path, random: &mut Rng) -> anyhow::Result<Recorded> {
    let disk = Arc::new(ReplayDisk::default());
    let store = open(folder, disk.clone(), true)?;
    let mut contents = BTreeMap::new();
    let mut promises = vec![Promise { at: disk.count(), contents: BTreeMap::new() }];
    for content in 1..=random.u64(10..40) {
        let pair = random.u8(0..PAIRS);
        store.commit(&change(pair, content))?;
        contents.insert(pair, content);
        promises.push(Promise { at: disk.count(), contents: contents.clone() });
    }
    drop(store);
    Ok(Recorded { operations: disk.operations(), promises, asked: contents })
}

fn check(
    folder: &Path,
    disk: ReplayDisk,
    promise: Option<&Promise>,
    asked: &BTreeMap<u8, u64>,
) -> anyhow::Result<()> {
    let disk = Arc::new(disk);
    let store = open(folder, disk.clone(), promise.is_none())?;
    let labels: BTreeMap<BlobId, String> = {
        let access = store.load()?.access.into_iter();
        access.map(|record| (record.token_hash, record.label)).collect()
    };
    for pair in 0..PAIRS {
        let label = |number: u8| labels.get(&BlobId::of(&[pair, number]));
        ensure!(label(0) == label(1), "half a change: {:?} and {:?}", label(0), label(1));
        let found: u64 = label(0).map_or(Ok(0), |text| text.parse())?;
        let promised = promise.and_then(|promise| promise.contents.get(&pair)).copied();
        ensure!(found >= promised.unwrap_or(0), "{found} where {promised:?} was acknowledged");
        let last = asked.get(&pair).copied().unwrap_or(0);
        ensure!(found <= last, "{found}, where {last} was the last that was asked for");
    }
    store.commit(&change(0, 1_000)).context("a change after the cut")?;
    drop(store);
    let store = open(folder, disk, false).context("open again after the change")?;
    let access = store.load()?.access;
    ensure!(access.iter().any(|record| record.label == "1000"), "the change after it is gone");
    Ok(())
}
