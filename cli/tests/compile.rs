//! `farrier compile` for each target, and what it says to bad input.

mod stub;

use std::path::PathBuf;
use stub::{Ran, farrier, run};
use target_spec::Registry;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn compile(&self, input: &PathBuf, more: &[&str]) -> Ran {
        let output = self.0.path().join("out.aot");
        let mut command = farrier(&["compile"]);
        run(command.arg(input).arg("-o").arg(output).args(more))
    }

    fn artifact(&self) -> Option<Vec<u8>> {
        std::fs::read(self.0.path().join("out.aot")).ok()
    }

    fn module(&self) -> PathBuf {
        self.file("in.wasm", wat::parse_str(MODULE).unwrap())
    }
}

const MODULE: &str = r#"
(module
  (memory (export "memory") 1 1)
  (func (export "sum") (param i32 i32) (result i32)
    (i32.add (local.get 0) (i32.load (local.get 1)))))
"#;

fn refused(ran: Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    assert!(ran.stdout.is_empty() && ran.stderr.starts_with("error: "), "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in: {}", ran.stderr);
    }
}

#[test]
fn a_module_compiles_for_every_target() {
    for target in Registry::built_in().all() {
        let folder = Folder::new();
        let ran = folder.compile(&folder.module(), &["--target", target.id.as_str()]);
        assert_eq!(ran.code, 0, "{}: {}", target.id, ran.stderr);
        assert!(ran.stdout.contains(" bytes in ") && ran.stdout.contains(" ms, for "));
        assert!(ran.stdout.contains(target.id.as_str()), "{}", ran.stdout);
        assert!(folder.artifact().unwrap().starts_with(b"\0aot\x06\0\0\0"));
    }
}

#[test]
fn the_result_can_be_told_as_json() {
    let folder = Folder::new();
    let more = ["--target", "x86_64-linux", "--bounds", "software", "--json"];
    let ran = folder.compile(&folder.module(), &more);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["bounds_checks"], "software");
    assert_eq!(report["bytes"], folder.artifact().unwrap().len());
    assert!(report["compile_ms"].is_u64());
}

#[test]
fn what_is_asked_of_the_code_is_told_and_stands_in_the_file() {
    let folder = Folder::new();
    let policy_of = |more: &[&str]| {
        let more = [&["--target", "x86_64-linux", "--json"], more].concat();
        let ran = folder.compile(&folder.module(), &more);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let file = folder.0.path().join("out.aot");
        let inspected = run(farrier(&["inspect", "-o", "json"]).arg(file));
        let inspected: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
        assert_eq!(report["policy"], inspected["note"]["policy"], "{more:?}");
        report["policy"].clone()
    };
    let policy = |metering: Option<u32>, nan: &str, suspend_checks: bool| {
        serde_json::json!({
            "metering": metering, "nan": nan, "suspend_checks": suspend_checks
        })
    };
    assert_eq!(policy_of(&[]), policy(None, "as-computed", false));
    assert_eq!(policy_of(&["--nan", "canonical"]), policy(None, "canonical", false));
    assert_eq!(policy_of(&["--metering"]), policy(Some(1), "as-computed", false));
    let all = ["--metering", "--nan", "canonical", "--suspend-checks"];
    assert_eq!(policy_of(&all), policy(Some(1), "canonical", true));
    let ran = run(farrier(&["inspect"]).arg(folder.0.path().join("out.aot")));
    for line in ["metering", "cost table 1", "NaN rule", "canonical", "suspend checks", "yes"] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
}

#[test]
fn a_module_that_is_metered_already_is_not_metered_again() {
    let folder = Folder::new();
    let wasm = wat::parse_str(r#"(module (func (export "farrier_start")))"#).unwrap();
    let input = folder.file("metered.wasm", wasm);
    let more = ["--target", "x86_64-linux", "--metering"];
    refused(folder.compile(&input, &more), 1, &["farrier_start", "try: leave --metering away"]);
    assert_eq!(folder.artifact(), None);
}

#[test]
fn an_unknown_target_is_answered_with_the_known_ones() {
    let folder = Folder::new();
    let ran = folder.compile(&folder.module(), &["--target", "sparc"]);
    refused(ran, 2, &["sparc", "aarch64-linux", "riscv64-linux", "x86_64-linux"]);
}

#[test]
fn hardware_bounds_checks_are_refused_where_there_are_none() {
    let folder = Folder::new();
    let more = ["--target", "riscv64-linux", "--bounds", "hardware"];
    refused(folder.compile(&folder.module(), &more), 1, &["riscv64-linux", "hardware", "try: "]);
    assert_eq!(folder.artifact(), None);
}

#[test]
fn bad_input_is_named_and_leaves_no_file() {
    let whole = wat::parse_str(MODULE).unwrap();
    let threads = r#"(module (memory 1 1 shared)
        (func (drop (i32.atomic.load (i32.const 0)))))"#;
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        ("text.wasm", b"hello".to_vec(), &["text.wasm", "not a WebAssembly module", "try: "]),
        ("empty.wasm", vec![], &["empty.wasm"]),
        ("cut.wasm", whole[..whole.len() - 5].to_vec(), &["cut.wasm", "byte", "cut off"]),
        ("threads.wasm", wat::parse_str(threads).unwrap(), &["threads", "not support"]),
        ("broken.wasm", [&whole[..whole.len() - 2], &[0x92, 0x0b]].concat(), &["not valid"]),
    ];
    for (name, bytes, words) in cases {
        let folder = Folder::new();
        let input = folder.file(name, bytes);
        refused(folder.compile(&input, &["--target", "x86_64-linux"]), 1, words);
        assert_eq!(folder.artifact(), None, "{name}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let folder = Folder::new();
    let target = ["--target", "x86_64-linux"];
    let missing = folder.0.path().join("missing.wasm");
    refused(folder.compile(&missing, &target), 1, &["missing.wasm", "cause: No such file"]);
    let directory = folder.0.path().to_owned();
    refused(folder.compile(&directory, &target), 1, &["cause: Is a directory"]);

    let input = folder.module();
    let mut command = farrier(&["compile", "-o", "/nowhere/out.aot"]);
    let ran = run(command.arg(&input).args(target));
    refused(ran, 1, &["write /nowhere/out.aot", "cause: ", "try: "]);
    let ran = run(farrier(&["compile"]).arg(&input).arg("-o").arg(&input).args(target));
    refused(ran, 2, &["replace the input"]);
}

#[test]
fn modules_are_linked_into_one_that_compiles() {
    let folder = Folder::new();
    let library = r#"(module (func (export "twice") (param i32) (result i32)
        (i32.mul (local.get 0) (i32.const 2))))"#;
    let main = r#"(module (import "math" "twice" (func $twice (param i32) (result i32)))
        (func (export "four") (result i32) (call $twice (i32.const 2))))"#;
    let main = folder.file("main.wasm", wat::parse_str(main).unwrap());
    let library = folder.file("math.wasm", wat::parse_str(library).unwrap());
    let linked = folder.0.path().join("linked.wasm");
    let link = |more: &[&str]| {
        let named = format!("math={}", library.display());
        let mut command = farrier(&["module", "link"]);
        run(command.arg(&main).arg(named).arg("-o").arg(&linked).args(more))
    };
    let ran = link(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("linked.wasm: ") && ran.stdout.contains(" of 2 modules"));
    let first = std::fs::read(&linked).unwrap();
    let ran = link(&["--json"]);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["inputs"][1]["name"], "math");
    assert_eq!(std::fs::read(&linked).unwrap(), first, "the same inputs, the same bytes");
    assert_eq!(folder.compile(&linked, &["--target", "riscv64-linux"]).code, 0);

    refused(link(&["maths=nowhere.wasm"]), 1, &["read nowhere.wasm"]);
    let again = format!("maths={}", library.display());
    refused(link(&[&again]), 1, &["\"maths\"", "imports are from", "docs/linking.md"]);
    let mut command = farrier(&["module", "link"]);
    let named = format!("math={}", library.display());
    let ran = run(command.arg(&main).arg(named).arg("-o").arg(&library));
    refused(ran, 2, &["would replace the input"]);
}
