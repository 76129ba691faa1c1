//! The good module beside the attackers. On each tick it publishes the time, so that
//! every tick tells how late it was.

use crate::device::Program;
use harness::DeviceClass;
use module_package::ReleaseLimits;
use std::time::Duration;

pub const NAME: &str = "neighbour";
pub const INTERVAL: Duration = Duration::from_millis(20);

const TEXT: &str = r#"
(module
  (import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))
  (import "farrier" "clock_monotonic_ns" (func $clock (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "out")
  (func (export "tick") (result i32)
    (i64.store (i32.const 8) (call $clock))
    (call $publish (i32.const 0) (i32.const 3) (i32.const 8) (i32.const 8))))
"#;

pub fn program(class: DeviceClass) -> anyhow::Result<Program> {
    Ok(Program {
        name: NAME.into(),
        aot: crate::cases::compile(TEXT, false, class)?,
        class,
        is_metered: false,
        limits: ReleaseLimits { publishes_per_s_max: 1_000, ..crate::cases::limits() },
        interval_ms: INTERVAL.as_millis() as u32,
        is_shared: false,
        scheduling: None,
    })
}

/// The time that a tick published.
pub fn time_of(payload: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(payload.try_into().ok()?))
}

/// How much later than its turn each tick began. Turns are whole intervals apart, also behind
/// a tick that was missed, so nothing is later than an interval. When a turn is due is told
/// by the ticks themselves: by the earliest tenth of them, and not by the earliest, since
/// one that is late by most of an interval looks like one that comes before its time.
pub fn lateness(times_ns: &[u64]) -> Vec<u64> {
    let interval = INTERVAL.as_nanos() as i64;
    let mut sorted =
        times_ns.iter().map(|time| (time % interval as u64) as i64).collect::<Vec<_>>();
    sorted.sort_unstable();
    let Some(middle) = sorted.get(sorted.len() / 2) else { return vec![] };
    // Within half an interval of the middle one, which is good unless half of all are late.
    let half = interval / 2;
    let phase = |time: &u64| ((*time as i64) - middle + half).rem_euclid(interval) - half;
    let phases: Vec<i64> = times_ns.iter().map(phase).collect();
    sorted.clone_from(&phases);
    sorted.sort_unstable();
    let due = sorted.get(sorted.len() / 10).copied().unwrap_or_default();
    let late = |phase: i64| match phase - due {
        early if early < -EARLY_NS_MAX => early + interval,
        late => late.max(0),
    };
    phases.into_iter().map(|phase| late(phase).unsigned_abs()).collect()
}

/// Ticks on time differ by microseconds.
const EARLY_NS_MAX: i64 = 1_000_000;

pub fn percentile(mut values: Vec<u64>, percent: usize) -> u64 {
    values.sort_unstable();
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_tick_is_late_and_a_missed_one_shifts_nothing() {
        let ms = 1_000_000;
        let times = [100 * ms, 120 * ms, 143 * ms, 180 * ms, 200 * ms];
        assert_eq!(lateness(&times), [0, 0, 3 * ms, 0, 0]);
        // One that is late by most of an interval makes none of the others late.
        for late in [3, 9, 12, 17] {
            let times: Vec<u64> = (500..530).map(|turn| turn * 20 * ms + 19 * ms).collect();
            let mut with_one = times.clone();
            with_one[7] += late * ms;
            let lateness = lateness(&with_one);
            assert_eq!((lateness[7], lateness.iter().sum::<u64>()), (late * ms, late * ms));
        }
        assert_eq!(percentile(vec![5, 1, 3], 50), 3);
        assert_eq!(percentile(vec![], 99), 0);
    }
}
