//! Files that the compiler writes are read completely, and damaged ones without a panic.

use aot_compiler::{CompileOptions, compile};
use aot_reader::{
    AotFile, CustomSection, ElementMode, ExportKind, InitOp, Module, Problem, ReadError,
    SectionKind, ValueType,
};
use proptest::prelude::*;
use std::sync::LazyLock;
use target_spec::profile::{AotProfile, SECTION_NAME};
use target_spec::{BoundsChecks, Registry};

const MODULE: &str = r#"
(module
  (type $sum (func (param i32 i64 f32 f64) (result i32 f64)))
  (import "env" "log" (func $log (param i32)))
  (memory (export "memory") 2 5)
  (table $t (export "table") 3 8 funcref)
  (global $g (export "g") (mut i64) (i64.const -2))
  (global f32 (f32.const 1.5))
  (data (i32.const 16) "hello")
  (data $later "xyz")
  (elem (table $t) (i32.const 1) func $run $log)
  (elem $rest funcref (ref.null func) (ref.func $run))
  (elem declare func $run)
  (start $begin)
  (func $begin)
  (func $run (export "run") (type $sum)
    (memory.init $later (i32.const 0) (i32.const 0) (i32.const 3))
    (call $log (i32.load offset=4 (local.get 0)))
    (drop (memory.grow (i32.const 1)))
    (i32.div_s (local.get 0) (i32.const 3))
    (local.get 3)))
"#;

fn aot(target: &str, text: &str) -> Vec<u8> {
    let wasm = wat::parse_str(text).unwrap();
    let target = Registry::built_in().find(target).unwrap();
    compile(&wasm, target, &CompileOptions::new(BoundsChecks::Software)).unwrap().aot
}

static EXAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| aot("x86_64-linux", MODULE));

fn read(bytes: &[u8]) -> Result<Module<'_>, ReadError> {
    Module::read(&AotFile::parse(bytes)?)
}

#[test]
fn every_part_of_a_compiled_module_is_found() {
    let module = read(&EXAMPLE).unwrap();
    assert_eq!((module.target.arch, module.target.e_machine), ("x86_64", 62));
    assert!(module.target.is_64_bit());
    assert!(module.target.features().contains(&"bulk-memory".to_owned()));
    let init = &module.init;
    let memory = init.memories[0];
    assert_eq!((memory.page_bytes, memory.initial_pages, memory.max_pages), (65536, 2, 5));
    assert_eq!(memory.initial_bytes(), 131_072);
    let data: Vec<_> = init.data.iter().map(|data| (data.is_passive, data.bytes)).collect();
    assert_eq!(data, [(false, &b"hello"[..]), (true, b"xyz")]);
    assert_eq!(init.data[0].offset.to_string(), "i32 16");
    assert!(init.data[1].offset.is_none());
    let table = init.tables[0];
    assert_eq!((table.element, table.initial, table.maximum), (ValueType::FuncRef, 3, 8));
    let modes: Vec<_> = init.elements.iter().map(|elements| elements.mode).collect();
    assert_eq!(modes, [ElementMode::Active, ElementMode::Passive, ElementMode::Declared]);
    let entries: Vec<_> = init.elements[1].entries.iter().map(ToString::to_string).collect();
    assert_eq!(entries, ["null", "function 2"]);
    assert_eq!(init.globals[0].value, aot_reader::InitExpr::One(InitOp::I64(-2_i64 as u64)));
    assert_eq!(init.globals[1].value.to_string(), "f32 1.5 (0x3fc00000)");
    assert_eq!((init.start, init.function_count), (Some(1), 2));
    let import = init.imported_functions[0];
    assert_eq!((import.module, import.name), ("env", "log"));
    assert_eq!(module.function_type(0).unwrap().to_string(), "(i32) -> ()");
    let run = module.function_type(2).unwrap().to_string();
    assert_eq!(run, "(i32, i64, f32, f64) -> (i32, f64)");
    assert_eq!(module.function_type(3), None);
    let exports: Vec<_> = module.exports.iter().map(|e| (e.name, e.kind, e.index)).collect();
    let expected = [
        ("memory", ExportKind::Memory, 0),
        ("table", ExportKind::Table, 0),
        ("g", ExportKind::Global, 0),
        ("run", ExportKind::Function, 2),
    ];
    assert_eq!(exports, expected);
}

#[test]
fn functions_cover_the_code_and_relocations_name_their_helpers() {
    for target in Registry::built_in().all() {
        let file = aot(target.id.as_str(), MODULE);
        let module = read(&file).unwrap();
        assert_eq!(module.target.e_machine, target.aot.e_machine);
        let code_bytes: u64 = module.functions.iter().map(|function| function.code_bytes).sum();
        assert_eq!(code_bytes, module.text.code.len() as u64);
        assert_eq!(&file[module.text.code_offset..][..module.text.code.len()], module.text.code);
        let names: Vec<_> =
            module.relocations.of_text().map(|r| module.relocations.symbol(r)).collect();
        for helper in ["aot_invoke_native", "aot_enlarge_memory", "aot_memory_init"] {
            assert!(names.contains(&helper), "{helper} is not in {names:?}");
        }
        let in_code = |offset: u64| offset < module.text.code.len() as u64;
        assert!(module.relocations.of_text().all(|relocation| in_code(relocation.offset)));
    }
}

#[test]
fn the_note_is_found_by_name_in_the_file_and_in_the_module() {
    let file = AotFile::parse(&EXAMPLE).unwrap();
    let note = file.custom_section(SECTION_NAME).unwrap();
    let profile = AotProfile::from_bytes(note).unwrap();
    assert_eq!(profile.target.as_str(), "x86_64-linux");
    assert_eq!(file.custom_section("farrier"), None);
    let module = Module::read(&file).unwrap();
    let customs = [CustomSection::Raw { name: SECTION_NAME, bytes: note }];
    assert_eq!(module.customs, customs);
    assert_eq!(file.memories().unwrap(), module.init.memories);
}

#[test]
fn what_is_no_such_file_is_told_apart_from_a_damaged_one() {
    assert_eq!(read(b"").unwrap_err(), ReadError::NotAot);
    assert_eq!(read(b"\0asm\x01\0\0\0").unwrap_err(), ReadError::NotAot);
    assert_eq!(read(b"\0aot\x05\0\0\0").unwrap_err(), ReadError::Version(5));
    let missing = ReadError::Missing("target info section");
    assert_eq!(read(b"\0aot\x06\0\0\0").unwrap_err(), missing);
    let error = read(&EXAMPLE[..EXAMPLE.len() - 1]).unwrap_err();
    let ReadError::Damaged(damage) = error else { panic!("{error}") };
    assert_eq!(damage.problem, Problem::Ends("custom section"));
}

#[test]
fn a_section_out_of_order_is_refused_where_it_stands() {
    let file = AotFile::parse(&EXAMPLE).unwrap();
    let export = file.section(SectionKind::Export).unwrap();
    let mut bent = EXAMPLE.clone();
    // The export section's id, 8 bytes before its body, becomes that of the code.
    bent[export.offset - 8] = 2;
    let error = read(&bent).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the AoT file's text section is damaged at byte 0x"), "{text}");
    assert!(text.contains("wrong place"), "{text}");
}

/// Each length and each index of the file, with a value that leads too far.
#[test]
fn a_word_that_says_too_much_is_an_error_with_its_place() {
    let mut refused = 0;
    for at in (8..EXAMPLE.len() - 4).step_by(4) {
        let mut bent = EXAMPLE.clone();
        bent[at..at + 4].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
        if let Err(ReadError::Damaged(damage)) = read(&bent) {
            assert!(damage.offset <= bent.len() + 3, "{damage}");
            refused += 1;
        }
    }
    assert!(refused > 40, "only {refused} of the file's counts were checked");
}

#[test]
fn a_file_cut_anywhere_is_an_error_unless_only_the_note_is_gone() {
    let file = AotFile::parse(&EXAMPLE).unwrap();
    let note = file.section(SectionKind::Custom).unwrap();
    for length in 0..EXAMPLE.len() {
        match read(&EXAMPLE[..length]) {
            Ok(module) => {
                assert!(module.customs.is_empty());
                assert!((note.offset - 11..=note.offset - 8).contains(&length), "{length}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Additions nested as deep as the file is long: no stack may run out.
#[test]
fn an_initial_value_may_nest_as_deep_as_the_file_is_long() {
    let file = AotFile::parse(&EXAMPLE).unwrap();
    let mut bytes = b"\0aot\x06\0\0\0".to_vec();
    for section in file.sections() {
        let mut body = section.body.to_vec();
        if section.kind() == SectionKind::InitData {
            // No memories, and one data segment whose offset is a long sum.
            body = [0_u32, 0, 1, 0, 0].iter().flat_map(|n| n.to_le_bytes()).collect();
            body.extend(0x6a_u32.to_le_bytes().repeat(2_000_000));
        }
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(section.id.to_le_bytes());
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(body);
    }
    let ReadError::Damaged(damage) = read(&bytes).unwrap_err() else { panic!() };
    assert_eq!(damage.problem, Problem::Ends("an initial value"));
}

proptest! {
    #[test]
    fn damaged_files_are_read_or_refused(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut bent = EXAMPLE.clone();
        for (at, byte) in edits {
            let at = at.index(bent.len());
            bent[at] = byte;
        }
        if cuts {
            bent.truncate(length.index(EXAMPLE.len()));
        }
        if let Ok(file) = AotFile::parse(&bent) {
            let _ = (file.memories(), file.custom_section(SECTION_NAME));
            if let Ok(module) = Module::read(&file) {
                let sum: u64 = module.functions.iter().map(|f| f.code_bytes).sum();
                prop_assert!(sum <= (module.text.code.len() * module.functions.len()) as u64);
            }
        }
    }

    #[test]
    fn any_bytes_behind_the_header_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        let mut file = b"\0aot\x06\0\0\0".to_vec();
        file.extend(bytes);
        let _ = read(&file);
    }
}
