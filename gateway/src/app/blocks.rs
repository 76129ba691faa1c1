//! Which blocks are sent when.
//!
//! Requests for one blob that come within a short window are answered by one
//! message for each block, which all its readers get. A block that was just sent
//! is not sent again for a while: whoever missed it asks once more. So what the
//! gateway sends hardly grows with the number of devices, and one device's
//! repeated requests cannot make it send without end.

use super::App;
use super::reports::UpRefusal;
use crate::store::StoreError;
use device_protocol::{Block, MESSAGE_VERSION, Want};
use module_package::{BLOCK_BYTES, BlobId};
use std::collections::{BTreeSet, HashMap};
use std::sync::PoisonError;

/// How long the first request waits for others.
const WINDOW_MS: u64 = 50;
/// Time between two sendings of one block.
const REPEAT_MS: u64 = 500;
/// Blocks handed out at a time.
const BURST_BLOCKS: usize = 8;

#[derive(Default)]
pub struct BlockDesk {
    blobs: HashMap<BlobId, Requests>,
}

#[derive(Default)]
struct Requests {
    asked: BTreeSet<u32>,
    /// When `asked` is answered.
    due_ms: u64,
    sent_ms: HashMap<u32, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRequest {
    pub blob: BlobId,
    pub index: u32,
}

impl BlockDesk {
    fn ask(&mut self, blob: BlobId, blocks: impl Iterator<Item = u32>, now_ms: u64) {
        let requests = self.blobs.entry(blob).or_default();
        let was_idle = requests.asked.is_empty();
        for index in blocks {
            let is_fresh =
                requests.sent_ms.get(&index).is_some_and(|sent| now_ms < sent + REPEAT_MS);
            if !is_fresh {
                requests.asked.insert(index);
            }
        }
        if was_idle {
            requests.due_ms = now_ms + WINDOW_MS;
        }
    }

    /// What to send now, and when to ask again if something is waiting.
    fn take_due(&mut self, now_ms: u64) -> (Vec<BlockRequest>, Option<u64>) {
        let mut due = Vec::new();
        for (blob, requests) in &mut self.blobs {
            requests.sent_ms.retain(|_, sent| now_ms < *sent + REPEAT_MS);
            while requests.due_ms <= now_ms && due.len() < BURST_BLOCKS {
                let Some(index) = requests.asked.pop_first() else { break };
                requests.sent_ms.insert(index, now_ms);
                due.push(BlockRequest { blob: *blob, index });
            }
        }
        self.blobs.retain(|_, r| !r.asked.is_empty() || !r.sent_ms.is_empty());
        let waiting = self.blobs.values().filter(|r| !r.asked.is_empty());
        (due, waiting.map(|r| r.due_ms).min())
    }
}

impl App {
    /// Only blobs that belong to a signed release are served.
    pub(super) fn take_want(&self, want: &Want) -> Result<(), UpRefusal> {
        let bytes = self.state().model.blob_bytes.get(&want.blob).copied();
        let bytes = bytes.ok_or(UpRefusal::UnknownBlob(want.blob))?;
        // At most 1,536: an artifact has at most 48 MiB.
        let count = u32::try_from(bytes.div_ceil(u64::from(BLOCK_BYTES))).unwrap_or(u32::MAX);
        let is_missing = |index: &u32| match &want.missing {
            Some(missing) => missing.contains(*index),
            None => *index == 0,
        };
        self.block_desk().ask(want.blob, (0..count).filter(is_missing), self.now_ms());
        self.rooms.outbox.blocks_wanted();
        Ok(())
    }

    /// Blocks to send now, and the milliseconds until more are due.
    pub fn blocks_due(&self) -> (Vec<BlockRequest>, Option<u64>) {
        let now_ms = self.now_ms();
        let (due, next_ms) = self.block_desk().take_due(now_ms);
        (due, next_ms.map(|next| next.saturating_sub(now_ms)))
    }

    /// The message with a block.
    pub fn block_message(&self, request: BlockRequest) -> Result<Vec<u8>, StoreError> {
        let BlockRequest { blob, index } = request;
        let offset = u64::from(index) * u64::from(BLOCK_BYTES);
        let bytes = self.rooms.blobs.get_range(blob, offset, BLOCK_BYTES as usize)?;
        let blob_bytes = self.rooms.blobs.size(blob).unwrap_or_default();
        let block = Block { version: MESSAGE_VERSION, index, blob_bytes, bytes };
        Ok(crate::store::record::to_cbor(&block))
    }

    fn block_desk(&self) -> std::sync::MutexGuard<'_, BlockDesk> {
        self.block_desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob() -> BlobId {
        BlobId([1; 32])
    }

    fn indexes(due: &[BlockRequest]) -> Vec<u32> {
        due.iter().map(|request| request.index).collect()
    }

    #[test]
    fn requests_within_the_window_are_answered_once() {
        let mut desk = BlockDesk::default();
        desk.ask(blob(), [0, 1].into_iter(), 1_000);
        desk.ask(blob(), [1, 2].into_iter(), 1_040);
        assert_eq!(desk.take_due(1_049), (vec![], Some(1_050)));
        let (due, next) = desk.take_due(1_050);
        assert_eq!(indexes(&due), [0, 1, 2]);
        assert_eq!(next, None);
    }

    #[test]
    fn a_block_is_not_repeated_at_once_however_often_it_is_asked_for() {
        let mut desk = BlockDesk::default();
        let mut sent = 0;
        for now_ms in 0..10_000 {
            desk.ask(blob(), 0..2, now_ms);
            sent += desk.take_due(now_ms).0.len();
        }
        assert!((30..=40).contains(&sent), "{sent} blocks in ten seconds");
    }

    #[test]
    fn a_large_answer_goes_out_in_portions_and_nothing_is_left_behind() {
        let mut desk = BlockDesk::default();
        desk.ask(blob(), 0..20, 0);
        let portions: Vec<usize> = (0..3).map(|_| desk.take_due(100).0.len()).collect();
        assert_eq!(portions, [8, 8, 4]);
        desk.take_due(700);
        assert!(desk.blobs.is_empty());
    }
}
