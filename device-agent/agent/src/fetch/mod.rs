//! Fetching blobs in blocks: which to ask for, when to ask again, what to take.
//!
//! Pure: it is told what arrived and what time it is, and says what to do. One
//! [`Fetch`] is one blob; [`queue`] bounds how many run at once. A window of
//! blocks is asked for and waited for; silence is answered by asking again, with
//! growing delays. What arrives is checked against hashes that a release key
//! signed, so a broker can delay a blob but not change it.

pub mod queue;

use crate::Moment;
use crate::delay::Delays;
use device_protocol::{Bitmap, Block, MESSAGE_VERSION, Want};
use module_package::{BLOCK_BYTES, BlobId, RELEASE_BYTES_MAX, Release};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Blocks asked for at once: 1 MiB.
const WINDOW_BLOCKS: u32 = 32;

const SILENCE_MIN: Duration = Duration::from_secs(2);
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Without progress for so long a fetch is reported as stalled. It goes on.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Repeated requests for a release after which what is known of it is forgotten:
/// its blocks have no hashes of their own, so a forged first one would block it.
const RELEASE_RETRIES_MAX: u32 = 3;

#[derive(Debug)]
pub struct Fetch {
    pub blob: BlobId,
    plan: Plan,
    /// Asked for and not yet here.
    awaited: Bitmap,
    ask_at: Option<Moment>,
    delays: Delays,
    retries: u32,
    progress_at: Moment,
    /// The last block that was not what was signed, until it comes right.
    wrong_block: Option<(u32, String)>,
}

#[derive(Debug)]
pub enum Plan {
    /// Only its whole hash is known; it is small and gathered in memory.
    Release { total: Option<u64>, blocks: BTreeMap<u32, Vec<u8>> },
    /// Its size and the hash of each block are signed.
    Artifact { release: Rc<Release>, missing: Bitmap },
}

/// What became of a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// Already here, or never asked for.
    Ignored,
    Kept,
    /// Store it. `last`: the artifact is complete.
    Write {
        index: u32,
        last: bool,
    },
    WholeRelease(Vec<u8>),
    /// It is not what was signed; it is thrown away and asked for again.
    WrongHash(String),
}

impl Fetch {
    pub fn of_release(blob: BlobId, now: Moment, seed: u64) -> Self {
        Self::new(blob, Plan::Release { total: None, blocks: BTreeMap::new() }, now, seed)
    }

    /// `missing` is not empty.
    pub fn of_artifact(release: Rc<Release>, missing: Bitmap, now: Moment, seed: u64) -> Self {
        let blob = release.artifact.into();
        Self::new(blob, Plan::Artifact { release, missing }, now, seed)
    }

    fn new(blob: BlobId, plan: Plan, now: Moment, seed: u64) -> Self {
        Self {
            blob,
            plan,
            awaited: Bitmap::full(0),
            ask_at: None,
            delays: Delays::between(SILENCE_MIN, SILENCE_MAX, seed),
            retries: 0,
            progress_at: now,
            wrong_block: None,
        }
    }

    /// What arrived and was not what was signed.
    pub fn wrong_block(&self) -> Option<&str> {
        self.wrong_block.as_ref().map(|(_, detail)| detail.as_str())
    }

    /// Begins, or begins again on a new connection.
    pub fn restart(&mut self, now: Moment) {
        self.delays.reset();
        self.ask_at = Some(now);
        self.progress_at = now;
    }

    /// Nothing is asked for while there is no connection.
    pub fn pause(&mut self) {
        self.ask_at = None;
    }

    pub fn deadline(&self) -> Option<Moment> {
        self.ask_at
    }

    pub fn is_stalled(&self, now: Moment) -> bool {
        now.saturating_sub(self.progress_at) >= STALLED_AFTER
    }

    /// Bytes here and bytes in all, as far as they are known.
    pub fn progress_bytes(&self) -> (u64, u64) {
        match &self.plan {
            Plan::Release { total, blocks } => {
                (blocks.values().map(|block| block.len() as u64).sum(), total.unwrap_or(0))
            }
            Plan::Artifact { release, missing } => {
                let missing_bytes = u64::from(missing.count()) * u64::from(release.block_bytes);
                (release.artifact_bytes.saturating_sub(missing_bytes), release.artifact_bytes)
            }
        }
    }

    /// The request that is due, if one is.
    pub fn poll(&mut self, now: Moment) -> Option<Want> {
        if self.ask_at.is_none_or(|at| at > now) {
            return None;
        }
        self.retries += 1;
        if let Plan::Release { total, blocks } = &mut self.plan
            && self.retries > RELEASE_RETRIES_MAX
        {
            (*total, self.retries) = (None, 0);
            blocks.clear();
        }
        self.ask_at = Some(now + self.delays.next_delay());
        let missing = self.missing().map(|missing| first_blocks(&missing, WINDOW_BLOCKS));
        self.awaited = missing.clone().unwrap_or(Bitmap::full(1));
        Some(Want { version: MESSAGE_VERSION, blob: self.blob, missing })
    }

    /// Takes a block from the blob's topic. Blocks that others asked for are
    /// welcome too.
    pub fn take(&mut self, block: &Block, now: Moment) -> Taken {
        let taken = match &mut self.plan {
            Plan::Release { total, blocks } => take_of_release(self.blob, total, blocks, block),
            Plan::Artifact { release, missing } => take_of_artifact(release, missing, block),
        };
        match &taken {
            Taken::Ignored => {}
            // Asked for again after the usual silence: at once would let a broker
            // that damages every block keep us busy.
            Taken::WrongHash(detail) => self.wrong_block = Some((block.index, detail.clone())),
            _ => self.note_progress(block.index, now),
        }
        taken
    }

    fn note_progress(&mut self, index: u32, now: Moment) {
        self.progress_at = now;
        self.retries = 0;
        self.delays.reset();
        self.awaited.remove(index);
        self.wrong_block.take_if(|(wrong, _)| *wrong == index);
        let next_window = self.awaited.is_empty();
        let paused = self.ask_at.is_none();
        if !paused {
            self.ask_at = Some(if next_window { now } else { now + self.delays.next_delay() });
        }
    }

    /// `None` while the number of blocks is not known.
    fn missing(&self) -> Option<Bitmap> {
        match &self.plan {
            Plan::Artifact { missing, .. } => Some(missing.clone()),
            Plan::Release { total, blocks } => total.map(|total| {
                let mut missing = Bitmap::full(block_count(total));
                blocks.keys().for_each(|index| missing.remove(*index));
                missing
            }),
        }
    }
}

fn block_count(total: u64) -> u32 {
    // Cannot truncate: sizes are bounded by RELEASE_BYTES_MAX where this is called.
    total.div_ceil(u64::from(BLOCK_BYTES)) as u32
}

fn first_blocks(missing: &Bitmap, count: u32) -> Bitmap {
    let mut window = Bitmap(vec![0; missing.0.len()]);
    missing.iter().take(count as usize).for_each(|index| window.insert(index));
    window
}

fn take_of_release(
    blob: BlobId,
    total: &mut Option<u64>,
    blocks: &mut BTreeMap<u32, Vec<u8>>,
    block: &Block,
) -> Taken {
    if block.blob_bytes == 0 || block.blob_bytes > RELEASE_BYTES_MAX as u64 {
        return Taken::WrongHash(format!("a release of {} bytes", block.blob_bytes));
    }
    let known = total.unwrap_or(block.blob_bytes);
    let offset = u64::from(block.index) * u64::from(BLOCK_BYTES);
    let expected = known.saturating_sub(offset).min(u64::from(BLOCK_BYTES));
    if block.blob_bytes != known || expected == 0 || block.bytes.len() as u64 != expected {
        return Taken::WrongHash(format!(
            "block {} has {} bytes of {}",
            block.index,
            block.bytes.len(),
            block.blob_bytes
        ));
    }
    *total = Some(known);
    if blocks.contains_key(&block.index) {
        return Taken::Ignored;
    }
    blocks.insert(block.index, block.bytes.clone());
    if blocks.len() < block_count(known) as usize {
        return Taken::Kept;
    }
    let whole: Vec<u8> = std::mem::take(blocks).into_values().flatten().collect();
    *total = None;
    if BlobId::of(&whole) == blob {
        Taken::WholeRelease(whole)
    } else {
        Taken::WrongHash(format!("the blocks of release {blob} do not make it up"))
    }
}

fn take_of_artifact(release: &Release, missing: &mut Bitmap, block: &Block) -> Taken {
    if !missing.contains(block.index) {
        return Taken::Ignored;
    }
    let expected = release.block_hashes.get(block.index as usize);
    if block.bytes.len() > release.block_bytes as usize
        || block.blob_bytes != release.artifact_bytes
        || expected != Some(&BlobId::of(&block.bytes))
    {
        let (index, artifact) = (block.index, release.artifact);
        return Taken::WrongHash(format!("block {index} of artifact {artifact}"));
    }
    missing.remove(block.index);
    Taken::Write { index: block.index, last: missing.is_empty() }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
