//! Messages that wait for the module: a bounded queue for each channel.
//!
//! Where a message finds its queue full, the oldest makes way: a module that is slow acts
//! on what is new. The main thread puts messages in, the guest thread takes them out.

use std::collections::VecDeque;
use worker_protocol::{Delivered, INBOX_MESSAGES_MAX, InboxUsage, PUBLISH_BYTES_MAX};

#[derive(Default)]
pub struct Inboxes(Vec<Inbox>);

struct Inbox {
    channel: String,
    waiting: VecDeque<Vec<u8>>,
    /// The starter's number of the last message; what is missing before it was dropped on
    /// the way here.
    last_seq: u64,
    received: u64,
    dropped: u64,
}

impl Inboxes {
    pub fn new(channels: &[String]) -> Self {
        let inbox = |channel: &String| Inbox {
            channel: channel.clone(),
            waiting: VecDeque::new(),
            last_seq: 0,
            received: 0,
            dropped: 0,
        };
        Self(channels.iter().map(inbox).collect())
    }

    /// What the module does not subscribe to is nobody's, and what is too long no message.
    pub fn put(&mut self, delivered: Delivered) {
        let Delivered { channel, seq, payload } = delivered;
        let Some(inbox) = self.0.iter_mut().find(|inbox| inbox.channel == channel) else { return };
        if payload.len() > PUBLISH_BYTES_MAX {
            return;
        }
        let missed = seq.saturating_sub(inbox.last_seq).saturating_sub(1);
        inbox.last_seq = inbox.last_seq.max(seq);
        inbox.received = inbox.received.saturating_add(missed).saturating_add(1);
        inbox.dropped = inbox.dropped.saturating_add(missed);
        if inbox.waiting.len() == INBOX_MESSAGES_MAX {
            inbox.waiting.pop_front();
            inbox.dropped += 1;
        }
        inbox.waiting.push_back(payload);
    }

    /// The oldest message, if it has at most so many bytes; otherwise its length.
    pub fn take(&mut self, channel: &str, bytes_max: usize) -> Taken {
        let Some(inbox) = self.0.iter_mut().find(|inbox| inbox.channel == channel) else {
            return Taken::NotSubscribed;
        };
        match inbox.waiting.front().map(Vec::len) {
            None => Taken::Nothing,
            Some(len) if len > bytes_max => Taken::TooLong(len),
            Some(_) => inbox.waiting.pop_front().map_or(Taken::Nothing, Taken::Message),
        }
    }

    pub fn usage(&self) -> Vec<InboxUsage> {
        let usage = |inbox: &Inbox| InboxUsage {
            channel: inbox.channel.clone(),
            depth: inbox.waiting.len() as u32, // at most INBOX_MESSAGES_MAX
            received: inbox.received,
            dropped: inbox.dropped,
        };
        self.0.iter().map(usage).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Message(Vec<u8>),
    /// It stays where it is.
    TooLong(usize),
    Nothing,
    NotSubscribed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(inboxes: &mut Inboxes, channel: &str, seq: u64) {
        let payload = seq.to_string().into_bytes();
        inboxes.put(Delivered { channel: channel.into(), seq, payload });
    }

    fn figures(inboxes: &Inboxes) -> (u32, u64, u64) {
        let usage = inboxes.usage().remove(0);
        (usage.depth, usage.received, usage.dropped)
    }

    #[test]
    fn the_oldest_makes_way_when_the_queue_is_full() {
        let mut inboxes = Inboxes::new(&["a".into(), "b".into()]);
        let max = INBOX_MESSAGES_MAX as u64;
        (1..=max).for_each(|seq| put(&mut inboxes, "a", seq));
        assert_eq!(figures(&inboxes), (max as u32, max, 0));
        (max + 1..=max + 3).for_each(|seq| put(&mut inboxes, "a", seq));
        assert_eq!(figures(&inboxes), (max as u32, max + 3, 3));
        assert_eq!(inboxes.take("a", 10), Taken::Message(b"4".to_vec()));
        assert_eq!(inboxes.take("b", 10), Taken::Nothing, "each has its own");
    }

    #[test]
    fn what_was_lost_on_the_way_is_counted_when_the_next_one_comes() {
        let mut inboxes = Inboxes::new(&["a".into()]);
        put(&mut inboxes, "a", 1);
        put(&mut inboxes, "a", 5);
        assert_eq!(figures(&inboxes), (2, 5, 3));
        // Numbers that make no sense do no harm.
        put(&mut inboxes, "a", 0);
        put(&mut inboxes, "a", u64::MAX);
        put(&mut inboxes, "a", u64::MAX);
        assert_eq!(inboxes.usage()[0].depth, 5);
    }

    #[test]
    fn a_message_that_does_not_fit_stays() {
        let mut inboxes = Inboxes::new(&["a".into()]);
        put(&mut inboxes, "a", 12);
        assert_eq!(inboxes.take("a", 1), Taken::TooLong(2));
        assert_eq!(inboxes.take("a", 2), Taken::Message(b"12".to_vec()));
        assert_eq!(inboxes.take("a", 2), Taken::Nothing);
        assert_eq!(inboxes.take("c", 2), Taken::NotSubscribed);
        put(&mut inboxes, "c", 1);
        let payload = vec![0; PUBLISH_BYTES_MAX + 1];
        inboxes.put(Delivered { channel: "a".into(), seq: 13, payload });
        assert_eq!(inboxes.take("a", 5_000), Taken::Nothing);
    }
}
