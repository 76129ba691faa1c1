//! What must hold of every input, as functions of any bytes, and a plain fuzzer for
//! them that needs no nightly compiler.
//!
//! The same functions run in three places: for a minute within the tests
//! (`tests/for_a_while.rs`), for as long as one likes by `cargo xtask fuzz`, and
//! under libFuzzer, which sees the branches taken (`fuzz/`, nightly).
//!
//! A function panics if it found something, and otherwise gives an [`Outcome`]: the
//! fuzzer keeps an input whose outcome is new and goes on from there. That is far
//! less than branch coverage and costs nothing.

mod compiler;
mod decoders;
mod files;
mod mutate;
mod outcome;
mod random;
mod runner;
mod seeds;

pub use compiler::{compile_any_bytes, compile_valid};
pub use decoders::{device_protocol, known_answer_toml, module_package, worker_protocol};
pub use files::{profile_note, read_aot};
pub use outcome::Outcome;
pub use random::Random;
pub use runner::{Finding, Limits, Ran, run};

/// A function with what the fuzzer needs to know of it.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub check: fn(&[u8]) -> Outcome,
    /// Where inputs begin.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Of the time that is shared by all, in parts.
    pub share: u32,
}

pub const TARGETS: &[Target] = &[
    Target { name: "compile_any_bytes", check: compile_any_bytes, seeds: seeds::modules, share: 4 },
    Target { name: "compile_valid", check: compile_valid, seeds: seeds::nothing, share: 5 },
    Target { name: "read_aot", check: read_aot, seeds: seeds::aot_files, share: 2 },
    Target { name: "profile_note", check: profile_note, seeds: seeds::notes, share: 1 },
    Target {
        name: "known_answer_toml",
        check: known_answer_toml,
        seeds: seeds::known_answers,
        share: 1,
    },
    Target { name: "device_protocol", check: device_protocol, seeds: seeds::messages, share: 1 },
    Target { name: "module_package", check: module_package, seeds: seeds::documents, share: 1 },
    Target { name: "worker_protocol", check: worker_protocol, seeds: seeds::frames, share: 1 },
];

/// Looks a function up by name.
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
