//! Random bits of artifacts flipped, on their way to the device and on its disk.
//!
//! Each seed compiles a module of its own and flips bits of it. On the way: the block
//! with the bit must not match its hash in the release, and an artifact that was put
//! together with it must not be finished. On the disk: a read must find the damage.
//! All through the agent's store, on a disk in memory.

use super::documents;
use super::replay_disk::ReplayDisk;
use crate::{Kind, Outcome, Rig, Workplace, nothing_is_missing};
use anyhow::{Context, ensure};
use aot_compiler::{CompileOptions, compile};
use farrier_agent::store::{Store, StoreError};
use fastrand::Rng;
use module_package::{BlobId, Release};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use target_spec::{BoundsChecks, Registry};

/// Of one artifact.
const FLIPS: u64 = 1_000;

/// Each so many flips one is carried through the store, which writes and reads the
/// whole artifact; the others are asked of the hashes that it goes by.
const WHOLE_EVERY: u64 = 10;

const STORE: &str = "/data/store";
const STORE_BYTES_MAX: u64 = 1 << 24;

pub const KIND: Kind = Kind {
    name: "artifact-bits",
    fault: "random bits of artifacts flipped, on the way and on the disk (the agent's code in one process)",
    oracle: "no flipped block matches its hash, no flipped artifact is finished or read, the whole one is",
    goal: 100_000,
    short_goal: 3_000,
    missing: nothing_is_missing,
    open: |_: &Workplace| Ok(Box::new(Bits)),
};

struct Bits;

impl Rig for Bits {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let artifact = compile_one(&mut random)?;
        let release = documents::release("app", &artifact);
        let disk = Rc::new(ReplayDisk::default());
        let mut store = Store::open(disk.clone(), Path::new(STORE), STORE_BYTES_MAX)?;
        let blob = BlobId::from(release.artifact);
        put_together(&mut store, &release, &artifact).context("the whole artifact")?;
        ensure!(
            store.read(&blob, STORE_BYTES_MAX)?.as_deref() == Some(artifact.as_slice()),
            "the whole artifact does not come back"
        );
        let mut bytes = artifact.clone();
        for number in 0..FLIPS {
            let bit = random.usize(0..artifact.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let index = bit / 8 / release.block_bytes as usize;
            let block = bytes.chunks(release.block_bytes as usize).nth(index);
            let block = block.context("the block of the bit")?;
            ensure!(
                release.block_hashes[index] != BlobId::of(block),
                "bit {bit} of a block does not change its hash"
            );
            if number % WHOLE_EVERY == 0 {
                check_whole(&disk, &release, &bytes, &artifact)
                    .with_context(|| format!("bit {bit} of {} bytes", artifact.len()))?;
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Ok(Outcome { faults: FLIPS })
    }
}

/// The flipped artifact is neither finished nor, planted under its name, read; after
/// that the whole one is fetched and read again.
fn check_whole(
    disk: &Rc<ReplayDisk>,
    release: &Release,
    flipped: &[u8],
    whole: &[u8],
) -> anyhow::Result<()> {
    let blob = BlobId::from(release.artifact);
    let path: PathBuf = Path::new(STORE).join("blobs").join(blob.to_string());
    disk.plant(&path, flipped);
    let mut store = Store::open(disk.clone(), Path::new(STORE), STORE_BYTES_MAX)?;
    let read = store.read(&blob, STORE_BYTES_MAX);
    ensure!(matches!(read, Err(StoreError::Damaged(_))), "read from the disk as {read:?}");
    let finished = put_together(&mut store, release, flipped);
    ensure!(matches!(finished, Err(StoreError::WrongHash(_))), "finished as {finished:?}");
    ensure!(store.read(&blob, STORE_BYTES_MAX)?.is_none(), "it is there nevertheless");
    put_together(&mut store, release, whole)?;
    let read = store.read(&blob, STORE_BYTES_MAX)?;
    ensure!(read.as_deref() == Some(whole), "the whole one does not come back");
    Ok(())
}

/// Writes every block without asking its hash, which the agent would do before, and
/// finishes.
fn put_together(store: &mut Store, release: &Release, bytes: &[u8]) -> Result<(), StoreError> {
    store.resume_artifact(release)?;
    for (index, block) in bytes.chunks(release.block_bytes as usize).enumerate() {
        // Cannot truncate: a release has at most 1,536 blocks.
        store.write_block(release, index as u32, block)?;
    }
    store.finish_artifact(release.artifact)
}

/// A module with as many functions as make an artifact of one block or several.
fn compile_one(random: &mut Rng) -> anyhow::Result<Vec<u8>> {
    let count = random.u32(1..200);
    let functions: String = (0..count)
        .map(|number| {
            format!(
                "(func (export \"f{number}\") (param i32) (result i32)
                   (i32.mul (i32.add (local.get 0) (i32.const {})) (i32.const {number})))",
                random.u32(..)
            )
        })
        .collect();
    let wasm = wat::parse_str(format!("(module (memory 1) {functions})"))?;
    let target = &Registry::built_in().all()[random.usize(0..Registry::built_in().all().len())];
    Ok(compile(&wasm, target, &CompileOptions::new(BoundsChecks::Software))?.aot)
}
