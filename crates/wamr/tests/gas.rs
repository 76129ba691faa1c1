//! Gas of metered modules: our code on WAMR against an interpreter, which runs the
//! same metered Wasm and knows nothing of metering.

use aot_compiler::{CompileOptions, Metering, compile, meter};
use std::collections::BTreeSet;
use target_spec::Registry;
use wamr::{
    CallError, GasLimits, HostFunction, Instance, InstanceConfig, InstantiateError, Module,
    Profile, Runtime, Trap, TrapKind, Value,
};

#[path = "../../../aot-compiler/tests/support/random_program.rs"]
mod random_program;

/// No program here uses as much, except random ones that would never end.
const GAS_MAX: u64 = 200_000;

/// What can be seen of a call from outside.
#[derive(Debug, PartialEq)]
struct Outcome {
    result: Result<Vec<Value>, Stop>,
    gas_used: u64,
    memory: Vec<u8>,
    state: Option<Value>,
}

#[derive(Debug, PartialEq)]
enum Stop {
    OutOfGas,
    Trap,
    /// At a depth that depends on the engine, and so does the gas.
    StackOverflow,
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn compiled(wasm: &[u8]) -> Vec<u8> {
    let profile = Profile::of_this_build();
    let target = Registry::built_in().find(&profile.target).unwrap();
    let options =
        CompileOptions { metering: Metering::Gas, ..CompileOptions::new(profile.bounds_checks) };
    compile(wasm, target, &options).unwrap().aot
}

fn with_runtime<T: Send + 'static>(body: impl FnOnce(&Runtime) -> T + Send + 'static) -> T {
    let run = move |runtime: &Runtime| {
        let add = |_: &mut wamr::Caller<'_>, args: &[Value]| {
            let [Value::I32(number)] = args else { return Err(Trap::new("no number")) };
            Ok(Some(Value::I32(number.wrapping_add(100))))
        };
        let ty = wamr::FuncType::new([wamr::ValueType::I32], [wamr::ValueType::I32]);
        runtime.register(HostFunction::new("env", "add", ty, add)).unwrap();
        body(runtime)
    };
    Runtime::spawn("test", 256 * 1024, run).unwrap().join().unwrap().unwrap()
}

fn gas(total: u64) -> InstanceConfig {
    let gas = GasLimits { total, ..GasLimits::default() };
    InstanceConfig { gas, ..InstanceConfig::default() }
}

/// Calls the export `run` of a module on WAMR.
fn run_on_wamr(module: &Module<'_>, args: &[Value], limit: u64) -> Outcome {
    let mut instance = Instance::new(module, gas(limit)).unwrap();
    let result = instance.call("run", args).map_err(|error| match error {
        CallError::Trap(Trap { kind: TrapKind::OutOfGas, .. }) => Stop::OutOfGas,
        CallError::Trap(Trap { reason, .. }) if reason == "native stack overflow" => {
            Stop::StackOverflow
        }
        CallError::Trap(Trap { kind: TrapKind::Guest, .. }) => Stop::Trap,
        other => panic!("{other}"),
    });
    Outcome {
        result,
        gas_used: instance.gas_used().unwrap(),
        memory: instance.read_memory(0, instance.memory_bytes()).unwrap(),
        state: instance.global("state"),
    }
}

/// The same with the metered Wasm in an interpreter, by the exports alone.
struct Interpreted {
    store: wasmi::Store<()>,
    instance: wasmi::Instance,
}

impl Interpreted {
    fn new(metered: &[u8], limit: u64) -> Self {
        let engine = wasmi::Engine::default();
        let module = wasmi::Module::new(&engine, metered).unwrap();
        let mut store = wasmi::Store::new(&engine, ());
        let mut linker = wasmi::Linker::new(&engine);
        linker.func_wrap("env", "add", |number: i32| number.wrapping_add(100)).unwrap();
        let instance = linker.instantiate_and_start(&mut store, &module).unwrap();
        let global = instance.get_global(&store, "farrier_gas_limit").unwrap();
        global.set(&mut store, wasmi::Val::I64(limit as i64)).unwrap();
        Self { store, instance }
    }

    fn global(&self, name: &str) -> Option<Value> {
        let global = self.instance.get_global(&self.store, name)?;
        Some(from_wasmi(&global.get(&self.store)))
    }

    fn gas_used(&self) -> u64 {
        let Some(Value::I64(used)) = self.global("farrier_gas_used") else { panic!("no counter") };
        used as u64
    }

    fn run(mut self, args: &[Value], limit: u64) -> Outcome {
        let function = self.instance.get_func(&self.store, "run").unwrap();
        let result_count = function.ty(&self.store).results().len();
        let mut results = vec![wasmi::Val::I32(0); result_count];
        let args: Vec<_> = args.iter().map(to_wasmi).collect();
        let result = match function.call(&mut self.store, &args, &mut results) {
            Ok(()) => Ok(results.iter().map(from_wasmi).collect()),
            Err(error) if error.as_trap_code() == Some(wasmi::TrapCode::StackOverflow) => {
                Err(Stop::StackOverflow)
            }
            Err(_) if self.gas_used() > limit => Err(Stop::OutOfGas),
            Err(_) => Err(Stop::Trap),
        };
        let memory = self.instance.get_memory(&self.store, "memory");
        Outcome {
            result,
            gas_used: self.gas_used(),
            memory: memory.map_or(Vec::new(), |memory| memory.data(&self.store).to_vec()),
            state: self.global("state"),
        }
    }
}

fn to_wasmi(value: &Value) -> wasmi::Val {
    match *value {
        Value::I32(number) => wasmi::Val::I32(number),
        Value::I64(number) => wasmi::Val::I64(number),
        Value::F32(bits) => wasmi::Val::F32(wasmi::F32::from_bits(bits)),
        Value::F64(bits) => wasmi::Val::F64(wasmi::F64::from_bits(bits)),
        _ => panic!("{value:?}"),
    }
}

fn from_wasmi(value: &wasmi::Val) -> Value {
    match value {
        wasmi::Val::I32(number) => Value::I32(*number),
        wasmi::Val::I64(number) => Value::I64(*number),
        wasmi::Val::F32(number) => Value::F32(number.to_bits()),
        wasmi::Val::F64(number) => Value::F64(number.to_bits()),
        other => panic!("{other:?}"),
    }
}

/// Runs both ways with each limit of `limits`, which both must end alike unless the
/// stack ends. Returns how many could be compared.
fn compare(text: &str, args: &[Value], limits: impl Fn(u64) -> Vec<u64> + Send + 'static) -> u32 {
    let wasm = wasm(text);
    let metered = meter(&wasm).unwrap();
    let (ours_args, note) = (args.to_vec(), metered.note);
    let outcomes: Vec<(u64, Outcome)> = with_runtime(move |runtime| {
        let module = Module::load(runtime, &compiled(&wasm)).unwrap();
        assert_eq!(module.metering(), Some(&note));
        let whole = run_on_wamr(&module, &ours_args, GAS_MAX);
        let limits =
            limits(whole.gas_used).into_iter().map(|limit| limit.max(note.instantiation_gas));
        let limits: BTreeSet<u64> = limits.chain([GAS_MAX]).collect();
        limits.into_iter().map(|limit| (limit, run_on_wamr(&module, &ours_args, limit))).collect()
    });
    // Not on WAMR's small stack.
    let mut compared = 0;
    for (limit, ours) in outcomes {
        let theirs = Interpreted::new(&metered.wasm, limit).run(args, limit);
        if [&ours, &theirs].iter().any(|outcome| outcome.result == Err(Stop::StackOverflow)) {
            continue;
        }
        compared += 1;
        assert!(ours == theirs, "limit {limit}: {}\n{text}", differences(&ours, &theirs));
    }
    compared
}

fn differences(ours: &Outcome, theirs: &Outcome) -> String {
    let byte = ours.memory.iter().zip(&theirs.memory).position(|(a, b)| a != b);
    format!(
        "{:?} with {} gas and {:?} against {:?} with {} gas and {:?}; memory differs at {byte:?}",
        ours.result, ours.gas_used, ours.state, theirs.result, theirs.gas_used, theirs.state
    )
}

/// Every limit up to what the whole run takes, and a few beyond.
fn every_limit(used: u64) -> Vec<u64> {
    let base = used.saturating_sub(3_000);
    (base..used + 3).collect()
}

/// Everything that can happen between two charges: stores, globals, growth, calls of
/// all kinds.
const SMALL_PROGRAM: &str = r#"
  (module
    (import "env" "add" (func $add (param i32) (result i32)))
    (memory (export "memory") 1 4)
    (table 4 funcref) (elem (i32.const 0) $twice $add $odd)
    (type $unary (func (param i32) (result i32)))
    (global $pad i32 (i32.const 7))
    (global $state (export "state") (mut i32) (i32.const 0))
    (func $twice (param i32) (result i32)
      (i32.store (i32.const 64) (local.get 0))
      (if (result i32) (i32.gt_s (local.get 0) (i32.const 3))
        (then (i32.mul (local.get 0) (i32.const 2)))
        (else (call $odd (local.get 0)))))
    (func $odd (param i32) (result i32)
      (global.set $state (i32.add (global.get $state) (i32.const 1)))
      (i32.add (local.get 0) (i32.const 1)))
    (func (export "run") (param $n i32) (result i32)
      (local $i i32) (local $sum i32)
      (block $done
        (loop $again
          (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
          (i32.store8 (local.get $i) (local.get $sum))
          (local.set $sum (i32.add (local.get $sum)
            (call_indirect (type $unary) (local.get $i)
              (i32.rem_u (local.get $i) (i32.const 3)))))
          (local.set $sum (i32.add (local.get $sum) (call $add (local.get $i))))
          (memory.fill (i32.const 100) (local.get $i) (i32.const 40))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $again)))
      (i32.store offset=80 (i32.const 0) (local.get $sum))
      (local.get $sum)))"#;

#[test]
fn every_limit_stops_a_small_program_where_the_interpreter_stops() {
    compare(SMALL_PROGRAM, &[Value::I32(9)], every_limit);
}

#[test]
fn growth_is_charged_before_it_happens() {
    let text = r#"(module (memory (export "memory") 1 4)
      (func (export "run") (param i32) (result i32)
        (i32.store (i32.const 0) (i32.const 1))
        (drop (memory.grow (local.get 0)))
        (i32.store (i32.const 0) (i32.const 2))
        (memory.grow (i32.const -1))))"#;
    let around = |used: u64| vec![8_192, 8_200, 8_300, 16_400, 16_500, used - 1, used];
    compare(text, &[Value::I32(1)], around);
    compare(text, &[Value::I32(9)], around);
}

/// Each traps in the middle of a block, after a store and before another.
#[test]
fn gas_at_a_trap_is_that_of_the_blocks_entered() {
    let traps = [
        "(unreachable)",
        "(drop (i32.div_s (i32.const 1) (local.get 0)))",
        "(drop (i32.rem_u (i32.const 1) (local.get 0)))",
        "(drop (i32.trunc_f32_s (f32.const nan)))",
        "(drop (i32.load (i32.const 65536)))",
        "(drop (i64.load offset=4294967295 (i32.const -1)))",
        "(i32.store (i32.const 65533) (i32.const 1))",
        "(memory.fill (i32.const 65530) (i32.const 1) (i32.const 7))",
        "(memory.copy (i32.const 65530) (i32.const 1) (i32.const 7))",
        "(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 70))",
        "(call_indirect (type $none) (i32.const 9))",
        "(call_indirect (type $none) (i32.const 2))",
        "(call_indirect (type $none) (i32.const 0))",
        "(drop (table.get 0 (i32.const 9)))",
        "(table.copy (i32.const 2) (i32.const 0) (i32.const 2))",
        "(call $nested)",
    ];
    for trap in traps {
        let text = format!(
            r#"(module (type $none (func)) (memory (export "memory") 1) (data "abc")
              (table 3 funcref) (elem (i32.const 0) $inner $none)
              (global $state (export "state") (mut i64) (i64.const 0))
              (func $none)
              (func $inner (param i32) (result i32)
                (global.set $state (i64.const 1))
                (i32.store (i32.const 8) (i32.const 77))
                (drop (i32.div_u (i32.const 1) (local.get 0)))
                (i32.store (i32.const 8) (i32.const 78))
                (local.get 0))
              (func $nested (drop (call $inner (i32.const 1))) (drop (call $inner (i32.const 0))))
              (func (export "run") (param i32) (result i32)
                (i32.store (i32.const 0) (i32.const 1))
                (loop (i32.store (i32.const 4) (i32.const 2)) {trap}
                  (i32.store (i32.const 4) (i32.const 3)))
                (i32.const 5)))"#
        );
        compare(&text, &[Value::I32(0)], every_limit);
    }
}

#[test]
fn random_programs_use_the_same_gas_as_in_the_interpreter() {
    // A linear congruence: the programs are the same in each run.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed.to_be_bytes()[0]
    };
    let mut compared = 0;
    for _ in 0..30 {
        let bytes: Vec<u8> = (0..60).map(|_| next()).collect();
        let text = random_program::generate(&bytes)
            .replace(
                r#"(import "env" "host" (func $host (type $host)))"#,
                "(func $host (type $host) (local.get 1) (f64.promote_f32 (local.get 0)))",
            )
            .replace("(memory 1)", r#"(memory (export "memory") 1 3)"#);
        let args = [Value::I32(11), Value::I64(-5), Value::F32(0x3f80_0000), Value::F64(0)];
        compared +=
            compare(&text, &args, |used| vec![used.min(60_000), used.min(60_000) - 7, 12_000]);
    }
    assert!(compared > 60, "{compared}");
}

#[test]
fn a_module_that_cannot_pay_for_its_memory_is_not_instantiated() {
    let text = r#"(module (memory 2) (func (export "run")))"#;
    with_runtime(|runtime| {
        let module = Module::load(runtime, &compiled(&wasm(text))).unwrap();
        let refused = Instance::new(&module, gas(16_383)).err();
        let (needed, limit) = (16_384, 16_383);
        assert_eq!(refused, Some(InstantiateError::OutOfGas { needed, limit }));
        let mut instance = Instance::new(&module, gas(16_384)).unwrap();
        assert_eq!(instance.call("run", &[]), Err(CallError::Trap(Trap::out_of_gas())));
        assert_eq!(instance.gas_used(), Some(16_386));
        // Refused without another charge.
        assert_eq!(instance.call("run", &[]), Err(CallError::Trap(Trap::out_of_gas())));
        assert_eq!(instance.gas_used(), Some(16_386));
        instance.set_gas_limits(GasLimits::default());
        assert_eq!(instance.call("run", &[]), Ok(vec![]));
    });
}

#[test]
fn a_limit_for_each_call_is_anew_for_each_and_within_the_total() {
    let text = r#"(module (func (export "run") (param i32)
      (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#;
    with_runtime(move |runtime| {
        let module = Module::load(runtime, &compiled(&wasm(text))).unwrap();
        let mut instance = Instance::new(&module, gas(1_000)).unwrap();
        instance.set_gas_limits(GasLimits { total: 1_000, per_call: 400 });
        let out_of_gas = Err(CallError::Trap(Trap::out_of_gas()));
        assert_eq!(instance.call("run", &[Value::I32(10)]), Ok(vec![]));
        let first = instance.gas_used().unwrap();
        assert_eq!(instance.call("run", &[Value::I32(100)]), out_of_gas);
        let second = instance.gas_used().unwrap();
        assert!((400..=406).contains(&(second - first)), "{second}");
        assert_eq!(instance.call("run", &[Value::I32(10)]), Ok(vec![]));
        while instance.call("run", &[Value::I32(10)]) == Ok(vec![]) {}
        assert!((1_001..=1_006).contains(&instance.gas_used().unwrap()));
    });
}

#[test]
fn the_start_function_runs_within_the_limit() {
    let text = r#"(module (memory (export "memory") 1)
      (global $state (export "state") (mut i32) (i32.const 0))
      (func $start (global.set $state (i32.const 1)) (loop (br_if 0 (i32.load (i32.const 0))))
        (global.set $state (i32.const 2)))
      (start $start)
      (func (export "run")))"#;
    with_runtime(move |runtime| {
        let module = Module::load(runtime, &compiled(&wasm(text))).unwrap();
        let failed = Instance::new(&module, gas(8_195)).err();
        assert_eq!(failed, Some(InstantiateError::Failed(Trap::out_of_gas())));
        let instance = Instance::new(&module, gas(9_000)).unwrap();
        assert_eq!(instance.global("state"), Some(Value::I32(2)));
    });
}

#[test]
fn an_unreachable_of_the_module_is_not_taken_for_spent_gas() {
    let text = r#"(module (func (export "run") unreachable))"#;
    with_runtime(move |runtime| {
        let module = Module::load(runtime, &compiled(&wasm(text))).unwrap();
        // Exactly enough for the block, and one less.
        for (limit, trap) in [(3, Trap::new("unreachable")), (2, Trap::out_of_gas())] {
            let mut instance = Instance::new(&module, gas(limit)).unwrap();
            assert_eq!(instance.call("run", &[]), Err(CallError::Trap(trap)));
            assert_eq!(instance.gas_used(), Some(3));
        }
    });
}
