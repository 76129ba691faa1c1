//! Between the connection and the rules: what waits, in turns of one message a topic.
//!
//! The connection must always be read, or the broker's queue for the gateway runs
//! over and drops whatever is oldest, whoever's it is. So what comes faster than the
//! rules take it waits here, a few messages of each topic, which is one kind of one
//! device: of reports the newest alone, because it replaces the others. Whoever sends
//! more loses its own oldest ones. Requests for blocks have a thread of their own, so
//! that they do not wait behind the reports of a whole fleet.

use crate::app::App;
use device_protocol::Topic;
use rumqttc::Publish;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Of one device. Agents ask for four blobs at a time.
const WANTS_WAITING_MAX: usize = 16;
/// Of one device and kind. An agent that comes back has 256 values to tell.
const WAITING_MAX: usize = 300;
/// Topics that wait at a time: what is beyond is dropped. Devices have four each.
const TOPICS_MAX: usize = 100_000;

#[derive(Default)]
struct Waiting {
    /// In the order of their turns. A topic is in here once if it has messages.
    turns: VecDeque<String>,
    messages: HashMap<String, VecDeque<Publish>>,
    is_closed: bool,
}

#[derive(Default)]
struct Lane {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// The connection's side. Its drop ends the threads once nothing waits.
pub struct Ingest {
    app: Arc<App>,
    wants: Arc<Lane>,
    others: Arc<Lane>,
}

impl Ingest {
    /// Begins to hand messages to the rules, on threads of its own.
    pub fn start(app: &Arc<App>) -> Self {
        let lane = || {
            let (lane, app) = (Arc::new(Lane::default()), app.clone());
            let of_thread = lane.clone();
            std::thread::spawn(move || of_thread.hand_over(&app));
            lane
        };
        Self { app: app.clone(), wants: lane(), others: lane() }
    }

    /// What is dropped counts as a refused message of its device.
    pub fn add(&self, message: Publish) {
        let topic = Topic::parse(&message.topic);
        let is_kept = match &topic {
            Some(Topic::Want(_)) => self.wants.add(message, WANTS_WAITING_MAX),
            Some(Topic::Report(_)) => {
                self.others.add(message, 1);
                // The newest says all that the others said.
                true
            }
            _ => self.others.add(message, WAITING_MAX),
        };
        if let (false, Some(device)) = (is_kept, topic.as_ref().and_then(Topic::device)) {
            self.app.note_dropped_message(device);
        }
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        for lane in [&self.wants, &self.others] {
            lane.lock().is_closed = true;
            lane.changed.notify_all();
        }
    }
}

impl Lane {
    /// False if one had to be dropped for want of room.
    fn add(&self, message: Publish, waiting_max: usize) -> bool {
        let mut waiting = self.lock();
        let Waiting { turns, messages, .. } = &mut *waiting;
        let mut is_kept = true;
        match messages.get_mut(&message.topic) {
            Some(of_topic) => {
                if of_topic.len() >= waiting_max {
                    of_topic.pop_front();
                    is_kept = false;
                }
                of_topic.push_back(message);
            }
            None if turns.len() >= TOPICS_MAX => is_kept = false,
            None => {
                turns.push_back(message.topic.clone());
                messages.insert(message.topic.clone(), VecDeque::from([message]));
            }
        }
        drop(waiting);
        self.changed.notify_one();
        is_kept
    }

    /// `None` at the end.
    fn next(&self) -> Option<Publish> {
        let mut waiting = self.lock();
        loop {
            if let Some(message) = waiting.take() {
                return Some(message);
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn hand_over(&self, app: &App) {
        while let Some(message) = self.next() {
            // A bug that one message brings out must not end what all devices say.
            let taken =
                catch_unwind(AssertUnwindSafe(|| app.take_up(&message.topic, &message.payload)));
            match taken {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => {
                    tracing::warn!(topic = message.topic, %refusal, "a device's message is not taken");
                }
                Err(_) => {
                    tracing::error!(topic = message.topic, "a device's message brought out a bug")
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Publish> {
        let topic = self.turns.pop_front()?;
        let of_topic = self.messages.get_mut(&topic)?;
        let message = of_topic.pop_front();
        if of_topic.is_empty() {
            self.messages.remove(&topic);
        } else {
            self.turns.push_back(topic);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::QoS;

    fn message(topic: &str, number: u32) -> Publish {
        Publish::new(topic, QoS::AtLeastOnce, number.to_string())
    }

    fn taken(lane: &Lane) -> Vec<String> {
        let mut waiting = lane.lock();
        let text = |m: Publish| format!("{} {}", m.topic, String::from_utf8_lossy(&m.payload));
        std::iter::from_fn(|| waiting.take()).map(text).collect()
    }

    #[test]
    fn one_that_sends_without_end_has_one_turn_of_many_and_loses_its_own() {
        let lane = Lane::default();
        let is_kept = |number: &u32| lane.add(message("flood", *number), 3);
        assert_eq!((0..1_000).filter(is_kept).count(), 3);
        assert!(lane.add(message("a", 1), 3));
        assert!(lane.add(message("a", 2), 3));
        assert!(lane.add(message("b", 1), 3));
        let order = taken(&lane);
        assert_eq!(order, ["flood 997", "a 1", "b 1", "flood 998", "a 2", "flood 999"]);
        assert!(lane.lock().messages.is_empty());
    }

    #[test]
    fn of_reports_the_newest_counts() {
        let lane = Lane::default();
        for number in 0..3 {
            lane.add(message("report", number), 1);
        }
        assert_eq!(taken(&lane), ["report 2"]);
    }
}
