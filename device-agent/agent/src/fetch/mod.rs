//! Fetching blobs in blocks: which to ask for, when to ask again, what to take.
//!
//! Pure: it is told what arrived and what time it is, and says what to do. One
//! [`Fetch`] is one blob; [`queue`] bounds how many run at once. It asks for all
//! that is missing and tells again how far it is after some blocks, or once a second
//! while they come: by that the gateway paces what it sends. Silence is answered by
//! asking again, with growing delays, and what is too slow is given up in the end
//! ([`patience`]). What arrives is checked against hashes that a release key signed, so
//! a broker can delay a blob but not change it.

pub mod patience;
pub mod queue;

use crate::Moment;
use crate::delay::Delays;
use device_protocol::{Bitmap, Block, MESSAGE_VERSION, SiteName, Want};
use module_package::{BLOCK_BYTES, BlobId, RELEASE_BYTES_MAX, Release};
use patience::{Patience, Stretch};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Blocks after which the gateway hears how far it is: half of what it sends ahead.
const PROGRESS_BLOCKS: u32 = 16;
/// And the time after which it hears it of fewer.
const PROGRESS_WITHIN: Duration = Duration::from_secs(1);

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
    site: Option<SiteName>,
    ask_at: Option<Moment>,
    asked_at: Moment,
    /// Whether the next request is the first on its connection.
    is_restarted: bool,
    /// Blocks that came since the last request.
    fresh_blocks: u32,
    delays: Delays,
    retries: u32,
    progress_at: Moment,
    stretch: Stretch,
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
        bytes: Vec<u8>,
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
            site: None,
            ask_at: None,
            asked_at: now,
            is_restarted: true,
            fresh_blocks: 0,
            delays: Delays::between(SILENCE_MIN, SILENCE_MAX, seed),
            retries: 0,
            progress_at: now,
            stretch: Stretch::new(Patience::default(), now),
            wrong_block: None,
        }
    }

    /// The device listens on this site's topics.
    pub fn at_site(self, site: Option<SiteName>) -> Self {
        Self { site, ..self }
    }

    /// Asked before it begins.
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { stretch: Stretch::new(patience, self.asked_at), ..self }
    }

    pub fn site(&self) -> Option<&SiteName> {
        self.site.as_ref()
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
        self.stretch.connect(now);
        self.is_restarted = true;
        self.fresh_blocks = 0;
    }

    /// Nothing is asked for while there is no connection.
    pub fn pause(&mut self, now: Moment) {
        if self.ask_at.take().is_some() {
            self.stretch.disconnect(now);
        }
    }

    pub fn deadline(&self) -> Option<Moment> {
        self.ask_at.map(|ask_at| ask_at.min(self.stretch.ends()))
    }

    pub fn is_stalled(&self, now: Moment) -> bool {
        now.saturating_sub(self.progress_at) >= STALLED_AFTER
    }

    /// Why, where it was connected for long enough, once or several times, and too
    /// little came.
    pub fn given_up(&self, now: Moment) -> Option<String> {
        let is_given_up = self.ask_at.is_some() && now >= self.stretch.ends();
        is_given_up.then(|| self.stretch.explain())
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
        let has_progress = std::mem::take(&mut self.fresh_blocks) > 0;
        self.retries = if has_progress { 0 } else { self.retries + 1 };
        if let Plan::Release { total, blocks } = &mut self.plan
            && self.retries > RELEASE_RETRIES_MAX
        {
            (*total, self.retries) = (None, 0);
            blocks.clear();
        }
        self.asked_at = now;
        self.ask_at = Some(now + self.delays.next_delay());
        let restarted = std::mem::take(&mut self.is_restarted).then_some(true);
        Some(Want { restarted, ..want(self.blob, self.missing(), self.site.clone()) })
    }

    /// Takes a block from the blob's topic. Blocks that others asked for are
    /// welcome too.
    pub fn take(&mut self, block: &Block, now: Moment) -> Taken {
        if self.has(block.index) {
            return Taken::Ignored;
        }
        let taken = match (&mut self.plan, block.unpack()) {
            (_, Err(error)) => Taken::WrongHash(error.to_string()),
            (Plan::Release { total, blocks }, Ok(bytes)) => {
                take_of_release(self.blob, total, blocks, block, &bytes)
            }
            (Plan::Artifact { release, missing }, Ok(bytes)) => {
                take_of_artifact(release, missing, block, bytes)
            }
        };
        if let Taken::Write { bytes, .. } = &taken {
            // Not those of a release: until it is whole nobody knows whether they are
            // good, and a stretch has room for the largest.
            self.stretch.add(bytes.len(), now);
        }
        match &taken {
            Taken::Ignored => {}
            // Asked for again after the usual silence: at once would let a broker
            // that damages every block keep us busy.
            Taken::WrongHash(detail) => self.wrong_block = Some((block.index, detail.clone())),
            _ => self.note_progress(block.index, now),
        }
        taken
    }

    fn has(&self, index: u32) -> bool {
        match &self.plan {
            Plan::Artifact { missing, .. } => !missing.contains(index),
            // One of another size than the first says that one of the two is forged.
            Plan::Release { .. } => false,
        }
    }

    fn note_progress(&mut self, index: u32, now: Moment) {
        self.progress_at = now;
        self.delays.reset();
        self.wrong_block.take_if(|(wrong, _)| *wrong == index);
        self.fresh_blocks += 1;
        // Of a release nobody knew the size until now.
        let is_due = self.fresh_blocks >= PROGRESS_BLOCKS || self.knows_more_than_asked();
        let Some(ask_at) = &mut self.ask_at else { return };
        *ask_at = if is_due { now } else { now.max(self.asked_at + PROGRESS_WITHIN) };
    }

    fn knows_more_than_asked(&self) -> bool {
        matches!(&self.plan, Plan::Release { blocks, .. } if blocks.len() == 1)
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

/// The last word about a blob: the gateway need not keep anything ready for us.
pub fn thanks(blob: BlobId, site: Option<SiteName>) -> Want {
    want(blob, Some(Bitmap::full(0)), site)
}

fn want(blob: BlobId, missing: Option<Bitmap>, site: Option<SiteName>) -> Want {
    let abilities = Some(Want::READS_DEFLATE | Want::HAS_OWN_TOPIC);
    Want { version: MESSAGE_VERSION, blob, missing, abilities, restarted: None, site }
}

fn take_of_release(
    blob: BlobId,
    total: &mut Option<u64>,
    blocks: &mut BTreeMap<u32, Vec<u8>>,
    block: &Block,
    bytes: &[u8],
) -> Taken {
    if block.blob_bytes == 0 || block.blob_bytes > RELEASE_BYTES_MAX as u64 {
        return Taken::WrongHash(format!("a release of {} bytes", block.blob_bytes));
    }
    let known = total.unwrap_or(block.blob_bytes);
    let offset = u64::from(block.index) * u64::from(BLOCK_BYTES);
    let expected = known.saturating_sub(offset).min(u64::from(BLOCK_BYTES));
    if block.blob_bytes != known || expected == 0 || bytes.len() as u64 != expected {
        return Taken::WrongHash(format!(
            "block {} has {} bytes of {}",
            block.index,
            bytes.len(),
            block.blob_bytes
        ));
    }
    *total = Some(known);
    if blocks.contains_key(&block.index) {
        return Taken::Ignored;
    }
    blocks.insert(block.index, bytes.to_vec());
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

fn take_of_artifact(
    release: &Release,
    missing: &mut Bitmap,
    block: &Block,
    bytes: Cow<'_, [u8]>,
) -> Taken {
    let expected = release.block_hashes.get(block.index as usize);
    if bytes.len() > release.block_bytes as usize
        || block.blob_bytes != release.artifact_bytes
        || expected != Some(&BlobId::of(&bytes))
    {
        let (index, artifact) = (block.index, release.artifact);
        return Taken::WrongHash(format!("block {index} of artifact {artifact}"));
    }
    missing.remove(block.index);
    let bytes = bytes.into_owned();
    Taken::Write { index: block.index, bytes, last: missing.is_empty() }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
