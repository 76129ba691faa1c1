//! Log lines and published values on their way to the gateway: bounded queues
//! that drop the oldest and count what they dropped, so that neither a talkative
//! module nor a long absence costs memory. Where log lines are missing, a line says so.

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
    /// Of these, not told by a line yet.
    lines_dropped_untold: u64,
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
            self.lines_dropped_untold += 1;
        }
        self.lines.push_back(line);
        let is_batch = self.lines.len() >= LOG_LINES_MAX;
        self.due_by(if is_batch { now } else { now + LOG_FLUSH_EVERY });
    }

    /// The message that had to go for this one, if one had to.
    pub fn add_published(
        &mut self,
        message: PublishedMessage,
        now: Moment,
    ) -> Option<PublishedMessage> {
        let full = self.published.len() == PUBLISHED_MAX;
        let dropped = if full { self.published.pop_front() } else { None };
        self.published.push_back(message);
        self.due_by(now);
        dropped
    }

    /// Messages of an application that wait on this channel.
    pub fn depth(&self, app: &str, channel: &str) -> u32 {
        let waiting = self.published.iter();
        // At most `PUBLISHED_MAX`.
        waiting.filter(|m| m.app == app && m.channel == channel).count() as u32
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
            let mut lines: Vec<LogLine> = self.gap().into_iter().collect();
            let count = self.lines.len().min(LOG_LINES_MAX - lines.len());
            lines.extend(self.lines.iter().take(count).cloned());
            let dropped = self.lines_dropped;
            if !send(Parcel::Log(LogMessage { version: MESSAGE_VERSION, lines, dropped })) {
                return self.due_by(now + RETRY_AFTER);
            }
            self.lines.drain(..count);
            self.lines_dropped_untold = 0;
        }
    }

    /// What stands where lines are missing: before the oldest that is left.
    fn gap(&self) -> Option<LogLine> {
        let oldest = self.lines.front().filter(|_| self.lines_dropped_untold > 0)?;
        let (count, app, level) = (self.lines_dropped_untold, String::new(), "warn".into());
        let lines = if count == 1 { "line" } else { "lines" };
        let text = format!("dropped {count} log {lines}, because more came than could be sent");
        Some(LogLine { app, level, text, time_ms: oldest.time_ms })
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

    /// All that a flush sends, and the count of dropped lines that came with it.
    fn log_of(outbox: &mut Outbox, now: Moment) -> (Vec<String>, u64) {
        let (mut lines, mut dropped) = (Vec::new(), 0);
        outbox.flush(now, |parcel| {
            let Parcel::Log(log) = parcel else { panic!() };
            assert!(log.lines.len() <= LOG_LINES_MAX);
            lines.extend(log.lines.into_iter().map(|line| line.text));
            dropped = log.dropped;
            true
        });
        (lines, dropped)
    }

    #[test]
    fn a_flood_drops_the_oldest_lines_and_a_line_in_their_place_says_how_many() {
        let mut outbox = Outbox::default();
        (0..300).for_each(|number| outbox.add_line(line(number), MS(0)));
        let (lines, dropped) = log_of(&mut outbox, MS(0));
        assert_eq!((lines.len(), dropped), (257, 44));
        assert_eq!(lines[0], "dropped 44 log lines, because more came than could be sent");
        assert!(lines[1..].iter().cloned().eq((44..300).map(|n| n.to_string())));
        // It is said once, and again when more are lost; the count is of all.
        outbox.add_line(line(300), MS(0));
        assert_eq!(log_of(&mut outbox, MS(1_000)), (vec!["300".to_owned()], 44));
        (0..257).for_each(|number| outbox.add_line(line(number), MS(2_000)));
        let (lines, dropped) = log_of(&mut outbox, MS(3_000));
        assert_eq!((lines.len(), dropped), (257, 45));
        assert_eq!(lines[0], "dropped 1 log line, because more came than could be sent");
    }

    #[test]
    fn a_gap_is_told_only_once_it_was_taken() {
        let mut outbox = Outbox::default();
        (0..300).for_each(|number| outbox.add_line(line(number), MS(0)));
        outbox.flush(MS(0), |_| false);
        (300..310).for_each(|number| outbox.add_line(line(number), MS(10)));
        let (lines, dropped) = log_of(&mut outbox, MS(1_000));
        assert_eq!((lines.len(), dropped), (257, 54));
        assert_eq!(lines[0], "dropped 54 log lines, because more came than could be sent");
    }

    #[test]
    fn what_is_not_taken_is_kept_for_later_in_order() {
        let mut outbox = Outbox::default();
        let dropped = (0..260).filter_map(|seq| outbox.add_published(message(seq), MS(0)));
        assert_eq!(dropped.count(), 4);
        assert_eq!((outbox.depth("a", "c"), outbox.depth("a", "d")), (256, 0));
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
