//! What modules store, through the whole loop.

use super::bench::Bench;
use super::bench_workers::keep;
use device_protocol::AppState;
use module_package::Provisions;
use worker_protocol::{Outcome, StoredValue};

fn storage(bytes: u32) -> Provisions {
    Provisions { storage_bytes: Some(bytes), ..Provisions::default() }
}

fn starts(count: u8) -> Vec<StoredValue> {
    vec![StoredValue { key: "starts".into(), value: vec![count] }]
}

/// A module that counts its starts in its storage.
fn counting() -> Bench {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy_with(1, "filter", "stores 1", storage(100));
    assert_eq!(bench.app("filter").state, AppState::Running);
    assert_eq!((bench.last_start(), bench.outcomes()), (vec![], vec![Outcome::Done]));
    bench
}

#[test]
fn what_is_stored_survives_the_worker_another_version_and_the_agent() {
    let mut bench = counting();
    bench.kill_worker();
    bench.advance(1_000);
    assert_eq!(bench.last_start(), starts(1), "its worker was started again");
    bench.deploy_with(2, "filter", "stores 2", storage(100));
    assert_eq!(bench.last_start(), starts(2), "another version");
    bench.restart();
    bench.connect();
    assert_eq!(bench.last_start(), starts(3), "the agent was started again");
    bench.power_back(7);
    bench.connect();
    assert_eq!(bench.last_start(), starts(4), "the power was cut");
}

#[test]
fn the_next_version_sees_what_the_last_one_stored_before_it_ended() {
    let mut bench = counting();
    // The new one is loaded and checked beside the old one, which goes on storing.
    let release = bench.release("filter", 2, "stores 2");
    let release = bench.offer_release(&release);
    let provisions = Some(storage(100));
    bench.say(0, keep("late", b"!"));
    bench.give(2, vec![module_package::AppEntry { release, provisions, ..super::entry("filter") }]);
    let stored = bench.last_start();
    assert_eq!(stored.len(), 2, "{stored:?}");
}

#[test]
fn what_is_stored_goes_with_its_application() {
    let mut bench = counting();
    bench.give(2, vec![]);
    bench.deploy_with(3, "filter", "stores 1", storage(100));
    assert_eq!(bench.last_start(), vec![]);
    // Also where the agent was away when it left.
    bench.cut_disk_after(1_000_000);
    bench.give(4, vec![]);
    bench.restart();
    bench.connect();
    bench.deploy_with(5, "filter", "stores 1", storage(100));
    assert_eq!(bench.last_start(), vec![]);
}

#[test]
fn nothing_is_stored_without_a_grant_and_none_beyond_it() {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy(1, &[("filter", "stores")]);
    assert_eq!(bench.outcomes(), [Outcome::Denied]);
    bench.deploy_with(2, "filter", "stores 2", storage(22));
    assert_eq!(bench.outcomes().last(), Some(&Outcome::Full), "a key costs 16 bytes and itself");
    bench.deploy_with(3, "filter", "stores 3", storage(23));
    assert_eq!(bench.outcomes().last(), Some(&Outcome::Done));
    let before = bench.outcomes().len();
    bench.say(0, keep("k", &[0; 5_000]));
    bench.say(0, keep(&"k".repeat(65), b""));
    assert_eq!(bench.outcomes()[before..], [Outcome::Full, Outcome::Denied]);
}

#[test]
fn a_worker_that_asks_without_end_is_refused() {
    let mut bench = counting();
    for _ in 0..1_000 {
        bench.say(0, keep("starts", b"1"));
    }
    let outcomes = bench.outcomes();
    let refused = outcomes.iter().filter(|outcome| **outcome == Outcome::TooMany).count();
    assert_eq!(refused, 1_000 - 100, "the device's own bound, below a worker's");
    assert_eq!(outcomes.len(), 1_001, "each is answered");
}

#[test]
fn more_than_the_owner_allows_is_refused_by_name() {
    let mut bench = Bench::new();
    bench.connect();
    let provisions = storage(256 * 1024);
    let mut entries = Vec::new();
    for app in ["a", "b", "c", "d", "e"] {
        let release = bench.release(app, 1, "ok");
        let release = bench.offer_release(&release);
        let provisions = Some(provisions.clone());
        entries.push(module_package::AppEntry { release, provisions, ..super::entry(app) });
    }
    bench.give(1, entries);
    assert_eq!(bench.app("d").state, AppState::Running);
    let refused = bench.app("e");
    assert_eq!((refused.state, super::number(refused.refusal)), (AppState::Refused, Some(50)));
    assert!(refused.detail.contains("this device allows 1048576"), "{}", refused.detail);
}

#[test]
fn damaged_values_are_told_and_the_module_begins_without_them() {
    let mut bench = counting();
    bench.damage_stored("filter");
    bench.kill_worker();
    bench.advance(1_000);
    assert_eq!(bench.last_start(), vec![]);
    let refused = bench.report().refused.expect("it is told");
    assert_eq!(refused.code.number(), 51);
    assert!(bench.log_lines().iter().any(|line| line.contains("begins with nothing stored")));
    assert_eq!(bench.app("filter").state, AppState::Running);
}

#[test]
fn a_disk_that_cannot_be_written_is_told_to_the_module() {
    let mut bench = counting();
    bench.fail_writes(true);
    bench.say(0, keep("starts", b"9"));
    assert_eq!(bench.outcomes()[1..], [Outcome::Unavailable]);
    bench.fail_writes(false);
    bench.say(0, keep("starts", b"9"));
    assert_eq!(bench.outcomes()[2..], [Outcome::Done]);
}
