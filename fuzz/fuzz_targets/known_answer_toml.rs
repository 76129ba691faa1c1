//! `fuzz_targets::known_answer_toml` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::known_answer_toml(data);
});
