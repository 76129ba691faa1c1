//! Compiles in how this build of WAMR catches accesses out of bounds, and whether
//! it runs compiled files or interprets.
//!
//! `cmake/common.cmake` reads the same variables with the same defaults. This
//! script cannot see whether the C library was really built that way, because
//! `wamrx-sys` does not watch the variables; `Runtime` compares the two at start.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FARRIER_BOUNDS_CHECKS");
    println!("cargo:rerun-if-env-changed=FARRIER_WAMR_MODE");

    let asked = env::var("FARRIER_BOUNDS_CHECKS").unwrap_or_default();
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let mode = match (asked.as_str(), arch.as_str()) {
        ("", "x86_64") | ("hardware", _) => "hardware",
        ("", _) | ("software", _) => "software",
        _ => panic!("FARRIER_BOUNDS_CHECKS is {asked:?}: use hardware or software"),
    };
    println!("cargo:rustc-env=FARRIER_WAMR_BOUNDS_CHECKS={mode}");

    let asked = env::var("FARRIER_WAMR_MODE").unwrap_or_default();
    let mode = match asked.as_str() {
        "" | "aot" => "aot",
        "interpreter" => "interpreter",
        _ => panic!("FARRIER_WAMR_MODE is {asked:?}: use aot or interpreter"),
    };
    println!("cargo:rustc-env=FARRIER_WAMR_MODE_OF_BUILD={mode}");
}
