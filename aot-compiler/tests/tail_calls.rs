//! Tail calls, as far as a file shows them. That they need no stack is a matter of
//! `crates/wamr/tests/tail_calls.rs`.

mod support;

use aot_compiler::{CompileError, CompileOptions, ModuleError, census, compile, limits};
use std::time::{Duration, Instant};
use support::{AotFile, all_targets, compile_bytes, wasm};

const TAIL_CALLS: &str = r#"
    (module
      (type $t (func (param i32) (result i32 i64)))
      (import "env" "host" (func $host (type $t)))
      (table funcref (elem $a $b $host))
      (func $a (type $t) (return_call $b (local.get 0)))
      (func $b (type $t) (return_call_indirect (type $t) (local.get 0) (local.get 0)))
      (func $c (type $t) (return_call $host (local.get 0)))
      (func $plain (export "plain") (param i64) (result i64) (local.get 0)))"#;

#[test]
fn tail_calls_compile_and_link_on_every_target() {
    for (target, bounds_checks) in all_targets() {
        let options = CompileOptions::new(bounds_checks);
        let artifact = compile(&wasm(TAIL_CALLS), target, &options).unwrap();
        let file = AotFile::read(&artifact.aot);
        let mut entries = file.section(3);
        let entries: Vec<u64> = (0..4).map(|_| entries.u64()).collect();
        assert!(entries.is_sorted(), "{entries:x?}");
    }
    assert_eq!(census(&wasm(TAIL_CALLS)).unwrap().proposals, ["multi-value", "tail-call"]);
}

#[test]
fn a_tail_call_with_too_many_values_is_refused() {
    let params = "i32 ".repeat(limits::TAIL_CALL_VALUES_MAX + 1);
    let gets: String =
        (0..=limits::TAIL_CALL_VALUES_MAX).map(|i| format!("local.get {i} ")).collect();
    let text = format!("(module (func $f (param {params}) {gets} return_call $f))");
    let error = compile_bytes(&wasm(&text)).unwrap_err();
    let what = "parameters and results of a tail call";
    assert!(
        matches!(&error, CompileError::Module(ModuleError::LimitExceeded { what: found, .. }) if *found == what),
        "{error}"
    );
}

/// The dispatcher has a branch for each function of the type.
#[test]
fn many_functions_of_one_type_do_not_keep_the_compiler_busy() {
    let functions = "(func (type $t))".repeat(20_000);
    let text = format!(
        "(module (type $t (func)) (table 1 funcref) {functions}
           (func (return_call_indirect (type $t) (i32.const 0))))"
    );
    let module = wasm(&text);
    let start = Instant::now();
    compile_bytes(&module).unwrap();
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}
