//! `fuzz_targets::profile_note` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::profile_note(data);
});
