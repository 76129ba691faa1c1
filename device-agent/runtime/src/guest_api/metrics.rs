//! Numbers that a module keeps up to date for people.

use super::error::GuestError;
use super::host_call::{Answer, HostCall, done, numbers};
use wamr::Value;
use worker_protocol::{GuestUsage, METRICS_MAX, Metric};

pub fn set(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [name_address, name_len, address] = numbers(args)?;
    let name = call.name(name_address, name_len)?;
    let value = call.read_f64(address)?;
    let Some(name) = name.filter(|name| !name.contains(char::is_control)) else {
        return GuestError::Name.into();
    };
    if !value.is_finite() {
        return GuestError::Value.into();
    }
    let mut is_set = false;
    call.state()?.meters.shared.update_usage(|usage| {
        is_set = put(usage.guest.get_or_insert_default(), name, value);
    });
    if is_set { done(0) } else { GuestError::Full.into() }
}

/// False where there are as many others as there may be.
fn put(usage: &mut GuestUsage, name: String, value: f64) -> bool {
    if let Some(known) = usage.metrics.iter_mut().find(|metric| metric.name == name) {
        known.value = value;
        return true;
    }
    let has_room = usage.metrics.len() < METRICS_MAX;
    if has_room {
        usage.metrics.push(Metric { name, value });
    }
    has_room
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_name_is_set_also_when_there_is_no_room_for_another() {
        let mut usage = GuestUsage::default();
        for number in 0..METRICS_MAX {
            assert!(put(&mut usage, format!("m{number}"), 1.0));
        }
        assert!(!put(&mut usage, "one more".into(), 1.0));
        assert!(put(&mut usage, "m3".into(), -0.5));
        assert_eq!((usage.metrics.len(), usage.metrics[3].value), (METRICS_MAX, -0.5));
    }
}
