//! `fuzz_targets::compile_valid` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::compile_valid(data);
});
