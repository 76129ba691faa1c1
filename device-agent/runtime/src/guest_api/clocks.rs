//! Time that only passes, and the time of day as far as the device knows it.

use super::host_call::{Answer, HostCall, numbers};
use crate::shared::{Shared, to_ms};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wamr::Value;
use worker_protocol::{ClockTrust, WallClock};

pub fn monotonic_ns(call: &mut HostCall<'_, '_>, _: &[Value]) -> Answer {
    let elapsed = call.state()?.meters.started.elapsed();
    // 292 years of it.
    Ok(Some(Value::I64(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))))
}

/// Writes milliseconds since 1970; the answer is how the device knows them.
pub fn wall_ms(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [address] = numbers(args)?;
    let (time_ms, trust) = wall_now(&call.state()?.meters.shared);
    call.write(address, &time_ms.to_le_bytes())?;
    Ok(Some(Value::I32(trust as i32)))
}

/// Milliseconds since 1970, and how the device knows them.
pub(super) fn wall_now(shared: &Shared) -> (u64, ClockTrust) {
    let (clock, told) = shared.wall_clock();
    let system_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let system_ms = u64::try_from(system_ms).unwrap_or(u64::MAX);
    (time_ms(clock, to_ms(told.elapsed()).into(), system_ms), clock.trust)
}

/// `passed_ms`: since the clock was told.
fn time_ms(clock: WallClock, passed_ms: u64, system_ms: u64) -> u64 {
    match clock.trust {
        // A bound, which does not run.
        ClockTrust::Unknown => clock.time_ms,
        ClockTrust::Configured => system_ms,
        ClockTrust::Gateway => clock.time_ms.saturating_add(passed_ms),
    }
}

/// Before anything was told.
pub fn unknown_time() -> (WallClock, Instant) {
    (WallClock::default(), Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_that_is_known_runs() {
        let of = |trust| time_ms(WallClock { trust, time_ms: 1_000 }, 50, 7);
        assert_eq!(of(ClockTrust::Unknown), 1_000);
        assert_eq!(of(ClockTrust::Configured), 7);
        assert_eq!(of(ClockTrust::Gateway), 1_050);
    }
}
