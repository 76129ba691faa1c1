//! The native stack that an artifact says it needs.

mod support;

use aot_compiler::{CompileOptions, compile};
use support::{all_targets, wasm};

/// For each target and mode.
fn stack_bytes(text: &str) -> Vec<Option<u64>> {
    let module = wasm(text);
    let one = |(target, bounds_checks)| {
        let options = CompileOptions::new(bounds_checks);
        compile(&module, target, &options).unwrap().stack_bytes
    };
    all_targets().into_iter().map(one).collect()
}

#[test]
fn a_chain_of_calls_has_a_bound_and_recursion_and_tables_have_none() {
    // Each keeps eight values over the call, and is too large to be inlined.
    let keep: String =
        (0..8).map(|index| format!("(i64.load offset={} (local.get 0)) ", index * 8)).collect();
    let sum = "i64.add ".repeat(7);
    let filler = "(drop (i64.load (local.get 0))) ".repeat(200);
    let caller = |name: &str, callee: &str| {
        format!(
            "(func {name} (param i32) (result i64) {filler} {keep}
               (drop (call {callee} (local.get 0))) (drop (call {callee} (local.get 0))) {sum})"
        )
    };
    let leaf = format!("(func $leaf (param i32) (result i64) {filler} (i64.const 1))");
    let (f, g) = (caller("$f", "$leaf"), caller("$g", "$f"));
    let module =
        |export: &str| format!("(module (memory 1) {leaf} {f} {g} (export \"f\" (func {export})))");
    let depths = ["$leaf", "$f", "$g"].map(|export| stack_bytes(&module(export)));
    println!("{depths:?}");
    for ((leaf, f), g) in depths[0].iter().zip(&depths[1]).zip(&depths[2]) {
        let (leaf, f, g) = (leaf.unwrap(), f.unwrap(), g.unwrap());
        // Eight values of eight bytes are kept in the frame or in registers that the
        // frame keeps for the caller.
        assert!(leaf >= 16 && f >= leaf + 16 + 64 && g >= f + 16 + 64, "{leaf} {f} {g}");
        assert!(g < 4_096, "{g}");
    }
    let recursive = format!("(module (memory 1) {} (export \"f\" (func $f)))", caller("$f", "$f"));
    assert!(stack_bytes(&recursive).iter().all(Option::is_none));
    let table = "(module (table 1 funcref) (type $t (func))
        (func (export \"f\") (call_indirect (type $t) (i32.const 0))) (func))";
    assert!(stack_bytes(table).iter().all(Option::is_none));
    let not_entered = "(module (table 1 funcref) (type $t (func))
        (func (call_indirect (type $t) (i32.const 0))) (func (export \"f\")))";
    assert!(stack_bytes(not_entered).iter().all(Option::is_some));
}
