//! What is refused says what it is, where, and what to do.

mod support;

use aot_compiler::{CompileError, CompileOptions, ModuleError, census, compile, limits};
use support::{compile_bytes, wasm, x86_64};
use target_spec::{BoundsChecks, Registry};

/// Of a use in a function, its index and the byte; of one elsewhere, the byte alone.
#[track_caller]
fn check_proposal(expected: &str, place: (Option<u32>, u64), text: &str) {
    match census(&wasm(text)) {
        Err(ModuleError::Unsupported { proposal, function, offset }) => {
            assert_eq!((proposal, (function, offset)), (expected, place), "{text}");
        }
        other => panic!("expected {expected}, found {other:?}"),
    }
}

#[test]
fn a_proposal_beyond_ours_is_refused_by_its_name_and_place() {
    check_proposal("threads", (None, 0xb), "(module (memory 1 1 shared))");
    check_proposal(
        "threads",
        (Some(1), 0x22),
        "(module (memory 1) (func) (func (drop (i32.atomic.load (i32.const 0)))))",
    );
    check_proposal("multi-memory", (None, 0xa), "(module (memory 1) (memory 1))");
    check_proposal("memory64", (None, 0xb), "(module (memory i64 1))");
    check_proposal("memory64", (None, 0xb), "(module (table i64 1 funcref))");
    check_proposal("exception-handling", (None, 0x10), "(module (tag))");
    check_proposal("exception-handling", (None, 0xb), "(module (func (param exnref)))");
    check_proposal("exception-handling", (Some(0), 0x18), "(module (func unreachable throw_ref))");
    check_proposal("legacy-exceptions", (Some(0), 0x17), "(module (func try catch_all end))");
    check_proposal("gc", (None, 0xb), "(module (type (struct (field i32))))");
    check_proposal("gc", (None, 0xb), "(module (rec (type (func)) (type (func))))");
    check_proposal("gc", (Some(0), 0x19), "(module (func (drop (ref.i31 (i32.const 1)))))");
    check_proposal(
        "gc",
        (None, 0x12),
        "(module (global i32 (i32.const 1)) (global i32 (global.get 0)))",
    );
    check_proposal(
        "wide-arithmetic",
        (Some(0), 0x1f),
        "(module (func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1))))",
    );
    check_proposal("custom-page-sizes", (None, 0xb), "(module (memory 1 (pagesize 1)))");
    check_proposal("stack-switching", (None, 0xe), "(module (type $f (func)) (type $c (cont $f)))");
}

#[test]
fn what_is_no_module_is_called_by_its_name() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "an empty file"),
        (b"\0aot\x06\0\0\0", "a WAMR AoT file"),
        (b"\x7fELF\x02\x01\x01", "an ELF file"),
        (b"(module (func))", "WebAssembly text"),
        (b";; a comment\n(module)", "WebAssembly text"),
        (b"hello", "a text file"),
        (b"\0asm\x0d\0\x01\0", "a WebAssembly component"),
        (b"\xff\xfe\x01", "unknown binary data"),
    ];
    for (bytes, name) in cases {
        match census(bytes) {
            Err(ModuleError::NotWasm { looks_like, .. }) => {
                assert!(looks_like.contains(name), "{looks_like} for {name}");
            }
            other => panic!("expected {name}, found {other:?}"),
        }
    }
}

#[test]
fn a_module_cut_short_is_truncated_where_it_ends() {
    let whole = wasm(support::EVERYTHING);
    let cut = &whole[..whole.len() - 3];
    assert_eq!(census(cut), Err(ModuleError::Truncated { offset: cut.len() as u64 }));
    assert_eq!(census(&whole[..2]), Err(ModuleError::Truncated { offset: 2 }));
    assert_eq!(census(&whole[..6]), Err(ModuleError::Truncated { offset: 6 }));
}

#[test]
fn an_invalid_body_is_told_with_function_and_offset() {
    let text = "(module (import \"a\" \"b\" (func)) (func) (func (result i32) (i64.const 1)))";
    match census(&wasm(text)) {
        Err(ModuleError::Invalid { message, function, offset }) => {
            assert_eq!((function, offset), (Some(2), 0x2a));
            assert!(message.contains("type mismatch"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_reads_as_one_sentence_with_advice() {
    let error = census(&wasm("(module (memory 1 1 shared))")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the module uses the WebAssembly proposal \"threads\" at byte 0xb, which this compiler does \
         not support; build it without that feature"
    );
}

#[test]
fn an_imported_memory_table_or_global_is_named() {
    for (import, kind) in
        [("(memory 1)", "memory"), ("(table 1 funcref)", "table"), ("(global i32)", "global")]
    {
        let module = wasm(&format!("(module (import \"env\" \"thing\" {import}))"));
        let error = compile_bytes(&module).unwrap_err();
        assert!(matches!(error, CompileError::NotExpressible { .. }));
        let expected = format!("imports the {kind} \"thing\" of \"env\"");
        assert!(error.to_string().contains(&expected), "{error}");
        assert_eq!(census(&module).unwrap().imports.len(), 1, "the census still lists it");
    }
}

#[test]
fn a_name_with_a_nul_cannot_be_written() {
    let error = compile_bytes(&wasm("(module (func (export \"a\\00b\")))")).unwrap_err();
    assert!(matches!(error, CompileError::NotExpressible { .. }), "{error}");
}

#[test]
fn a_bounds_check_mode_that_a_target_lacks_is_refused() {
    let target = Registry::built_in().find("riscv64-linux").unwrap();
    let options = CompileOptions::new(BoundsChecks::Hardware);
    let error = compile(&wasm("(module)"), target, &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "target riscv64-linux cannot do it: hardware bounds checks are not offered there; use software"
    );
}

#[test]
fn a_cpu_feature_that_the_compiler_does_not_know_is_an_error() {
    let mut target = x86_64().clone();
    target.cpu_features.push("sse4.9".to_owned());
    let options = CompileOptions::new(BoundsChecks::Software);
    let error = compile(&wasm("(module)"), &target, &options).unwrap_err();
    assert!(matches!(error, CompileError::TargetCannot { .. }), "{error}");
    assert!(error.to_string().contains("\"sse4.9\""), "{error}");
}

#[test]
fn sizes_beyond_the_limits_are_refused_before_they_cost_anything() {
    let too_long = vec![0; limits::MODULE_BYTES_MAX + 1];
    let error = census(&too_long).unwrap_err();
    assert_eq!(
        error,
        ModuleError::LimitExceeded {
            what: "bytes of module",
            limit: limits::MODULE_BYTES_MAX as u64,
            found: too_long.len() as u64
        }
    );
    let slots = limits::TABLE_SLOTS_MAX + 1;
    let error = census(&wasm(&format!("(module (table {slots} funcref))"))).unwrap_err();
    assert!(matches!(error, ModuleError::LimitExceeded { what: "table slots", .. }), "{error}");
}

/// 2-byte branches that carry a thousand operands each: half a gigabyte of them
/// from a body of 1 MiB.
#[test]
fn a_small_body_that_unfolds_to_much_is_refused() {
    let results = "i32 ".repeat(1000);
    let branches = "(br_if 0 (i32.const 1))".repeat(20_000);
    let values = "(i32.const 0)".repeat(1000);
    let text = format!(
        "(module (func (export \"f\") (block (result {results}) {values} {branches}) {}))",
        "drop ".repeat(1000)
    );
    let error = compile_bytes(&wasm(&text)).unwrap_err();
    let expected = "operands of a function";
    assert!(
        matches!(&error, CompileError::Module(ModuleError::LimitExceeded { what, .. }) if *what == expected),
        "{error}"
    );
}
