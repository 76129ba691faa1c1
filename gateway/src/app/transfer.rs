//! One blob on its way to the devices that ask for it: which block is sent next, and
//! to whom. Pure.
//!
//! Blocks go to everybody's topic, once for all: the first requests are gathered for
//! a moment, then always the block goes next that most of the askers lack. A device
//! that comes late takes up the stream where it is; what it missed is sent when those
//! who have it are done and listen no more. What only one device lacks, or a few,
//! goes to their own topics. So a device that asks for the same block again and again
//! gets it alone.
//!
//! What was sent counts as on its way to each device that had asked before, and is
//! not sent to it again while others get on: the broker may need seconds to hand a
//! block to a thousand devices. The stream stays a window of blocks ahead of what
//! half of the devices say they have, so that little waits in the broker.

use device_protocol::{Bitmap, Want};
use module_package::DeviceId;
use std::collections::HashMap;

/// Blocks on their way to a device before it says that some have come: 1 MiB. An
/// agent says so after half of it, or after a second.
const WINDOW_BLOCKS: u32 = 32;
/// The first request waits for more this long after the last new one, and in all.
const GATHER_QUIET_MS: u64 = 250;
const GATHER_MS_MAX: u64 = 3_000;
/// A block is lost when nobody gets on for so long, or one device alone does not. A
/// broker on a busy machine needs the more time the more devices it writes to.
const LOST_AFTER_MS: u64 = 1_500;
const LOST_ANYWAY_MS: u64 = 10_000;
const PATIENCE_MS_PER_READER: u64 = 30;
/// What a minority lacks waits while the others get on, but not for ever.
const MINORITY_WAIT_MS: u64 = 1_500;
const MINORITY_WAIT_MS_MAX: u64 = 15_000;
/// Up to so many devices get a block on their own topics.
const OWN_MAX: u32 = 4;
/// Between two looks whether a full window has opened, unless somebody asks.
const ROOM_WAIT_MS: u64 = 200;
/// A device that says nothing for so long has gone, or will ask again.
const SILENT_MS_MAX: u64 = 20_000;
const SILENT_AND_FULL_MS_MAX: u64 = 5_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Everybody who listens on the blob's topic.
    Shared,
    Own(DeviceId),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    pub index: u32,
    pub to: To,
    /// Devices for which it counts as sent, and that listen.
    pub readers: u32,
    /// All of them read compressed blocks.
    pub compressed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Send(Sending),
    /// Nothing before this time, unless somebody asks.
    At(u64),
    /// Everybody has, or will soon have, all.
    Nothing,
}

enum Alone {
    Sent(Sending),
    /// Everyone that needs it has a window of blocks on its way.
    NoRoom,
    /// None that needs it has a topic of its own.
    NoTopic,
}

#[derive(Debug)]
pub struct Transfer {
    askers: HashMap<DeviceId, Asker>,
    /// For each block, the askers that lack it and have none on its way.
    needed_by: Vec<u32>,
    /// When each block last went to all.
    shared_ms: Vec<Option<u64>>,
    /// Askers with a window of blocks on their way.
    full: usize,
    /// The most askers at a time: what the broker has to write was for so many, also
    /// when only the last of them are left.
    crowd: u64,
    /// Devices that will probably ask.
    expected: usize,
    first_ms: u64,
    /// When what is gathered is answered.
    start_ms: u64,
    /// When an asker last had something new.
    progress_ms: u64,
    minority_since_ms: Option<u64>,
}

#[derive(Debug)]
struct Asker {
    lacks: Bitmap,
    on_its_way: Bitmap,
    heard_ms: u64,
    sent_ms: u64,
    reads_deflate: bool,
    has_own_topic: bool,
}

impl Asker {
    fn needs(&self, index: u32) -> bool {
        self.lacks.contains(index) && !self.on_its_way.contains(index)
    }

    fn is_full(&self) -> bool {
        self.on_its_way.count() >= WINDOW_BLOCKS
    }
}

impl Transfer {
    /// `expected`: devices that are online and should run what is in the blob.
    pub fn new(blocks: u32, expected: usize, now_ms: u64) -> Self {
        Self {
            askers: HashMap::new(),
            needed_by: vec![0; blocks as usize],
            shared_ms: vec![None; blocks as usize],
            full: 0,
            crowd: 0,
            expected,
            first_ms: now_ms,
            start_ms: now_ms,
            progress_ms: now_ms,
            minority_since_ms: None,
        }
    }

    pub fn is_over(&self) -> bool {
        self.askers.is_empty()
    }

    pub fn ask(&mut self, device: &DeviceId, want: &Want, now_ms: u64) {
        let lacks = self.lacks_of(want);
        let old = self.take_out(device);
        if lacks.is_empty() {
            self.progress_ms = now_ms;
            return;
        }
        let mut on_its_way = Bitmap(vec![0; lacks.0.len()]);
        let mut sent_ms = now_ms;
        match old {
            None => {
                self.gather(now_ms);
                // It has been listening: only its first request did not come here.
                if want.abilities.is_some() && want.restarted.is_none() {
                    let is_coming = |index: &u32| {
                        let sent_ms = self.shared_ms[*index as usize];
                        sent_ms.is_some_and(|sent_ms| !self.is_lost(sent_ms, now_ms))
                    };
                    lacks.iter().filter(is_coming).for_each(|index| on_its_way.insert(index));
                }
            }
            Some(old) => {
                let got_some = old.on_its_way.iter().any(|index| !lacks.contains(index));
                if got_some {
                    self.progress_ms = now_ms;
                }
                let is_lost = want.restarted == Some(true)
                    || (!got_some && self.is_lost(old.sent_ms, now_ms));
                if !is_lost {
                    sent_ms = old.sent_ms;
                    old.on_its_way
                        .iter()
                        .filter(|i| lacks.contains(*i))
                        .for_each(|i| on_its_way.insert(i));
                }
            }
        }
        let asker = Asker {
            lacks,
            on_its_way,
            heard_ms: now_ms,
            sent_ms,
            reads_deflate: want.can(Want::READS_DEFLATE),
            has_own_topic: want.can(Want::HAS_OWN_TOPIC),
        };
        self.put_in(device.clone(), asker);
        if self.askers.len() >= self.expected {
            self.start_ms = self.start_ms.min(now_ms);
        }
    }

    pub fn has(&self, device: &DeviceId) -> bool {
        self.askers.contains_key(device)
    }

    pub fn forget(&mut self, device: &DeviceId) {
        self.take_out(device);
    }

    /// What the device lacks of the blocks that there are.
    fn lacks_of(&self, want: &Want) -> Bitmap {
        let count = self.needed_by.len() as u32;
        let Some(missing) = &want.missing else {
            let mut first = Bitmap(vec![0; Bitmap::full(count).0.len()]);
            first.insert(0);
            return first;
        };
        let mut lacks = Bitmap::full(count);
        (0..count).filter(|index| !missing.contains(*index)).for_each(|index| lacks.remove(index));
        lacks
    }

    fn gather(&mut self, now_ms: u64) {
        if self.askers.is_empty() {
            self.first_ms = now_ms;
            self.progress_ms = now_ms;
        }
        let is_gathering = self.askers.is_empty() || now_ms < self.start_ms;
        if is_gathering {
            self.start_ms = (now_ms + GATHER_QUIET_MS).min(self.first_ms + GATHER_MS_MAX);
        }
    }

    fn is_lost(&self, sent_ms: u64, now_ms: u64) -> bool {
        let others_get_on = now_ms < self.progress_ms + LOST_AFTER_MS + self.crowd_ms();
        let patience_ms = if others_get_on { LOST_ANYWAY_MS } else { LOST_AFTER_MS };
        now_ms >= sent_ms + patience_ms + self.crowd_ms()
    }

    fn crowd_ms(&self) -> u64 {
        self.crowd * PATIENCE_MS_PER_READER
    }

    fn put_in(&mut self, device: DeviceId, asker: Asker) {
        for index in asker.lacks.iter().filter(|index| asker.needs(*index)) {
            self.needed_by[index as usize] += 1;
        }
        self.full += usize::from(asker.is_full());
        self.askers.insert(device, asker);
        self.crowd = self.crowd.max(self.askers.len() as u64);
    }

    fn take_out(&mut self, device: &DeviceId) -> Option<Asker> {
        let asker = self.askers.remove(device)?;
        for index in asker.lacks.iter().filter(|index| asker.needs(*index)) {
            self.needed_by[index as usize] -= 1;
        }
        self.full -= usize::from(asker.is_full());
        Some(asker)
    }

    /// What to do now. A `Send` counts as done.
    pub fn next(&mut self, now_ms: u64) -> Next {
        self.forget_silent(now_ms);
        if now_ms < self.start_ms {
            return Next::At(self.start_ms);
        }
        // The lowest of those that most lack.
        let most = self.needed_by.iter().enumerate().max_by_key(|(i, n)| (**n, usize::MAX - i));
        let (index, needed_by) = match most {
            Some((index, needed_by)) if *needed_by > 0 => (index as u32, *needed_by),
            // Askers whose blocks are lost ask again.
            _ => return Next::Nothing,
        };
        let readers = self.askers.len();
        let is_minority = (needed_by as usize) * 2 < readers;
        if is_minority {
            let since_ms = *self.minority_since_ms.get_or_insert(now_ms);
            let until_ms =
                (self.progress_ms + MINORITY_WAIT_MS).min(since_ms + MINORITY_WAIT_MS_MAX);
            if now_ms < until_ms {
                return Next::At(until_ms);
            }
        } else {
            self.minority_since_ms = None;
        }
        if (needed_by == 1 || is_minority) && needed_by <= OWN_MAX {
            match self.send_alone(index, now_ms) {
                Alone::Sent(sending) => return Next::Send(sending),
                Alone::NoRoom => return Next::At(now_ms + ROOM_WAIT_MS),
                Alone::NoTopic => {}
            }
        }
        if self.full * 2 > readers {
            // Half of them have to say first what has come. If none does, they are
            // forgotten as silent or ask for what they lack.
            return Next::At(now_ms + ROOM_WAIT_MS);
        }
        Next::Send(self.send_to_all(index, now_ms))
    }

    /// To one that needs it and has room, if it listens on its own topic.
    fn send_alone(&mut self, index: u32, now_ms: u64) -> Alone {
        let mut takers =
            self.askers.iter().filter(|(_, asker)| asker.needs(index) && asker.has_own_topic);
        let mut answer = Alone::NoTopic;
        let device = loop {
            match takers.next() {
                None => return answer,
                Some((_, asker)) if asker.is_full() => answer = Alone::NoRoom,
                Some((device, _)) => break device.clone(),
            }
        };
        let Some(mut asker) = self.take_out(&device) else { return answer };
        asker.on_its_way.insert(index);
        asker.sent_ms = now_ms;
        let compressed = asker.reads_deflate;
        self.put_in(device.clone(), asker);
        Alone::Sent(Sending { index, to: To::Own(device), readers: 1, compressed })
    }

    fn send_to_all(&mut self, index: u32, now_ms: u64) -> Sending {
        let compressed = self.askers.values().all(|asker| asker.reads_deflate);
        for asker in self.askers.values_mut() {
            if asker.needs(index) {
                let was_full = asker.is_full();
                asker.on_its_way.insert(index);
                asker.sent_ms = now_ms;
                self.full += usize::from(!was_full && asker.is_full());
            }
        }
        self.needed_by[index as usize] = 0;
        self.shared_ms[index as usize] = Some(now_ms);
        let readers = u32::try_from(self.askers.len()).unwrap_or(u32::MAX);
        Sending { index, to: To::Shared, readers, compressed }
    }

    fn forget_silent(&mut self, now_ms: u64) {
        // A silent one holds the window closed for the others.
        let is_held_up = self.full * 2 > self.askers.len();
        let limit_ms = if is_held_up { SILENT_AND_FULL_MS_MAX } else { SILENT_MS_MAX };
        let limit_ms = limit_ms + self.crowd_ms();
        let is_silent = |asker: &Asker| now_ms >= asker.heard_ms.max(asker.sent_ms) + limit_ms;
        let silent = self.askers.iter().filter(|(_, asker)| is_silent(asker));
        let silent: Vec<DeviceId> = silent.map(|(device, _)| device.clone()).collect();
        silent.iter().for_each(|device| self.forget(device));
    }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
