//! Devices that ask to be let in without a claim token, until an operator has
//! compared their fingerprints.
//!
//! The list is bounded, and a full one turns newcomers away instead of forgetting
//! who waits, so no flood pushes a device out; how many were turned away is shown.
//! Nor can a flood keep a device out: an operator who reads the fingerprint at the
//! device accepts it whether it is in the list or not. It is in memory: devices ask
//! again, and so after a restart it fills by itself.

use device_protocol::EnrolStatement;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use module_package::DeviceId;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

pub const PENDING_MAX: usize = 256;
/// Decisions that wait for their device.
const DECIDED_MAX: usize = 1_024;
/// A device asks at least once a minute.
const FORGET_AFTER_MS: u64 = 15 * 60 * 1_000;
/// How long a decision about a device that is not in the list holds.
const DECISION_MS: u64 = 3_600 * 1_000;
pub const RETRY_AFTER_S: u32 = 10;
/// Of devices without a claim token, known or not, together.
const ASKS_PER_S: NonZeroU32 = NonZeroU32::new(50).unwrap();

pub struct Pending {
    by_fingerprint: BTreeMap<String, Ask>,
    decided: BTreeMap<String, Decision>,
    /// Since the start, because the list was full or because of the rate.
    pub turned_away: u64,
    rate: DefaultDirectRateLimiter,
}

#[derive(Debug, Clone)]
pub struct Ask {
    pub device: DeviceId,
    pub statement: EnrolStatement,
    pub first_ms: u64,
    pub last_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Decision {
    is_accepted: bool,
    until_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Waits,
    Accepted,
    Rejected,
    TurnedAway,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            by_fingerprint: BTreeMap::new(),
            decided: BTreeMap::new(),
            turned_away: 0,
            rate: RateLimiter::direct(Quota::per_second(ASKS_PER_S)),
        }
    }
}

impl Pending {
    /// Before anything is computed for the asker.
    pub fn has_room_for_an_ask(&mut self) -> bool {
        let has_room = self.rate.check().is_ok();
        self.turned_away += u64::from(!has_room);
        has_room
    }

    pub fn ask(
        &mut self,
        fingerprint: &str,
        device: &DeviceId,
        statement: &EnrolStatement,
        now_ms: u64,
    ) -> Standing {
        self.forget_old(now_ms);
        match self.decided.get(fingerprint) {
            Some(decision) if decision.is_accepted => return Standing::Accepted,
            Some(_) => return Standing::Rejected,
            None => {}
        }
        if let Some(ask) = self.by_fingerprint.get_mut(fingerprint) {
            ask.last_ms = now_ms;
            ask.statement = statement.clone();
            return Standing::Waits;
        }
        if self.by_fingerprint.len() >= PENDING_MAX {
            self.turned_away += 1;
            return Standing::TurnedAway;
        }
        let (device, statement) = (device.clone(), statement.clone());
        let ask = Ask { device, statement, first_ms: now_ms, last_ms: now_ms };
        self.by_fingerprint.insert(fingerprint.to_owned(), ask);
        Standing::Waits
    }

    /// Who waits, with fingerprints.
    pub fn list(&mut self, now_ms: u64) -> impl Iterator<Item = (&String, &Ask)> {
        self.forget_old(now_ms);
        self.by_fingerprint.iter()
    }

    pub fn find(&self, fingerprint: &str) -> Option<&Ask> {
        self.by_fingerprint.get(fingerprint)
    }

    /// For one that is enrolled now.
    pub fn settle(&mut self, fingerprint: &str) {
        self.by_fingerprint.remove(fingerprint);
        self.decided.remove(fingerprint);
    }

    /// Decides about a device that is turned away or asks only later. `false` when
    /// too many decisions are open.
    pub fn decide(&mut self, fingerprint: &str, is_accepted: bool, now_ms: u64) -> bool {
        self.forget_old(now_ms);
        self.by_fingerprint.remove(fingerprint);
        if self.decided.len() >= DECIDED_MAX && !self.decided.contains_key(fingerprint) {
            return false;
        }
        let decision = Decision { is_accepted, until_ms: now_ms + DECISION_MS };
        self.decided.insert(fingerprint.to_owned(), decision);
        true
    }

    fn forget_old(&mut self, now_ms: u64) {
        self.by_fingerprint.retain(|_, ask| now_ms < ask.last_ms + FORGET_AFTER_MS);
        self.decided.retain(|_, decision| now_ms < decision.until_ms);
    }
}
