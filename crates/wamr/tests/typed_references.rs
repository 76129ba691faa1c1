//! References to functions of one type, which WAMR itself knows nothing of: to it
//! they are the plain function references that the compiler makes of them.

use aot_compiler::{CompileOptions, compile};
use target_spec::Registry;
use wamr::{
    CallError, FuncType, HostFunction, Instance, InstanceConfig, Module, Profile, Runtime, Trap,
    Value, ValueType,
};

fn with_instance(wat: &'static str, body: impl FnOnce(&mut Instance<'_>) + Send + 'static) {
    let profile = Profile::of_this_build();
    let target = Registry::built_in().find(&profile.target).unwrap();
    let options = CompileOptions::new(profile.bounds_checks);
    let aot = compile(&wat::parse_str(wat).unwrap(), target, &options).unwrap().aot;
    let thread = Runtime::spawn("test", 256 * 1024, move |runtime| {
        let double_type = FuncType::new([ValueType::I32], [ValueType::I32]);
        let double = HostFunction::new("env", "double", double_type, |_, args| {
            let Value::I32(number) = args[0] else { return Err(Trap::new("another type")) };
            Ok(Some(Value::I32(number * 2)))
        });
        runtime.register(double).unwrap();
        let module = Module::load(runtime, &aot).unwrap();
        body(&mut Instance::new(&module, InstanceConfig::default()).unwrap());
    });
    thread.unwrap().join().unwrap().unwrap();
}

fn trap(reason: &str) -> Result<Vec<Value>, CallError> {
    Err(CallError::Trap(Trap::new(reason)))
}

fn number(value: i32) -> Result<Vec<Value>, CallError> {
    Ok(vec![Value::I32(value)])
}

const REFERENCES: &str = r#"
    (module
      (type $step (func (param i32) (result i32)))
      (type $pick (func (param i32) (result (ref null $step))))
      (import "env" "double" (func $double (type $step)))
      (table $filled 3 (ref $step) (ref.func $increment))
      (table $other 4 funcref)
      (elem $passive (ref $step) (ref.func $double) (ref.func $countdown))
      (global $chosen (ref $step) (ref.func $increment))
      (func $increment (type $step) (i32.add (local.get 0) (i32.const 1)))
      (func $countdown (type $step)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 55))))
        (return_call_ref $step
          (i32.sub (local.get 0) (i32.const 1)) (ref.func $countdown)))
      (func $by_number (type $pick)
        (block (block (block (br_table 0 1 2 (local.get 0)))
          (return (ref.func $increment))) (return (ref.func $double)))
        (ref.null $step))
      (func (export "call") (param i32 i32) (result i32)
        (call_ref $step (local.get 0) (call $by_number (local.get 1))))
      (func (export "tail_call") (param i32 i32) (result i32)
        (return_call_ref $step (local.get 0) (call $by_number (local.get 1))))
      (func (export "or_minus_one") (param i32) (result i32)
        (block $null
          (return (call_ref $step (i32.const 20)
            (br_on_null $null (call $by_number (local.get 0))))))
        (i32.const -1))
      (func (export "or_minus_two") (param i32) (result i32)
        (block $some (result (ref $step))
          (br_on_non_null $some (call $by_number (local.get 0)))
          (return (i32.const -2)))
        (local.set 0 (i32.const 30))
        (drop)
        (local.get 0))
      (func (export "sure") (param i32) (result i32)
        (call_ref $step (i32.const 9) (ref.as_non_null (call $by_number (local.get 0)))))
      (func (export "global") (param i32) (result i32)
        (call_ref $step (local.get 0) (global.get $chosen)))
      (func (export "table") (param i32 i32) (result i32)
        (call_ref $step (local.get 0) (table.get $filled (local.get 1))))
      (func (export "init")
        (table.init $filled $passive (i32.const 1) (i32.const 0) (i32.const 2))
        (elem.drop $passive))
      (func (export "pass") (param (ref null $step)) (result i32)
        (call_ref $step (i32.const 3) (local.get 0))))"#;

#[test]
fn a_reference_calls_own_and_imported_functions_and_null_traps() {
    with_instance(REFERENCES, |instance| {
        let args = |a, b| [Value::I32(a), Value::I32(b)];
        for name in ["call", "tail_call"] {
            assert_eq!(instance.call(name, &args(4, 0)), number(5), "{name}");
            assert_eq!(instance.call(name, &args(4, 1)), number(8), "{name}");
            assert_eq!(instance.call(name, &args(4, 2)), trap("null function reference"));
        }
        assert_eq!(instance.call("global", &[Value::I32(7)]), number(8));
    });
}

#[test]
fn null_is_found_where_it_is_asked_for() {
    with_instance(REFERENCES, |instance| {
        for (name, with_function, with_null) in [("or_minus_one", 21, -1), ("or_minus_two", 30, -2)]
        {
            assert_eq!(instance.call(name, &[Value::I32(0)]), number(with_function), "{name}");
            assert_eq!(instance.call(name, &[Value::I32(2)]), number(with_null), "{name}");
        }
        assert_eq!(instance.call("sure", &[Value::I32(0)]), number(10));
        assert_eq!(instance.call("sure", &[Value::I32(2)]), trap("null reference"));
    });
}

/// The values that fill tables become element segments in front of the module's.
#[test]
fn a_table_has_its_initial_values_and_segments_keep_their_numbers() {
    with_instance(REFERENCES, |instance| {
        let args = |a, b| [Value::I32(a), Value::I32(b)];
        for slot in 0..3 {
            assert_eq!(instance.call("table", &args(6, slot)), number(7));
        }
        assert_eq!(instance.call("table", &args(6, 3)), trap("out of bounds table access"));
        assert_eq!(instance.call("init", &[]), Ok(vec![]));
        assert_eq!(instance.call("table", &args(6, 0)), number(7));
        assert_eq!(instance.call("table", &args(6, 1)), number(12));
        // Through itself, by tail calls, more often than the stack has room for.
        assert_eq!(instance.call("table", &args(1_000_000, 2)), number(55));
        assert_eq!(instance.call("init", &[]), trap("out of bounds table access"));
    });
}

/// The host's types do not know to which type a reference is.
#[test]
fn a_host_that_passes_a_function_of_another_type_gets_a_trap() {
    with_instance(REFERENCES, |instance| {
        // Function 1 is the first own one; 3 is of another type.
        for (function, expected) in [
            (Some(1), number(4)),
            (Some(0), number(6)),
            (Some(3), trap("indirect call type mismatch")),
            (None, trap("null function reference")),
        ] {
            assert_eq!(instance.call("pass", &[Value::FuncRef(function)]), expected);
        }
    });
}

/// Types that differ in references to equal types are equal.
#[test]
fn equal_types_of_references_are_one_type() {
    let module = r#"
        (module
          (type $a (func (result i32)))
          (type $b (func (result i32)))
          (type $takes_a (func (param (ref $a)) (result i32)))
          (type $takes_b (func (param (ref $b)) (result i32)))
          (table funcref (elem $f))
          (func $f (type $takes_a) (call_ref $a (local.get 0)))
          (func $seven (type $b) (i32.const 7))
          (elem declare func $seven)
          (func (export "run") (result i32)
            (call_indirect (type $takes_b) (ref.func $seven) (i32.const 0))))"#;
    with_instance(module, |instance| {
        assert_eq!(instance.call("run", &[]), number(7));
    });
}
