//! The guest API, function by function, from inside a module that only forwards.

use crate::support::{STORAGE_BYTES, Worker, limits};
use known_answer::{Step, Value};
use std::time::{SystemTime, UNIX_EPOCH};
use worker_protocol::{
    Answer, Ask, Asked, ClockTrust, Command, Delivered, Event, GUEST_API_MODULE, GuestCall,
    GuestType, HostCallUsage, INBOX_MESSAGES_MAX, METRICS_MAX, Metric, Outcome,
    STORED_VALUE_BYTES_MAX, STORES_PER_S_MAX, StorageUsage, StoredValue, WallClock,
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
        forwards +=
            &format!("(func (export \"{called}\") {params} {result} (call ${called}{args}))\n");
    }
    // With a tick: steps of a module without one are repeated by themselves.
    let own =
        "(memory (export \"memory\") 1)\n(func (export \"tick\") (result i32) (i32.const 0))\n";
    module + own + &forwards + ")"
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
        self.run_and_answer(worker, |ask| panic!("nothing was to be asked: {ask:?}"))
    }

    /// The same with a starter that answers questions.
    pub fn run_and_answer(self, worker: &Worker, mut answer: impl FnMut(Ask) -> Outcome) -> Event {
        worker.send(&Command::RunChecks { steps: self.0 });
        loop {
            match worker.next_event() {
                Event::Asked(Asked { id, ask }) => {
                    let outcome = answer(ask);
                    worker.send(&Command::Answer(Answer { id, outcome }));
                }
                done @ Event::ChecksDone { .. } => return done,
                _ => {}
            }
        }
    }

    /// Holds with a starter that does everything; what was asked of it.
    pub fn asks(self, worker: &Worker) -> Vec<Ask> {
        let (mut asked, count) = (Vec::new(), self.0.len() as u32);
        let done = self.run_and_answer(worker, |ask| {
            asked.push(ask);
            Outcome::Done
        });
        assert_eq!(done, Event::ChecksDone { passed: count, failed: None });
        asked
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
    assert_eq!(worker.usage().guest.unwrap().host_calls, [], "nothing was called");
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
    let mut script =
        Script::default().write(100, &1.5_f64.to_le_bytes()).write(0, b"abcdefghijklmnopq");
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

/// Its tick does nothing, so what it does is what a test asks for.
fn started(stored: Option<Vec<StoredValue>>) -> Worker {
    let worker = Worker::with(&forwarder(), limits());
    worker.send(&Command::Start { interval_ms: 3_600_000, stored });
    worker.find(|event| *event == Event::Started);
    worker
}

fn stored(key: &str, value: &[u8]) -> StoredValue {
    StoredValue { key: key.into(), value: value.into() }
}

fn storage(worker: &Worker) -> StorageUsage {
    worker.usage().guest.unwrap().storage.unwrap()
}

#[test]
fn a_module_finds_what_was_stored_and_every_change_is_kept_by_the_starter() {
    let worker = started(Some(vec![stored("count", b"41")]));
    let asked = Script::default()
        .write(0, b"countother42")
        .call(GuestCall::KvGet, &[0, 5, 100, 1], 2)
        .call(GuestCall::KvGet, &[0, 5, 100, 2], 2)
        .read(99, b"\x0041\0")
        .call(GuestCall::KvGet, &[5, 5, 100, 50], -7)
        .call(GuestCall::KvSet, &[0, 5, 10, 2], 0)
        .call(GuestCall::KvSet, &[0, 5, 10, 2], 0)
        .call(GuestCall::KvGet, &[0, 5, 100, 50], 2)
        .read(100, b"42")
        .call(GuestCall::KvSet, &[5, 5, 10, 0], 0)
        .call(GuestCall::KvGet, &[5, 5, 100, 50], 0)
        .call(GuestCall::KvDelete, &[0, 5], 0)
        .call(GuestCall::KvDelete, &[0, 5], -7)
        .call(GuestCall::KvGet, &[0, 5, 100, 50], -7)
        .asks(&worker);
    let expected = [
        Ask::Keep(stored("count", b"42")),
        // The second time there was nothing to change.
        Ask::Keep(stored("other", b"")),
        Ask::Forget { key: "count".into() },
    ];
    assert_eq!(asked, expected);
    let quota_bytes = STORAGE_BYTES.into();
    assert_eq!(storage(&worker), StorageUsage { used_bytes: 16 + 5, quota_bytes });
}

#[test]
fn known_answers_have_a_storage_of_their_own_and_leave_nothing_behind() {
    let worker = Worker::with(&forwarder(), limits());
    let set = |value: i32| {
        Script::default()
            .write(0, b"count42")
            .call(GuestCall::KvGet, &[0, 5, 100, 50], value)
            .call(GuestCall::KvSet, &[0, 5, 5, 2], 0)
            .call(GuestCall::KvGet, &[0, 5, 100, 50], 2)
    };
    assert_eq!(set(-7).asks(&worker), [], "nothing is kept");
    worker.send(&Command::Start { interval_ms: 3_600_000, stored: Some(vec![]) });
    worker.find(|event| *event == Event::Started);
    assert_eq!(set(-7).asks(&worker), [Ask::Keep(stored("count", b"42"))]);
    // Where an artifact is checked, nothing is kept after the start either.
    let worker = started(None);
    assert_eq!(set(-7).asks(&worker), []);
}

#[test]
fn storage_has_a_quota_and_bounds() {
    let worker = started(Some(vec![stored("a", &[7; 100])]));
    let too_long = STORED_VALUE_BYTES_MAX as i32 + 1;
    let asked = Script::default()
        .write(0, b"ab")
        // 117 of 200 bytes are used; a key costs 16 and itself.
        .call(GuestCall::KvSet, &[1, 1, 1_000, 67], -9)
        .call(GuestCall::KvSet, &[1, 1, 1_000, 66], 0)
        .call(GuestCall::KvSet, &[0, 1, 1_000, 101], -9)
        .call(GuestCall::KvDelete, &[1, 1], 0)
        .call(GuestCall::KvSet, &[0, 1, 1_000, 101], 0)
        .call(GuestCall::KvSet, &[0, 1, 1_000, too_long], -4)
        .call(GuestCall::KvSet, &[0, 0, 1_000, 1], -1)
        .call(GuestCall::KvSet, &[0, 65, 1_000, 1], -1)
        .call(GuestCall::KvGet, &[0, 65, 1_000, 1], -1)
        .call(GuestCall::KvDelete, &[0, 65], -1)
        .asks(&worker);
    assert_eq!(asked.len(), 3);
    assert_eq!(storage(&worker).used_bytes, 16 + 1 + 101);
}

#[test]
fn what_the_starter_does_not_keep_is_not_stored() {
    let worker = started(Some(vec![]));
    for (outcome, answer) in [
        (Outcome::Denied, -2),
        (Outcome::Full, -9),
        (Outcome::Unavailable, -6),
        (Outcome::TooMany, -5),
    ] {
        let script = Script::default()
            .write(0, b"k")
            .call(GuestCall::KvSet, &[0, 1, 100, 8], answer)
            .call(GuestCall::KvGet, &[0, 1, 100, 8], -7);
        let done = script.run_and_answer(&worker, |_| outcome);
        assert_eq!(done, Event::ChecksDone { passed: 3, failed: None });
    }
}

#[test]
fn a_starter_that_does_not_answer_is_waited_for_and_not_blamed_on_the_module() {
    let limits = worker_protocol::Limits { call_ms_max: 500, ..limits() };
    let worker = Worker::with(&forwarder(), limits);
    worker.send(&Command::Start { interval_ms: 3_600_000, stored: Some(vec![]) });
    let script = Script::default().write(0, b"k").call(GuestCall::KvSet, &[0, 1, 100, 8], -6);
    worker.send(&Command::RunChecks { steps: script.0 });
    let mut late = None;
    loop {
        match worker.next_event() {
            Event::Asked(asked) => late = Some(asked.id),
            Event::ChecksDone { failed: None, .. } => break,
            Event::Started => {}
            other => panic!("{other:?}"),
        }
    }
    // An answer that comes too late answers no other question.
    worker.send(&Command::Answer(Answer { id: late.unwrap(), outcome: Outcome::Done }));
    Script::default().call(GuestCall::KvGet, &[0, 1, 100, 8], -7).holds(&worker);
}

#[test]
fn changes_of_the_storage_are_bounded_in_a_second() {
    let worker = started(Some(vec![]));
    let mut script = Script::default().write(0, b"k");
    for value in 0..3 * STORES_PER_S_MAX as i32 {
        script = script.write(100, &[value as u8]);
        let step = Step::Call {
            export: "kv_set".into(),
            args: [0, 1, 100, 1].map(Value::I32).to_vec(),
            expect: None,
        };
        script.0.push(step);
    }
    let asked = script.asks(&worker).len() as u32;
    // More than one second may pass on a busy machine, but not the whole time.
    assert!((STORES_PER_S_MAX..3 * STORES_PER_S_MAX).contains(&asked), "{asked}");
}

fn deliver(worker: &Worker, channel: &str, seq: u64, payload: &[u8]) {
    let delivered = Delivered { channel: channel.into(), seq, payload: payload.into() };
    worker.send(&Command::Deliver(delivered));
}

#[test]
fn messages_are_taken_in_order_and_one_that_does_not_fit_waits() {
    let worker = started(Some(vec![]));
    let receive = |script: Script, len, answer| {
        script.write(100, &[0xee; 8]).call(GuestCall::Receive, &[0, 5, 100, len], answer)
    };
    let script = || Script::default().write(0, b"speedother");
    receive(script(), 8, -7).holds(&worker);
    deliver(&worker, "speed", 1, b"first");
    deliver(&worker, "speed", 2, b"");
    // Not subscribed to: nothing can be asked for, and nothing is kept.
    deliver(&worker, "other", 1, b"foreign");
    let script = receive(script(), 4, 5).read(100, &[0xee; 8]);
    let script = receive(script, 8, 5).read(100, b"first\xee\xee\xee");
    let script = receive(script, 8, 0).read(100, &[0xee; 8]);
    receive(script, 8, -7)
        .call(GuestCall::Receive, &[5, 5, 100, 8], -2)
        .call(GuestCall::Receive, &[0, 0, 100, 8], -1)
        .holds(&worker);
}

#[test]
fn a_full_queue_drops_its_oldest_and_the_figures_say_so() {
    let worker = started(Some(vec![]));
    let count = INBOX_MESSAGES_MAX as u64 + 4;
    for seq in 1..=count {
        deliver(&worker, "speed", seq, &[seq as u8]);
    }
    // Two were lost before they came here.
    deliver(&worker, "speed", count + 3, &[99]);
    let inboxes = worker.usage().guest.unwrap().inboxes;
    let inbox = &inboxes[0];
    assert_eq!((inbox.channel.as_str(), inbox.depth), ("speed", INBOX_MESSAGES_MAX as u32));
    assert_eq!((inbox.received, inbox.dropped), (count + 3, 5 + 2));
    Script::default()
        .write(0, b"speed")
        .call(GuestCall::Receive, &[0, 5, 100, 8], 1)
        .read(100, &[6])
        .holds(&worker);
}

#[test]
fn a_sensor_of_the_device_is_read_by_the_starter() {
    let worker = Worker::with(&forwarder(), limits());
    let read = |answer| {
        Script::default()
            .write(0, b"cpu")
            .write(100, &[0; 8])
            .call(GuestCall::SensorOpen, &[0, 3], 1)
            .call(GuestCall::SensorRead, &[1, 100], answer)
    };
    let run = |script: Script, outcome| {
        let count = script.0.len() as u32;
        let done = script.run_and_answer(&worker, |ask| {
            assert_eq!(ask, Ask::ReadSensor { name: "cpu".into() });
            outcome
        });
        assert_eq!(done, Event::ChecksDone { passed: count, failed: None });
    };
    run(read(0).read(100, &47.25_f64.to_le_bytes()), Outcome::Number(47.25));
    for (outcome, answer) in [
        (Outcome::Unavailable, -6),
        (Outcome::Denied, -2),
        (Outcome::Done, -6),
        (Outcome::TooMany, -5),
    ] {
        run(read(answer).read(100, &[0; 8]), outcome);
    }
}

#[test]
fn an_actuator_is_set_by_the_starter_once_the_module_has_begun() {
    let worker = Worker::with(&forwarder(), limits());
    let set = |value: f64, answer| {
        Script::default().write(0, b"fanlamp").write(100, &value.to_le_bytes()).call(
            GuestCall::ActuatorSet,
            &[0, 3, 100],
            answer,
        )
    };
    let denied = |script: Script| {
        script.call(GuestCall::ActuatorSet, &[3, 4, 100], -2).call(
            GuestCall::ActuatorSet,
            &[0, 0, 100],
            -1,
        )
    };
    assert_eq!(denied(set(1.0, 0)).asks(&worker), [], "known answers move nothing");
    worker.send(&Command::Start { interval_ms: 3_600_000, stored: Some(vec![]) });
    worker.find(|event| *event == Event::Started);
    let asked = denied(set(80.5, 0)).asks(&worker);
    assert_eq!(asked, [Ask::SetActuator { name: "fan".into(), value: 80.5 }]);
    assert_eq!(set(f64::NAN, -8).asks(&worker), []);
    let done = set(900.0, -8).run_and_answer(&worker, |_| Outcome::OutOfRange);
    assert_eq!(done, Event::ChecksDone { passed: 3, failed: None });
    // In a check nothing is ever moved.
    assert_eq!(set(1.0, 0).asks(&started(None)), []);
}
