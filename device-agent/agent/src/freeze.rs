//! Notices that newer documents are kept from this device.
//!
//! Two signs. A genuine heartbeat names a newer manifest or root document than the
//! device has, and for some time none comes. Or there are no heartbeats although the
//! broker is there. Only a heartbeat that is newer than all before, and than the
//! manifest that the device has, is a sign of life: a recorded one names an earlier
//! time.

use crate::Moment;
use module_package::Heartbeat;
use std::time::Duration;

/// Heartbeats come once a minute; several may be lost.
const SILENCE_FACTOR: u32 = 5;

/// What the device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub epoch: u32,
    pub seq: u64,
    pub root_version: u32,
}

#[derive(Debug)]
pub struct FreezeWatch {
    /// How long something newer may be on its way.
    patience: Duration,
    newest: Option<Held>,
    newest_time_ms: u64,
    /// Since when something newer is known of, and since when nothing was heard.
    behind_since: Option<Moment>,
    silent_since: Option<Moment>,
    /// When the device last said so.
    told_at: Option<Moment>,
}

impl FreezeWatch {
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            newest: None,
            newest_time_ms: 0,
            behind_since: None,
            silent_since: None,
            told_at: None,
        }
    }

    /// A genuine heartbeat. One that is no news is no sign of life either, unless it
    /// answers a question of this device's own: a nonce alone can be a recorded one.
    /// Says whether it names an earlier time than the newest: then it is a recording, or
    /// the gateway's clock was set back, and only an answer tells which.
    pub fn hear(
        &mut self,
        heartbeat: &Heartbeat,
        is_answer: bool,
        held: Held,
        now: Moment,
    ) -> bool {
        if heartbeat.time_ms <= self.newest_time_ms && !is_answer {
            return heartbeat.time_ms < self.newest_time_ms;
        }
        let Heartbeat { epoch, seq, root_version, .. } = *heartbeat;
        self.newest_time_ms = heartbeat.time_ms;
        self.newest = Some(Held { epoch, seq, root_version });
        self.silent_since = Some(now);
        self.note_held(held, now);
        false
    }

    /// What the device holds has perhaps changed.
    pub fn note_held(&mut self, held: Held, now: Moment) {
        let is_behind = self.newest.is_some_and(|newest| is_newer(newest, held));
        match is_behind {
            true => self.behind_since = Some(self.behind_since.unwrap_or(now)),
            false => self.behind_since = None,
        }
    }

    /// A new connection: silence counts from here.
    pub fn note_connected(&mut self, now: Moment) {
        self.silent_since = Some(now);
    }

    /// The device's manifest was made then: what was said before is known to be old,
    /// also after a start, when no heartbeat was heard yet.
    pub fn note_made(&mut self, time_ms: u64) {
        self.newest_time_ms = self.newest_time_ms.max(time_ms);
    }

    /// Why the device says that it is frozen; once in a while, until it is not.
    pub fn take_alarm(&mut self, held: Held, now: Moment) -> Option<String> {
        if self.deadline().is_none_or(|at| now < at) {
            return None;
        }
        self.told_at = Some(now);
        let seconds = |since: Moment| now.saturating_sub(since).as_secs();
        if let (Some(since), Some(newest)) = (self.behind_since, self.newest) {
            let Held { epoch, seq, root_version } = held;
            return Some(format!(
                "generation {} of epoch {} and root {} exist, this device has had {seq}, {epoch} and {root_version} for {} s",
                newest.seq,
                newest.epoch,
                newest.root_version,
                seconds(since)
            ));
        }
        let since = self.silent_since?;
        Some(format!("no heartbeat for {} s, although the broker is there", seconds(since)))
    }

    /// When to look again.
    pub fn deadline(&self) -> Option<Moment> {
        let behind = self.behind_since.map(|since| since + self.patience);
        let silent = self.silent_since.map(|since| since + self.patience * SILENCE_FACTOR);
        let first = behind.into_iter().chain(silent).min()?;
        let repeat = self.told_at.map(|told| told + self.patience);
        Some(repeat.map_or(first, |repeat| repeat.max(first)))
    }
}

fn is_newer(newest: Held, held: Held) -> bool {
    (newest.epoch, newest.seq) > (held.epoch, held.seq) || newest.root_version > held.root_version
}

#[cfg(test)]
mod tests {
    use super::*;
    use module_package::{DOCUMENT_VERSION, DeviceId};

    const SECS: fn(u64) -> Moment = Duration::from_secs;

    fn held(seq: u64) -> Held {
        Held { epoch: 1, seq, root_version: 1 }
    }

    fn heartbeat(time_ms: u64, seq: u64) -> Heartbeat {
        Heartbeat {
            version: DOCUMENT_VERSION,
            device: DeviceId::of_key(&[1; 32]),
            time_ms,
            epoch: 1,
            seq,
            manifest: None,
            root_version: 1,
            nonce: None,
        }
    }

    fn watch() -> FreezeWatch {
        FreezeWatch::new(SECS(60))
    }

    #[test]
    fn a_newer_manifest_that_does_not_come_is_told_of_again_and_again() {
        let mut watch = watch();
        watch.hear(&heartbeat(1, 5), false, held(4), SECS(0));
        assert_eq!(watch.take_alarm(held(4), SECS(59)), None);
        let why = watch.take_alarm(held(4), SECS(60)).unwrap();
        assert!(why.starts_with("generation 5 of epoch 1"), "{why}");
        assert_eq!(watch.take_alarm(held(4), SECS(61)), None);
        assert!(watch.take_alarm(held(4), SECS(120)).is_some());
        watch.note_held(held(5), SECS(121));
        assert_eq!(watch.take_alarm(held(5), SECS(200)), None);
    }

    #[test]
    fn one_that_comes_in_time_is_nothing() {
        let mut watch = watch();
        watch.hear(&heartbeat(1, 5), false, held(4), SECS(0));
        watch.note_held(held(5), SECS(30));
        watch.hear(&heartbeat(2, 5), false, held(5), SECS(60));
        assert_eq!(watch.take_alarm(held(5), SECS(61)), None);
    }

    #[test]
    fn recorded_heartbeats_are_no_sign_of_life() {
        let mut watch = watch();
        watch.hear(&heartbeat(100, 5), false, held(5), SECS(0));
        // Also of one that was an answer once.
        let answer = Heartbeat { nonce: Some([7; 16]), ..heartbeat(100, 5) };
        for minute in 1..5 {
            watch.hear(&heartbeat(100, 5), false, held(5), SECS(minute * 60));
            watch.hear(&answer, false, held(5), SECS(minute * 60));
        }
        let why = watch.take_alarm(held(5), SECS(300)).unwrap();
        assert!(why.contains("no heartbeat for 300 s"), "{why}");
    }

    #[test]
    fn an_answer_is_a_sign_of_life_also_where_the_gateways_clock_was_set_back() {
        let mut watch = watch();
        watch.hear(&heartbeat(100, 5), false, held(5), SECS(0));
        assert!(watch.hear(&heartbeat(50, 5), false, held(5), SECS(100)), "which is it?");
        assert!(!watch.hear(&heartbeat(50, 5), true, held(5), SECS(200)));
        assert_eq!(watch.take_alarm(held(5), SECS(300)), None);
        assert!(watch.take_alarm(held(5), SECS(500)).is_some());
    }

    #[test]
    fn a_device_that_hears_nothing_after_its_start_misses_it() {
        let mut watch = watch();
        assert_eq!(watch.deadline(), None, "there is no connection");
        watch.note_connected(SECS(10));
        assert_eq!(watch.take_alarm(held(5), SECS(309)), None);
        assert!(watch.take_alarm(held(5), SECS(310)).unwrap().contains("no heartbeat"));
    }

    #[test]
    fn what_was_said_before_the_manifest_was_made_is_no_sign_of_life_after_a_start() {
        let mut watch = watch();
        watch.note_made(1_000);
        watch.note_connected(SECS(0));
        watch.hear(&heartbeat(999, 4), false, held(5), SECS(200));
        assert!(watch.take_alarm(held(5), SECS(300)).is_some());
        watch.hear(&heartbeat(1_001, 5), false, held(5), SECS(400));
        assert_eq!(watch.take_alarm(held(5), SECS(600)), None);
    }
}
