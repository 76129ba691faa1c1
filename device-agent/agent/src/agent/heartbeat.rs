//! Heartbeats: what time it is, and whether newer documents exist.

use super::Agent;
use crate::Moment;
use crate::clock::Heard;
use crate::refusal::Refusal;
use device_protocol::RefusalCode;
use module_package::{NONCE_BYTES, open_heartbeat};

impl Agent {
    pub(super) fn take_heartbeat(&mut self, sealed: &[u8], now: Moment) {
        let enrolment = &self.parts.enrolment;
        let heartbeat = match open_heartbeat(sealed, &enrolment.root, &enrolment.device) {
            Ok(heartbeat) => heartbeat,
            Err(error) => return self.refuse(Refusal::from(&error), None, now),
        };
        let trust = self.clock.trust();
        let Heard { is_answer, is_back } = self.clock.hear(&heartbeat, now);
        if is_back {
            self.log_own("warn", "the gateway's clock was set back".into(), now);
        }
        self.keep_time();
        if self.freeze_watch.hear(&heartbeat, is_answer, self.held(), now) {
            self.clock.doubt();
        }
        if is_back || self.clock.trust() != trust {
            // A manifest that was refused for its age may be good by the true time.
            self.ask_for_manifest();
            self.pace.note_change(now);
        }
    }

    pub(super) fn keep_time(&mut self) {
        if let Some(floor_ms) = self.clock.floor_to_keep()
            && let Err(error) = self.parts.state.set_time_floor(floor_ms)
        {
            tracing::warn!("{error}");
        }
    }

    /// What a report asks the time with, if it does.
    pub(super) fn nonce_to_ask(&self, now: Moment) -> Option<[u8; NONCE_BYTES]> {
        if !self.clock.wants_answer(now) {
            return None;
        }
        let mut nonce = [0; NONCE_BYTES];
        // Without randomness there is no question, and the clock stays unknown.
        getrandom::fill(&mut nonce).ok().map(|()| nonce)
    }

    pub(super) fn check_freeze(&mut self, now: Moment) {
        if self.broker.is_none() {
            return;
        }
        if let Some(why) = self.freeze_watch.take_alarm(self.held(), now) {
            self.refuse(Refusal::new(RefusalCode::Frozen, why), None, now);
            // An answer is a sign of life, also where a stolen key has set the time ahead
            // and all other heartbeats look old.
            self.clock.doubt();
            self.subscribe_root();
            self.ask_for_manifest();
        }
    }

    pub(super) fn freeze_deadline(&self) -> Option<Moment> {
        self.broker.as_ref().and_then(|_| self.freeze_watch.deadline())
    }
}
