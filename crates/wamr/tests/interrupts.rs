//! Endless loops that another thread stops.

use aot_compiler::{CompileOptions, Metering, compile};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use target_spec::Registry;
use wamr::{
    CallError, GasLimits, Instance, InstanceConfig, Interrupter, Module, Profile, Runtime, Trap,
};

const STOPS: u32 = 200;
const LATENCY_MAX: Duration = Duration::from_millis(100);

/// None ever returns. The last ones recurse so wide that the stack never ends.
const ENDLESS: [(&str, &str); 7] = [
    ("empty", "(loop (br 0))"),
    ("arithmetic", "(loop (local.set 0 (i32.mul (local.get 0) (i32.const 7))) (br 0))"),
    ("loads", "(loop (local.set 0 (i32.load (i32.and (local.get 0) (i32.const 255)))) (br 0))"),
    ("load of one place", "(loop (br_if 0 (i32.eqz (i32.load (i32.const 8)))))"),
    (
        "nested",
        "(loop (local.set 0 (i32.const 9))
           (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (br 0))",
    ),
    ("recursive", "(call $wide (i32.const 40))"),
    ("indirect", "(loop (call_indirect (type $one) (i32.const 3) (i32.const 0)) (br 0))"),
];

fn module(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module (memory 1) (table 1 funcref) (elem (i32.const 0) $wide) (type $one (func (param i32)))
          (func $wide (type $one)
            (if (i32.eqz (local.get 0)) (then return))
            (call $wide (i32.sub (local.get 0) (i32.const 1)))
            (call $wide (i32.sub (local.get 0) (i32.const 1))))
          (func (export "run") (local i32) {body}))"#
    );
    wat::parse_str(text).unwrap()
}

fn compiled(body: &str, metering: Metering, suspend_checks: bool) -> Vec<u8> {
    let profile = Profile::of_this_build();
    let target = Registry::built_in().find(&profile.target).unwrap();
    let options =
        CompileOptions { metering, suspend_checks, ..CompileOptions::new(profile.bounds_checks) };
    compile(&module(body), target, &options).unwrap().aot
}

/// Stops the endless call `stops` times, and returns the longest time that one took.
fn longest_stop(aot: Vec<u8>, stops: u32) -> Duration {
    let (give, take) = mpsc::channel::<Interrupter>();
    let (begin, begun) = mpsc::channel::<()>();
    let (end, ended) = mpsc::channel::<()>();
    let stopper = thread::spawn(move || {
        let interrupter = take.recv().unwrap();
        let mut longest = Duration::ZERO;
        for round in 0..stops {
            begun.recv().unwrap();
            // Sometimes before the call has begun, sometimes well into it.
            thread::sleep(Duration::from_micros(u64::from(round % 5) * 200));
            let asked = Instant::now();
            assert!(interrupter.interrupt());
            ended.recv().unwrap();
            longest = longest.max(asked.elapsed());
        }
        (interrupter, longest)
    });
    Runtime::spawn("test", 256 * 1024, move |runtime| {
        let module = Module::load(runtime, &aot).unwrap();
        let mut instance = Instance::new(&module, InstanceConfig::default()).unwrap();
        give.send(instance.interrupter().unwrap()).unwrap();
        for _ in 0..stops {
            begin.send(()).unwrap();
            let outcome = instance.call("run", &[]);
            assert_eq!(outcome, Err(CallError::Trap(Trap::interrupted())));
            end.send(()).unwrap();
        }
    })
    .unwrap()
    .join()
    .unwrap()
    .unwrap();
    let (interrupter, longest) = stopper.join().unwrap();
    assert!(!interrupter.interrupt(), "the instance is gone");
    longest
}

fn stop_all(metering: Metering, suspend_checks: bool) {
    for (name, body) in ENDLESS {
        let longest = longest_stop(compiled(body, metering, suspend_checks), STOPS);
        println!("{name}: {longest:?}");
        assert!(longest < LATENCY_MAX, "{name}: {longest:?}");
    }
}

#[test]
fn a_metered_endless_loop_is_stopped_200_times_by_its_limit() {
    stop_all(Metering::Gas, false);
}

#[test]
fn an_unmetered_endless_loop_is_stopped_200_times_by_the_suspend_flag() {
    stop_all(Metering::None, true);
}

#[test]
fn a_module_without_checks_has_no_interrupter_and_a_stopped_one_runs_again() {
    let plain = compiled("", Metering::None, false);
    let checked = compiled("", Metering::None, true);
    Runtime::spawn("test", 256 * 1024, move |runtime| {
        let module = Module::load(runtime, &plain).unwrap();
        let instance = Instance::new(&module, InstanceConfig::default()).unwrap();
        assert!(instance.interrupter().is_none());
        let module = Module::load(runtime, &checked).unwrap();
        let config = InstanceConfig { gas: GasLimits::default(), ..InstanceConfig::default() };
        let mut instance = Instance::new(&module, config).unwrap();
        assert!(instance.interrupter().unwrap().interrupt());
        let interrupted = Err(CallError::Trap(Trap::interrupted()));
        assert_eq!(instance.call("run", &[]), interrupted);
        assert_eq!(instance.call("run", &[]), Ok(vec![]));
    })
    .unwrap()
    .join()
    .unwrap()
    .unwrap();
}
