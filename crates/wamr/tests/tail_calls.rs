//! Tail calls on WAMR: any number of them needs no more stack than one.

use aot_compiler::{CompileOptions, compile};
use target_spec::Registry;
use wamr::{
    CallError, FuncType, HostFunction, Instance, InstanceConfig, Module, Profile, Runtime, Trap,
    Value, ValueType,
};

/// Far more calls than the stack has bytes.
const CALLS: i32 = 2_000_000;

fn with_instance(wat: &str, body: impl FnOnce(&mut Instance<'_>) + Send + 'static) {
    let profile = Profile::of_this_build();
    let target = Registry::built_in().find(&profile.target).unwrap();
    let options = CompileOptions::new(profile.bounds_checks);
    let aot = compile(&wat::parse_str(wat).unwrap(), target, &options).unwrap().aot;
    let thread = Runtime::spawn("test", 256 * 1024, move |runtime| {
        let negate_type = FuncType::new([ValueType::I32], [ValueType::I32]);
        let negate = HostFunction::new("env", "negate", negate_type, |_, args| {
            let Value::I32(number) = args[0] else { return Err(Trap::new("another type")) };
            Ok(Some(Value::I32(-number)))
        });
        runtime.register(negate).unwrap();
        let module = Module::load(runtime, &aot).unwrap();
        body(&mut Instance::new(&module, InstanceConfig::default()).unwrap());
    });
    thread.unwrap().join().unwrap().unwrap();
}

/// Calls between functions whose arguments take more and less of the stack, which
/// move the frame up and down, with several results.
#[test]
fn tail_calls_between_unequal_functions_need_no_stack() {
    let wide_params = "i32 ".repeat(20);
    let zeros = "(i32.const 7)".repeat(19);
    let module = format!(
        r#"(module
          (func $narrow (export "narrow") (param i32) (result i32 f64 i64)
            (if (i32.eqz (local.get 0))
              (then (return (i32.const 1) (f64.const 2.5) (i64.const -3))))
            (return_call $wide (i32.sub (local.get 0) (i32.const 1)) {zeros}))
          (func $wide (param {wide_params}) (result i32 f64 i64)
            (return_call $narrow (i32.sub (i32.add (local.get 0) (local.get 19)) (i32.const 7))))
          (func (export "sum") (param i32) (result i32) (local f64 i64)
            (call $narrow (local.get 0))
            local.set 2 local.set 1
            (i32.add (i32.trunc_f64_s (f64.add (local.get 1) (local.get 1))))
            (i32.add (i32.wrap_i64 (local.get 2)))))"#
    );
    with_instance(&module, |instance| {
        let results = vec![Value::I32(1), Value::F64(2.5f64.to_bits()), Value::I64(-3)];
        assert_eq!(instance.call("narrow", &[Value::I32(CALLS)]), Ok(results));
        assert_eq!(instance.call("sum", &[Value::I32(CALLS)]), Ok(vec![Value::I32(3)]));
    });
}

#[test]
fn tail_calls_through_a_table_need_no_stack_and_reach_imports() {
    let module = r#"
        (module
          (type $step (func (param i32) (result i32)))
          (import "env" "negate" (func $negate (type $step)))
          (table funcref (elem $even $odd $negate $other))
          (func $even (type $step)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 44))))
            (return_call_indirect (type $step)
              (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
          (func $odd (type $step)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 99))))
            (return_call_indirect (type $step)
              (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))
          (func $other (param i64))
          (func (export "pick") (param i32 i32) (result i32)
            (return_call_indirect (type $step) (local.get 0) (local.get 1)))
          (func (export "negate") (param i32) (result i32)
            (return_call $negate (local.get 0))))"#;
    with_instance(module, |instance| {
        let mut pick =
            |number, slot| instance.call("pick", &[Value::I32(number), Value::I32(slot)]);
        let trap = |reason| Err(CallError::Trap(Trap::new(reason)));
        assert_eq!(pick(CALLS, 0), Ok(vec![Value::I32(44)]));
        assert_eq!(pick(CALLS, 1), Ok(vec![Value::I32(99)]));
        assert_eq!(pick(5, 2), Ok(vec![Value::I32(-5)]));
        assert_eq!(pick(5, 3), trap("indirect call type mismatch"));
        assert_eq!(pick(5, 4), trap("undefined element"));
        assert_eq!(instance.call("negate", &[Value::I32(6)]), Ok(vec![Value::I32(-6)]));
    });
}

/// A frame so large that its own test of the stack comes too late; and recursion in
/// the usual way, between tail calls, still ends with the exception.
#[test]
fn the_stack_test_holds_between_tail_calls() {
    let loads = "(i64.load (local.get 0)) ".repeat(1_500);
    let sum = "i64.add ".repeat(1_499);
    let module = format!(
        r#"(module
          (memory 1)
          (func $large (export "large") (param i32) (result i64)
            {loads} (drop (call $id (local.get 0))) {sum} drop
            (if (i32.eqz (local.get 0)) (then (return (i64.const 11))))
            (return_call $large (i32.sub (local.get 0) (i32.const 1))))
          (func $id (param i32) (result i32)
            (if (i32.eq (local.get 0) (i32.const -1)) (then (drop (call $id (i32.const 0)))))
            (local.get 0))
          (func $deep (export "deep") (param i32) (result i64)
            (drop (call $deep (local.get 0)))
            (return_call $large (local.get 0))))"#
    );
    with_instance(&module, |instance| {
        let overflow = Err(CallError::Trap(Trap::new("native stack overflow")));
        for _ in 0..2 {
            assert_eq!(instance.call("large", &[Value::I32(1_000)]), Ok(vec![Value::I64(11)]));
            assert_eq!(instance.call("deep", &[Value::I32(0)]), overflow);
        }
    });
}

/// Every kind of value, in registers and on the stack, from the host's entry on.
#[test]
fn arguments_of_each_type_arrive_in_a_tail_called_function() {
    let params = "f32 i64 f64 i32 ".repeat(6);
    let gets: String = (0..24).map(|index| format!("local.get {index} ")).collect();
    let module = format!(
        r#"(module
          (func $mirror (param {params}) (result {params}) {gets})
          (func $again (param {params}) (result {params}) {gets} return_call $mirror)
          (func (export "mirror") (param {params}) (result {params}) {gets} return_call $again))"#
    );
    with_instance(&module, |instance| {
        let args: Vec<_> = (0..6)
            .flat_map(|index| {
                let bits = 0x7fa0_0000 + index;
                let wide = i64::from(index) << 33;
                let double = (f64::from(index) + 0.5).to_bits();
                [Value::F32(bits), Value::I64(wide), Value::F64(double), Value::I32(-1)]
            })
            .collect();
        assert_eq!(instance.call("mirror", &args), Ok(args.clone()));
    });
}

#[test]
fn a_trap_at_the_end_of_tail_calls_reaches_the_caller() {
    let module = r#"
        (module
          (func $last unreachable)
          (func $first (param i32)
            (if (i32.eqz (local.get 0)) (then (return_call $last)))
            (return_call $first (i32.sub (local.get 0) (i32.const 1))))
          (func (export "run") (param i32) (result i32)
            (call $first (local.get 0)) (i32.const 1)))"#;
    with_instance(module, |instance| {
        let found = instance.call("run", &[Value::I32(1_000)]);
        assert_eq!(found, Err(CallError::Trap(Trap::new("unreachable"))));
    });
}
