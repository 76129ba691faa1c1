//! `fuzz_targets::audit_chain` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::audit_chain(data);
});
