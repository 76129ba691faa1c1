//! No input makes the compiler panic, and none keeps it busy for long.

mod support;

use aot_compiler::{CompileError, CompileOptions, census, compile};
use proptest::prelude::*;
use support::{EVERYTHING, all_targets, compile_bytes, random_program, wasm};

/// A bug of ours is not an answer to bad input.
#[track_caller]
fn check_is_answered(wasm: &[u8]) {
    if let Err(CompileError::Bug { message }) = compile_bytes(wasm) {
        panic!("{message}");
    }
}

#[test]
fn a_module_truncated_at_any_byte_is_refused() {
    let whole = wasm(EVERYTHING);
    for length in 0..whole.len() {
        // Valid again where no function is declared yet, and without the final
        // section, which holds names for debuggers.
        if let Ok(artifact) = compile_bytes(&whole[..length]) {
            assert!([0, 4].contains(&artifact.function_count), "cut at {length}");
        }
        check_is_answered(&whole[..length]);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_answered() {
    let whole = wasm(EVERYTHING);
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 1 << (at % 8);
        check_is_answered(&bent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn bytes_behind_the_header_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend(bytes);
        let _ = census(&module);
        check_is_answered(&module);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Valid modules of all shapes compile for all targets.
    #[test]
    fn generated_modules_compile(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
        let module = wasm(&random_program::generate(&bytes));
        for (target, bounds_checks) in all_targets() {
            match compile(&module, target, &CompileOptions::new(bounds_checks)) {
                Ok(_) => {}
                Err(error) => prop_assert!(false, "{} {}: {}", target.id, bounds_checks, error),
            }
        }
    }
}
