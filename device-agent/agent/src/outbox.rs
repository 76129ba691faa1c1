//! Log lines and published values on their way to the gateway: bounded queues
//! that drop the oldest and count what they dropped, so that neither a talkative
//! module nor a long absence costs memory.

use crate::Moment;
use device_protocol::{LOG_LINES_MAX, LogLine, LogMessage, MESSAGE_VERSION, PublishedMessage};
use std::collections::VecDeque;
use std::time::Duration;

const LOG_RING_LINES: usize = 256;
const PUBLISHED_MAX: usize = 256;
/// Lines are gathered for so long.
const LOG_FLUSH_EVERY: Duration = Duration::from_millis(500);
/// When the connection's queue was full.
const RETRY_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub struct Outbox {
    lines: VecDeque<LogLine>,
    lines_dropped: u64,
    published: VecDeque<PublishedMessage>,
    flush_at: Option<Moment>,
}

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parcel {
    Log(LogMessage),
    Published(PublishedMessage),
}

impl Outbox {
    pub fn add_line(&mut self, line: LogLine, now: Moment) {
        if self.lines.len() == LOG_RING_LINES {
            self.lines.pop_front();
            self.lines_dropped += 1;
        }
        self.lines.push_back(line);
        let is_batch = self.lines.len() >= LOG_LINES_MAX;
        self.due_by(if is_batch { now } else { now + LOG_FLUSH_EVERY });
    }

    /// The application whose message had to go for this one, if one had to.
    pub fn add_published(&mut self, message: PublishedMessage, now: Moment) -> Option<String> {
        let full = self.published.len() == PUBLISHED_MAX;
        let dropped = if full { self.published.pop_front() } else { None };
        self.published.push_back(message);
        self.due_by(now);
        dropped.map(|dropped| dropped.app)
    }

    pub fn deadline(&self) -> Option<Moment> {
        self.flush_at
    }

    /// Sends what is due until `send` takes no more; what it did not take stays.
    pub fn flush(&mut self, now: Moment, mut send: impl FnMut(Parcel) -> bool) {
        if self.flush_at.is_none_or(|at| at > now) {
            return;
        }
        self.flush_at = None;
        while let Some(message) = self.published.front() {
            if !send(Parcel::Published(message.clone())) {
                return self.due_by(now + RETRY_AFTER);
            }
            self.published.pop_front();
        }
        while !self.lines.is_empty() {
            let count = self.lines.len().min(LOG_LINES_MAX);
            let lines = self.lines.iter().take(count).cloned().collect();
            let dropped = self.lines_dropped;
            if !send(Parcel::Log(LogMessage { version: MESSAGE_VERSION, lines, dropped })) {
                return self.due_by(now + RETRY_AFTER);
            }
            self.lines.drain(..count);
        }
    }

    fn due_by(&mut self, at: Moment) {
        self.flush_at = Some(self.flush_at.map_or(at, |earlier| earlier.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> LogLine {
        LogLine { app: "a".into(), level: "info".into(), text: number.to_string(), time_ms: 0 }
    }

    fn message(seq: u64) -> PublishedMessage {
        let (app, channel) = ("a".into(), "c".into());
        PublishedMessage { version: 1, app, channel, seq, payload: vec![], time_ms: 0 }
    }

    const MS: fn(u64) -> Moment = Duration::from_millis;

    #[test]
    fn lines_wait_for_company_but_not_long() {
        let mut outbox = Outbox::default();
        outbox.add_line(line(0), MS(10));
        outbox.flush(MS(11), |_| panic!("too early"));
        assert_eq!(outbox.deadline(), Some(MS(510)));
        let mut sent = Vec::new();
        outbox.flush(MS(510), |parcel| {
            sent.push(parcel);
            true
        });
        assert_eq!(sent.len(), 1);
        assert_eq!(outbox.deadline(), None);
    }

    #[test]
    fn a_flood_drops_the_oldest_lines_and_says_how_many() {
        let mut outbox = Outbox::default();
        (0..300).for_each(|number| outbox.add_line(line(number), MS(0)));
        let mut lines = Vec::new();
        outbox.flush(MS(0), |parcel| {
            let Parcel::Log(log) = parcel else { panic!() };
            assert!(log.lines.len() <= LOG_LINES_MAX && log.dropped == 44);
            lines.extend(log.lines);
            true
        });
        assert_eq!(lines.len(), 256);
        assert_eq!(lines[0].text, "44");
    }

    #[test]
    fn what_is_not_taken_is_kept_for_later_in_order() {
        let mut outbox = Outbox::default();
        let dropped = (0..260).filter_map(|seq| outbox.add_published(message(seq), MS(0)));
        assert_eq!(dropped.count(), 4);
        let mut sent = Vec::new();
        let mut flush = |outbox: &mut Outbox, now, room: usize| {
            let until = sent.len() + room;
            outbox.flush(now, |parcel| {
                let Parcel::Published(message) = parcel else { panic!() };
                let taken = sent.len() < until;
                sent.extend(taken.then_some(message.seq));
                taken
            });
        };
        flush(&mut outbox, MS(0), 100);
        flush(&mut outbox, MS(50), 100);
        flush(&mut outbox, MS(100), 1_000);
        assert!(sent.iter().copied().eq(4..260));
    }
}
