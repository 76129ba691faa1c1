//! `fuzz_targets::module_package` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::module_package(data);
});
