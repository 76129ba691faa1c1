//! The configuration that came with the deployment.

use super::error::GuestError;
use super::host_call::{Answer, HostCall, give, numbers};
use wamr::Value;

pub fn get(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [key_address, key_len, address, len] = numbers(args)?;
    let key = call.name(key_address, key_len)?;
    call.check(address, len)?;
    let Some(key) = key else { return GuestError::Name.into() };
    let config = &call.state()?.config;
    let Some(entry) = config.iter().find(|entry| entry.key == key) else {
        return GuestError::Absent.into();
    };
    let value = entry.value.clone();
    give(call, address, len, value.as_bytes())
}
