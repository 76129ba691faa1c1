//! The functions on changed inputs for a minute, and on all that was ever found.
//!
//! `FARRIER_FUZZ_SECONDS` gives the time of all functions together. The seed is
//! always the same, so that a change that breaks this has caused it, not chance;
//! `cargo xtask fuzz` takes another one each time.

use fuzz_targets::{Limits, TARGETS, Target, find, run};
use std::path::{Path, PathBuf};

const SECONDS: u32 = 60;
const SEED: u64 = 1;

#[track_caller]
fn check(name: &str) {
    let target: Target = find(name).expect("a target of this name");
    let shares: u32 = TARGETS.iter().map(|target| target.share).sum();
    let limits = Limits {
        time: fuzzer::seconds_or(SECONDS) * target.share / shares,
        seed: SEED,
        findings: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz-findings"),
    };
    match run(target, &limits) {
        Ok(ran) => {
            println!("{ran:?}");
            assert!(ran.executions >= 10, "{ran:?}: too slow to have tried anything");
            assert!(ran.outcomes >= 3, "{ran:?}: the inputs never got anywhere");
        }
        Err(error) => panic!("{error:#}"),
    }
}

#[test]
fn bytes_of_any_kind_are_compiled_or_refused_without_a_bug() {
    check("compile_any_bytes");
}

#[test]
fn pairs_of_modules_are_linked_or_refused_without_a_bug() {
    check("link_any_bytes");
}

#[test]
fn application_files_are_read_or_refused_by_place() {
    check("application_file");
}

#[test]
fn valid_modules_compile_for_every_target_to_the_same_bytes() {
    check("compile_valid");
}

#[test]
fn aot_files_of_any_kind_are_read_or_refused() {
    check("read_aot");
}

#[test]
fn profile_notes_survive_the_way_through_bytes() {
    check("profile_note");
}

#[test]
fn known_answers_are_read_or_refused() {
    check("known_answer_toml");
}

#[test]
fn messages_of_devices_are_decoded_or_refused() {
    check("device_protocol");
}

#[test]
fn signed_documents_are_opened_or_refused() {
    check("module_package");
}

#[test]
fn frames_of_workers_are_decoded_or_refused() {
    check("worker_protocol");
}

#[test]
fn frames_of_signers_are_decoded_or_refused() {
    check("signer_protocol");
}

#[test]
fn heads_of_the_audit_log_are_read_or_refused() {
    check("audit_chain");
}

/// What was once found, by the function that it broke.
#[test]
fn nothing_that_was_ever_found_breaks_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let target = find(&name).unwrap_or_else(|| panic!("{name} is not a target"));
        for input in std::fs::read_dir(&path).unwrap() {
            let input = input.unwrap().path();
            println!("{}", input.display());
            (target.check)(&std::fs::read(&input).unwrap());
        }
    }
}

/// Both keep a list of their own: the linker does not see the compiler.
#[test]
fn what_can_be_linked_is_what_can_be_compiled() {
    assert_eq!(module_linker::LINKABLE, aot_compiler::SUPPORTED);
}
