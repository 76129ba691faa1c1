//! What a worker says of its module's punctuality.

use crate::support::{Worker, limits};
use std::time::Instant;
use worker_protocol::{Command, Event};

/// Calls the clock until so many nanoseconds have gone by, in each tick.
fn busy_for(ns: u64) -> String {
    format!(
        r#"(module
          (import "farrier" "clock_monotonic_ns" (func $clock (result i64)))
          (memory (export "memory") 1)
          (func (export "tick") (result i32)
            (local $until i64)
            (local.set $until (i64.add (call $clock) (i64.const {ns})))
            (loop $again (br_if $again (i64.lt_u (call $clock) (local.get $until))))
            (i32.const 0)))"#
    )
}

/// With the time just before it was told to start.
fn started(wat: &str, interval_ms: u32) -> (Worker, Instant) {
    let worker = Worker::with(wat, limits());
    let began = Instant::now();
    worker.send(&Command::Start { interval_ms, stored: None });
    worker.find(|event| matches!(event, Event::Started));
    (worker, began)
}

#[test]
fn ticks_keep_to_the_clock_and_their_lateness_is_told() {
    let (worker, began) = started(&busy_for(1_000), 10);
    let usage = worker.usage_when(|usage| usage.ticks.as_ref().is_some_and(|t| t.ticks >= 40));
    let elapsed_ms = began.elapsed().as_millis() as u64;
    let ticks = usage.ticks.unwrap();
    assert_eq!((ticks.period_us, ticks.deadline_us), (10_000, 10_000));
    // However late some were on a busy machine, each was due at a whole interval; the room
    // below is for what is late at this moment.
    let due = ticks.ticks + ticks.skipped;
    assert!(due <= elapsed_ms / 10 + 2 && due + 50 >= elapsed_ms / 10, "{due} in {elapsed_ms} ms");
    let last = ticks.last.expect("it ticked since the last question");
    assert!(last.ticks > 0 && last.start.min_us <= last.start.p99_us, "{last:?}");
    assert!(last.start.p99_us <= last.start.max_us && last.start.max_us <= last.response.max_us);
    assert!(ticks.response_max_us >= last.response.mean_us, "{last:?}");
}

#[test]
fn a_tick_longer_than_its_interval_misses_its_deadline_and_leaves_others_out() {
    let (worker, _) = started(&busy_for(25_000_000), 10);
    let usage = worker.usage_when(|usage| usage.ticks.as_ref().is_some_and(|t| t.ticks >= 4));
    let ticks = usage.ticks.unwrap();
    assert_eq!(ticks.missed, ticks.ticks, "each takes 25 of 10 ms: {ticks:?}");
    assert!(ticks.skipped >= ticks.ticks, "{ticks:?}");
    assert!(ticks.response_max_us >= 25_000, "{ticks:?}");
    assert_eq!(ticks.overran, 0, "it has no run time to keep to");
}

#[test]
fn a_module_without_ticks_has_no_figures_of_them() {
    let (worker, _) = started("(module (memory (export \"memory\") 1))", 10);
    assert_eq!(worker.usage().ticks, None);
}
