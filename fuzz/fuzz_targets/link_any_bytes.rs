//! `fuzz_targets::link_any_bytes` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::link_any_bytes(data);
});
