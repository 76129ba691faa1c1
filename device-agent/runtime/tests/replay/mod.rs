//! Ticks without a clock and sensors with recorded samples, as a replay needs them.

use crate::support::{Worker, limits};
use worker_protocol::{
    Activity, Command, Event, Grants, LogLevel, Published, Sensor, SensorSource,
};

/// Publishes a sample, or logs what kept it from that.
const RELAY: &str = r#"
(module
  (import "farrier" "sensor_open" (func $open (param i32 i32) (result i32)))
  (import "farrier" "sensor_read" (func $read (param i32 i32) (result i32)))
  (import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "level")
  (global $handle (mut i32) (i32.const -9))
  (func (export "init") (result i32)
    (global.set $handle (call $open (i32.const 0) (i32.const 5)))
    (i32.const 0))
  (func (export "tick") (result i32)
    (local $answer i32)
    (local.set $answer (call $read (global.get $handle) (i32.const 64)))
    (if (local.get $answer) (then (return (local.get $answer))))
    (call $publish (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 8))))
"#;

fn replay(wat: &str, samples: &[f64]) -> Worker {
    replay_from(wat, SensorSource::Recorded { samples: samples.to_vec(), repeats: false })
}

fn replay_from(wat: &str, source: SensorSource) -> Worker {
    let mut worker = Worker::start();
    let artifact = worker.compile(wat);
    let sensors = vec![Sensor { name: "level".into(), source }];
    let grants = Grants { sensors, channels: vec!["level".into()], ..Grants::default() };
    assert!(matches!(worker.load_with(artifact, limits(), grants), Event::Loaded { .. }));
    worker
}

fn run_ticks(worker: &Worker, ticks: u32) -> (Vec<Published>, Vec<String>, u32) {
    worker.send(&Command::RunTicks { ticks });
    let (mut published, mut log) = (vec![], vec![]);
    loop {
        match worker.next_event() {
            Event::Published(message) => published.push(message),
            Event::Log(line) => {
                assert_eq!(line.level, LogLevel::Warn);
                log.push(line.text);
            }
            Event::Started | Event::Trapped { .. } => {}
            Event::TicksDone { ticks } => return (published, log, ticks),
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[test]
fn recorded_samples_come_in_order_and_then_there_are_none() {
    let samples = [1.5, -0.0, f64::MAX];
    let worker = replay(RELAY, &samples);
    let (published, log, done) = run_ticks(&worker, 2);
    assert_eq!((published.len(), log.len(), done), (2, 0, 2));
    let (more, log, done) = run_ticks(&worker, 3);
    assert_eq!((more.len(), done), (1, 3));
    // What the sensor answers when its recording is over.
    assert_eq!(log, ["tick returned -6", "tick returned -6"]);
    let payloads: Vec<_> = published.iter().chain(&more).map(|p| p.payload.clone()).collect();
    assert_eq!(payloads, samples.map(|sample| sample.to_le_bytes().to_vec()));
    // One of `init`, five of `tick`.
    assert_eq!(worker.usage().calls, 6);
}

#[test]
fn a_recording_that_repeats_begins_again() {
    let worker =
        replay_from(RELAY, SensorSource::Recorded { samples: vec![1.0, 2.0], repeats: true });
    let (published, ..) = run_ticks(&worker, 5);
    let values: Vec<_> = published
        .iter()
        .map(|message| f64::from_le_bytes(message.payload.clone().try_into().unwrap()))
        .collect();
    assert_eq!(values, [1.0, 2.0, 1.0, 2.0, 1.0]);
    let empty = replay_from(RELAY, SensorSource::Recorded { samples: vec![], repeats: true });
    assert_eq!(run_ticks(&empty, 1).1, ["tick returned -6"]);
}

#[test]
fn a_thousand_ticks_neither_wait_for_a_clock_nor_meet_a_rate() {
    let samples: Vec<f64> = (0..1_000).map(f64::from).collect();
    let worker = replay(RELAY, &samples);
    let (published, _, done) = run_ticks(&worker, 1_000);
    assert_eq!((published.len(), done), (1_000, 1_000));
}

#[test]
fn a_trap_ends_the_run_and_the_fresh_instance_begins_with_init() {
    const TRAPS_AT_THE_THIRD: &str = r#"
    (module
      (memory (export "memory") 1)
      (global $ticks (mut i32) (i32.const 100))
      (func (export "init") (result i32) (global.set $ticks (i32.const 0)) (i32.const 0))
      (func (export "tick") (result i32)
        (if (i32.ge_u (global.get $ticks) (i32.const 2)) (then (unreachable)))
        (global.set $ticks (i32.add (global.get $ticks) (i32.const 1)))
        (i32.const 0)))
    "#;
    let worker = replay(TRAPS_AT_THE_THIRD, &[]);
    assert_eq!(run_ticks(&worker, 5).2, 2);
    worker.usage_when(|usage| usage.activity == Activity::Loaded && usage.restarts == 1);
    assert_eq!(run_ticks(&worker, 2).2, 2);
}

#[test]
fn ticks_are_refused_where_they_cannot_be_given() {
    let refusal = |worker: &Worker| {
        worker.send(&Command::RunTicks { ticks: 1 });
        let event = worker.find(|event| matches!(event, Event::Rejected { .. }));
        let Event::Rejected { detail } = event else { unreachable!() };
        detail
    };
    assert!(refusal(&Worker::start()).contains("no module is loaded"));
    assert!(refusal(&replay("(module)", &[])).contains("has no tick"));
    let started = replay(RELAY, &[]);
    started.send(&Command::Start { interval_ms: 60_000, stored: None });
    assert!(refusal(&started).contains("ticks by itself"));
}
