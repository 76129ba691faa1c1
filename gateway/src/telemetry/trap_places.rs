//! Where modules trapped on a device, as far as somebody asked.
//!
//! A place is found by reading the module again, which takes a moment for a large one; so
//! it is done when a person asks, and what was found is kept.

use device_protocol::TrapReport;
use gateway_api::TrapPlaceStatus;
use module_package::ArtifactId;
use std::collections::VecDeque;

/// Of one device; the longest known go first.
const PLACES_MAX: usize = 64;

type Key = (ArtifactId, u32);

#[derive(Default)]
pub struct TrapPlaces(VecDeque<(Key, Option<TrapPlaceStatus>)>);

impl TrapPlaces {
    pub fn get(&self, trap: &TrapReport) -> Option<&TrapPlaceStatus> {
        self.find(key(trap)?)?.as_ref()
    }

    /// What to look for, if that has not been done.
    pub fn open(&self, trap: &TrapReport) -> Option<Key> {
        key(trap).filter(|key| self.find(*key).is_none())
    }

    /// `None`: there is no such place, which is as final.
    pub fn keep(&mut self, key: Key, place: Option<TrapPlaceStatus>) {
        if self.0.len() == PLACES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((key, place));
    }

    fn find(&self, key: Key) -> Option<&Option<TrapPlaceStatus>> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, place)| place)
    }
}

fn key(trap: &TrapReport) -> Option<Key> {
    Some((trap.artifact, trap.place?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_nothing_is_looked_for_twice() {
        let artifact = ArtifactId([1; 32]);
        let trap = |place| TrapReport {
            export: "tick".into(),
            kind: None,
            place,
            artifact,
            detail: String::new(),
        };
        let mut places = TrapPlaces::default();
        assert_eq!(places.open(&trap(None)), None);
        for place in 0..1_000 {
            assert_eq!(places.open(&trap(Some(place))), Some((artifact, place)));
            places.keep((artifact, place), None);
            assert_eq!(places.open(&trap(Some(place))), None);
        }
        assert_eq!((places.0.len(), places.get(&trap(Some(999)))), (PLACES_MAX, None));
    }
}
