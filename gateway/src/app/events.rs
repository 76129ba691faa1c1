//! What changed, for whoever watches: a bounded ring of numbered events.
//!
//! Numbers begin at the start's time, so those of an earlier process are below
//! everything in the ring and a watcher that names one gets a resync, not another
//! event of the same number.

use gateway_api::Event;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Some minutes of a small fleet. A watcher that fell further behind reads
/// everything again.
const EVENTS_KEPT: usize = 4_096;

pub struct EventBus {
    ring: Mutex<EventRing>,
    newest: watch::Sender<u64>,
}

struct EventRing {
    events: VecDeque<Arc<Event>>,
    /// The number of the first event in the ring.
    first: u64,
}

#[derive(Debug, Clone)]
pub struct NumberedEvent {
    pub number: u64,
    pub event: Arc<Event>,
}

impl EventBus {
    pub fn starting_at(now_ms: u64) -> Self {
        // A thousand events a millisecond would be needed to reach the next start's.
        let first = now_ms.saturating_mul(1_000);
        let ring = EventRing { events: VecDeque::new(), first };
        Self { ring: Mutex::new(ring), newest: watch::channel(first.saturating_sub(1)).0 }
    }

    pub fn send(&self, event: Event) {
        let mut ring = self.lock();
        ring.events.push_back(Arc::new(event));
        if ring.events.len() > EVENTS_KEPT {
            ring.events.pop_front();
            ring.first += 1;
        }
        // Inside the lock, so that the number never goes back.
        self.newest.send_replace(ring.first + ring.events.len() as u64 - 1);
    }

    /// Changes with every event; its value is the newest number.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Everything behind `number`, or `None` if some of it is lost.
    pub fn after(&self, number: u64) -> Option<Vec<NumberedEvent>> {
        let ring = self.lock();
        let next = number.checked_add(1)?;
        let skip = usize::try_from(next.checked_sub(ring.first)?).ok()?;
        if skip > ring.events.len() {
            return None;
        }
        let numbered = ring.events.iter().enumerate().skip(skip).map(|(index, event)| {
            NumberedEvent { number: ring.first + index as u64, event: event.clone() }
        });
        Some(numbered.collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, EventRing> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(bus: &EventBus, count: usize) {
        (0..count).for_each(|n| bus.send(Event::DeploymentRemoved { id: n.to_string() }));
    }

    #[test]
    fn a_watcher_goes_on_behind_the_number_it_saw_last() {
        let bus = EventBus::starting_at(1);
        send(&bus, 3);
        let events = bus.after(1_000).unwrap();
        assert_eq!(events.iter().map(|e| e.number).collect::<Vec<_>>(), [1_001, 1_002]);
        assert_eq!(*bus.subscribe().borrow(), 1_002);
        assert!(bus.after(1_002).unwrap().is_empty());
    }

    #[test]
    fn lost_and_foreign_numbers_need_a_resync() {
        let bus = EventBus::starting_at(1);
        assert!(bus.after(999).unwrap().is_empty());
        send(&bus, EVENTS_KEPT + 1);
        assert!(bus.after(999).is_none(), "the first event has left the ring");
        assert!(bus.after(500).is_none(), "of an earlier process");
        assert!(bus.after(u64::MAX).is_none());
        assert!(bus.after(1_000_000_000).is_none(), "from the future");
    }
}
