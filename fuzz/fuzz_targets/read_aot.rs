//! `fuzz_targets::read_aot` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::read_aot(data);
});
