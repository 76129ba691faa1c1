//! What the census tells of a module.

mod support;

use aot_compiler::{ExternKind, MemoryNeeds, census};
use support::{EVERYTHING, wasm};

#[test]
fn everything_a_module_wants_and_offers_is_listed() {
    let census = census(&wasm(EVERYTHING)).unwrap();
    let imports: Vec<_> =
        census.imports.iter().map(|i| (&*i.module, &*i.name, i.kind, &*i.signature)).collect();
    assert_eq!(
        imports,
        [
            ("env", "log", ExternKind::Function, "(i32) -> i32"),
            ("env", "two", ExternKind::Function, "(f32, i64) -> (i32, f64)"),
        ]
    );
    let exports: Vec<_> =
        census.exports.iter().map(|e| (&*e.name, e.kind, &*e.signature)).collect();
    assert_eq!(
        exports,
        [
            ("memory", ExternKind::Memory, "memory of 1 pages, at most 3"),
            ("table", ExternKind::Table, "table of 4 entries, at most 8"),
            ("count", ExternKind::Global, "mutable global i64"),
            ("work", ExternKind::Function, "(i32) -> i32"),
            ("pairs", ExternKind::Function, "(f32, i64) -> (i32, f64)"),
            ("bulk", ExternKind::Function, "(i32) -> i32"),
        ]
    );
    assert_eq!(census.function_count, 4);
    assert_eq!(census.memory, Some(MemoryNeeds { min_pages: 1, max_pages: Some(3) }));
    let slots: Vec<_> = census.tables.iter().map(|t| (t.min_slots, t.max_slots)).collect();
    assert_eq!((slots.len(), slots[0], census.global_count), (2, (4, Some(8)), 3));
    assert_eq!(census.data_bytes, 12);
    assert!(census.code_bytes > 0);
    assert!(census.has_start);
    assert_eq!(
        census.proposals,
        ["bulk-memory", "multi-value", "mutable-global", "reference-types"]
    );
}

#[test]
fn proposals_are_listed_only_when_used() {
    let proposals = |text: &str| census(&wasm(text)).unwrap().proposals;
    assert!(proposals("(module (memory 1) (func (drop (i32.load (i32.const 0)))))").is_empty());
    assert_eq!(
        proposals("(module (func (drop (i32.extend8_s (i32.trunc_sat_f32_u (f32.const 1))))))"),
        ["saturating-float-to-int", "sign-extension"]
    );
}

#[test]
fn typed_references_are_listed_wherever_they_are_used() {
    for text in [
        "(module (type $t (func)) (func (param (ref null $t))))",
        "(module (func (local (ref extern))))",
        "(module (func $f) (table 1 (ref func) (ref.func $f)))",
        "(module (func $f) (table 1 funcref (ref.func $f)))",
        "(module (func (param funcref) (drop (ref.as_non_null (local.get 0)))))",
    ] {
        let proposals = census(&wasm(text)).unwrap().proposals;
        assert_eq!(proposals, ["function-references", "reference-types"], "{text}");
    }
}

#[test]
fn the_empty_module_wants_nothing() {
    let census = census(&wasm("(module)")).unwrap();
    assert!(census.imports.is_empty() && census.exports.is_empty() && census.memory.is_none());
    assert!(!census.has_start);
}

/// A stack's top, data at `data`, and in the first function what a compiler puts there.
fn module_with_stack(data: u32, export: &str, prologue: &str) -> Vec<u8> {
    wasm(&format!(
        "(module (memory 2) (global (mut i32) (i32.const 65536)) (global i32 (i32.const 1030))
           {export} (data (i32.const {data}) \"abc\")
           (func (local i32) {prologue}))"
    ))
}

#[test]
fn the_stack_of_a_c_or_rust_module_is_found_where_it_can_be_told() {
    let prologue = "(local.tee 0 (i32.sub (global.get 0) (i32.const 32))) (global.set 0)";
    let size = |module: &[u8]| census(module).unwrap().guest_stack_bytes;
    // Stack first, as Rust and today's C linker do it: known by the prologue.
    assert_eq!(size(&module_with_stack(65_536, "", prologue)), Some(65_536));
    assert_eq!(size(&module_with_stack(65_536, "", "nop")), None, "nothing uses it as a stack");
    let named = "(export \"__stack_pointer\" (global 0))";
    assert_eq!(size(&module_with_stack(65_536, named, "nop")), Some(65_536));
    // Behind the data, with a gap of zeroed data that no segment tells of.
    assert_eq!(size(&module_with_stack(1_024, named, prologue)), None);
    let with_end = format!("{named} (export \"__data_end\" (global 1))");
    assert_eq!(size(&module_with_stack(1_024, &with_end, prologue)), Some(65_536 - 1_040));
    // By the names for debuggers alone.
    let text = "(module (memory 1) (global i32 (i32.const 0))
                  (global $__stack_pointer (mut i32) (i32.const 4096)))";
    assert_eq!(size(&wasm(text)), Some(4_096));
}
