//! Random bits of what a device has stored, flipped while it is off.
//!
//! Each seed stops a real agent, flips bits of its releases and artifacts, and starts it
//! again, sometimes with another deployment waiting. The agent must run the genuine
//! artifact, fetched again, and have every blob whole under its name in the end.

use crate::world::{CONVERGE_WITHIN, World, runtime};
use crate::{Kind, Outcome, Rig, Workplace, nothing_is_missing};
use anyhow::{Context, ensure};
use fastrand::Rng;
use harness::wait_for;
use module_package::BlobId;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

const NAME: &str = "fault-0";

pub const KIND: Kind = Kind {
    name: "stored-bits",
    fault: "random bits of the releases and artifacts on a device's disk flipped before a start",
    oracle: "the device runs the genuine artifact, and every blob on its disk has the hash of its name; no panic",
    goal: 300,
    short_goal: 6,
    missing: nothing_is_missing,
    open,
};

/// The world goes first: it ends its processes.
struct StoredBits {
    world: World,
    runtime: Runtime,
}

fn open(workplace: &Workplace) -> anyhow::Result<Box<dyn Rig>> {
    let runtime = runtime()?;
    let world = runtime.block_on(World::start(&workplace.folder, 1))?;
    Ok(Box::new(StoredBits { world, runtime }))
}

impl Rig for StoredBits {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Self { world, runtime } = self;
        let blobs = world.fleet.agent(NAME)?.store().join("store/blobs");
        runtime.block_on(async {
            let before = world.boot_ids().await?;
            world.fleet.agent(NAME)?.process().kill()?;
            if random.u8(0..4) == 0 {
                world.deploy(1 + u32::try_from(seed % 2)?).await?;
            }
            let mut files = files_of(&blobs)?;
            ensure!(!files.is_empty(), "the device has no blob in {}", blobs.display());
            random.shuffle(&mut files);
            files.truncate(random.usize(1..=files.len()));
            for file in &files {
                flip(file, &mut random)?;
            }
            world.restart_agent(NAME)?;
            world.wait_converged(&before).await?;
            // The version before stays until the new one has proved itself, and nobody
            // reads it if it has.
            wait_for("whole blobs on the disk", CONVERGE_WITHIN, async || {
                let damaged = files_of(&blobs)?.into_iter().find(|file| !is_whole(file));
                Ok(damaged.map_or(Ok(()), |file| Err(format!("{} is damaged", file.display()))))
            })
            .await?;
            Ok(Outcome { faults: files.len() as u64 })
        })
    }
}

fn files_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder);
    let entries = entries.with_context(|| format!("list {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

/// One that is removed meanwhile is not damaged.
fn is_whole(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    std::fs::read(file).map_or(true, |bytes| BlobId::of(&bytes).to_string() == name)
}

fn flip(file: &Path, random: &mut Rng) -> anyhow::Result<()> {
    let mut bytes = std::fs::read(file)?;
    let bit = random.usize(0..bytes.len().max(1) * 8);
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    Ok(std::fs::write(file, bytes)?)
}
