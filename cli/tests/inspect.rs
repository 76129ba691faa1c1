//! `farrier inspect` on what `farrier compile` writes, and on what is no such file.

mod stub;

use object::{Object, ObjectSymbol};
use std::path::PathBuf;
use stub::{Ran, farrier, run};
use target_spec::Registry;

const MODULE: &str = r#"
(module
  (import "env" "log" (func $log (param i32)))
  (memory (export "memory") 1 2)
  (table (export "callees") 2 funcref)
  (elem (i32.const 0) $inner $log)
  (data (i32.const 8) "hello")
  (global (export "count") (mut i32) (i32.const 7))
  (func $inner (param i32) (result i32)
    (call $log (local.get 0))
    (i32.div_u (i32.load (local.get 0)) (local.get 0)))
  (func (export "run") (param i32) (result i32)
    (local $i i32)
    (loop $again
      (local.set $i (i32.add (call $inner (local.get $i)) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (local.get 0))))
    (local.get $i)))
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// The module above, compiled by the command itself.
    fn aot(&self, target: &str, more: &[&str]) -> PathBuf {
        let module = self.file("in.wasm", wat::parse_str(MODULE).unwrap());
        let output = self.path("out.aot");
        let mut command = farrier(&["compile", "--target", target]);
        let ran = run(command.arg(module).arg("-o").arg(&output).args(more));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        output
    }
}

fn inspect(file: &PathBuf, more: &[&str]) -> Ran {
    run(farrier(&["inspect"]).arg(file).args(more))
}

#[track_caller]
fn shows(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, 0, "{ran:?}");
    for word in words {
        assert!(ran.stdout.contains(word), "no {word:?} in:\n{}", ran.stdout);
    }
}

#[test]
fn every_part_of_a_file_is_shown_for_every_target() {
    for target in Registry::built_in().all() {
        let folder = Folder::new();
        let ran = inspect(&folder.aot(target.id.as_str(), &[]), &[]);
        let id = format!("target:          {}", target.id);
        shows(&ran, &[&id, "AoT version:     6", "target info", "data segments", "i32 8"]);
        shows(&ran, &["imported functions", "env", "log", "(i32) -> i32", "farrier.profile"]);
        shows(&ran, &["relocations .rela.text", "aot_invoke_native", "function 1, function 0"]);
        shows(&ran, &["memory   memory", "callees  table", "count    global", "run      function"]);
    }
}

#[test]
fn calls_are_disassembled_with_their_targets_named() {
    for (target, call) in
        [("x86_64-linux", "call"), ("aarch64-linux", "bl"), ("riscv64-linux", "call")]
    {
        let folder = Folder::new();
        let file = folder.aot(target, &["--bounds", "software"]);
        let ran = inspect(&file, &["--disassemble"]);
        // Capstone can be built without its texts; every function returns.
        let returns = if target == "riscv64-linux" { "  c.jr ra\n" } else { "  ret\n" };
        shows(&ran, &[returns]);
        let helper = format!("{call} aot_invoke_native");
        let raise = format!("{call} aot_set_exception_with_id");
        shows(&ran, &["function[1] (i32) -> i32: ", "function[2] \"run\" (i32) -> i32: "]);
        shows(&ran, &[&helper, &raise]);
        let one = inspect(&file, &["--disassemble", "run"]);
        shows(&one, &["function[2] \"run\""]);
        assert!(!one.stdout.contains("function[1] (i32)"), "{}", one.stdout);
        assert_eq!(inspect(&file, &["--disassemble", "2"]).stdout, one.stdout);
        assert!(ran.stdout.contains(&one.stdout), "the whole holds the part");
    }
}

#[test]
fn a_function_that_is_not_in_the_file_is_told_as_such() {
    let folder = Folder::new();
    let file = folder.aot("x86_64-linux", &[]);
    for (name, words) in [("0", "is imported"), ("3", "no function"), ("walk", "no function")] {
        let ran = inspect(&file, &["--disassemble", name]);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn the_json_names_what_the_tables_show() {
    let folder = Folder::new();
    let file = folder.aot("riscv64-linux", &[]);
    let ran = inspect(&file, &["-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["aot_version"], 6);
    assert_eq!(json["size_bytes"], std::fs::metadata(&file).unwrap().len());
    assert_eq!(json["note"]["target"], "riscv64-linux");
    assert_eq!(json["memories"][0]["max_pages"], 2);
    assert_eq!(json["functions"].as_array().unwrap().len(), 2);
    assert_eq!(json["exports"][3]["name"], "run");
    assert_eq!(json["relocations"][0]["kind_name"], "R_RISCV_CALL_PLT");
    assert_eq!(json["sections"].as_array().unwrap().len(), 7);
    assert_eq!(inspect(&file, &["--json"]).stdout, ran.stdout);
    assert_eq!(inspect(&file, &["-o", "name"]).stdout, "memory\ncallees\ncount\nrun\n");
}

#[test]
fn both_ways_to_an_object_give_named_functions() {
    let folder = Folder::new();
    let file = folder.aot("aarch64-linux", &[]);
    let object = folder.path("from-aot.o");
    let ran = inspect(&file, &["--object", object.to_str().unwrap()]);
    shows(&ran, &["from-aot.o: 2 functions"]);
    let mut command = farrier(&["compile", "--target", "aarch64-linux", "--emit", "object"]);
    let named = folder.path("named.o");
    let ran = run(command.arg(folder.path("in.wasm")).arg("-o").arg(&named));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for (path, names) in [(object, ["wasm-function[1]", "run"]), (named, ["inner", "run"])] {
        let bytes = std::fs::read(path).unwrap();
        let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(bytes.as_slice());
        let elf = elf.unwrap();
        assert_eq!(elf.architecture(), object::Architecture::Aarch64);
        for name in names {
            assert!(elf.symbol_by_name(name).is_some_and(|symbol| symbol.size() > 0), "{name}");
        }
        assert!(elf.symbol_by_name("aot_invoke_native").unwrap().is_undefined());
    }
}

#[test]
fn names_that_would_drive_a_terminal_are_escaped() {
    let folder = Folder::new();
    let module = "(module (func (export \"\\1b[31mred\\0a\")))";
    let module = folder.file("in.wasm", wat::parse_str(module).unwrap());
    let output = folder.path("out.aot");
    let mut command = farrier(&["compile", "--target", "x86_64-linux"]);
    assert_eq!(run(command.arg(module).arg("-o").arg(&output)).code, 0);
    for more in [&[][..], &["--disassemble"], &["-o", "name"], &["--json"]] {
        let ran = inspect(&output, more);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(!ran.stdout.contains('\x1b'), "{more:?}: {}", ran.stdout);
        assert!(more == ["--disassemble"] || ran.stdout.contains("[31mred\\n"), "{}", ran.stdout);
    }
}

#[test]
fn what_is_no_compiled_file_is_refused_with_advice() {
    let folder = Folder::new();
    let aot = std::fs::read(folder.aot("x86_64-linux", &[])).unwrap();
    let mut other_version = aot.clone();
    other_version[4] = 5;
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        ("text.aot", b"hello".to_vec(), &["not an AoT file", "try: "]),
        ("empty.aot", Vec::new(), &["not an AoT file"]),
        ("module.aot", b"\0asm\x01\0\0\0".to_vec(), &["not compiled yet", "try: farrier compile"]),
        ("old.aot", other_version, &["version 5", "try: "]),
        ("cut.aot", aot[..aot.len() / 2].to_vec(), &["section", "byte 0x", "try: "]),
    ];
    for (name, bytes, words) in cases {
        let ran = inspect(&folder.file(name, bytes), &[]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stdout.is_empty() && ran.stderr.starts_with("error: "), "{ran:?}");
        for word in words.iter().chain([&name]) {
            assert!(ran.stderr.contains(word), "no {word:?} in: {}", ran.stderr);
        }
    }
    let missing = inspect(&folder.path("missing.aot"), &[]);
    assert!(missing.code == 1 && missing.stderr.contains("No such file"), "{missing:?}");
}
