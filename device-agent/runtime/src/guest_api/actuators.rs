//! What the device can be told to do, by the names of its owner's list.

use super::error::GuestError;
use super::host_call::{Answer, HostCall, done, numbers};
use std::time::Instant;
use wamr::Value;
use worker_protocol::{Ask, Outcome};

pub fn set(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [name_address, name_len, address] = numbers(args)?;
    let name = call.name(name_address, name_len)?;
    let value = call.read_f64(address)?;
    let Some(name) = name else { return GuestError::Name.into() };
    let state = call.state()?;
    if !state.actuators.contains(&name) {
        return GuestError::Denied.into();
    }
    if !value.is_finite() {
        return GuestError::Value.into();
    }
    let meters = state.meters.clone();
    // A known answer must not move anything, nor a check of an artifact.
    if !meters.acts() {
        return done(0);
    }
    if !meters.rates().actuate.admits(Instant::now()) {
        return GuestError::TooMany.into();
    }
    match meters.shared.ask(Ask::SetActuator { name, value }) {
        Outcome::Done => done(0),
        other => GuestError::from(other).into(),
    }
}
