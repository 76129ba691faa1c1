//! What time it is, as far as this device knows.
//!
//! Three grades ([`ClockTrust`]). A device whose configuration says that its clock is
//! right believes it. Any other asks: a report carries a nonce that was never used
//! before, and the time of a heartbeat that echoes it within [`ROUND_TRIP_MAX`] is
//! believed, because no recording can know the nonce. From then on the time is that,
//! plus what has passed since. Before the first answer it is unknown.
//!
//! Every signed time ever seen is a lower bound, kept over restarts, so that an old
//! document with an end does not come to life again while the clock is unknown.
//! Only an answer to a nonce may lower it: that is fresh, so the gateway's own clock
//! was wrong before, and a fleet must not be lost to that.

use crate::Moment;
use device_protocol::ClockTrust;
use module_package::{Heartbeat, NONCE_BYTES};
use std::time::Duration;

/// An answer that took longer is not believed: it would be wrong by as much.
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);
/// How long an answer is good for. Crystals drift by some seconds a day.
const ANSWER_GOOD: Duration = Duration::from_secs(60 * 60);
/// The bound is written again when it has grown by this: at most once a day.
const FLOOR_STEP_MS: u64 = 24 * 60 * 60 * 1_000;

/// What a heartbeat was good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// It answers this device's newest question, and is no recorded one.
    pub is_answer: bool,
    /// It says that it is earlier than was thought.
    pub is_back: bool,
}

#[derive(Debug)]
pub struct Clock {
    is_configured: bool,
    asked: Option<([u8; NONCE_BYTES], Moment)>,
    told: Option<(u64, Moment)>,
    /// Something that came does not fit this time.
    is_in_doubt: bool,
    floor_ms: u64,
    /// As it is on the disk.
    kept_floor_ms: u64,
}

impl Clock {
    pub fn new(is_configured: bool, floor_ms: u64) -> Self {
        Self {
            is_configured,
            asked: None,
            told: None,
            is_in_doubt: false,
            floor_ms,
            kept_floor_ms: floor_ms,
        }
    }

    pub fn trust(&self) -> ClockTrust {
        match (self.is_configured, self.told) {
            (true, _) => ClockTrust::Configured,
            (false, Some(_)) => ClockTrust::Heartbeat,
            (false, None) => ClockTrust::Unknown,
        }
    }

    /// It is this late or later; `None` where nothing at all is known.
    pub fn at_least_ms(&self, now: Moment, wall_clock_ms: u64) -> Option<u64> {
        if self.is_configured {
            return Some(wall_clock_ms);
        }
        let passed =
            |(time_ms, at): (u64, Moment)| time_ms.saturating_add(to_ms(now.saturating_sub(at)));
        let told_ms = self.told.map_or(0, passed);
        Some(told_ms.max(self.floor_ms)).filter(|time_ms| *time_ms > 0)
    }

    /// Whether the next report shall carry a nonce.
    pub fn wants_answer(&self, now: Moment) -> bool {
        let is_good = |(_, at): (u64, Moment)| now.saturating_sub(at) < ANSWER_GOOD;
        let waits = |(_, at): ([u8; NONCE_BYTES], Moment)| now.saturating_sub(at) <= ROUND_TRIP_MAX;
        let is_sure = self.is_configured || self.told.is_some_and(is_good);
        (!is_sure || self.is_in_doubt) && !self.asked.is_some_and(waits)
    }

    /// A report with this nonce was sent. Only the newest counts.
    pub fn note_question(&mut self, nonce: [u8; NONCE_BYTES], now: Moment) {
        self.asked = Some((nonce, now));
    }

    /// Takes the time of a genuine heartbeat, and says what it was good for.
    pub fn hear(&mut self, heartbeat: &Heartbeat, now: Moment) -> Heard {
        let is_answer = |(nonce, at): &mut ([u8; NONCE_BYTES], Moment)| {
            heartbeat.nonce == Some(*nonce) && now.saturating_sub(*at) <= ROUND_TRIP_MAX
        };
        if self.asked.take_if(is_answer).is_none() {
            self.note_signed_time(heartbeat.time_ms);
            return Heard::default();
        }
        let is_back = heartbeat.time_ms < self.floor_ms;
        self.told = Some((heartbeat.time_ms, now));
        self.is_in_doubt = false;
        self.floor_ms = heartbeat.time_ms;
        Heard { is_answer: true, is_back }
    }

    /// A document has ended by this time, or a heartbeat names an earlier one: it is
    /// asked for again, because the gateway may have set its own clock right.
    pub fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// A genuine document says that it was made then.
    pub fn note_signed_time(&mut self, time_ms: u64) {
        self.floor_ms = self.floor_ms.max(time_ms);
    }

    /// The bound to write now, if it is worth it.
    pub fn floor_to_keep(&mut self) -> Option<u64> {
        let Self { floor_ms, kept_floor_ms, .. } = *self;
        let is_worth_it =
            floor_ms < kept_floor_ms || floor_ms >= kept_floor_ms.saturating_add(FLOOR_STEP_MS);
        is_worth_it.then(|| {
            self.kept_floor_ms = floor_ms;
            floor_ms
        })
    }
}

fn to_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use module_package::{DOCUMENT_VERSION, DeviceId};

    const SECS: fn(u64) -> Moment = Duration::from_secs;
    const DAY_MS: u64 = FLOOR_STEP_MS;

    fn heartbeat(time_ms: u64, nonce: Option<u8>) -> Heartbeat {
        Heartbeat {
            version: DOCUMENT_VERSION,
            device: DeviceId::of_key(&[1; 32]),
            time_ms,
            epoch: 1,
            seq: 1,
            manifest: None,
            root_version: 1,
            nonce: nonce.map(|byte| [byte; NONCE_BYTES]),
        }
    }

    #[test]
    fn only_the_answer_to_the_newest_question_tells_the_time() {
        let mut clock = Clock::new(false, 0);
        assert_eq!(clock.at_least_ms(SECS(0), 77), None);
        clock.note_question([1; 16], SECS(0));
        clock.note_question([2; 16], SECS(11));
        clock.hear(&heartbeat(5_000, Some(1)), SECS(12));
        clock.hear(&heartbeat(6_000, None), SECS(12));
        assert_eq!(clock.trust(), ClockTrust::Unknown);
        assert_eq!(clock.at_least_ms(SECS(100), 77), Some(6_000), "a bound, that does not run");
        clock.hear(&heartbeat(7_000, Some(2)), SECS(13));
        assert_eq!(clock.trust(), ClockTrust::Heartbeat);
        assert_eq!(clock.at_least_ms(SECS(15), 77), Some(9_000));
    }

    #[test]
    fn an_answer_that_was_held_back_and_one_that_is_heard_twice_tell_nothing() {
        let mut clock = Clock::new(false, 0);
        clock.note_question([1; 16], SECS(0));
        clock.hear(&heartbeat(5_000, Some(1)), SECS(11));
        assert_eq!(clock.trust(), ClockTrust::Unknown);
        clock.note_question([2; 16], SECS(20));
        clock.hear(&heartbeat(6_000, Some(2)), SECS(21));
        clock.hear(&heartbeat(6_000, Some(2)), SECS(1_000));
        assert_eq!(clock.at_least_ms(SECS(1_021), 0), Some(1_006_000));
    }

    #[test]
    fn a_replayed_time_never_sets_it_back_and_a_fresh_one_does() {
        let mut clock = Clock::new(false, 9 * DAY_MS);
        assert_eq!(clock.hear(&heartbeat(DAY_MS, None), SECS(0)), Heard::default());
        assert_eq!(clock.at_least_ms(SECS(0), 0), Some(9 * DAY_MS));
        clock.note_question([1; 16], SECS(1));
        let heard = clock.hear(&heartbeat(DAY_MS, Some(1)), SECS(2));
        assert!(heard.is_answer && heard.is_back, "the gateway's clock was ahead");
        assert_eq!(clock.at_least_ms(SECS(2), 0), Some(DAY_MS));
        assert_eq!(clock.floor_to_keep(), Some(DAY_MS));
    }

    #[test]
    fn the_bound_is_written_once_a_day() {
        let mut clock = Clock::new(false, 0);
        let mut writes = 0;
        for minute in 0..60 * 24 * 3 {
            clock.hear(&heartbeat(DAY_MS + minute * 60_000, None), SECS(minute * 60));
            writes += u32::from(clock.floor_to_keep().is_some());
        }
        assert_eq!(writes, 3);
    }

    #[test]
    fn it_asks_until_it_is_answered_and_again_after_an_hour() {
        let mut clock = Clock::new(false, 0);
        assert!(clock.wants_answer(SECS(0)));
        clock.note_question([1; 16], SECS(0));
        assert!(!clock.wants_answer(SECS(10)));
        assert!(clock.wants_answer(SECS(11)));
        clock.note_question([2; 16], SECS(11));
        clock.hear(&heartbeat(1, Some(2)), SECS(12));
        assert!(!clock.wants_answer(SECS(3_000)));
        assert!(clock.wants_answer(SECS(3_700)));
        let mut right = Clock::new(true, 0);
        assert!(!right.wants_answer(SECS(0)), "its own clock is right");
        right.doubt();
        assert!(right.wants_answer(SECS(0)), "but the gateway's may have been wrong");
        right.note_question([3; 16], SECS(0));
        assert!(right.hear(&heartbeat(1, Some(3)), SECS(1)).is_answer);
        assert!(!right.wants_answer(SECS(2)));
        assert_eq!(
            (right.at_least_ms(SECS(2), 77), right.trust()),
            (Some(77), ClockTrust::Configured)
        );
    }
}
