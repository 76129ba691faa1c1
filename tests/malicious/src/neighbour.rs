//! The good module beside the attackers. On each tick it publishes the time, so that
//! every tick tells how late it was.

use crate::device::Program;
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

pub fn program() -> anyhow::Result<Program> {
    Ok(Program {
        name: NAME.into(),
        aot: crate::cases::compile(TEXT, false)?,
        is_metered: false,
        limits: ReleaseLimits { publishes_per_s_max: 1_000, ..crate::cases::limits() },
        interval_ms: INTERVAL.as_millis() as u32,
        is_shared: false,
    })
}

/// The time that a tick published.
pub fn time_of(payload: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(payload.try_into().ok()?))
}

/// How much later than its turn each tick began, beyond the earliest of them. Turns are
/// whole intervals apart, also behind a tick that was missed, so nothing is later than an
/// interval: more than half of one on the average means that the machine was too busy.
pub fn lateness(times_ns: &[u64]) -> Vec<u64> {
    let interval = INTERVAL.as_nanos() as u64;
    let Some(first) = times_ns.first() else { return vec![] };
    let half = interval / 2;
    let phase = |time: &u64| (time - first.min(time) + half) % interval;
    let phases: Vec<u64> = times_ns.iter().map(phase).collect();
    let earliest = phases.iter().min().copied().unwrap_or_default();
    phases.into_iter().map(|phase| phase - earliest).collect()
}

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
        assert_eq!(percentile(vec![5, 1, 3], 50), 3);
        assert_eq!(percentile(vec![], 99), 0);
    }
}
