//! Messages to modules on devices.
//!
//! They are sent once and not kept. What a device takes is decided by its manifest; here
//! is only said early, and in words, what it would not take.

use super::desired::wanted_by;
use super::{App, AppError, State};
use crate::store::record::DeviceRecord;
use gateway_api::{NewMessage, ProblemCode, SentMessage};
use module_package::{ChannelMessage, DOCUMENT_VERSION, DeviceId, Domain};
use std::collections::HashMap;
use std::sync::PoisonError;
use worker_protocol::PUBLISH_BYTES_MAX;

/// Messages to one device in a second. A device takes more than that.
const MESSAGES_PER_S_MAX: u32 = 20;

/// Of each device that was sent something since the gateway's start.
#[derive(Default)]
pub struct SentMessages {
    devices: HashMap<DeviceId, Sent>,
}

#[derive(Default)]
struct Sent {
    counter: u64,
    /// The second, and how many in it.
    second: (u64, u32),
}

impl SentMessages {
    /// The next counter, unless there were too many in this second. It is the time where
    /// that is higher, so that it grows also over a restart of the gateway.
    fn next(&mut self, device: &DeviceId, now_ms: u64) -> Option<u64> {
        let sent = self.devices.entry(device.clone()).or_default();
        let second = now_ms / 1_000;
        if sent.second.0 != second {
            sent.second = (second, 0);
        }
        if sent.second.1 == MESSAGES_PER_S_MAX {
            return None;
        }
        sent.second.1 += 1;
        sent.counter = now_ms.max(sent.counter + 1);
        Some(sent.counter)
    }
}

impl App {
    pub fn send_message(&self, device: &str, new: &NewMessage) -> Result<SentMessage, AppError> {
        let payload = hex::decode(&new.payload).map_err(|_| {
            AppError::bad_request("payload is not hexadecimal: give two digits a byte.")
        })?;
        if payload.len() > PUBLISH_BYTES_MAX {
            return Err(AppError::bad_request(format!(
                "payload has {} bytes; the most is {PUBLISH_BYTES_MAX}.",
                payload.len()
            )));
        }
        let state = self.state();
        let device = state.model.find_device(device)?;
        check_subscription(&state, device, new)?;
        let now_ms = self.now_ms();
        let telemetry = self.telemetry();
        let of_device = telemetry.device(&device.device).filter(|of| of.is_online(now_ms));
        let boot_id = of_device.and_then(|of| of.report()).map(|report| report.boot_id);
        drop(telemetry);
        let Some(boot_id) = boot_id else {
            return Err(AppError::conflict(format!(
                "{} is not online, and messages are not kept. Send it again once the device reports.",
                device.name
            )));
        };
        let root = state
            .model
            .root
            .as_ref()
            .ok_or_else(|| AppError::conflict("There is no root document yet."))?;
        let mut sent = self.sent_messages.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = sent.next(&device.device, now_ms);
        drop(sent);
        let Some(counter) = counter else {
            return Err(AppError::refused(
                ProblemCode::RateLimited,
                format!(
                    "{} was sent {MESSAGES_PER_S_MAX} messages in this second, which is the most. Try again.",
                    device.name
                ),
            ));
        };
        let payload_bytes = payload.len() as u64;
        let message = ChannelMessage {
            version: DOCUMENT_VERSION,
            device: device.device.clone(),
            boot_id,
            counter,
            app: new.app.clone(),
            channel: new.channel.clone(),
            payload,
        };
        let payload = crate::store::record::to_cbor(&message);
        let sealed = self.rooms.signing.seal_by_assign_key(root, Domain::ChannelMessage, payload);
        let sent =
            sealed.is_some_and(|sealed| self.rooms.outbox.send_message(&device.device, sealed));
        if !sent {
            return Err(AppError::refused(
                ProblemCode::Unavailable,
                "The message could not be handed to the broker. Try again.",
            ));
        }
        tracing::info!(device.id = %device.device, app = new.app, channel = new.channel, counter, payload_bytes, "message sent");
        Ok(SentMessage { device: device.device.to_string(), counter, payload_bytes })
    }
}

/// Whether a deployment lets the application take this on the device.
fn check_subscription(
    state: &State,
    device: &DeviceRecord,
    new: &NewMessage,
) -> Result<(), AppError> {
    let wanted = wanted_by(&state.model, device);
    let Some(deployment) = wanted.get(new.app.as_str()) else {
        return Err(AppError::not_found(format!(
            "No application {:?} is deployed to {}.",
            super::model::shorten(&new.app),
            device.name
        )));
    };
    let subscriptions = deployment.provisions.as_ref().map(|given| given.subscriptions.as_slice());
    let subscriptions = subscriptions.unwrap_or_default();
    if subscriptions.contains(&new.channel) {
        return Ok(());
    }
    let has = match subscriptions {
        [] => "it subscribes to none".to_owned(),
        channels => format!("it subscribes to {}", channels.join(", ")),
    };
    Err(AppError::conflict(format!(
        "{} does not subscribe to the channel {:?}; {has}. Deploy it with --subscribe.",
        new.app,
        super::model::shorten(&new.channel)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_grow_also_when_the_clock_is_set_back() {
        let mut sent = SentMessages::default();
        let device = DeviceId::of_key(&[1; 32]);
        assert_eq!(sent.next(&device, 5_000), Some(5_000));
        assert_eq!(sent.next(&device, 5_000), Some(5_001));
        assert_eq!(sent.next(&device, 100), Some(5_002));
        assert_eq!(SentMessages::default().next(&device, 9_000), Some(9_000), "after a restart");
    }

    #[test]
    fn a_second_has_its_limit() {
        let mut sent = SentMessages::default();
        let (device, other) = (DeviceId::of_key(&[1; 32]), DeviceId::of_key(&[2; 32]));
        let taken = (0..50).filter(|_| sent.next(&device, 5_100).is_some()).count();
        assert_eq!(taken, MESSAGES_PER_S_MAX as usize);
        assert!(sent.next(&other, 5_100).is_some());
        assert!(sent.next(&device, 6_000).is_some());
    }
}
