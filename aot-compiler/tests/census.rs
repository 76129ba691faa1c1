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
    assert_eq!((census.table_count, census.global_count), (2, 3));
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
