//! Several modules in one worker: each is loaded, limited, measured and ended by itself.

use super::support::{Worker, busy, compile_for, limits, runtime};
use super::{SENSOR_MODULE, START};
use module_limits::{Limit, LimitAction, LimitActions};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Stdio;
use worker_protocol::{
    Activity, Answer, Ask, Command, Event, Limits, Load, LoadFailure, Outcome, StoredValue, Usage,
};

const TRAPS: &str = r#"(module (func (export "tick") (result i32) unreachable))"#;

const SPINS: &str =
    r#"(module (func (export "tick") (result i32) (loop $again (br $again)) (i32.const 0)))"#;

/// Some milliseconds of work in each tick.
const BUSY_TURNS: u32 = 4_000_000;

/// Adds one to what it has stored, from nothing, and ends each tick with the sum.
const STORES: &str = r#"
(module
  (import "farrier" "kv_get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "farrier" "kv_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "sum")
  (func (export "tick") (result i32)
    (drop (call $get (i32.const 0) (i32.const 3) (i32.const 16) (i32.const 1)))
    (i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))
    (drop (call $set (i32.const 0) (i32.const 3) (i32.const 16) (i32.const 1)))
    (i32.load8_u (i32.const 16))))
"#;

fn load(artifact: Vec<u8>) -> Load {
    Load { artifact, ..Load::default() }
}

fn plain(worker: &Worker, guest: u32, wat: &str) {
    worker.load_as(guest, load(worker.compile(wat)));
}

fn start_each(worker: &Worker, guests: &[u32]) {
    guests.iter().for_each(|guest| worker.send_to(*guest, &START));
}

fn calls_of(worker: &Worker, guest: u32) -> u64 {
    worker.usage_of(guest).calls
}

#[test]
fn a_module_that_traps_disturbs_no_other_of_its_worker() {
    let worker = Worker::start();
    plain(&worker, 1, SENSOR_MODULE);
    plain(&worker, 2, TRAPS);
    start_each(&worker, &[1, 2]);
    let (mut traps, mut seq) = (0, 0);
    while traps < 3 || seq < 10 {
        match worker.next_of_any() {
            (1, Event::Published(published)) => {
                assert_eq!(published.seq, seq + 1, "none is missing");
                seq = published.seq;
            }
            (2, Event::Trapped { export, .. }) => {
                assert_eq!(export, "tick");
                traps += 1;
            }
            (_, Event::Started) => {}
            other => panic!("{other:?}"),
        }
    }
    let (well, ill) = (worker.usage_of(1), worker.usage_of(2));
    assert_eq!((well.traps, well.restarts, well.activity), (0, 0, Activity::Running));
    assert!(ill.traps >= 3 && ill.published == 0, "{ill:?}");
    assert_eq!((well.memory_bytes, ill.memory_bytes), (65_536, 0));
    worker.send(&Command::Stop);
    assert!(worker.exit_status().success());
}

#[test]
fn an_endless_loop_of_a_metered_module_is_ended_and_its_neighbour_goes_on() {
    let worker = Worker::start();
    plain(&worker, 1, SENSOR_MODULE);
    let artifact = worker.compile_metered(SPINS);
    let mut actions = LimitActions::default();
    actions.ask(Limit::CallTime, LimitAction::Restart);
    let short = Limits { call_ms_max: 50, ..limits() };
    let restarts = Limits { actions: Some(actions), ..short };
    worker.load_as(2, Load { limits: restarts, ..load(artifact.clone()) });
    // The usual is that it is stopped.
    worker.load_as(3, Load { limits: short, ..load(artifact) });
    start_each(&worker, &[3]);
    worker.find_of(3, |event| matches!(event, Event::LimitStop { limit: Limit::CallTime, .. }));
    start_each(&worker, &[1, 2]);
    let (mut traps, mut published_between) = (0, 0);
    while traps < 3 {
        match worker.next_of_any() {
            (1, Event::Published(_)) => published_between += 1,
            (2, Event::Trapped { detail, .. }) => {
                assert!(detail.contains("interrupted"), "{detail}");
                assert!(traps == 0 || published_between > 0, "its neighbour stood still");
                (traps, published_between) = (traps + 1, 0);
            }
            _ => {}
        }
    }
    let (well, ill) = (worker.usage_of(1), worker.usage_of(2));
    assert_eq!((well.traps, well.limits), (0, None));
    assert!(ill.cpu_us >= 10_000, "its time is its own: {ill:?}");
    assert!(well.cpu_us < ill.cpu_us, "and not its neighbour's: {well:?}");
}

#[test]
fn the_starter_learns_who_holds_a_worker_that_it_has_to_kill() {
    let note = File::options().read(true).write(true).create_new(true).open(blame_file()).unwrap();
    fs::remove_file(blame_file()).unwrap();
    let mut command = runtime();
    command.args(["--blame", "yes"]).stdout(Stdio::from(note.try_clone().unwrap()));
    let worker = Worker::start_by(command);
    plain(&worker, 1, SENSOR_MODULE);
    let artifact = worker.compile(SPINS);
    worker.load_as(2, Load { limits: Limits { call_ms_max: 50, ..limits() }, ..load(artifact) });
    start_each(&worker, &[1]);
    worker.find_of(1, |event| matches!(event, Event::Published(_)));
    start_each(&worker, &[2]);
    loop {
        match worker.next_of_any() {
            (2, Event::Overrun { export, .. }) => break assert_eq!(export, "tick"),
            (1, Event::Overrun { .. }) => panic!("its neighbour did nothing"),
            _ => {}
        }
    }
    // What it can do no more, as a start of its neighbour, has to wait; figures need not.
    assert!(worker.usage_of(2).call_running_ms.is_some());
    assert_eq!(worker.usage_of(1).call_running_ms, None);
    let mut culprit = [0; 4];
    note.read_exact_at(&mut culprit, 0).unwrap();
    assert_eq!(u32::from_le_bytes(culprit), 2);
}

fn blame_file() -> PathBuf {
    std::env::temp_dir().join(format!("farrier-blame-{}", std::process::id()))
}

/// Counts in its memory and publishes the count.
const COUNTS: &str = r#"
(module
  (import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "average")
  (func (export "tick") (result i32)
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
    (call $publish (i32.const 0) (i32.const 7) (i32.const 16) (i32.const 4))))
"#;

#[test]
fn guests_of_the_same_bytes_share_their_code_and_nothing_else() {
    let worker = Worker::start();
    let artifact = worker.compile(COUNTS);
    worker.load_as(1, load(artifact.clone()));
    let of_one = code_bytes(&worker);
    (2..=9).for_each(|guest| worker.load_as(guest, load(artifact.clone())));
    assert_eq!(code_bytes(&worker), of_one, "nine guests have the code of one");
    let count = |guest| {
        worker.send_to(guest, &Command::RunTicks { ticks: 1 });
        let published = worker.find_of(guest, |event| matches!(event, Event::Published(_)));
        let Event::Published(published) = published else { unreachable!() };
        published.payload[0]
    };
    assert_eq!([count(1), count(1), count(2), count(1), count(9)], [1, 2, 1, 3, 1]);
    // The one that brought the code goes first; it stays for the others, and no longer.
    let unload = |guest| {
        worker.send_to(guest, &Command::Unload);
        worker.find_of(guest, |event| matches!(event, Event::Unloaded));
    };
    unload(1);
    assert_eq!([count(2), count(9)], [2, 2]);
    (2..=9).for_each(unload);
    let is_emulated = std::env::var_os("FARRIER_TEST_LAUNCHER").is_some();
    assert!(is_emulated || code_bytes(&worker) < of_one, "{of_one} bytes of code stay");
    // One byte of a difference is another module.
    worker.load_as(1, load(artifact));
    worker.load_as(2, load(worker.compile(&COUNTS.replace("const 1))", "const 2))"))));
    assert!(is_emulated || code_bytes(&worker) > of_one, "two modules have the code of one");
    assert_eq!([count(1), count(2)], [1, 2]);
}

/// Executable memory that belongs to no file.
fn code_bytes(worker: &Worker) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{}/maps", worker.process_id())).unwrap();
    let bytes_of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [addresses, rights, _, _, "0"] = words[..] else { return 0 };
        let (start, end) = addresses.split_once('-').unwrap();
        let at = |text| u64::from_str_radix(text, 16).unwrap();
        if rights.contains('x') { at(end) - at(start) } else { 0 }
    };
    maps.lines().map(bytes_of).sum()
}

#[test]
fn two_hundred_modules_come_and_go_and_leave_no_memory_behind() {
    const ROUNDS: u32 = 200;
    let worker = Worker::start();
    // Another module than the others, which would else be loaded only once.
    plain(&worker, 1, r#"(module (func (export "tick") (result i32) (i32.const 0)))"#);
    start_each(&worker, &[1]);
    let artifact = worker.compile(SENSOR_MODULE);
    let round = |guest| {
        worker.load_as(guest, load(artifact.clone()));
        start_each(&worker, &[guest]);
        worker.find_of(guest, |event| matches!(event, Event::Started));
        worker.send_to(guest, &Command::Unload);
        worker.find_of(guest, |event| matches!(event, Event::Unloaded));
    };
    (0..20).for_each(|_| round(2));
    let before = memory_kib(&worker);
    for guest in 0..ROUNDS {
        round(2 + guest % 3);
    }
    let after = memory_kib(&worker);
    // What one module takes is in docs/decisions/several-modules-in-one-worker.md: all of
    // them would be far more than this. An emulator keeps what it has translated of each.
    let is_emulated = std::env::var_os("FARRIER_TEST_LAUNCHER").is_some();
    let most = if is_emulated { [8_192, 65_536] } else { [256, 1_024] };
    for ((before, after), most) in before.iter().zip(after).zip(most) {
        assert!(after <= before + most, "{before} KiB before, {after} after {ROUNDS} rounds");
    }
    let usage = worker.usage_of(1);
    assert_eq!((usage.traps, usage.activity), (0, Activity::Running));
    // Nothing is left of the others.
    assert_eq!(worker.usage_of(2), Usage::default());
}

/// Resident, and of address space.
fn memory_kib(worker: &Worker) -> [u64; 2] {
    let status = fs::read_to_string(format!("/proc/{}/status", worker.process_id())).unwrap();
    ["VmRSS:", "VmSize:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    })
}

#[test]
fn what_one_module_stores_no_other_can_read() {
    let worker = Worker::start();
    plain(&worker, 1, STORES);
    plain(&worker, 2, STORES);
    for (guest, sum) in [(1, 10), (2, 40)] {
        let stored = Some(vec![StoredValue { key: "sum".into(), value: vec![sum] }]);
        worker.send_to(guest, &Command::Start { interval_ms: 50, stored });
    }
    let mut sums = [vec![], vec![]];
    while sums.iter().any(|sums| sums.len() < 3) {
        let (guest, event) = worker.next_of_any();
        let Event::Asked(asked) = event else { continue };
        let Ask::Keep(kept) = asked.ask else { panic!("{asked:?}") };
        sums[guest as usize - 1].push(kept.value[0]);
        // An answer to somebody else's question is nobody's.
        let answer = |outcome| Command::Answer(Answer { id: asked.id, outcome });
        worker.send_to(3 - guest, &answer(Outcome::Denied));
        worker.send_to(guest, &answer(Outcome::Done));
    }
    assert_eq!((&sums[0][..3], &sums[1][..3]), (&[11, 12, 13][..], &[41, 42, 43][..]));
}

#[test]
fn of_the_modules_that_are_due_the_highest_priority_is_called_first() {
    let worker = Worker::start();
    let artifact = worker.compile(&busy(BUSY_TURNS));
    // All of them want the thread all the time, and one is worth more.
    for guest in 1..=5 {
        let priority = (guest == 5).then_some(7);
        worker.load_as(guest, Load { priority, ..load(artifact.clone()) });
    }
    for guest in 1..=5 {
        worker.send_to(guest, &Command::Start { interval_ms: 1, stored: None });
    }
    worker.usage_when_of(5, |usage| usage.calls >= 60);
    let calls: Vec<u64> = (1..=5).map(|guest| calls_of(&worker, guest)).collect();
    let (high, low) = (calls[4], *calls[..4].iter().max().unwrap());
    assert!(high >= 3 * low, "{calls:?}");
}

#[test]
fn modules_of_one_priority_take_turns() {
    let worker = Worker::start();
    let artifact = worker.compile(&busy(BUSY_TURNS));
    let intervals = [(1, 1), (2, 1), (3, 2), (4, 3)];
    intervals.iter().for_each(|(guest, _)| worker.load_as(*guest, load(artifact.clone())));
    for (guest, interval_ms) in intervals {
        worker.send_to(guest, &Command::Start { interval_ms, stored: None });
    }
    worker.usage_when_of(1, |usage| usage.calls >= 30);
    let calls: Vec<u64> = (1..=4).map(|guest| calls_of(&worker, guest)).collect();
    assert!(calls.iter().all(|calls| *calls >= 25), "{calls:?}");
}

#[test]
fn a_module_that_does_not_fit_into_a_worker_leaves_it_as_it_is() {
    let worker = Worker::start();
    plain(&worker, 1, SENSOR_MODULE);
    start_each(&worker, &[1]);
    let artifact = worker.compile(SENSOR_MODULE);
    // The thread's stack is there already.
    let limits = Limits { stack_bytes: 1 << 20, ..limits() };
    let command = Command::Load(Load { limits, ..load(artifact.clone()) });
    worker.send_to(2, &command);
    let failed = worker.find_of(2, |event| matches!(event, Event::LoadFailed { .. }));
    let Event::LoadFailed { reason, detail } = failed else { unreachable!() };
    assert_eq!(reason, LoadFailure::OverLimit);
    assert!(detail.contains("65536 bytes of stack") && detail.contains("1048576"), "{detail}");
    worker.send_to(2, &START);
    worker.find_of(2, |event| matches!(event, Event::Rejected { .. }));
    // Its number is taken until it is given back.
    worker.send_to(2, &command);
    worker.find_of(2, |event| matches!(event, Event::Rejected { .. }));
    worker.send_to(2, &Command::Unload);
    worker.find_of(2, |event| matches!(event, Event::Unloaded));
    plain(&worker, 2, SENSOR_MODULE);
    assert_eq!(worker.usage_of(1).traps, 0);
}

#[test]
fn an_artifact_for_another_machine_is_refused_beside_a_running_neighbour() {
    let worker = Worker::start();
    plain(&worker, 1, SENSOR_MODULE);
    start_each(&worker, &[1]);
    let other = if worker.hello.target.starts_with("riscv64") { "x86_64" } else { "riscv64" };
    let wasm = wat::parse_str(SENSOR_MODULE).unwrap();
    let bounds_checks = target_spec::BoundsChecks::Software;
    let artifact = compile_for(&wasm, &format!("{other}-linux"), bounds_checks);
    worker.send_to(2, &Command::Load(Load { limits: limits(), ..load(artifact) }));
    let failed = worker.find_of(2, |event| matches!(event, Event::LoadFailed { .. }));
    assert!(matches!(failed, Event::LoadFailed { reason: LoadFailure::WrongProfile, .. }));
    let before = calls_of(&worker, 1);
    worker.usage_when_of(1, |usage| usage.calls > before);
}
