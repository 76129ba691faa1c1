//! Limits and what follows when one is reached, as the starter sees it.

mod support;

use module_limits::{Limit, LimitAction, LimitActions};
use std::time::{Duration, Instant};
use support::{Worker, busy, limits, misbehaving};
use worker_protocol::{Command, Event, Limits, LoadFailure, LogLevel, Usage};

const START: Command = Command::Start { interval_ms: 10, stored: None };

/// Of a tick that takes some 900,000 gas.
const BUSY_TURNS: u32 = 100_000;

fn with_actions(asked: &[(Limit, LimitAction)]) -> Limits {
    let mut actions = LimitActions::default();
    asked.iter().for_each(|(limit, action)| actions.ask(*limit, *action));
    Limits { actions: Some(actions), ..limits() }
}

fn hits(usage: &Usage, limit: Limit) -> u64 {
    usage.limits.map_or(0, |limits| limits.of(limit))
}

fn stop_of(worker: &Worker) -> (Limit, String) {
    match worker.find(|event| matches!(event, Event::LimitStop { .. })) {
        Event::LimitStop { limit, detail } => (limit, detail),
        _ => unreachable!("only a LimitStop is found"),
    }
}

#[test]
fn a_call_that_uses_too_much_gas_is_ended_and_a_fresh_instance_follows() {
    let worker =
        Worker::metered(&busy(BUSY_TURNS), Limits { gas_per_call_max: Some(10_000), ..limits() });
    worker.send(&START);
    let trap = worker.find(|event| matches!(event, Event::Trapped { .. }));
    let Event::Trapped { export, detail, .. } = trap else { unreachable!() };
    assert_eq!(
        (export.as_str(), detail.as_str()),
        ("tick", "out of gas: more than 10000 in one call")
    );
    let usage =
        worker.usage_when(|usage| usage.restarts >= 1 && hits(usage, Limit::GasPerCall) >= 2);
    let last = usage.limits.unwrap();
    assert_eq!(
        (last.last_limit, last.last_action),
        (Some(Limit::GasPerCall), Some(LimitAction::Restart))
    );
    // Each of its calls used the limit and one block more.
    let gas = usage.gas_used.unwrap();
    assert!(gas >= 20_000 && gas < (usage.traps + 1) * 11_000, "{usage:?}");
}

#[test]
fn too_much_gas_stops_the_module_where_that_is_asked_for() {
    let asked = with_actions(&[(Limit::GasPerCall, LimitAction::Stop)]);
    let worker =
        Worker::metered(&busy(BUSY_TURNS), Limits { gas_per_call_max: Some(10_000), ..asked });
    worker.send(&START);
    let (limit, detail) = stop_of(&worker);
    assert_eq!(limit, Limit::GasPerCall);
    assert_eq!(detail, "tick: out of gas: more than 10000 in one call");
    let calls = worker.usage().calls;
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!((worker.usage().calls, calls), (1, 1), "it is not called again");
    worker.send(&Command::Stop);
    assert!(worker.exit_status().success());
}

#[test]
fn too_much_gas_is_only_told_of_where_that_is_asked_for() {
    let asked = with_actions(&[(Limit::GasPerCall, LimitAction::Warn)]);
    let worker =
        Worker::metered(&busy(BUSY_TURNS), Limits { gas_per_call_max: Some(10_000), ..asked });
    worker.send(&START);
    worker.find(|event| {
        matches!(event, Event::Log(line)
            if line.level == LogLevel::Warn && line.text.starts_with("gas-per-call: "))
    });
    let usage = worker.usage_when(|usage| hits(usage, Limit::GasPerCall) > 3);
    assert_eq!((usage.traps, usage.throttled), (0, None));
}

#[test]
fn a_module_that_uses_too_much_gas_in_a_second_is_called_later() {
    // A tick takes more than a second's gas, so it comes about every two and a half.
    let worker =
        Worker::metered(&busy(BUSY_TURNS), Limits { gas_per_s_max: Some(400_000), ..limits() });
    worker.send(&START);
    let began = Instant::now();
    // While a tick runs, it is not throttled; the next one is.
    let usage = worker.usage_when(|usage| usage.calls >= 3 && usage.throttled == Some(true));
    let gas = usage.gas_used.unwrap();
    let allowed = 400_000.0 * (began.elapsed().as_secs_f64() + 1.0) + (gas / usage.calls) as f64;
    assert!(began.elapsed() >= Duration::from_secs(1) && (gas as f64) < allowed, "{usage:?}");
    assert_eq!(usage.traps, 0);
    assert!(hits(&usage, Limit::GasRate) >= 2, "{usage:?}");
    // A throttled module still answers at once.
    worker.send(&Command::Stop);
    assert!(worker.exit_status().success());
}

#[test]
fn an_endless_loop_is_ended_by_the_gas_of_a_second_where_that_stops() {
    let asked = with_actions(&[(Limit::GasRate, LimitAction::Stop)]);
    let limits = Limits { gas_per_s_max: Some(1_000_000), ..asked };
    let worker = Worker::metered(&misbehaving("spin"), limits);
    worker.send(&START);
    let (limit, detail) = stop_of(&worker);
    assert_eq!(
        (limit, detail.as_str()),
        (Limit::GasRate, "tick: out of gas: more than its gas of a second")
    );
}

#[test]
fn metered_code_in_an_endless_loop_is_interrupted_and_the_worker_lives_on() {
    let asked = with_actions(&[(Limit::CallTime, LimitAction::Restart)]);
    let worker = Worker::metered(&misbehaving("spin"), Limits { call_ms_max: 100, ..asked });
    worker.send(&START);
    for _ in 0..2 {
        let trap = worker.find(|event| {
            assert!(!matches!(event, Event::Overrun { .. }), "it had to be killed");
            matches!(event, Event::Trapped { .. })
        });
        let Event::Trapped { detail, .. } = trap else { unreachable!() };
        assert_eq!(detail, "ran longer than its time and was interrupted");
    }
    let usage = worker.usage_when(|usage| hits(usage, Limit::CallTime) >= 2);
    assert!(usage.cpu_us >= 20_000, "the time of the ended calls counts: {usage:?}");
}

#[test]
fn metered_code_that_runs_too_long_stops_without_a_kill() {
    let worker = Worker::metered(&misbehaving("spin"), Limits { call_ms_max: 100, ..limits() });
    worker.send(&START);
    assert_eq!(stop_of(&worker).0, Limit::CallTime);
    worker.send(&Command::Stop);
    assert!(worker.exit_status().success());
}

#[test]
fn a_start_function_without_end_runs_out_of_gas_while_it_is_loaded() {
    let mut worker = Worker::start();
    let artifact = worker.compile_metered("(module (func $s (loop (br 0))) (start $s))");
    let answer = worker.load(artifact, Limits { gas_per_call_max: Some(100_000), ..limits() });
    let detail = "instantiate the module: out of gas".to_owned();
    assert_eq!(answer, Event::LoadFailed { reason: LoadFailure::OverLimit, detail });
}

#[test]
fn a_limit_of_gas_for_code_that_counts_none_is_refused() {
    let mut worker = Worker::start();
    let artifact = worker.compile(&busy(BUSY_TURNS));
    let answer = worker.load(artifact, Limits { gas_per_s_max: Some(1), ..limits() });
    let Event::LoadFailed { reason, detail } = answer else { panic!("{answer:?}") };
    assert_eq!(reason, LoadFailure::OverLimit);
    assert!(detail.contains("counts none"), "{detail}");
}

#[test]
fn a_flood_does_what_its_limits_say() {
    for (limit, flood) in [(Limit::LogRate, "log-rate"), (Limit::MessageRate, "message-rate")] {
        let worker =
            Worker::with(&misbehaving("flood"), with_actions(&[(limit, LimitAction::Stop)]));
        worker.send(&START);
        let (stopped, detail) = stop_of(&worker);
        assert_eq!(stopped, limit);
        assert!(detail.starts_with(&format!("tick: {flood}: ")), "{detail}");

        let asked = with_actions(&[(limit, LimitAction::Restart)]);
        let worker = Worker::with(&misbehaving("flood"), asked);
        worker.send(&START);
        worker.find(
            |event| matches!(event, Event::Trapped { detail, .. } if detail.starts_with(flood)),
        );
        let usage = worker.usage_when(|usage| usage.restarts > 0);
        assert!(hits(&usage, limit) > 0, "{usage:?}");

        let asked = with_actions(&[(limit, LimitAction::Warn)]);
        let worker = Worker::with(&misbehaving("flood"), asked);
        worker.send(&START);
        let warns =
            |event: &Event| matches!(event, Event::Log(line) if line.text.starts_with(flood));
        worker.find(warns);
        assert_eq!(worker.usage().traps, 0);
    }
    // Unless asked for, the rest is dropped and counted, once a second.
    let worker = Worker::with(&misbehaving("flood"), limits());
    worker.send(&START);
    let usage = worker.usage_when(|usage| hits(usage, Limit::LogRate) > 0);
    assert_eq!(usage.traps, 0);
    assert!(usage.log_lines_dropped > hits(&usage, Limit::LogRate), "{usage:?}");
}
