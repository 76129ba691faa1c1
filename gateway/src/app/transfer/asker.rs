//! What one device lacks of a blob, and what is on its way to it.
//!
//! Messages of one publisher reach a subscriber in their order. So what was sent
//! before something that has arrived, and has not arrived, is lost: no time has to
//! pass to know it. Only when nothing arrives any more does time decide, and then the
//! device gets one block first and the more the more arrive, because all the others
//! may only be late. If one of these comes, they all are.
//!
//! How much is on its way is what arrives within a few seconds: the answer to an
//! agent's ping waits behind it, and after fifteen seconds the agent takes the
//! connection for dead.

use super::pace::Pace;
use device_protocol::{Bitmap, Want};
use std::collections::VecDeque;

/// Blocks on their way to a device before it says that some have come. An agent says
/// so after sixteen, or after a second. Each that arrives in time makes it larger, up
/// to 1 MiB.
const WINDOW_BLOCKS_AT_FIRST: usize = 16;
const WINDOW_BLOCKS_MIN: usize = 8;
const WINDOW_BLOCKS_MAX: usize = 32;
/// What takes longer makes the window smaller, by a quarter for each report.
const SLOW_MS: u64 = 8_000;

#[derive(Debug)]
pub(super) struct Asker {
    lacks: Bitmap,
    /// In the order of their numbers.
    on_its_way: VecDeque<Sent>,
    /// What took too long and was not sent again, likewise.
    given_up: VecDeque<Sent>,
    /// Of these a second copy may be on its way: that one came proves nothing.
    doubtful: Bitmap,
    window_blocks: usize,
    heard_ms: u64,
    gained_ms: u64,
    reads_deflate: bool,
    has_own_topic: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    number: u64,
    index: u32,
    at_ms: u64,
}

/// What a request says of what was sent before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub got_some: bool,
    /// From the sending to the request that tells of it, where that is sure.
    pub took_ms: Option<u64>,
}

impl Asker {
    pub fn new(lacks: Bitmap, want: &Want, now_ms: u64) -> Self {
        Self {
            on_its_way: VecDeque::new(),
            given_up: VecDeque::new(),
            doubtful: Bitmap(vec![0; lacks.0.len()]),
            lacks,
            window_blocks: WINDOW_BLOCKS_AT_FIRST,
            heard_ms: now_ms,
            gained_ms: now_ms,
            reads_deflate: want.can(Want::READS_DEFLATE),
            has_own_topic: want.can(Want::HAS_OWN_TOPIC),
        }
    }

    /// It asks again. `want` is not the first on its connection.
    pub fn hear(&mut self, lacks: Bitmap, want: &Want, pace: &Pace, now_ms: u64) -> Heard {
        self.heard_ms = now_ms;
        self.reads_deflate = want.can(Want::READS_DEFLATE);
        self.has_own_topic = want.can(Want::HAS_OWN_TOPIC);
        let gained = self.lacks.iter().filter(|index| !lacks.contains(*index)).count();
        let got_some = gained > 0;
        self.lacks = lacks;
        if got_some {
            self.gained_ms = now_ms;
        }
        self.take_back_what_was_only_late();
        let came = |sent: &Sent| !self.lacks.contains(sent.index);
        let is_proof = |sent: &&Sent| came(sent) && !self.doubtful.contains(sent.index);
        let newest = self.on_its_way.iter().rfind(is_proof).copied();
        let is_overtaken = |sent: &Sent| newest.is_some_and(|newest| sent.number < newest.number);
        let lacks = &self.lacks;
        self.on_its_way.retain(|sent| lacks.contains(sent.index) && !is_overtaken(sent));
        let oldest_ms = self.on_its_way.front().map_or(now_ms, |sent| sent.at_ms);
        if now_ms >= oldest_ms.max(self.gained_ms) + pace.patience_ms(now_ms) {
            self.give_up_what_is_on_its_way();
        }
        let took_ms = newest.map(|newest| now_ms.saturating_sub(newest.at_ms));
        if got_some {
            self.adapt_window(gained, took_ms);
        }
        Heard { got_some, took_ms }
    }

    fn adapt_window(&mut self, gained: usize, took_ms: Option<u64>) {
        let window = self.window_blocks;
        self.window_blocks = match took_ms {
            Some(SLOW_MS..) => (window - window / 4).max(WINDOW_BLOCKS_MIN),
            _ => (window + gained).min(WINDOW_BLOCKS_MAX),
        };
    }

    /// It begins anew. If that is because the answer to its ping did not come in time,
    /// too much was on its way.
    pub fn restart(self, lacks: Bitmap, want: &Want, now_ms: u64) -> Self {
        let window = match self.on_its_way.is_empty() {
            true => self.window_blocks,
            false => self.window_blocks / 2,
        };
        let window_blocks = window.max(WINDOW_BLOCKS_MIN);
        Self { window_blocks, ..Self::new(lacks, want, now_ms) }
    }

    fn give_up_what_is_on_its_way(&mut self) {
        self.window_blocks = 1;
        self.given_up.append(&mut self.on_its_way);
        // What was given up before is older.
        self.given_up.make_contiguous().sort_by_key(|sent| sent.number);
    }

    /// If one of these has come, it and what was sent after it was only late.
    fn take_back_what_was_only_late(&mut self) {
        if self.given_up.iter().any(|sent| !self.lacks.contains(sent.index)) {
            self.window_blocks = WINDOW_BLOCKS_MIN;
            self.on_its_way.append(&mut self.given_up);
            self.on_its_way.make_contiguous().sort_by_key(|sent| sent.number);
        }
    }

    /// A block went out where this device listens.
    pub fn send(&mut self, number: u64, index: u32, now_ms: u64) {
        if self.needs(index) {
            if let Some(first) = self.given_up.iter().position(|sent| sent.index == index) {
                self.given_up.remove(first);
                self.doubtful.insert(index);
            }
            self.on_its_way.push_back(Sent { number, index, at_ms: now_ms });
        }
    }

    /// It went out before the device asked, which may already have listened.
    pub fn doubt(&mut self, index: u32) {
        self.doubtful.insert(index);
    }

    pub fn needs(&self, index: u32) -> bool {
        self.lacks.contains(index) && !self.on_its_way.iter().any(|sent| sent.index == index)
    }

    /// What it needs, in order.
    pub fn needed(&self) -> impl Iterator<Item = u32> + '_ {
        let mut needed = self.lacks.clone();
        self.on_its_way.iter().for_each(|sent| needed.remove(sent.index));
        (0..needed.0.len() as u32 * 8).filter(move |index| needed.contains(*index))
    }

    pub fn is_full(&self) -> bool {
        self.on_its_way.len() >= self.window_blocks
    }

    /// Since when nothing was heard of it, and nothing sent to it.
    pub fn quiet_since_ms(&self) -> u64 {
        self.on_its_way.back().map_or(self.heard_ms, |sent| sent.at_ms.max(self.heard_ms))
    }

    /// Whether it has told nothing for so long of what was sent to it.
    pub fn is_silent(&self, limit_ms: u64, now_ms: u64) -> bool {
        let oldest_ms = self.on_its_way.front().map(|sent| sent.at_ms);
        oldest_ms.is_some_and(|oldest_ms| now_ms >= oldest_ms.max(self.heard_ms) + limit_ms)
    }

    pub fn reads_deflate(&self) -> bool {
        self.reads_deflate
    }

    pub fn has_own_topic(&self) -> bool {
        self.has_own_topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use module_package::BlobId;

    fn want() -> Want {
        Want {
            version: 1,
            blob: BlobId::of(b"blob"),
            missing: None,
            abilities: Some(Want::READS_DEFLATE | Want::HAS_OWN_TOPIC),
            restarted: None,
            site: None,
        }
    }

    fn lacking(indices: impl IntoIterator<Item = u32>) -> Bitmap {
        let mut bitmap = Bitmap(vec![0; 8]);
        indices.into_iter().for_each(|index| bitmap.insert(index));
        bitmap
    }

    /// Eight blocks are on their way since 0.
    fn asker() -> Asker {
        let mut asker = Asker::new(lacking(0..16), &want(), 0);
        (0..8).for_each(|index| asker.send(u64::from(index), index, 0));
        asker
    }

    #[test]
    fn what_was_overtaken_is_lost_and_what_was_not_is_on_its_way() {
        let (mut asker, pace) = (asker(), Pace::new(0));
        let heard = asker.hear(lacking([0, 2, 5, 6, 7, 8]), &want(), &pace, 10);
        assert_eq!(heard, Heard { got_some: true, took_ms: Some(10) });
        assert_eq!(asker.needed().collect::<Vec<_>>(), [0, 2, 8]);
    }

    #[test]
    fn while_nothing_comes_nothing_is_lost_before_its_time_and_then_one_block_goes_first() {
        let (mut asker, pace) = (asker(), Pace::new(0));
        asker.hear(lacking(0..16), &want(), &pace, 500);
        assert_eq!(asker.needed().count(), 8, "too early");
        asker.hear(lacking(0..16), &want(), &pace, 30_000);
        assert_eq!(asker.needed().count(), 16);
        asker.send(20, 0, 30_000);
        assert!(asker.is_full());
        // What comes now may be the first copy: that says nothing of the others.
        let heard = asker.hear(lacking(1..16), &want(), &pace, 30_100);
        assert_eq!(heard, Heard { got_some: true, took_ms: None });
        (1..3).for_each(|index| asker.send(20 + u64::from(index), index, 30_100));
        assert!(asker.is_full(), "two after one");
        asker.hear(lacking(2..16), &want(), &pace, 30_200);
        assert!(!asker.needs(2) && asker.needs(3));
    }

    #[test]
    fn no_more_is_on_its_way_than_comes_within_seconds() {
        let (mut asker, pace) = (Asker::new(lacking(0..64), &want(), 0), Pace::new(0));
        let mut now_ms = 0;
        let mut next = 0;
        let mut send_and_take = |asker: &mut Asker, took_ms: u64| {
            let mut sent = 0;
            while !asker.is_full() && next < 64 {
                asker.send(u64::from(next), next, now_ms);
                (next, sent) = (next + 1, sent + 1);
            }
            now_ms += took_ms;
            asker.hear(lacking(next..64), &want(), &pace, now_ms);
            sent
        };
        assert_eq!(send_and_take(&mut asker, 10_000), 16);
        assert_eq!(send_and_take(&mut asker, 10_000), 12);
        assert_eq!(send_and_take(&mut asker, 100), 9);
        assert_eq!(send_and_take(&mut asker, 100), 18);
        asker.send(64, 63, now_ms);
        let asker = asker.restart(lacking(0..64), &want(), now_ms);
        assert!(asker.needs(63) && asker.window_blocks == 16);
    }
}
