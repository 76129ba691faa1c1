//! What may be uploaded.

use super::fleet::{FakeDevice, Fleet, plain_wasm, refusal};
use crate::app::{LinkInput, Upload};
use gateway_api::ProblemCode;
use module_linker::Library;
use module_package::ModuleId;
use proptest::prelude::*;

#[test]
fn the_same_bytes_are_one_module_with_one_name() {
    let fleet = Fleet::new();
    let (upload, module) = fleet.app.upload_module("answer", &plain_wasm(1)).unwrap();
    assert_eq!((upload, module.version), (Upload::Created, 1));
    let (upload, again) = fleet.app.upload_module("answer", &plain_wasm(1)).unwrap();
    assert_eq!((upload, again), (Upload::Repeated, module));
    let (code, detail) = refusal(fleet.app.upload_module("other", &plain_wasm(1)));
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("answer@1"), "{detail}");
    assert_eq!(fleet.upload("answer", &plain_wasm(2)).version, 2);
    assert_eq!(fleet.app.module("answer").unwrap().version, 2);
    assert_eq!(fleet.app.module("answer@1").unwrap().version, 1);
}

#[test]
fn each_kind_of_bad_module_has_its_problem() {
    let fleet = Fleet::new();
    let upload = |bytes: &[u8]| refusal(fleet.app.upload_module("bad", bytes));
    assert_eq!(upload(b"#!/bin/sh\n").0, ProblemCode::NotWasm);
    assert_eq!(upload(b"").0, ProblemCode::NotWasm);
    let good = plain_wasm(1);
    assert_eq!(upload(&good[..good.len() - 3]).0, ProblemCode::TruncatedModule);
    let wasm = |text: &str| wat::parse_str(text).unwrap();
    let invalid = wasm("(module (func (result i32) i64.const 1))");
    assert_eq!(upload(&invalid).0, ProblemCode::InvalidModule);
    let (code, detail) = upload(&wasm("(module (import \"env\" \"now\" (func)))"));
    assert_eq!(code, ProblemCode::UnknownImport);
    assert!(detail.contains("env.now") && detail.contains("farrier.log"), "{detail}");
    let (code, detail) = upload(&wasm("(module (import \"env\" \"memory\" (memory 1)))"));
    assert_eq!(code, ProblemCode::UnknownImport);
    assert!(detail.contains("memory env.memory"), "{detail}");
    let threads = wasm("(module (memory 1 1 shared))");
    assert_eq!(upload(&threads).0, ProblemCode::UnsupportedProposal);
    assert_eq!(upload(&vec![0; (1 << 20) + 1]).0, ProblemCode::TooLarge);
    assert_eq!(fleet.app.modules(), [], "nothing of it is kept");
}

#[test]
fn known_answers_fit_the_module_and_do_not_change_under_a_deployment() {
    let fleet = Fleet::new();
    fleet.enrol(&FakeDevice::new(1, "x86_64-linux"));
    fleet.upload("answer", &plain_wasm(42));
    let steps = |call: &str| format!("format = 1\n[[step]]\n{call}");
    let put = |text: &str| fleet.app.put_known_answers("answer", text);
    let good = steps("call = \"answer\"\nexpect = [\"i32:42\"]");
    assert_eq!(put(&good).unwrap().known_answers, ["call answer() = (i32:42)"]);
    for (bad, named) in [
        ("call = \"question\"", "no function"),
        ("call = \"answer\"\nargs = [\"i32:1\"]", "takes ()"),
        ("call = \"answer\"\nexpect = [\"i64:1\"]", "gives i32"),
        ("call = 5", "TOML"),
    ] {
        let (code, detail) = refusal(put(&steps(bad)));
        assert_eq!(code, ProblemCode::InvalidKnownAnswers);
        assert!(detail.contains(named), "{detail}");
    }
    fleet.deploy("answer");
    assert!(put(&good).is_ok(), "the same steps change nothing");
    let other = steps("call = \"answer\"\nexpect = [\"i32:43\"]");
    assert_eq!(refusal(put(&other)).0, ProblemCode::Conflict);
}

#[test]
fn what_a_runtime_offers_widens_what_may_be_imported() {
    let fleet = Fleet::new();
    let wasm = wat::parse_str("(module (import \"farrier\" \"blink\" (func)))").unwrap();
    assert_eq!(refusal(fleet.app.upload_module("m", &wasm)).0, ProblemCode::UnknownImport);
    fleet.app.add_offered_imports(&["farrier.blink".into()]);
    assert!(fleet.app.upload_module("m", &wasm).is_ok());
}

#[test]
fn an_import_of_the_guest_api_has_its_type() {
    let fleet = Fleet::new();
    let upload = |name: &str, func: &str| {
        let text = format!("(module (import \"farrier\" \"{name}\" (func {func})))");
        fleet.app.upload_module(&name.replace('_', "-"), &wat::parse_str(text).unwrap())
    };
    assert!(upload("random", "(param i32 i32) (result i32)").is_ok());
    assert!(upload("clock_wall_ms", "(param i32) (result i32)").is_ok());
    let (code, detail) = refusal(upload("metric_set", "(param i32 i32 f64) (result i32)"));
    assert_eq!(code, ProblemCode::UnknownImport);
    assert!(detail.contains("as (i32, i32, f64) -> i32"), "{detail}");
    assert!(detail.contains("as (i32, i32, i32) -> i32"), "{detail}");
}

/// A module that calls a library for its answer.
pub(crate) fn parts() -> Vec<LinkInput> {
    let wasm = |text: &str| wat::parse_str(text).unwrap();
    let main = wasm(
        r#"(module (import "math" "twice" (func $twice (param i32) (result i32)))
        (func (export "answer") (result i32) (call $twice (i32.const 21))))"#,
    );
    let library = wasm(
        r#"(module (func (export "twice") (param i32) (result i32)
        (i32.mul (local.get 0) (i32.const 2))))"#,
    );
    let part = |name: Option<&str>, wasm| LinkInput {
        name: name.map(str::to_owned),
        wasm,
        statement: None,
    };
    vec![part(None, main), part(Some("math"), library)]
}

#[test]
fn modules_are_linked_here_and_what_went_in_is_kept() {
    let fleet = Fleet::new();
    let parts = parts();
    let alone = refusal(fleet.app.upload_module("answer", &parts[0].wasm));
    assert_eq!(alone.0, ProblemCode::UnknownImport);
    let (upload, module) = fleet.app.upload_linked_module("answer", None, &parts).unwrap();
    assert_eq!((upload, module.version), (Upload::Created, 1));
    assert!(module.imports.is_empty() && module.exports.len() == 1, "{module:?}");
    let id = |index: usize| ModuleId::of(&parts[index].wasm).to_string();
    let linked: Vec<_> = module.linked.iter().map(|l| (l.name.as_deref(), &*l.module)).collect();
    assert_eq!(linked, [(None, &*id(0)), (Some("math"), &*id(1))]);
    let (upload, again) = fleet.app.upload_linked_module("answer", None, &parts).unwrap();
    assert_eq!((upload, again), (Upload::Repeated, module.clone()));

    // Whoever has the same inputs makes the same module.
    let library = Library { name: "math", wasm: &parts[1].wasm };
    let by_hand = module_linker::link(&parts[0].wasm, &[library]).unwrap();
    assert_eq!(ModuleId::of(&by_hand).to_string(), module.id);

    let swapped = [
        LinkInput { name: None, wasm: parts[1].wasm.clone(), statement: None },
        LinkInput { name: Some("math".into()), wasm: parts[0].wasm.clone(), statement: None },
    ];
    let (code, detail) = refusal(fleet.app.upload_linked_module("other", None, &swapped));
    assert_eq!(code, ProblemCode::InvalidModule);
    assert!(detail.contains("other cannot be linked. ") && detail.contains("circle"), "{detail}");
}

#[test]
fn bytes_that_came_whole_are_answered_with_what_they_were_linked_of() {
    let fleet = Fleet::new();
    let parts = parts();
    let library = Library { name: "math", wasm: &parts[1].wasm };
    let by_hand = module_linker::link(&parts[0].wasm, &[library]).unwrap();
    assert_eq!(fleet.upload("answer", &by_hand).linked, []);
    let (upload, module) = fleet.app.upload_linked_module("answer", None, &parts).unwrap();
    assert_eq!((upload, module.linked.len()), (Upload::Repeated, 2));
    assert_eq!(fleet.app.module("answer").unwrap(), module);
}

/// The application file's rules stand for the linker's, which it does not know.
#[test]
fn an_application_file_takes_the_linkers_names_and_numbers() {
    assert_eq!(application_file::LIBRARIES_MAX, module_linker::LIBRARIES_MAX);
    let (longest, longer) = ("a".repeat(64), "a".repeat(65));
    let names = ["math", "A-b_c.d/e", "farrier", "wasi_snapshot_preview1", "", "a b", "a:b", "é"];
    for name in names.into_iter().chain([&*longest, &*longer]) {
        let is_linked = module_linker::check_name(name).is_ok();
        assert_eq!(application_file::is_link_name(name), is_linked, "{name}");
    }
}

proptest! {
    /// A fault here would be an HTTP 500.
    #[test]
    fn no_bytes_are_a_fault_of_ours(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cut in 0..200usize,
        flip in any::<(usize, u8)>(),
    ) {
        let fleet = Fleet::new();
        let _ = refusal_or_module(&fleet, &bytes);
        let with_magic = [b"\0asm\x01\0\0\0", bytes.as_slice()].concat();
        let _ = refusal_or_module(&fleet, &with_magic);
        let mut damaged = plain_wasm(7);
        let position = flip.0 % damaged.len();
        damaged[position] ^= flip.1;
        damaged.truncate(damaged.len().saturating_sub(cut % 40));
        let _ = refusal_or_module(&fleet, &damaged);
    }
}

fn refusal_or_module(fleet: &Fleet, bytes: &[u8]) -> Option<ProblemCode> {
    match fleet.app.upload_module("fuzz", bytes) {
        Ok(_) => None,
        result => Some(refusal(result).0),
    }
}
