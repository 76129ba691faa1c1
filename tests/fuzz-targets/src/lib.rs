//! What must hold of every input, as functions of any bytes for the plain fuzzer of
//! `fuzzer`, which needs no nightly compiler.
//!
//! The same functions run in three places: for a minute within the tests
//! (`tests/for_a_while.rs`), for as long as one likes by `cargo xtask fuzz`, and
//! under libFuzzer, which sees the branches taken (`fuzz/`, nightly).
//!
//! What the gateway and the agent read from their own disks is fuzzed in their own
//! tests: from here they would have both been built a second time.

mod compiler;
mod decoders;
mod files;
mod seeds;

pub use compiler::{compile_any_bytes, compile_valid, link_any_bytes};
pub use decoders::{
    application_file, audit_chain, device_protocol, known_answer_toml, module_package,
    signer_protocol, worker_protocol,
};
pub use files::{profile_note, read_aot};
pub use fuzzer::{Finding, Limits, Outcome, Ran, Random, Target, run};

pub const TARGETS: &[Target] = &[
    Target { name: "compile_any_bytes", check: compile_any_bytes, seeds: seeds::modules, share: 4 },
    Target { name: "compile_valid", check: compile_valid, seeds: seeds::nothing, share: 5 },
    Target { name: "link_any_bytes", check: link_any_bytes, seeds: seeds::linked, share: 1 },
    Target { name: "read_aot", check: read_aot, seeds: seeds::aot_files, share: 2 },
    Target { name: "profile_note", check: profile_note, seeds: seeds::notes, share: 1 },
    Target {
        name: "known_answer_toml",
        check: known_answer_toml,
        seeds: seeds::known_answers,
        share: 1,
    },
    Target {
        name: "application_file",
        check: application_file,
        seeds: seeds::application_files,
        share: 1,
    },
    Target { name: "device_protocol", check: device_protocol, seeds: seeds::messages, share: 1 },
    Target { name: "module_package", check: module_package, seeds: seeds::documents, share: 1 },
    Target { name: "worker_protocol", check: worker_protocol, seeds: seeds::frames, share: 1 },
    Target { name: "signer_protocol", check: signer_protocol, seeds: seeds::signing, share: 1 },
    Target { name: "audit_chain", check: audit_chain, seeds: seeds::heads, share: 1 },
];

/// Looks a function up by name.
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
