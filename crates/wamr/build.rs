//! Compiles in which bounds checks this build of WAMR has.
//!
//! `cmake/common.cmake` reads the same variable with the same defaults. This
//! script cannot see whether the C library was really built that way, because
//! `wamrx-sys` does not watch the variable; `Runtime` compares the two at start.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FARRIER_BOUNDS_CHECKS");

    let asked = env::var("FARRIER_BOUNDS_CHECKS").unwrap_or_default();
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let mode = match (asked.as_str(), arch.as_str()) {
        ("", "x86_64") | ("hardware", _) => "hardware",
        ("", _) | ("software", _) => "software",
        _ => panic!("FARRIER_BOUNDS_CHECKS is {asked:?}: use hardware or software"),
    };
    println!("cargo:rustc-env=FARRIER_WAMR_BOUNDS_CHECKS={mode}");
}
