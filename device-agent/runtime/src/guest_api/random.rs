//! Random bytes of the system's generator.

use super::error::GuestError;
use super::host_call::{Answer, HostCall, done, numbers};
use wamr::{Trap, Value};
use worker_protocol::RANDOM_BYTES_MAX;

pub fn random(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [address, len] = numbers(args)?;
    call.check(address, len)?;
    if len as usize > RANDOM_BYTES_MAX {
        return GuestError::TooLong.into();
    }
    let place = call.slice(address, len)?;
    // Keys may be made of these: a module must not go on with other bytes.
    getrandom::fill(place)
        .map_err(|e| Trap::new(format!("the system has no random bytes: {e}")))?;
    done(0)
}
