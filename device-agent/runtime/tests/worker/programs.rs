//! WASI programs and reactors in a real worker, as text small enough to see through.

use crate::support::{Worker, limits};
use worker_protocol::{
    Activity, Command, Event, Grants, Limits, LogLevel, Restart, WasiCall, WasiDirectory,
    WasiGrants, WasiOutput,
};

const START: Command = Command::Start { interval_ms: 20, stored: None };

/// What every program here begins with: `$print` writes so many bytes from an address to a
/// stream, `$exit` ends, `$time` puts a clock's time at 512.
const PROLOGUE: &str = r#"
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $print (param $stream i32) (param $address i32) (param $len i32) (result i32)
    (i32.store (i32.const 480) (local.get $address))
    (i32.store (i32.const 484) (local.get $len))
    (call $write (local.get $stream) (i32.const 480) (i32.const 1) (i32.const 488)))
"#;

fn module(body: &str) -> String {
    format!("(module {PROLOGUE} {body})")
}

fn started(body: &str, grants: WasiGrants, limits: Limits) -> Worker {
    let mut worker = Worker::start();
    let artifact = worker.compile(&module(body));
    let grants = Grants { wasi: Some(grants), ..Grants::default() };
    let loaded = worker.load_with(artifact, limits, grants);
    assert!(matches!(loaded, Event::Loaded { has_init: false, .. }), "{loaded:?}");
    worker.send(&START);
    worker
}

fn logging() -> WasiGrants {
    WasiGrants { output: WasiOutput::Log, ..WasiGrants::default() }
}

fn finished(worker: &Worker) -> (Option<u32>, String, Option<u32>) {
    match worker.find(|event| matches!(event, Event::Finished { .. })) {
        Event::Finished { exit_code, detail, again_in_ms } => (exit_code, detail, again_in_ms),
        _ => unreachable!("only a Finished is found"),
    }
}

/// The log's lines until the program ends, and its exit code.
fn lines(worker: &Worker) -> (Vec<(LogLevel, String)>, Option<u32>) {
    let mut lines = Vec::new();
    loop {
        match worker.next_event() {
            Event::Log(line) => lines.push((line.level, line.text)),
            Event::Finished { exit_code, .. } => return (lines, exit_code),
            Event::Trapped { detail, .. } => panic!("it trapped: {detail}"),
            _ => {}
        }
    }
}

#[test]
fn a_program_prints_lines_and_ends_with_its_exit_code() {
    let body = r#"
      (data (i32.const 0) "one\r\ntwo\nrest")
      (data (i32.const 64) "careful\n")
      (func (export "_start")
        (drop (call $print (i32.const 1) (i32.const 0) (i32.const 6)))
        (drop (call $print (i32.const 2) (i32.const 64) (i32.const 8)))
        (drop (call $print (i32.const 1) (i32.const 6) (i32.const 7)))
        (call $exit (i32.const 0)))"#;
    let worker = started(body, logging(), limits());
    let (lines, exit_code) = lines(&worker);
    let line = |level, text: &str| (level, text.to_owned());
    let expected = [
        line(LogLevel::Info, "one"),
        line(LogLevel::Warn, "careful"),
        line(LogLevel::Info, "two"),
        line(LogLevel::Info, "rest"),
    ];
    assert_eq!((lines.as_slice(), exit_code), (expected.as_slice(), Some(0)));
    let usage = worker.usage();
    let program = usage.program.unwrap();
    assert_eq!((program.runs, program.exit_code, program.is_finished), (1, Some(0), true));
    assert_eq!((usage.activity, usage.memory_bytes, usage.traps), (Activity::Finished, 0, 0));
    let written = usage.guest.unwrap().host_calls;
    let of = |call: WasiCall| written.iter().find(|usage| usage.number == call.number()).unwrap();
    assert_eq!(of(WasiCall::FdWrite).calls, 3);
    assert!(of(WasiCall::FdWrite).bytes >= 21, "{written:?}");
    assert_eq!(of(WasiCall::ProcExit).calls, 1);
}

#[test]
fn what_was_not_granted_is_denied_and_said_so() {
    // Exit codes of one bit each for what was not as expected.
    let body = r#"
      (func (export "_start")
        (local $wrong i32)
        (if (i32.ne (call $print (i32.const 1) (i32.const 0) (i32.const 1)) (i32.const 8))
          (then (local.set $wrong (i32.or (local.get $wrong) (i32.const 1)))))
        (if (i32.ne (call $time (i32.const 1) (i64.const 0) (i32.const 512)) (i32.const 76))
          (then (local.set $wrong (i32.or (local.get $wrong) (i32.const 2)))))
        (if (i32.ne (call $random (i32.const 512) (i32.const 8)) (i32.const 76))
          (then (local.set $wrong (i32.or (local.get $wrong) (i32.const 4)))))
        (if (i64.ne (i64.load (i32.const 512)) (i64.const 0))
          (then (local.set $wrong (i32.or (local.get $wrong) (i32.const 8)))))
        (call $exit (local.get $wrong)))"#;
    let grants = WasiGrants { restart: Restart::Never, ..WasiGrants::default() };
    let worker = started(body, grants, limits());
    assert_eq!(finished(&worker), (Some(0), "ended with exit code 0".into(), None));
    // The same of a module for which nothing at all was said.
    let mut worker = Worker::start();
    let artifact = worker.compile(&module(body));
    worker.load_with(artifact, limits(), Grants::default());
    worker.send(&START);
    assert_eq!(finished(&worker).0, Some(0));
}

#[test]
fn arguments_environment_clock_and_random_bytes_come_as_granted() {
    let body = r#"
      (data (i32.const 700) "\n")
      (func (export "_start")
        (if (call $sizes (i32.const 600) (i32.const 604)) (then (unreachable)))
        (if (i32.ne (i32.load (i32.const 600)) (i32.const 3)) (then (unreachable)))
        (if (call $args (i32.const 608) (i32.const 1024)) (then (unreachable)))
        (drop (call $print (i32.const 1) (i32.load (i32.const 612))
          (i32.sub (i32.load (i32.const 616)) (i32.load (i32.const 612)))))
        (drop (call $print (i32.const 1) (i32.const 700) (i32.const 1)))
        (if (call $environ (i32.const 608) (i32.const 1024)) (then (unreachable)))
        (drop (call $print (i32.const 1) (i32.const 1024) (i32.const 7)))
        (if (call $time (i32.const 0) (i64.const 0) (i32.const 512)) (then (unreachable)))
        (if (call $time (i32.const 1) (i64.const 0) (i32.const 512)) (then (unreachable)))
        (if (i64.eqz (i64.load (i32.const 512))) (then (unreachable)))
        (if (call $random (i32.const 512) (i32.const 8)) (then (unreachable)))
        (if (i64.eqz (i64.load (i32.const 512))) (then (unreachable))))"#;
    let grants = WasiGrants {
        arguments: vec!["--deep".into(), "x".into()],
        environment: vec!["A=b c d".into()],
        clock: true,
        random: true,
        ..logging()
    };
    let worker = started(body, grants, limits());
    let (lines, exit_code) = lines(&worker);
    let texts: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!((texts, exit_code), (vec!["--deep\u{fffd}", "A=b c d"], Some(0)));
}

#[test]
fn a_failing_program_is_run_again_with_delays_and_one_that_shall_not_is_not() {
    let body = r#"(func (export "_start") (call $exit (i32.const 3)))"#;
    let worker = started(body, WasiGrants::default(), limits());
    for expected_ms in [100, 200] {
        let trapped = worker.find(|event| matches!(event, Event::Trapped { .. }));
        let Event::Trapped { export, detail, restart_in_ms, .. } = trapped else { unreachable!() };
        assert_eq!((export.as_str(), detail.as_str()), ("_start", "ended with exit code 3"));
        assert_eq!(restart_in_ms, expected_ms);
    }
    let usage = worker.usage();
    assert!(usage.program.unwrap().runs >= 2 && usage.traps >= 2, "{usage:?}");
    let never = WasiGrants { restart: Restart::Never, ..WasiGrants::default() };
    let worker = started(body, never.clone(), limits());
    assert_eq!(finished(&worker), (Some(3), "ended with exit code 3".into(), None));
    let worker = started(r#"(func (export "_start") (unreachable))"#, never, limits());
    let (exit_code, detail, again) = finished(&worker);
    assert_eq!((exit_code, again), (None, None));
    assert!(detail.starts_with("trapped: unreachable"), "{detail}");
    assert_eq!(worker.usage().traps, 1);
}

#[test]
fn a_program_that_always_runs_is_run_at_its_interval_with_a_fresh_memory() {
    let body = r#"
      (func (export "_start")
        (if (i32.load (i32.const 512)) (then (unreachable)))
        (i32.store (i32.const 512) (i32.const 1)))"#;
    let always = WasiGrants { restart: Restart::Always, ..WasiGrants::default() };
    let worker = started(body, always, limits());
    for _ in 0..3 {
        assert_eq!(finished(&worker), (Some(0), "ended with exit code 0".into(), Some(20)));
    }
    let usage = worker.usage();
    let program = usage.program.unwrap();
    assert!(program.runs >= 3 && !program.is_finished, "{program:?}");
    assert_eq!((usage.restarts, usage.traps), (0, 0));
}

#[test]
fn a_reactor_is_initialised_before_anything_else_of_it() {
    let body = r#"
      (global $ready (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $ready (i32.const 1)))
      (func (export "tick") (result i32)
        (if (i32.eqz (global.get $ready)) (then (unreachable)))
        (i32.const 0))"#;
    let worker = started(body, WasiGrants::default(), limits());
    worker.find(|event| matches!(event, Event::Started));
    let usage = worker.usage_when(|usage| usage.calls >= 2);
    assert_eq!((usage.traps, usage.program), (0, None));
    // One that fails there is not loaded.
    let mut worker = Worker::start();
    let artifact = worker.compile(&module(r#"(func (export "_initialize") (unreachable))"#));
    let answer = worker.load_with(artifact, limits(), Grants::default());
    assert!(matches!(&answer, Event::LoadFailed { detail, .. } if detail.contains("unreachable")));
}

#[test]
fn the_log_s_rate_holds_for_what_is_printed() {
    let body = r#"
      (data (i32.const 0) "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n")
      (func (export "_start")
        (drop (call $print (i32.const 1) (i32.const 0) (i32.const 40))))"#;
    let worker = started(body, logging(), Limits { log_lines_per_s_max: 10, ..limits() });
    finished(&worker);
    let usage = worker.usage();
    assert_eq!((usage.log_lines, usage.log_lines_dropped), (10, 30));
}

#[test]
fn a_starter_that_asks_for_it_gets_the_bytes_as_they_are() {
    let body = r#"
      (data (i32.const 0) "a\00\ff")
      (func (export "_start")
        (drop (call $print (i32.const 2) (i32.const 0) (i32.const 3))))"#;
    let grants = WasiGrants { output: WasiOutput::Starter, ..WasiGrants::default() };
    let worker = started(body, grants, limits());
    let wrote = worker.find(|event| matches!(event, Event::Wrote { .. }));
    assert_eq!(wrote, Event::Wrote { is_error: true, bytes: b"a\0\xff".to_vec() });
    assert_eq!(finished(&worker).0, Some(0));
}

#[test]
fn a_pointer_outside_of_the_memory_ends_the_program() {
    let body = r#"(func (export "_start")
      (drop (call $random (i32.const 65530) (i32.const 8))))"#;
    let never = WasiGrants { restart: Restart::Never, random: true, ..WasiGrants::default() };
    let (exit_code, detail, _) = finished(&started(body, never, limits()));
    assert_eq!(exit_code, None);
    assert!(detail.contains("out of bounds memory access: 8 bytes at 65530"), "{detail}");
}

/// Opens `a.txt` in its first directory, writes five bytes, and tries what lies beside.
const IN_A_DIRECTORY: &str = r#"
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $list (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_sync" (func $sync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "a.txt")
  (data (i32.const 16) "../outside")
  (data (i32.const 32) "hello")
  (data (i32.const 48) "b.txt")
  (func $must (param $errno i32) (param $expected i32)
    (if (i32.ne (local.get $errno) (local.get $expected)) (then (call $exit (local.get $errno)))))
  (func (export "_start")
    (call $must (call $open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 5) (i32.const 1)
      (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 512)) (i32.const 0))
    (i32.store (i32.const 480) (i32.const 32))
    (i32.store (i32.const 484) (i32.const 5))
    (call $must (call $write (i32.load (i32.const 512)) (i32.const 480) (i32.const 1)
      (i32.const 488)) (i32.const 0))
    (call $must (call $sync (i32.load (i32.const 512))) (i32.const 0))
    (call $must (call $rename (i32.const 3) (i32.const 0) (i32.const 5) (i32.const 3)
      (i32.const 48) (i32.const 5)) (i32.const 0))
    (call $must (call $list (i32.const 3) (i32.const 1024) (i32.const 512) (i64.const 0)
      (i32.const 488)) (i32.const 0))
    (call $must (call $open (i32.const 3) (i32.const 1) (i32.const 16) (i32.const 10) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 512)) (i32.const 76))
    (call $must (call $open (i32.const 4) (i32.const 1) (i32.const 0) (i32.const 5) (i32.const 1)
      (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 512)) (i32.const 69)))
"#;

#[test]
fn a_program_works_in_the_directories_that_came_with_its_worker_alone() {
    let tree = tempfile::tempdir().unwrap();
    let [own, shared] = ["own", "shared"].map(|name| tree.path().join(name));
    std::fs::create_dir(&own).unwrap();
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(tree.path().join("outside"), "x").unwrap();
    let directories = [&own, &shared].map(|path| std::fs::File::open(path).unwrap());
    let directory = |guest: &str, bytes_max: Option<u64>| WasiDirectory {
        guest: guest.into(),
        bytes_max,
        is_private: bytes_max.is_some(),
    };
    let grants = WasiGrants {
        directories: vec![directory("/data", Some(1_000)), directory("/shared", None)],
        restart: Restart::Never,
        ..WasiGrants::default()
    };
    let mut worker = Worker::start_in(&directories, "wr");
    let artifact = worker.compile(&format!("(module {IN_A_DIRECTORY})"));
    let grants = Grants { wasi: Some(grants), ..Grants::default() };
    let loaded = worker.load_with(artifact.clone(), limits(), grants.clone());
    assert!(matches!(loaded, Event::Loaded { .. }), "{loaded:?}");
    worker.send(&START);
    let confinement = worker.hello.confinement.clone();
    assert_eq!(
        finished(&worker),
        (Some(0), "ended with exit code 0".into(), None),
        "{confinement:?}"
    );
    assert_eq!(std::fs::read(own.join("b.txt")).unwrap(), b"hello");
    assert!(std::fs::read_dir(&shared).unwrap().next().is_none());
    // One that got none cannot have them by its grants.
    let mut worker = Worker::start();
    let answer = worker.load_with(artifact, limits(), grants);
    let is_refused =
        matches!(&answer, Event::LoadFailed { detail, .. } if detail.contains("0 came"));
    assert!(is_refused, "{answer:?}");
}
