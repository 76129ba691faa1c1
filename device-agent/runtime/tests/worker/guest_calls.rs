//! The guest API, function by function, from inside a module that only forwards.

use crate::support::{Worker, limits};
use known_answer::{Step, Value};
use std::time::{SystemTime, UNIX_EPOCH};
use worker_protocol::{
    ClockTrust, Command, Event, GUEST_API_MODULE, GuestCall, GuestType, HostCallUsage, METRICS_MAX,
    Metric, WallClock,
};

/// A module with one page of memory that exports each function of the guest API under its
/// own name.
pub fn forwarder() -> String {
    let name = |guest_type: &GuestType| guest_type.name();
    let mut module = String::from("(module\n");
    let mut forwards = String::new();
    for call in GuestCall::ALL {
        let params = call.params().iter().map(name).collect::<Vec<_>>().join(" ");
        let params = if params.is_empty() { params } else { format!("(param {params})") };
        let result = call.result().map(|result| format!("(result {})", result.name()));
        let result = result.unwrap_or_default();
        let args: String =
            (0..call.params().len()).map(|index| format!(" (local.get {index})")).collect();
        let called = call.name();
        module += &format!(
            "(import \"{GUEST_API_MODULE}\" \"{called}\" (func ${called} {params} {result}))\n"
        );
        forwards += &format!(
            "(func (export \"{called}\") {params} {result} (call ${called}{args}))\n"
        );
    }
    module + "(memory (export \"memory\") 1)\n" + &forwards + ")"
}

/// Calls from inside, and what they have to answer.
#[derive(Default)]
pub struct Script(Vec<Step>);

impl Script {
    pub fn write(mut self, address: u32, bytes: &[u8]) -> Self {
        self.0.push(Step::Write { address, bytes: bytes.to_vec() });
        self
    }

    pub fn read(mut self, address: u32, bytes: &[u8]) -> Self {
        self.0.push(Step::Read { address, bytes: bytes.to_vec() });
        self
    }

    pub fn call(mut self, call: GuestCall, args: &[i32], expect: i32) -> Self {
        let args = args.iter().copied().map(Value::I32).collect();
        let expect = Some(vec![Value::I32(expect)]);
        self.0.push(Step::Call { export: call.name().into(), args, expect });
        self
    }

    /// Runs it and expects every step to hold.
    pub fn holds(self, worker: &Worker) {
        let count = self.0.len() as u32;
        let done = self.run(worker);
        assert_eq!(done, Event::ChecksDone { passed: count, failed: None });
    }

    pub fn run(self, worker: &Worker) -> Event {
        worker.send(&Command::RunChecks { steps: self.0 });
        worker.find(|event| matches!(event, Event::ChecksDone { .. }))
    }
}

/// Just beyond the one page.
const OUTSIDE: i32 = 65_536;

#[test]
fn a_pointer_outside_of_the_memory_traps_in_every_function() {
    for call in GuestCall::ALL.iter().filter(|call| !call.params().is_empty()) {
        // All arguments point outside; handles and levels are nonsense, too.
        let args = vec![Value::I32(OUTSIDE); call.params().len()];
        let worker = Worker::with(&forwarder(), limits());
        let step = Step::Call { export: call.name().into(), args, expect: None };
        let done = Script(vec![step]).run(&worker);
        let Event::ChecksDone { failed: Some(failed), .. } = done else {
            panic!("{call:?} did not trap: {done:?}")
        };
        assert!(failed.detail.contains("out of bounds memory access"), "{}", failed.detail);
        let usage = worker.usage();
        let calls = usage.guest.unwrap().host_calls;
        let counted = calls.iter().map(|call| (call.number, call.calls)).collect::<Vec<_>>();
        assert_eq!(counted, [(call.number(), 1)], "one that traps counts, too");
    }
}

#[test]
fn calls_are_counted_with_the_bytes_that_they_touch() {
    let worker = Worker::with(&forwarder(), limits());
    assert_eq!(worker.usage().guest, None, "nothing was called");
    Script::default()
        .write(0, b"average")
        .call(GuestCall::Publish, &[0, 7, 100, 20], 0)
        .call(GuestCall::Publish, &[0, 7, 100, 0], 0)
        .call(GuestCall::Publish, &[0, 6, 100, 5], -2)
        .call(GuestCall::Random, &[200, 32], 0)
        .holds(&worker);
    let calls = worker.usage().guest.unwrap().host_calls;
    let figures = |calls: &[HostCallUsage]| -> Vec<(u8, u64, u64)> {
        calls.iter().map(|call| (call.number, call.calls, call.bytes)).collect()
    };
    let (publish, random) = (GuestCall::Publish.number(), GuestCall::Random.number());
    assert_eq!(figures(&calls), [(publish, 3, 27 + 7 + 11), (random, 1, 32)]);
    assert!(calls.iter().all(|call| call.time_ns > 0), "{calls:?}");
}

#[test]
fn random_bytes_are_bounded_and_random() {
    let worker = Worker::with(&forwarder(), limits());
    Script::default()
        .call(GuestCall::Random, &[0, 0], 0)
        .call(GuestCall::Random, &[0, 257], -4)
        .read(0, &[0; 257])
        .call(GuestCall::Random, &[0, 256], 0)
        .holds(&worker);
    // One in 2^2048.
    let done = Script::default().read(0, &[0; 256]).run(&worker);
    assert!(matches!(done, Event::ChecksDone { failed: Some(_), .. }), "{done:?}");
    // A length that is bounded still has to lie inside.
    let outside = Step::Call {
        export: "random".into(),
        args: vec![Value::I32(OUTSIDE - 8), Value::I32(9)],
        expect: None,
    };
    let done = Script(vec![outside]).run(&worker);
    assert!(matches!(done, Event::ChecksDone { failed: Some(_), .. }), "{done:?}");
}

#[test]
fn the_wall_clock_says_how_it_is_known() {
    let worker = Worker::with(&forwarder(), limits());
    let wall = |trust| Script::default().call(GuestCall::ClockWallMs, &[8], trust);
    // Nothing was told.
    wall(0).read(8, &[0; 8]).holds(&worker);
    let time_ms = 1_234_567_u64;
    let told = WallClock { trust: ClockTrust::Unknown, time_ms };
    worker.send(&Command::SetClock(told));
    wall(0).read(8, &time_ms.to_le_bytes()).holds(&worker);
    // A time far ahead, whose first five bytes do not change while the test runs.
    let time_ms = 0x0123_4567_0000_0000_u64;
    worker.send(&Command::SetClock(WallClock { trust: ClockTrust::Gateway, time_ms }));
    wall(2).read(12, &time_ms.to_le_bytes()[4..]).holds(&worker);
    worker.send(&Command::SetClock(WallClock { trust: ClockTrust::Configured, time_ms: 0 }));
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    wall(1).read(12, &now_ms.to_le_bytes()[4..]).holds(&worker);
}

#[test]
fn metrics_are_bounded_in_number_and_finite_and_outlive_a_trap() {
    let worker = Worker::with(&forwarder(), limits());
    let mut script = Script::default().write(100, &1.5_f64.to_le_bytes()).write(0, b"abcdefghijklmnopq");
    for index in 0..METRICS_MAX as i32 {
        script = script.call(GuestCall::MetricSet, &[index, 1, 100], 0);
    }
    script
        .call(GuestCall::MetricSet, &[METRICS_MAX as i32, 1, 100], -9)
        .write(100, &(-2.0_f64).to_le_bytes())
        .call(GuestCall::MetricSet, &[0, 1, 100], 0)
        .call(GuestCall::MetricSet, &[0, 0, 100], -1)
        .call(GuestCall::MetricSet, &[0, 65, 100], -1)
        .write(100, &f64::NAN.to_le_bytes())
        .call(GuestCall::MetricSet, &[0, 1, 100], -8)
        .write(100, &f64::INFINITY.to_le_bytes())
        .call(GuestCall::MetricSet, &[0, 1, 100], -8)
        .write(0, b"a\n")
        .call(GuestCall::MetricSet, &[0, 2, 100], -1)
        .write(0, b"\xff")
        .call(GuestCall::MetricSet, &[0, 1, 100], -1)
        .holds(&worker);
    let trap = Step::Call {
        export: "metric_set".into(),
        args: vec![Value::I32(0), Value::I32(1), Value::I32(OUTSIDE - 7)],
        expect: None,
    };
    Script(vec![trap]).run(&worker);
    let metrics = worker.usage_when(|usage| usage.traps == 1).guest.unwrap().metrics;
    assert_eq!(metrics.len(), METRICS_MAX);
    assert_eq!(metrics[0], Metric { name: "a".into(), value: -2.0 });
    assert_eq!(metrics[1], Metric { name: "b".into(), value: 1.5 });
}

#[test]
fn a_value_of_the_configuration_is_written_where_it_fits() {
    let worker = Worker::with(&forwarder(), limits());
    Script::default()
        .write(0, b"unitunix")
        .call(GuestCall::ConfigGet, &[0, 4, 100, 6], 7)
        .read(100, &[0; 7])
        .call(GuestCall::ConfigGet, &[0, 4, 100, 7], 7)
        .read(100, b"celsius\0")
        .call(GuestCall::ConfigGet, &[0, 4, 0, 0], 7)
        .call(GuestCall::ConfigGet, &[4, 4, 100, 100], -7)
        .call(GuestCall::ConfigGet, &[0, 0, 100, 100], -1)
        .holds(&worker);
}
