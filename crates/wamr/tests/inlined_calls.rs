//! Calls that the compiler translates in place give what calls give.

use aot_compiler::{CompileOptions, compile};
use target_spec::Registry;
use wamr::{CallError, Instance, InstanceConfig, Module, Profile, Runtime, Value};

/// Calls `run` of the module with each argument.
fn results(text: &str, arguments: &[i32]) -> Vec<Result<Vec<Value>, String>> {
    let wasm = wat::parse_str(text).unwrap();
    let profile = Profile::of_this_build();
    let target = Registry::built_in().find(&profile.target).unwrap();
    let options = CompileOptions::new(profile.bounds_checks);
    let aot = compile(&wasm, target, &options).unwrap().aot;
    let arguments = arguments.to_vec();
    let run = move |runtime: &Runtime| {
        let module = Module::load(runtime, &aot).unwrap();
        let mut instance = Instance::new(&module, InstanceConfig::default()).unwrap();
        let mut call = |argument: &i32| match instance.call("run", &[Value::I32(*argument)]) {
            Ok(values) => Ok(values),
            Err(CallError::Trap(trap)) => Err(trap.reason),
            Err(other) => panic!("{other}"),
        };
        arguments.iter().map(&mut call).collect()
    };
    Runtime::spawn("inlined", 512 << 10, run).unwrap().join().unwrap().unwrap()
}

#[track_caller]
fn check(text: &str, cases: &[(i32, &[i32])]) {
    let arguments: Vec<i32> = cases.iter().map(|(argument, _)| *argument).collect();
    for ((argument, expected), found) in cases.iter().zip(results(text, &arguments)) {
        let expected = expected.iter().map(|value| Value::I32(*value)).collect();
        assert_eq!(found, Ok(expected), "run({argument})");
    }
}

#[test]
fn a_return_from_nested_blocks_leaves_the_callee_alone() {
    let text = r#"(module
      (func $sign (param i32) (result i32)
        (block (loop
          (br_if 1 (i32.eqz (local.get 0)))
          (if (i32.lt_s (local.get 0) (i32.const 0)) (then (return (i32.const -1))))
          (return (i32.const 1))))
        i32.const 0)
      (func (export "run") (param i32) (result i32)
        (i32.add (i32.const 100) (call $sign (local.get 0)))))"#;
    check(text, &[(-7, &[99]), (0, &[100]), (9, &[101])]);
}

#[test]
fn locals_of_the_callee_are_its_own_and_zero_at_each_call() {
    let text = r#"(module
      (func $count (param i32) (result i32) (local i32)
        (local.set 1 (i32.add (local.get 1) (local.get 0)))
        (local.set 0 (i32.const 1000))
        local.get 1)
      (func (export "run") (param i32) (result i32) (local i32)
        (local.set 1 (i32.const 5))
        (drop (call $count (local.get 0)))
        (loop
          (local.set 1 (i32.add (local.get 1) (call $count (local.get 0))))
          (br_if 0 (i32.lt_s (local.get 1) (i32.const 20))))
        (i32.add (local.get 0) (local.get 1))))"#;
    check(text, &[(10, &[35]), (3, &[23])]);
}

#[test]
fn several_results_come_in_order_above_what_was_on_the_stack() {
    let text = r#"(module
      (func $split (param i32) (result i32 i32 i32)
        (i32.div_s (local.get 0) (i32.const 100))
        (i32.rem_s (i32.div_s (local.get 0) (i32.const 10)) (i32.const 10))
        (i32.rem_s (local.get 0) (i32.const 10)))
      (func (export "run") (param i32) (result i32 i32 i32 i32)
        i32.const 7 (call $split (local.get 0))))"#;
    check(text, &[(345, &[7, 3, 4, 5])]);
}

#[test]
fn a_callee_that_never_returns_ends_the_caller_too() {
    let text = r#"(module
      (func $stop (param i32) (result i32) unreachable)
      (func $divide (param i32) (result i32) (i32.div_u (i32.const 12) (local.get 0)))
      (func (export "run") (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0))
          (then (i32.add (call $stop (i32.const 1)) (i32.const 5)))
          (else (call $divide (i32.sub (local.get 0) (i32.const 1)))))))"#;
    let found = results(text, &[0, 1, 4]);
    assert!(found[0].as_ref().unwrap_err().contains("unreachable"), "{found:?}");
    assert!(found[1].as_ref().unwrap_err().contains("divide by zero"), "{found:?}");
    assert_eq!(found[2], Ok(vec![Value::I32(4)]));
}

#[test]
fn recursion_goes_on_where_unrolling_ends() {
    let text = r#"(module
      (func $fib (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
          (then (local.get 0))
          (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                         (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
      (func $even (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0))
          (then (i32.const 1)) (else (call $odd (i32.sub (local.get 0) (i32.const 1))))))
      (func $odd (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0))
          (then (i32.const 0)) (else (call $even (i32.sub (local.get 0) (i32.const 1))))))
      (func (export "run") (param i32) (result i32 i32)
        (call $fib (local.get 0)) (call $even (local.get 0))))"#;
    check(text, &[(0, &[0, 1]), (1, &[1, 0]), (20, &[6765, 1]), (23, &[28657, 0])]);
}

#[test]
fn endless_recursion_still_overflows_the_stack() {
    let text = r#"(module
      (func $deep (param i32) (result i32)
        (i32.add (i32.const 1) (call $deep (i32.add (local.get 0) (i32.const 1)))))
      (func (export "run") (param i32) (result i32) (call $deep (local.get 0))))"#;
    for outcome in results(text, &[0, 1]) {
        assert!(outcome.as_ref().unwrap_err().contains("native stack overflow"), "{outcome:?}");
    }
}
