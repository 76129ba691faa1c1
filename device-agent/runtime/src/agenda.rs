//! Whose turn it is.
//!
//! Of the guests that are due, the one with the highest priority comes first, and among
//! equals the one that has waited longest. A call that runs is not interrupted for it:
//! it waits for the end of one call at most, which the call's own limit bounds. A guest
//! that is always due keeps lower ones waiting for as long as its gas lasts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use worker_protocol::GuestId;

#[derive(Default)]
pub struct Agenda {
    sleeping: BTreeSet<(Instant, GuestId)>,
    due: BTreeSet<(Reverse<u8>, Instant, GuestId)>,
    places: BTreeMap<GuestId, Place>,
}

#[derive(Clone, Copy)]
struct Place {
    at: Instant,
    priority: u8,
}

impl Agenda {
    /// From now on it has a turn at this time, or none.
    pub fn set(&mut self, guest: GuestId, priority: u8, at: Option<Instant>) {
        if let Some(Place { at, priority }) = self.places.remove(&guest) {
            self.sleeping.remove(&(at, guest));
            self.due.remove(&(Reverse(priority), at, guest));
        }
        if let Some(at) = at {
            self.places.insert(guest, Place { at, priority });
            self.sleeping.insert((at, guest));
        }
    }

    /// Takes out the guest whose turn it is.
    pub fn take_due(&mut self, now: Instant) -> Option<GuestId> {
        while let Some((at, guest)) = self.sleeping.first().copied().filter(|(at, _)| *at <= now) {
            self.sleeping.pop_first();
            let priority = self.places.get(&guest).map_or(0, |place| place.priority);
            self.due.insert((Reverse(priority), at, guest));
        }
        let (_, _, guest) = self.due.pop_first()?;
        self.places.remove(&guest);
        Some(guest)
    }

    /// When the next one wakes; `None` if all sleep for good. What is due is due now.
    pub fn next_at(&self, now: Instant) -> Option<Instant> {
        if !self.due.is_empty() {
            return Some(now);
        }
        self.sleeping.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn taken(agenda: &mut Agenda, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| agenda.take_due(now)).map(|guest| guest.0).collect()
    }

    #[test]
    fn the_highest_priority_comes_first_and_then_who_has_waited_longest() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut agenda = Agenda::default();
        for (guest, priority, ms) in [(1, 0, 5), (2, 3, 9), (3, 3, 7), (4, 7, 50), (5, 0, 4)] {
            agenda.set(GuestId(guest), priority, Some(at(ms)));
        }
        assert_eq!(agenda.next_at(at(0)), Some(at(4)));
        assert!(taken(&mut agenda, at(3)).is_empty());
        assert_eq!(taken(&mut agenda, at(10)), [3, 2, 5, 1]);
        assert_eq!(taken(&mut agenda, at(50)), [4]);
        assert_eq!(agenda.next_at(at(50)), None);
    }

    #[test]
    fn a_turn_that_is_set_again_or_taken_away_leaves_nothing_behind() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut agenda = Agenda::default();
        agenda.set(GuestId(1), 0, Some(start));
        agenda.set(GuestId(2), 0, Some(start));
        assert_eq!(agenda.take_due(start), Some(GuestId(1)));
        // It is among the due ones already.
        agenda.set(GuestId(2), 5, Some(later));
        assert_eq!((agenda.take_due(start), agenda.next_at(start)), (None, Some(later)));
        agenda.set(GuestId(2), 5, None);
        assert_eq!((agenda.take_due(later), agenda.next_at(later)), (None, None));
    }
}
