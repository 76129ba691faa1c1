//! Messages on named channels.

use super::error::GuestError;
use super::host_call::{Answer, HostCall, done, numbers};
use crate::inbox::Taken;
use crate::rate::Admission;
use module_limits::Limit;
use std::time::Instant;
use wamr::Value;
use worker_protocol::{Event, OutletUsage, PUBLISH_BYTES_MAX, Published, Usage};

pub fn publish(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [name_address, name_len, address, len] = numbers(args)?;
    let channel = call.name(name_address, name_len)?;
    let payload = call.slice(address, len)?;
    let payload = (payload.len() <= PUBLISH_BYTES_MAX).then(|| payload.to_vec());
    let Some(channel) = channel else { return GuestError::Name.into() };
    let state = call.state()?;
    if !state.channels.contains(&channel) {
        return GuestError::Denied.into();
    }
    let meters = &state.meters;
    let refuse = |error: GuestError| {
        meters.shared.update_usage(|usage| {
            usage.publishes_dropped += 1;
            outlet(usage, &channel).dropped += 1;
        });
        error.into()
    };
    let Some(payload) = payload else { return refuse(GuestError::TooLong) };
    let admission = meters.rates().publish.admit(Instant::now());
    if admission != Admission::Admitted {
        let answer = refuse(GuestError::TooMany);
        meters.follow(Limit::MessageRate, admission)?;
        return answer;
    }
    let mut seq = 0;
    meters.shared.update_usage(|usage| {
        usage.published += 1;
        outlet(usage, &channel).published += 1;
        seq = usage.published;
    });
    meters.shared.send(&Event::Published(Published { channel, seq, payload }));
    done(0)
}

/// There are as many as channels were granted.
fn outlet<'u>(usage: &'u mut Usage, channel: &str) -> &'u mut OutletUsage {
    let outlets = usage.outlets.get_or_insert_default();
    let found = outlets.iter().position(|outlet| outlet.channel == channel);
    let place = found.unwrap_or_else(|| {
        outlets.push(OutletUsage { channel: channel.to_owned(), published: 0, dropped: 0 });
        outlets.len() - 1
    });
    &mut outlets[place]
}

/// The oldest message that waits on a channel: its length, and its bytes where they fit.
/// One that does not fit stays.
pub fn receive(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [name_address, name_len, address, len] = numbers(args)?;
    let channel = call.name(name_address, name_len)?;
    call.check(address, len)?;
    let Some(channel) = channel else { return GuestError::Name.into() };
    let taken = call.state()?.meters.shared.inboxes().take(&channel, len as usize);
    match taken {
        Taken::Message(payload) => {
            call.write(address, &payload)?;
            done(payload.len())
        }
        Taken::TooLong(len) => done(len),
        Taken::Nothing => GuestError::Absent.into(),
        Taken::NotSubscribed => GuestError::Denied.into(),
    }
}
