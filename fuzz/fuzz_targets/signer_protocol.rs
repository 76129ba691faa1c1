//! `fuzz_targets::signer_protocol` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::signer_protocol(data);
});
