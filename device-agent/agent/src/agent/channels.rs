//! Messages to modules: from other modules of the device, without the broker, and from
//! the gateway. What a module gets is what the manifest lets it subscribe to.

use super::Agent;
use super::asks::PerSecond;
use crate::Moment;
use crate::refusal::Refusal;
use device_protocol::RefusalCode;
use module_package::open_channel_message;
use worker_protocol::{Command, Delivered, PUBLISH_BYTES_MAX};

/// Messages of the gateway in a second. Each costs the check of a signature, and the
/// gateway itself sends fewer.
const MESSAGES_PER_S_MAX: u32 = 50;

/// What was taken of the gateway since the agent's start.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The highest that came; what is not above it is late or comes twice.
    counter: u64,
    messages: PerSecond,
}

impl Agent {
    pub(super) fn take_channel_message(&mut self, sealed: &[u8], now: Moment) {
        if !self.taken.messages.admits(MESSAGES_PER_S_MAX, now) {
            let detail = format!("more than {MESSAGES_PER_S_MAX} messages to modules in a second");
            return self.refuse(Refusal::new(RefusalCode::TooManyMessages, detail), None, now);
        }
        let enrolment = &self.parts.enrolment;
        let message = match open_channel_message(sealed, &enrolment.root, &enrolment.device) {
            Ok(message) => message,
            Err(error) => return self.refuse(Refusal::from(&error), None, now),
        };
        if message.boot_id != self.parts.boot_id || message.counter <= self.taken.counter {
            let detail = format!("message {} to {} is not new", message.counter, message.app);
            return self.refuse(Refusal::new(RefusalCode::StaleMessage, detail), None, now);
        }
        self.taken.counter = message.counter;
        let (app, channel) = (message.app, message.channel);
        let is_for = |of: &str| of == app;
        let is_taken = message.payload.len() <= PUBLISH_BYTES_MAX
            && self.deliver(&channel, &message.payload, is_for);
        if !is_taken {
            let detail = format!("no module of {app} that runs subscribes to {channel:?}");
            self.refuse(Refusal::new(RefusalCode::NotSubscribed, detail), None, now);
        }
    }

    /// To the modules of the device that subscribe to it; not back to the publisher.
    pub(super) fn deliver_locally(&mut self, publisher: &str, channel: &str, payload: &[u8]) {
        // The worker checks that; it is not believed.
        if payload.len() > PUBLISH_BYTES_MAX {
            return;
        }
        self.deliver(channel, payload, |app| app != publisher);
    }

    /// Whether there was one.
    fn deliver(&mut self, channel: &str, payload: &[u8], is_for: impl Fn(&str) -> bool) -> bool {
        let mut is_taken = false;
        for (worker, begun) in &mut self.begun {
            if !is_for(&begun.app) {
                continue;
            }
            let Some(seq) = begun.subscriptions.get_mut(channel) else { continue };
            is_taken = true;
            *seq += 1;
            let (channel, payload) = (channel.to_owned(), payload.to_vec());
            // One that is busy may miss it, and sees by the number that it has.
            let delivered = Delivered { channel, seq: *seq, payload };
            self.parts.workers.offer(*worker, Command::Deliver(delivered));
        }
        is_taken
    }
}
