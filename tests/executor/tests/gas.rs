//! Gas on every machine: after each call, at a trap and where it runs out it is the
//! same in compiled code of each architecture and way of bounds checking, and in an
//! interpreter, which runs the metered module as it is.

use aot_compiler::{CompileOptions, Metering, compile, meter};
use executor::{ExecuteError, Executor, Machine, Mode, Value};
use target_spec::Registry;

const MACHINES: [Machine; 5] = [
    Machine::X86_64_INTERPRETER,
    Machine::X86_64_HARDWARE,
    Machine::X86_64_SOFTWARE,
    Machine::AARCH64_SOFTWARE,
    Machine::RISCV64_SOFTWARE,
];

/// Loops, all kinds of calls, growth, bulk memory, and three ways to trap in the
/// middle of a block.
const PROGRAM: &str = r#"
    (module
      (import "spectest" "print_i32" (func $print (param i32)))
      (type $step (func (param i32) (result i32)))
      (memory (export "memory") 1 3)
      (table funcref (elem $double $next))
      (global $count (mut i32) (i32.const 0))
      (func $double (type $step) (i32.mul (local.get 0) (i32.const 2)))
      (func $next (type $step)
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (if (result i32) (i32.gt_u (local.get 0) (i32.const 1))
          (then (call $next (i32.sub (local.get 0) (i32.const 2))))
          (else (i32.const 1))))
      (func (export "run") (param $turns i32) (result i32) (local $sum i32)
        (loop $turn
          (local.set $sum (i32.add (local.get $sum)
            (call_indirect (type $step) (local.get $turns)
              (i32.and (local.get $turns) (i32.const 1)))))
          (i32.store (i32.mul (local.get $turns) (i32.const 8)) (local.get $sum))
          (memory.fill (i32.const 4096) (local.get $sum) (local.get $turns))
          (call $print (local.get $sum))
          (br_if $turn (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
        (local.get $sum))
      (func (export "grow") (result i32) (memory.grow (i32.const 1)))
      (func (export "divide") (param i32) (result i32)
        (i32.store (i32.const 0) (i32.const 1))
        (i32.div_u (call $next (i32.const 5)) (local.get 0)))
      (func (export "load") (param i32) (result i32)
        (i32.add (i32.load (local.get 0)) (call $next (i32.const 9))))
      (func (export "convert") (param f64) (result i64)
        (i64.add (i64.trunc_f64_s (local.get 0)) (i64.const 1))))"#;

fn running(machine: &Machine) -> Executor {
    let wasm = wat::parse_str(PROGRAM).unwrap();
    let file = match machine.mode {
        Mode::Interpreter => meter(&wasm).unwrap().wasm,
        Mode::Aot => {
            let target = Registry::built_in().find(machine.target_id).unwrap();
            let options = CompileOptions::new(machine.bounds_checks);
            let options = CompileOptions { metering: Metering::Gas, ..options };
            compile(&wasm, target, &options).unwrap().aot
        }
    };
    let mut executor = Executor::start(machine).unwrap_or_else(|error| panic!("{error}"));
    executor.load(0, file).unwrap();
    executor
}

/// A call's end, with the gas since instantiation.
#[derive(Debug, PartialEq)]
struct Step {
    call: &'static str,
    /// What a trap says is the engine's matter; that there is one is not.
    values: Option<Vec<Value>>,
    gas_used: Value,
    memory: Vec<u8>,
}

fn steps(executor: &mut Executor, limit: Option<i64>) -> Vec<Step> {
    executor.instantiate(0, 0, None).unwrap();
    if let Some(limit) = limit {
        executor.set_global(0, "farrier_gas_limit", Value::I64(limit)).unwrap();
    }
    let (i32, nan) = (Value::I32, Value::F64(0x7ff8 << 48));
    let calls: [(&'static str, &[Value]); 9] = [
        ("run", &[i32(9)]),
        ("divide", &[i32(3)]),
        ("divide", &[i32(0)]),
        ("grow", &[]),
        ("load", &[i32(131_068)]),
        ("load", &[i32(131_069)]),
        ("load", &[i32(-1)]),
        ("convert", &[nan]),
        ("run", &[i32(700)]),
    ];
    let mut steps = Vec::new();
    for (call, arguments) in calls {
        let values = match executor.call(0, call, arguments) {
            Ok(returned) => Some(returned.values),
            Err(ExecuteError::Trapped { .. }) => None,
            Err(error) => panic!("{call}: {error}"),
        };
        let gas_used = executor.global(0, "farrier_gas_used").unwrap();
        let memory = executor.hash_memory(0).unwrap().1;
        steps.push(Step { call, values, gas_used, memory });
    }
    steps
}

fn gas_of(step: &Step) -> i64 {
    let Value::I64(gas) = step.gas_used else { panic!("{step:?}") };
    gas
}

#[test]
fn every_machine_uses_the_same_gas_at_each_return_and_each_trap() {
    let mut executors = MACHINES.map(|machine| running(&machine));
    let [interpreted, compiled @ ..] = executors.each_mut().map(|executor| steps(executor, None));
    for (found, machine) in compiled.iter().zip(&MACHINES[1..]) {
        assert_eq!(*found, interpreted, "{}", machine.name);
    }
    assert!(interpreted.iter().map(gas_of).is_sorted_by(|a, b| a < b), "each call costs");
    let trap_count = interpreted.iter().filter(|step| step.values.is_none()).count();
    assert_eq!(trap_count, 4);
}

#[test]
fn every_machine_runs_out_of_gas_at_the_same_place() {
    let mut executors = MACHINES.map(|machine| running(&machine));
    let unlimited = steps(&mut executors[0], None);
    // One gas more and less than the first call takes, and in the middle of the last.
    let first = gas_of(&unlimited[0]);
    let last = gas_of(&unlimited[unlimited.len() - 1]);
    let middle = (gas_of(&unlimited[unlimited.len() - 2]) + last) / 2;
    for limit in [first - 1, first, first + 1, middle, middle + 7, last - 1] {
        let [interpreted, compiled @ ..] =
            executors.each_mut().map(|executor| steps(executor, Some(limit)));
        for (found, machine) in compiled.iter().zip(&MACHINES[1..]) {
            assert_eq!(*found, interpreted, "limit {limit} on {}", machine.name);
        }
        let end = &interpreted[interpreted.len() - 1];
        assert!(end.values.is_none() && gas_of(end) > limit, "limit {limit}: {end:?}");
    }
}
