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
//! What was sent counts as on its way to each device that listens, and is not sent to
//! it again until it is lost: [`asker`] says when, [`pace`] how long the broker needs.
//! The stream stays a window of blocks ahead of what half of the devices say they
//! have, so that little waits in the broker.

mod asker;
mod pace;

use asker::Asker;
use device_protocol::{Bitmap, Want};
use module_package::DeviceId;
use pace::Pace;
use std::collections::HashMap;

/// The first request waits for more this long after the last new one, and in all. Where
/// the requests take longer to come, some come later still: a busy broker hands them on
/// in portions. So it waits as long again as they have taken so far, within these bounds.
const GATHER_QUIET_MS_MIN: u64 = 250;
const GATHER_QUIET_MS_MAX: u64 = 1_000;
const GATHER_MS_MAX: u64 = 3_000;
/// What a minority lacks waits while the others get on, but not for ever: sent to all,
/// it goes also to those who only wait for what is on its way.
const MINORITY_WAIT_MS: u64 = 1_500;
const MINORITY_WAIT_MS_MAX: u64 = 8_000;
/// Up to so many devices get a block on their own topics.
const OWN_MAX: u32 = 4;
/// Between two looks whether a full window has opened, unless somebody asks.
const ROOM_WAIT_MS: u64 = 200;
/// A device that says nothing for so long does not hold up the others. Agents tell
/// each second what has come.
const HELD_UP_MS_MAX: u64 = 5_000;
/// And after so long it has gone. Where nothing comes, agents ask once a minute.
const GONE_AFTER_MS: u64 = 90_000;

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
    /// Devices that listen.
    pub readers: u32,
    /// Those of them that need it, for which it now counts as sent.
    pub takers: Vec<DeviceId>,
    /// All who listen read compressed blocks.
    pub compressed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Send(Sending),
    /// Nothing before this time, unless somebody asks.
    At(u64),
    /// Nobody asks any more.
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
    /// Blocks sent so far, each with a number.
    sent: u64,
    pace: Pace,
    /// Devices that will probably ask.
    expected: usize,
    first_ms: u64,
    /// When what is gathered is answered.
    start_ms: u64,
    minority_since_ms: Option<u64>,
}

impl Transfer {
    /// `expected`: devices that are online and should run what is in the blob.
    pub fn new(blocks: u32, expected: usize, now_ms: u64) -> Self {
        Self {
            askers: HashMap::new(),
            needed_by: vec![0; blocks as usize],
            shared_ms: vec![None; blocks as usize],
            sent: 0,
            pace: Pace::new(now_ms),
            expected,
            first_ms: now_ms,
            start_ms: now_ms,
            minority_since_ms: None,
        }
    }

    pub fn blocks(&self) -> u32 {
        // Cannot truncate: it was made with a number of this type.
        self.needed_by.len() as u32
    }

    pub fn is_over(&self) -> bool {
        self.askers.is_empty()
    }

    pub fn ask(&mut self, device: &DeviceId, want: &Want, now_ms: u64) {
        let lacks = self.lacks_of(want);
        let old = self.take_out(device);
        let is_over = lacks.is_empty();
        let asker = match old {
            Some(mut old) if want.restarted != Some(true) => {
                let heard = old.hear(lacks, want, &self.pace, now_ms);
                if heard.got_some {
                    self.pace.note_progress(heard.took_ms, now_ms);
                }
                old
            }
            old => {
                if old.is_none() && !is_over {
                    self.gather(now_ms);
                }
                self.join(old, lacks, want, now_ms)
            }
        };
        if is_over {
            return;
        }
        self.put_in(device.clone(), asker);
        if self.askers.len() >= self.expected {
            self.start_ms = self.start_ms.min(now_ms);
        }
    }

    /// One that begins, or begins anew, or was forgotten here and has been listening.
    fn join(&self, old: Option<Asker>, lacks: Bitmap, want: &Want, now_ms: u64) -> Asker {
        let has_listened = want.abilities.is_some() && want.restarted.is_none();
        let patience_ms = self.pace.patience_ms(now_ms);
        let may_come: Vec<u32> = lacks
            .iter()
            .filter(|index| {
                let sent_ms = self.shared_ms[*index as usize];
                sent_ms.is_some_and(|sent_ms| now_ms < sent_ms + patience_ms)
            })
            .collect();
        let mut asker = match old {
            Some(old) => old.restart(lacks, want, now_ms),
            None => Asker::new(lacks, want, now_ms),
        };
        for index in may_come {
            asker.doubt(index);
            if has_listened {
                asker.send(0, index, now_ms);
            }
        }
        asker
    }

    pub fn has(&self, device: &DeviceId) -> bool {
        self.askers.contains_key(device)
    }

    pub fn forget(&mut self, device: &DeviceId) {
        self.take_out(device);
    }

    /// What the device lacks of the blocks that there are.
    fn lacks_of(&self, want: &Want) -> Bitmap {
        let count = self.blocks();
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
        }
        let is_gathering = self.askers.is_empty() || now_ms < self.start_ms;
        if is_gathering {
            let taken_ms = now_ms.saturating_sub(self.first_ms);
            let quiet_ms = taken_ms.clamp(GATHER_QUIET_MS_MIN, GATHER_QUIET_MS_MAX);
            self.start_ms = (now_ms + quiet_ms).min(self.first_ms + GATHER_MS_MAX);
        }
    }

    fn put_in(&mut self, device: DeviceId, asker: Asker) {
        asker.needed().for_each(|index| self.needed_by[index as usize] += 1);
        self.askers.insert(device, asker);
        self.pace.note_crowd(self.askers.len());
    }

    fn take_out(&mut self, device: &DeviceId) -> Option<Asker> {
        let asker = self.askers.remove(device)?;
        asker.needed().for_each(|index| self.needed_by[index as usize] -= 1);
        Some(asker)
    }

    /// What to do now. A `Send` counts as done.
    pub fn next(&mut self, now_ms: u64) -> Next {
        self.forget_gone(now_ms);
        if self.is_over() {
            return Next::Nothing;
        }
        if now_ms < self.start_ms {
            return Next::At(self.start_ms);
        }
        // The lowest of those that most lack.
        let most = self.needed_by.iter().enumerate().max_by_key(|(i, n)| (**n, usize::MAX - i));
        let (index, needed_by) = match most {
            Some((index, needed_by)) if *needed_by > 0 => (index as u32, *needed_by),
            // Everybody will soon have all, or asks again.
            _ => return Next::At(now_ms + HELD_UP_MS_MAX),
        };
        let is_minority = (needed_by as usize) * 2 < self.askers.len();
        if is_minority {
            let since_ms = *self.minority_since_ms.get_or_insert(now_ms);
            let quiet_ms = self.pace.progress_ms() + self.pace.slack_ms() + MINORITY_WAIT_MS;
            let until_ms = quiet_ms.min(since_ms + MINORITY_WAIT_MS_MAX);
            if now_ms < until_ms {
                return Next::At(until_ms);
            }
        } else {
            self.minority_since_ms = None;
        }
        if (needed_by == 1 || is_minority) && needed_by <= OWN_MAX {
            match self.send_alone(index, now_ms) {
                Alone::Sent(sending) => return Next::Send(sending),
                // Who has no room does not hold up who has: it may have gone silent.
                Alone::NoRoom => {
                    return match self.send_to_one_with_room(now_ms) {
                        Some(sending) => Next::Send(sending),
                        None => Next::At(now_ms + ROOM_WAIT_MS),
                    };
                }
                Alone::NoTopic => {}
            }
        }
        if self.is_far_ahead(index, now_ms) {
            return Next::At(now_ms + ROOM_WAIT_MS);
        }
        Next::Send(self.send_to_all(index, now_ms))
    }

    /// Whether half of those that need the block, and say anything, have first to say
    /// what has come.
    fn is_far_ahead(&self, index: u32, now_ms: u64) -> bool {
        let limit_ms = HELD_UP_MS_MAX + self.pace.slack_ms();
        let speaks = |asker: &&Asker| asker.needs(index) && !asker.is_silent(limit_ms, now_ms);
        let (mut full, mut speaking) = (0, 0);
        for asker in self.askers.values().filter(speaks) {
            speaking += 1;
            full += usize::from(asker.is_full());
        }
        speaking == 0 || full * 2 > speaking
    }

    /// To one that needs it and has room, if it listens on its own topic.
    fn send_alone(&mut self, index: u32, now_ms: u64) -> Alone {
        let mut takers =
            self.askers.iter().filter(|(_, asker)| asker.needs(index) && asker.has_own_topic());
        let mut answer = Alone::NoTopic;
        let device = loop {
            match takers.next() {
                None => return answer,
                Some((_, asker)) if asker.is_full() => answer = Alone::NoRoom,
                Some((device, _)) => break device.clone(),
            }
        };
        let Some(asker) = self.askers.get_mut(&device) else { return answer };
        self.sent += 1;
        asker.send(self.sent, index, now_ms);
        self.needed_by[index as usize] -= 1;
        let compressed = asker.reads_deflate();
        let takers = vec![device.clone()];
        Alone::Sent(Sending { index, to: To::Own(device), readers: 1, takers, compressed })
    }

    /// The lowest block that one device alone needs and has room for.
    fn send_to_one_with_room(&mut self, now_ms: u64) -> Option<Sending> {
        let has_room = |asker: &&Asker| !asker.is_full() && asker.has_own_topic();
        let takers = self.askers.values().filter(has_room);
        let is_alone = |index: &u32| self.needed_by[*index as usize] == 1;
        let index = takers.filter_map(|asker| asker.needed().find(is_alone)).min()?;
        match self.send_alone(index, now_ms) {
            Alone::Sent(sending) => Some(sending),
            Alone::NoRoom | Alone::NoTopic => None,
        }
    }

    fn send_to_all(&mut self, index: u32, now_ms: u64) -> Sending {
        let compressed = self.askers.values().all(Asker::reads_deflate);
        self.sent += 1;
        let mut takers = Vec::new();
        for (device, asker) in &mut self.askers {
            if asker.needs(index) {
                asker.send(self.sent, index, now_ms);
                takers.push(device.clone());
            }
        }
        self.needed_by[index as usize] = 0;
        self.shared_ms[index as usize] = Some(now_ms);
        let readers = u32::try_from(self.askers.len()).unwrap_or(u32::MAX);
        Sending { index, to: To::Shared, readers, takers, compressed }
    }

    fn forget_gone(&mut self, now_ms: u64) {
        let limit_ms = GONE_AFTER_MS + self.pace.slack_ms();
        let is_gone = |asker: &Asker| now_ms >= asker.quiet_since_ms() + limit_ms;
        let gone = self.askers.iter().filter(|(_, asker)| is_gone(asker));
        let gone: Vec<DeviceId> = gone.map(|(device, _)| device.clone()).collect();
        gone.iter().for_each(|device| self.forget(device));
    }
}

#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod tests;
