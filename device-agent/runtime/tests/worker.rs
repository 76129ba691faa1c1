//! The worker as its starter sees it: a real process behind a socket.

#[path = "worker/guest_calls.rs"]
mod guest_calls;
#[path = "worker/guests.rs"]
mod guests;
#[path = "worker/programs.rs"]
mod programs;
mod replay;
mod support;
#[path = "worker/ticks.rs"]
mod ticks;

use aot_compiler::trap_place;
use known_answer::{Step, Value};
use module_traps::TrapKind;
use simulated_sensor::SimulatedSensor;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;
use support::{SEED, Worker, compile_for, expected_target, limits, misbehaving, runtime};
use target_spec::{BoundsChecks, Registry};
use worker_protocol::{
    Activity, Command, Event, GuestCall, Limits, LoadFailure, LogLevel, PROTOCOL_VERSION,
    Published, Usage, WasiCall,
};

const START: Command = Command::Start { interval_ms: 10, stored: None };

/// Reads a sample on each tick and publishes it, and the number of ticks before it.
const SENSOR_MODULE: &str = r#"
(module
  (import "farrier" "sensor_open" (func $open (param i32 i32) (result i32)))
  (import "farrier" "sensor_read" (func $read (param i32 i32) (result i32)))
  (import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))
  (import "farrier" "clock_monotonic_ns" (func $clock (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "temperature")
  (data (i32.const 16) "average")
  (global $handle (mut i32) (i32.const -9))
  (global $earlier (mut i64) (i64.const 0))
  (func (export "init") (result i32)
    (global.set $handle (call $open (i32.const 0) (i32.const 11)))
    (i32.lt_s (global.get $handle) (i32.const 0)))
  (func (export "tick") (result i32)
    (local $now i64)
    (local.set $now (call $clock))
    (if (i64.lt_s (local.get $now) (global.get $earlier)) (then (unreachable)))
    (global.set $earlier (local.get $now))
    (if (call $read (global.get $handle) (i32.const 64)) (then (unreachable)))
    (call $publish (i32.const 16) (i32.const 7) (i32.const 64) (i32.const 8))))
"#;

#[test]
fn the_hello_says_what_the_worker_is() {
    let worker = Worker::start();
    let hello = &worker.hello;
    assert_eq!(hello.protocol_version, PROTOCOL_VERSION);
    assert_eq!(hello.target, expected_target());
    assert_eq!((hello.wamr_version.as_str(), hello.aot_version), ("2.4.3", 6));
    assert_eq!(hello.self_test_failure, None);
    assert_eq!(hello.imports.len(), GuestCall::ALL.len() + WasiCall::ALL.len());
    assert!(hello.imports.contains(&"wasi_snapshot_preview1.fd_write".to_owned()));
    assert!(hello.imports.contains(&"farrier.publish".to_owned()));
    // Every feature that the compiler may use for this target is here.
    let target = Registry::built_in().find(&hello.target).unwrap();
    assert_eq!(target.missing_cpu_features(&hello.cpu_features), [""; 0]);
}

#[test]
fn the_hello_claims_no_confinement_that_is_not_there() {
    let worker = Worker::start();
    let confinement = &worker.hello.confinement;
    let claims = |name: &str| confinement.iter().any(|claimed| claimed == name);
    let status = format!("/proc/{}/status", worker.process_id());
    let status = std::fs::read_to_string(status).unwrap();
    let is_in_force = status.lines().any(|line| line == "NoNewPrivs:\t1");
    assert_eq!(claims("no-new-privileges"), is_in_force);
    let limits = format!("/proc/{}/limits", worker.process_id());
    let limits = std::fs::read_to_string(limits).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let is_in_force = core.split_whitespace().nth(4) == Some("0");
    assert_eq!(claims("no-core-dumps"), is_in_force, "{core}");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let is_in_force = files.split_whitespace().nth(4) == Some("16");
    assert_eq!(claims("open-files-limit"), is_in_force, "{files}");
    let is_in_force = status.lines().any(|line| line == "Seccomp:\t2");
    assert_eq!(claims("syscall-filter"), is_in_force);
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    let is_in_force = network("self") != network(&worker.process_id().to_string());
    assert_eq!(claims("own-network-namespace"), is_in_force);
    if std::env::var_os("FARRIER_TEST_LAUNCHER").is_some() {
        // qemu-user has none of these, and says so or leaves them out.
        for name in ["syscall-filter", "landlock", "landlock-partial", "data-limit"] {
            assert!(!claims(name), "{name} is claimed under an emulator");
        }
    }
}

#[test]
fn what_the_starter_asks_for_is_in_force_and_a_misspelt_option_is_refused() {
    let asked = ["--data-bytes-max", "100000000", "--rttime-us-max", "600000"];
    let worker = Worker::start_as(&[&["--app", "a"], &asked[..]].concat());
    let limits = format!("/proc/{}/limits", worker.process_id());
    let limits = std::fs::read_to_string(limits).unwrap();
    let asked = [
        ("Max data size", "100000000", "data-limit"),
        ("Max realtime timeout", "600000", "real-time-limit"),
    ];
    for (what, value, name) in asked {
        let line = limits.lines().find(|line| line.starts_with(what)).unwrap();
        let is_in_force = line.split_whitespace().nth(4) == Some(value);
        let is_claimed = worker.hello.confinement.iter().any(|claimed| claimed == name);
        assert_eq!(is_claimed, is_in_force, "{name}: {line}");
    }
    for words in [&["--data-bytes-max", "x"][..], &["--data-byte-max", "1"], &["--app"]] {
        let ended = runtime().args(words).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn the_profile_is_printed_as_the_hello_says_it() {
    let worker = Worker::start();
    let output = runtime().arg("--profile").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let hello = &worker.hello;
    for line in [
        format!("runtime {}", hello.runtime),
        format!("target {}", hello.target),
        format!("bounds {}", hello.bounds_checks),
        format!("cpu-features {}", hello.cpu_features.join(",")),
        format!("imports {}", hello.imports.join(",")),
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn ticks_publish_the_samples_in_order() {
    let worker = Worker::with(SENSOR_MODULE, limits());
    worker.send(&START);
    assert_eq!(worker.next_event(), Event::Started);
    for index in 0..5 {
        let sample = SimulatedSensor { seed: SEED }.sample(index);
        let payload = sample.to_le_bytes().to_vec();
        let expected = Published { channel: "average".into(), seq: index + 1, payload };
        assert_eq!(worker.next_event(), Event::Published(expected));
    }
    let usage = worker.usage_when(|usage| usage.calls >= 6 && usage.call_running_ms.is_none());
    assert_eq!((usage.memory_bytes, usage.memory_peak_bytes), (65_536, 65_536));
    assert_eq!((usage.traps, usage.restarts, usage.error_returns), (0, 0, 0));
    assert_eq!((usage.activity, usage.call_running_ms), (Activity::Running, None));
    assert!(usage.cpu_us > 0);
}

#[test]
fn the_health_export_is_asked_after_each_tick() {
    let module = r#"
        (module
          (global $ticks (mut i32) (i32.const 0))
          (func (export "tick") (result i32)
            (global.set $ticks (i32.add (global.get $ticks) (i32.const 1))) (i32.const 0))
          (func (export "farrier_health") (result i32)
            (i32.mul (i32.const 7) (i32.gt_s (global.get $ticks) (i32.const 2)))))"#;
    let worker = Worker::with(module, limits());
    worker.send(&START);
    assert_eq!(worker.next_event(), Event::Started);
    let sick = |usage: &Usage| usage.health.is_some_and(|health| health.sick >= 2);
    let usage = worker.usage_when(sick);
    assert_eq!(usage.health.map(|health| health.last), Some(7));
    assert_eq!((usage.traps, usage.error_returns), (0, 0));
}

#[test]
fn known_answers_that_hold_pass_and_the_first_that_does_not_is_named() {
    let module = r#"
        (module
          (memory (export "memory") 1)
          (func (export "sum") (param i32 i64 f64) (result f64)
            (f64.add (local.get 2) (f64.add
              (f64.convert_i32_s (local.get 0)) (f64.convert_i64_s (local.get 1)))))
          (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
          (func (export "fall") (unreachable)))"#;
    let worker = Worker::with(module, limits());
    let f64_of = |number: f64| Value::F64(number.to_bits());
    let call = |export: &str, args: Vec<Value>, result| Step::Call {
        export: export.into(),
        args,
        expect: Some(vec![result]),
    };
    let mut steps = vec![
        Step::Write { address: 9, bytes: vec![7, 8] },
        call("load", vec![Value::I32(10)], Value::I32(8)),
        call("sum", vec![Value::I32(-1), Value::I64(2), f64_of(0.5)], f64_of(1.5)),
        Step::Read { address: 8, bytes: vec![0, 7, 8, 0] },
    ];
    let check = |steps: &[Step]| {
        worker.send(&Command::RunChecks { steps: steps.to_vec() });
        match worker.find(|event| matches!(event, Event::ChecksDone { .. })) {
            Event::ChecksDone { passed, failed } => {
                (passed, failed.map(|failed| (failed.number, failed.detail)))
            }
            _ => unreachable!("only a ChecksDone is found"),
        }
    };
    assert_eq!(check(&steps), (4, None));

    for (step, detail) in [
        (
            call("load", vec![Value::I32(10)], Value::I32(9)),
            "call load(i32:10) = (i32:9): returned (i32:8)",
        ),
        (
            Step::Read { address: 9, bytes: vec![7, 9] },
            "read 2 bytes at 9: byte 1 is 0x08, expected 0x09",
        ),
        (
            Step::Write { address: 65_535, bytes: vec![1, 2] },
            "write 2 bytes at 65535: 2 bytes at 65535 are beyond the memory of 65536 bytes",
        ),
        (
            Step::Call { export: "none".into(), args: vec![], expect: None },
            "call none(): the module exports no function \"none\"",
        ),
        (
            Step::Call { export: "load".into(), args: vec![], expect: None },
            "call load(): load has the type (i32) -> (i32); it was given ()",
        ),
    ] {
        steps.truncate(4);
        steps.push(step);
        assert_eq!(check(&steps), (4, Some((5, detail.to_owned()))));
    }
    let usage = worker.usage();
    assert_eq!((usage.checks_passed, usage.checks_failed), (1, 5));

    // A trap in a step costs the instance, and the fresh one passes again.
    steps.truncate(1);
    steps.push(Step::Call { export: "fall".into(), args: vec![], expect: None });
    let expected = (2, "call fall(): trapped: unreachable".to_owned());
    assert_eq!(check(&steps), (1, Some(expected)));
    worker.usage_when(|usage| usage.restarts == 1);
    assert_eq!(check(&steps[..1]), (1, None));
}

#[test]
fn the_known_answers_of_xxhash_are_well_formed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../firmware-examples/xxhash/known-answers.toml");
    let steps = known_answer::from_toml(&fs::read_to_string(path).unwrap()).unwrap();
    let calls = steps.iter().filter(|step| matches!(step, Step::Call { expect: Some(_), .. }));
    assert_eq!(calls.count(), 26);
}

#[test]
fn a_module_without_tick_repeats_its_known_answers() {
    let worker = Worker::with(
        r#"(module (memory 1) (func (export "one") (result i32) (i32.const 1)))"#,
        limits(),
    );
    let steps =
        vec![Step::Call { export: "one".into(), args: vec![], expect: Some(vec![Value::I32(1)]) }];
    worker.send(&Command::RunChecks { steps });
    worker.find(|event| matches!(event, Event::ChecksDone { failed: None, .. }));
    worker.send(&START);
    assert_eq!(worker.next_event(), Event::Started);
    let usage = worker.usage_when(|usage| usage.checks_passed > 3);
    assert_eq!((usage.checks_failed, usage.activity), (0, Activity::Running));
}

#[test]
fn a_module_that_trapped_goes_on_as_a_fresh_instance() {
    let worker = Worker::with(&misbehaving("trap"), limits());
    worker.send(&START);
    let is_init = |event: &Event| matches!(event, Event::Log(line) if line.text == "init");
    let is_trap = |event: &Event| matches!(event, Event::Trapped { .. });
    worker.find(is_init);
    for restart_in_ms in [100, 200] {
        let (export, detail) = ("tick".into(), "unreachable".into());
        let kind = Some(TrapKind::Unreachable);
        let mut trap = worker.find(is_trap);
        if let Event::Trapped { place, .. } = &mut trap {
            assert!(place.take().is_some());
        }
        let place = None;
        assert_eq!(trap, Event::Trapped { export, detail, restart_in_ms, kind, place });
        assert_eq!(worker.usage().activity, Activity::BackingOff);
        worker.find(is_init);
    }
    let usage = worker.usage();
    assert_eq!((usage.traps, usage.restarts), (2, 2));
    assert_eq!(usage.trap_kinds.unwrap().of(TrapKind::Unreachable), 2);
    let usage = worker.usage_when(|usage| usage.overhead_bytes.is_some());
    assert!(usage.overhead_bytes.is_some_and(|bytes| (1_000..1_000_000).contains(&bytes)));
}

/// That what code left leads to the instruction that trapped.
fn check_place(
    wasm: &[u8],
    is_metered: bool,
    kind: TrapKind,
    place: Option<u32>,
    is_hardware: bool,
) {
    let is_by_fault =
        is_hardware && matches!(kind, TrapKind::MemoryOutOfBounds | TrapKind::StackOverflow);
    if is_by_fault || kind == TrapKind::HostRefused {
        assert_eq!(place, None, "{kind}: nothing of the code ran");
        return;
    }
    let found =
        trap_place::find(wasm, is_metered, place.expect("code leaves it")).unwrap().unwrap();
    let name = if kind == TrapKind::StackOverflow { "deeper" } else { "tick" };
    assert_eq!(
        (found.function, found.name.as_deref()),
        (1 + u32::from(name == "tick"), Some(name))
    );
    let operator = match kind {
        TrapKind::Unreachable => 0x00,
        TrapKind::MemoryOutOfBounds => 0x28,
        TrapKind::DivideByZero | TrapKind::IntegerOverflow => 0x6d,
        TrapKind::InvalidConversion => 0xa8,
        TrapKind::StackOverflow => {
            return assert_eq!(found.offset, None, "the function as a whole");
        }
        _ => 0x11,
    };
    let offset = found.offset.expect("an instruction") as usize;
    assert_eq!(wasm[offset], operator, "{kind} at {offset:#x}");
}

#[test]
fn a_trap_is_counted_by_its_kind() {
    let cases = [
        ("(unreachable)", TrapKind::Unreachable),
        ("(drop (i32.load (i32.const 65536)))", TrapKind::MemoryOutOfBounds),
        ("(drop (call_indirect (type $f) (i32.const 9)))", TrapKind::TableOutOfBounds),
        ("(drop (i32.div_s (i32.const 1) (global.get $zero)))", TrapKind::DivideByZero),
        (
            "(drop (i32.div_s (i32.const 0x80000000) (i32.sub (global.get $zero) (i32.const 1))))",
            TrapKind::IntegerOverflow,
        ),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", TrapKind::InvalidConversion),
        ("(drop (call_indirect (type $f) (i32.const 0)))", TrapKind::IndirectCallType),
        ("(drop (call_indirect (type $f) (i32.const 1)))", TrapKind::IndirectCallNull),
        ("(call $deeper)", TrapKind::StackOverflow),
        ("(call $log (i32.const 0) (i32.const 65530) (i32.const 7))", TrapKind::HostRefused),
    ];
    for (body, kind) in cases {
        let module = format!(
            r#"(module
                 (import "farrier" "log" (func $log (param i32 i32 i32)))
                 (type $f (func (result i32)))
                 (memory 1)
                 (table 2 funcref)
                 (elem (i32.const 0) $deeper)
                 (global $zero (mut i32) (i32.const 0))
                 (func $deeper (call $deeper) (global.set $zero (i32.const 0)))
                 (func (export "tick") (result i32) {body} (i32.const 0)))"#
        );
        let wasm = wat::parse_str(&module).unwrap();
        // A metered module's places lead back to the module without charges.
        let metered = Worker::metered(&module, limits());
        metered.send(&START);
        let trap = metered.find(|event| matches!(event, Event::Trapped { .. }));
        let Event::Trapped { kind: told, place, .. } = trap else { unreachable!() };
        assert_eq!(told, Some(kind), "{body}");
        let is_hardware = metered.hello.bounds_checks == "hardware";
        check_place(&wasm, true, kind, place, is_hardware);
        drop(metered);
        let worker = Worker::with(&module, limits());
        worker.send(&START);
        let trap = worker.find(|event| matches!(event, Event::Trapped { .. }));
        let Event::Trapped { kind: told, detail, place, .. } = trap else { unreachable!() };
        assert_eq!(told, Some(kind), "{body}: {detail}");
        check_place(&wasm, false, kind, place, is_hardware);
        let counts = worker.usage().trap_kinds.unwrap();
        assert!(counts.iter().all(|count| count.kind == kind), "{body}: {counts:?}");
        assert!(counts.of(kind) > 0, "{body}");
    }
}

#[test]
fn a_pointer_beyond_the_memory_traps_in_a_host_function() {
    let worker = Worker::with(&misbehaving("out-of-bounds"), limits());
    worker.send(&START);
    let trap = worker.find(|event| matches!(event, Event::Trapped { .. }));
    let Event::Trapped { export, detail, .. } = trap else { unreachable!() };
    assert_eq!(export, "tick");
    assert_eq!(detail, "out of bounds memory access: 7 bytes at 65530 passed to a host function");
}

#[test]
fn deep_recursion_is_a_trap_and_not_the_end_of_the_worker() {
    let module = r#"
        (module
          (memory 1)
          (func $deeper (param i32) (result i32)
            (i32.add (i32.const 1) (call $deeper (i32.add (local.get 0) (i32.const 1)))))
          (func (export "tick") (result i32) (call $deeper (i32.const 0))))"#;
    let worker = Worker::with(module, limits());
    worker.send(&START);
    for _ in 0..2 {
        let trap = worker.find(|event| matches!(event, Event::Trapped { .. }));
        let Event::Trapped { detail, .. } = trap else { unreachable!() };
        assert!(detail.contains("stack overflow"), "{detail}");
    }
}

#[test]
fn a_call_that_runs_too_long_is_reported_once_and_usage_is_still_answered() {
    let worker = Worker::with(&misbehaving("spin"), Limits { call_ms_max: 200, ..limits() });
    worker.send(&START);
    let overrun = worker.find(|event| matches!(event, Event::Overrun { .. }));
    let Event::Overrun { export, elapsed_ms } = overrun else { unreachable!() };
    assert_eq!(export, "tick");
    assert!((200..10_000).contains(&elapsed_ms), "{elapsed_ms}");
    thread::sleep(Duration::from_millis(500));
    worker.send(&Command::ReportUsage);
    // Not a second Overrun.
    let Event::Usage(usage) = worker.next_event() else { panic!("expected the usage") };
    assert!(usage.call_running_ms.is_some_and(|ms| ms > 500), "{usage:?}");
    // A spinning call must not keep the process alive either.
    assert!(worker.close().success());
}

#[test]
fn memory_grows_to_its_limit_and_no_further() {
    let worker = Worker::with(&misbehaving("greedy"), limits());
    worker.send(&START);
    let usage = worker.usage_when(|usage| usage.error_returns > 1);
    assert_eq!(usage.memory_bytes, limits().memory_bytes_max);
    assert_eq!(usage.memory_peak_bytes, limits().memory_bytes_max);
    assert_eq!(usage.traps, 0);
    worker.find(|event| {
        matches!(event, Event::Log(line)
            if line.level == LogLevel::Warn && line.text == "tick returned 1")
    });
}

#[test]
fn logs_and_messages_beyond_their_rates_are_counted_and_dropped() {
    let worker = Worker::with(&misbehaving("flood"), limits());
    worker.send(&Command::Start { interval_ms: 60_000, stored: None });
    // Asked before the call began, nothing runs either. The error return of tick is one
    // more line.
    let usage = worker.usage_when(|usage| {
        let is_done = usage.published + usage.publishes_dropped == 100;
        let lines = usage.log_lines + usage.log_lines_dropped;
        is_done && usage.call_running_ms.is_none() && lines == 100 + usage.error_returns
    });
    // Emulated and on a loaded machine the 100 rounds may take more than a second,
    // and each second admits as many again.
    assert!((20..=60).contains(&usage.log_lines), "{usage:?}");
    assert!((50..=100).contains(&usage.published), "{usage:?}");
    // Nothing runs any more. Something else that it is asked for lets the count be told.
    thread::sleep(Duration::from_millis(1_100));
    worker.send(&Command::RunChecks { steps: vec![] });
    let lines =
        worker.find(|event| matches!(event, Event::Log(line) if line.text.starts_with("dropped ")));
    let Event::Log(line) = lines else { unreachable!() };
    let told = line.text.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
    assert!(line.level == LogLevel::Warn && told > 0, "{line:?}");
    assert!(told <= usage.log_lines_dropped, "{line:?}, {usage:?}");
}

#[test]
fn a_module_that_starts_above_its_limit_is_refused() {
    let mut worker = Worker::start();
    let artifact = worker.compile("(module (memory 5))");
    let answer = worker.load(artifact, limits());
    let detail = "the module starts with 327680 bytes of memory, its limit is 262144".to_owned();
    assert_eq!(answer, Event::LoadFailed { reason: LoadFailure::OverLimit, detail });
    // It stays, and says why it does nothing.
    worker.send(&START);
    assert!(matches!(worker.next_event(), Event::Rejected { .. }));
}

#[test]
fn a_file_of_another_profile_is_refused() {
    let wasm = wat::parse_str("(module (memory 1))").unwrap();
    for target in Registry::built_in().all() {
        for bounds_checks in [BoundsChecks::Hardware, BoundsChecks::Software] {
            let mut worker = Worker::start();
            let has_features = target.missing_cpu_features(&worker.hello.cpu_features).is_empty();
            let is_own = worker.hello.target == target.runtime_id().as_str()
                && has_features
                && worker.hello.bounds_checks == bounds_checks.as_str();
            if is_own || !target.supports_bounds_checks(bounds_checks) {
                continue;
            }
            let artifact = compile_for(&wasm, target.id.as_str(), bounds_checks);
            let answer = worker.load(artifact, limits());
            let Event::LoadFailed { reason, detail } = answer else { panic!("{answer:?}") };
            assert_eq!(reason, LoadFailure::WrongProfile);
            assert!(detail.contains("this runtime"), "{detail}");
        }
    }
}

#[test]
fn a_worker_serves_a_target_with_more_features_or_says_what_is_missing() {
    let own = Worker::start().hello.clone();
    for target in Registry::built_in().all() {
        let lacking = target.missing_cpu_features(&own.cpu_features);
        if target.runtime_id().as_str() == own.target && lacking.is_empty() {
            let mut worker = Worker::start_as(&["--target", target.id.as_str()]);
            assert_eq!(worker.hello.target, target.id.as_str());
            let artifact = worker.compile("(module (func (export \"tick\")))");
            assert!(matches!(worker.load(artifact, limits()), Event::Loaded { .. }));
            continue;
        }
        let ended = runtime().args(["--target", target.id.as_str()]).output().unwrap();
        assert_eq!(ended.status.code(), Some(2));
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains(target.id.as_str()), "{said}");
        assert!(lacking.is_empty() || said.contains(&own.target) || said.contains(lacking[0]));
    }
}

#[test]
fn what_is_no_compiled_file_is_refused() {
    let own = Worker::start().compile("(module (memory 1))");
    let half = own[..own.len() / 2].to_vec();
    for artifact in [b"\0asm\x01\0\0\0".to_vec(), Vec::new(), half] {
        let mut worker = Worker::start();
        let answer = worker.load(artifact, limits());
        let Event::LoadFailed { reason, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(reason, LoadFailure::WrongProfile);
    }
}

#[test]
fn a_file_that_wamr_refuses_is_named_malformed() {
    let mut worker = Worker::start();
    let mut artifact = worker.compile("(module (memory 1))");
    // The architecture's name in the target section: two headers of 8 bytes and 32
    // bytes of other fields come before it.
    artifact[48] = b'?';
    let answer = worker.load(artifact, limits());
    let Event::LoadFailed { reason, detail } = answer else { panic!("{answer:?}") };
    assert_eq!(reason, LoadFailure::Malformed);
    assert!(detail.starts_with("WAMR refuses the file: "), "{detail}");
}

#[test]
fn an_import_that_nothing_offers_is_named_with_what_is_offered() {
    let mut worker = Worker::start();
    let artifact = worker.compile(&misbehaving("unknown-import"));
    let answer = worker.load(artifact, limits());
    let Event::LoadFailed { reason, detail } = answer else { panic!("{answer:?}") };
    assert_eq!(reason, LoadFailure::UnknownImport);
    assert!(detail.contains("env.launch (i32) -> (i64)"), "{detail}");
    assert!(detail.contains("farrier.log, farrier.clock_monotonic_ns"), "{detail}");

    let mut worker = Worker::start();
    let module = r#"(module (import "farrier" "log" (func (param i32 i32))) (memory 1))"#;
    let artifact = worker.compile(module);
    let answer = worker.load(artifact, limits());
    let detail = "the module imports farrier.log with the type (i32, i32) -> (); it is offered as \
                  (i32, i32, i32) -> ()"
        .to_owned();
    assert_eq!(answer, Event::LoadFailed { reason: LoadFailure::UnknownImport, detail });
}

#[test]
fn a_start_function_that_traps_fails_the_load() {
    let mut worker = Worker::start();
    let artifact = worker.compile("(module (memory 1) (func $s (unreachable)) (start $s))");
    let answer = worker.load(artifact, limits());
    let detail = "instantiate the module: unreachable".to_owned();
    assert_eq!(answer, Event::LoadFailed { reason: LoadFailure::Instantiation, detail });
}

#[test]
fn an_entry_point_of_another_type_is_not_called_and_said_so() {
    let mut worker = Worker::start();
    let artifact = worker.compile(r#"(module (memory 1) (func (export "tick") (param i64)))"#);
    let answer = worker.load(artifact, limits());
    assert_eq!(answer, Event::Loaded { has_init: false, has_tick: false });
    assert_eq!(worker.usage().log_lines, 1);
}

#[test]
fn commands_out_of_order_are_rejected() {
    let worker = Worker::start();
    worker.send(&START);
    assert_eq!(worker.next_event(), Event::Rejected { detail: "no module is loaded".into() });
    worker.send(&Command::RunChecks { steps: vec![] });
    assert_eq!(worker.next_event(), Event::Rejected { detail: "no module is loaded".into() });
    assert_eq!(worker.usage().activity, Activity::Idle);

    let worker = Worker::with("(module (memory 1))", limits());
    worker.send(&START);
    worker.find(|event| *event == Event::Started);
    worker.send(&START);
    assert_eq!(
        worker.next_event(),
        Event::Rejected { detail: "the module has been started".into() }
    );
}

#[test]
fn a_frame_that_is_no_command_ends_the_worker_with_a_reason() {
    for garbage in [&b"\x03\0\0\0xyz"[..], &b"\xff\xff\xff\xff"[..]] {
        let mut worker = Worker::start();
        worker.socket.write_all(garbage).unwrap();
        let answer = worker.find(|event| matches!(event, Event::Rejected { .. }));
        let Event::Rejected { detail } = answer else { unreachable!() };
        assert!(detail.starts_with("read a command: a frame "), "{detail}");
        assert_eq!(worker.exit_status().code(), Some(1));
    }
}

#[test]
fn the_worker_ends_with_its_starter() {
    assert!(Worker::start().close().success());
    let worker = Worker::with(SENSOR_MODULE, limits());
    worker.send(&START);
    worker.find(|event| matches!(event, Event::Published(_)));
    assert!(worker.close().success());
}

#[test]
fn stop_ends_the_worker_after_the_call() {
    let worker = Worker::with(SENSOR_MODULE, limits());
    worker.send(&START);
    worker.find(|event| *event == Event::Started);
    worker.send(&Command::Stop);
    assert!(worker.exit_status().success());
    let worker = Worker::start();
    worker.send(&Command::Stop);
    assert!(worker.exit_status().success());
}
