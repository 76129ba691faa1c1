//! Our files, read back by the rules of WAMR's loader.

mod support;

use aot_compiler::{AOT_VERSION, COMPILER_ID, CompileOptions, compile};
use std::fmt::Write;
use support::{AotFile, EVERYTHING, all_targets, compile_text, wasm};
use target_spec::profile::{AotProfile, CodePolicy, SECTION_NAME};

#[test]
fn sections_come_in_the_order_that_the_loader_enforces() {
    for (target, bounds_checks) in all_targets() {
        let options = CompileOptions::new(bounds_checks);
        for text in ["(module)", EVERYTHING] {
            let artifact = compile(&wasm(text), target, &options).unwrap();
            let file = AotFile::read(&artifact.aot);
            assert_eq!(file.version, AOT_VERSION);
            let ids: Vec<u32> = file.sections.iter().map(|section| section.0).collect();
            assert_eq!(ids, [0, 1, 2, 3, 4, 5, 100], "{}", target.id);
        }
    }
}

#[test]
fn the_target_section_says_what_the_target_file_says() {
    for (target, bounds_checks) in all_targets() {
        let options = CompileOptions::new(bounds_checks);
        let artifact = compile(&wasm(EVERYTHING), target, &options).unwrap();
        let file = AotFile::read(&artifact.aot);
        let mut info = file.section(0);
        assert_eq!(info.u16(), 2, "64-bit little-endian");
        assert_eq!(info.u16(), 0, "ABI type");
        assert_eq!(info.u16(), 1, "relocatable");
        assert_eq!(info.u16(), target.aot.e_machine);
        assert_eq!(info.u32(), 1, "ELF version");
        assert_eq!(info.u32(), target.aot.e_flags);
        assert_eq!(info.u64(), 0b1010, "bulk memory and reference types");
        assert_eq!(info.u64(), 0, "reserved");
        let arch = info.rest();
        assert_eq!(arch.len(), 16);
        assert_eq!(std::str::from_utf8(arch).unwrap().trim_end_matches('\0'), target.aot.arch);
    }
}

#[test]
fn features_are_demanded_only_when_used() {
    let artifact = compile_text("(module (memory 1) (func (export \"f\")))");
    let file = AotFile::read(&artifact.aot);
    let mut info = file.section(0);
    info.take(16);
    assert_eq!(info.u64(), 0);
}

#[test]
fn initial_data_is_what_the_module_declares() {
    let artifact = compile_text(EVERYTHING);
    let file = AotFile::read(&artifact.aot);
    expect_test::expect![[r#"
        memory flags 1 page 65536 initial 1 max 3
        data passive 0 memory 0 offset 0x41 16 "hello"
        data passive 1 memory 0 offset none "passive"
        table type 0x70 flags 1 grows 0 initial 4 max 8
        table type 0x6f flags 0 grows 1 initial 1 max 1024
        elements mode 0 type 0x70 table 0 offset 0x41 1: 0xd2 2, 0xd2 0
        elements mode 1 type 0x70 table 0 offset none: 0xd2 2, 0xd0 -1
        elements mode 3 type 0x70 table 0 offset none: 0xd2 3
        type 0 [7f] -> [7f]
        type 0 [7f] -> [7f]
        type 0 [7d, 7e] -> [7f, 7c]
        type 0 [] -> []
        global type 0x7e mutable 1 0x42 7
        global type 0x7d mutable 0 0x43 1069547520
        global type 0x70 mutable 0 0xd2 2
        import type 0 env.log
        import type 2 env.two
        functions 4 start 5
    "#]]
    .assert_eq(&outline_of_init_data(&file));
}

#[test]
fn a_constant_expression_that_calculates_is_written_as_its_value() {
    let text = r#"
        (module
          (memory 1)
          (table 9 funcref)
          (global i32 (i32.sub (i32.const 3) (i32.mul (i32.const -2) (i32.const 5))))
          (global i64 (i64.add (i64.const 0x7fffffffffffffff) (i64.const 2)))
          (elem (offset (i32.add (i32.const 1) (i32.const 2))) func $f)
          (data (offset (i32.mul (i32.const 16) (i32.const 4))) "x")
          (func $f))"#;
    let artifact = compile_text(text);
    let outline = outline_of_init_data(&AotFile::read(&artifact.aot));
    for line in [
        "global type 0x7f mutable 0 0x41 13\n",
        "global type 0x7e mutable 0 0x42 9223372036854775809\n",
        "elements mode 0 type 0x70 table 0 offset 0x41 3: 0xd2 0\n",
        "data passive 0 memory 0 offset 0x41 64 \"x\"\n",
    ] {
        assert!(outline.contains(line), "{line} in {outline}");
    }
    assert_eq!(aot_compiler::census(&wasm(text)).unwrap().proposals, ["extended-const"]);
}

#[test]
fn a_module_without_memory_gets_an_empty_one_that_wamr_needs() {
    let artifact = compile_text("(module (func (export \"f\")))");
    let file = AotFile::read(&artifact.aot);
    let outline = outline_of_init_data(&file);
    assert!(outline.starts_with("memory flags 1 page 65536 initial 0 max 0\n"), "{outline}");
}

#[test]
fn an_imported_start_function_is_called_by_an_added_one() {
    let artifact = compile_text(r#"(module (import "env" "go" (func $go)) (start $go))"#);
    let file = AotFile::read(&artifact.aot);
    let outline = outline_of_init_data(&file);
    assert!(outline.ends_with("functions 1 start 1\n"), "{outline}");
    assert_eq!(artifact.function_count, 0);
}

#[test]
fn functions_start_at_multiples_of_16_with_the_smallest_equal_type() {
    for (target, bounds_checks) in all_targets() {
        let options = CompileOptions::new(bounds_checks);
        let artifact = compile(&wasm(EVERYTHING), target, &options).unwrap();
        let file = AotFile::read(&artifact.aot);
        let mut text = file.section(2);
        assert_eq!(text.u32(), 12, "literals make the code begin at a multiple of 16");
        assert_eq!(text.take(12), [0; 12]);
        let code = text.rest();
        assert_eq!(code.len() as u64, artifact.code_bytes);
        let mut functions = file.section(3);
        for _ in 0..4 {
            let offset = functions.u64();
            assert!(offset.is_multiple_of(16) && offset < code.len() as u64, "{offset:#x}");
        }
        let types: Vec<u32> = (0..4).map(|_| functions.u32()).collect();
        assert_eq!(types, [0, 2, 0, 3]);
        assert_eq!(functions.rest(), [0; 32], "frame sizes of an interpreter's kind");
    }
}

#[test]
fn exports_keep_kind_index_and_name() {
    let artifact = compile_text(EVERYTHING);
    let file = AotFile::read(&artifact.aot);
    let mut section = file.section(4);
    let mut found = Vec::new();
    for _ in 0..section.u32() {
        section.align(4);
        let (index, kind) = (section.u32(), section.u8());
        assert_eq!(section.u8(), 0);
        found.push((section.string(), kind, index));
    }
    assert!(section.is_at_end());
    let found: Vec<_> = found.iter().map(|(name, kind, index)| (&**name, *kind, *index)).collect();
    let expected = [
        ("memory", 2, 0),
        ("table", 1, 0),
        ("count", 3, 0),
        ("work", 0, 2),
        ("pairs", 0, 3),
        ("bulk", 0, 4),
    ];
    assert_eq!(found, expected);
}

#[test]
fn relocations_are_calls_of_the_helpers_in_use() {
    for (target, bounds_checks) in all_targets() {
        let options = CompileOptions::new(bounds_checks);
        let artifact = compile(&wasm(EVERYTHING), target, &options).unwrap();
        let file = AotFile::read(&artifact.aot);
        let relocations = read_relocations(&file);
        // PLT32 with the displacement from the end; CALL26; CALL_PLT.
        let expected = match target.aot.e_machine {
            62 => (4, -4),
            183 => (283, 0),
            _ => (19, 0),
        };
        for (offset, addend, kind, _) in &relocations.entries {
            assert_eq!((*kind, *addend), expected);
            assert!(*offset < artifact.code_bytes);
        }
        let expected = [
            ".rela.text",
            "aot_set_exception_with_id",
            "aot_invoke_native",
            "aot_enlarge_memory",
            "aot_memory_init",
            "aot_data_drop",
            "aot_table_init",
            "aot_table_grow",
            "aot_drop_table_seg",
            "memset",
            "memmove",
        ];
        assert_eq!(relocations.symbols, expected, "{}", target.id);
    }
}

#[test]
fn a_module_that_calls_no_helper_has_an_empty_relocation_section() {
    let options = CompileOptions::new(target_spec::BoundsChecks::Hardware);
    let module = wasm("(module (func (export \"f\") (result i32) (i32.const 1)))");
    let artifact = compile(&module, support::x86_64(), &options).unwrap();
    let relocations = read_relocations(&AotFile::read(&artifact.aot));
    assert!(relocations.symbols.is_empty() && relocations.entries.is_empty());
}

#[test]
fn the_note_tells_target_mode_features_and_compiler() {
    for (target, bounds_checks) in all_targets() {
        let options = CompileOptions::new(bounds_checks);
        let artifact = compile(&wasm("(module)"), target, &options).unwrap();
        let file = AotFile::read(&artifact.aot);
        let mut note = file.section(100);
        assert_eq!(note.u32(), 0, "raw");
        assert_eq!(note.string(), SECTION_NAME);
        let profile = AotProfile::from_bytes(note.rest()).unwrap();
        let expected = AotProfile {
            target: target.id.clone(),
            bounds_checks,
            cpu_features: target.cpu_features.clone(),
            compiler: COMPILER_ID.to_owned(),
            policy: CodePolicy::default(),
        };
        assert_eq!(profile, expected);
    }
}

struct Relocations {
    symbols: Vec<String>,
    entries: Vec<(u64, i64, u32, u32)>,
}

#[track_caller]
fn read_relocations(file: &AotFile) -> Relocations {
    let mut section = file.section(5);
    let offsets: Vec<u32> = (0..section.u32()).map(|_| section.u32()).collect();
    let pool_length = section.u32() as usize;
    let pool = section.take(pool_length).to_vec();
    let mut strings = support::Reader::new(&pool);
    let mut symbols = Vec::new();
    for offset in offsets {
        strings.align(2);
        assert_eq!(strings.at, offset as usize, "symbols lie without gaps");
        symbols.push(strings.string());
    }
    strings.align(2);
    assert_eq!(strings.at, pool_length, "the pool ends with its last symbol");
    let mut entries = Vec::new();
    for _ in 0..section.u32() {
        assert_eq!(section.u32(), 0, "the group is .rela.text");
        for _ in 0..section.u32() {
            section.align(4);
            let (offset, addend) = (section.u64(), section.u64() as i64);
            entries.push((offset, addend, section.u32(), section.u32()));
        }
    }
    assert!(section.is_at_end());
    Relocations { symbols, entries }
}

fn outline_of_init_data(file: &AotFile) -> String {
    let mut section = file.section(1);
    let s = &mut section;
    let mut out = String::new();
    assert_eq!((s.u32(), s.u32()), (0, 1), "no imported memory, one own");
    let (flags, page, initial, max) = (s.u32(), s.u32(), s.u32(), s.u32());
    writeln!(out, "memory flags {flags} page {page} initial {initial} max {max}").unwrap();
    for _ in 0..s.u32() {
        let (passive, memory, offset) = (s.u32(), s.u32(), s.expr());
        let length = s.u32() as usize;
        let bytes = String::from_utf8_lossy(s.take(length)).into_owned();
        writeln!(out, "data passive {passive} memory {memory} offset {offset} {bytes:?}").unwrap();
    }
    assert_eq!(s.u32(), 0, "imported tables");
    for _ in 0..s.u32() {
        let (ty, flags, grows, _) = (s.u8(), s.u8(), s.u8(), s.u8());
        let (initial, max) = (s.u32(), s.u32());
        writeln!(out, "table type {ty:#x} flags {flags} grows {grows} initial {initial} max {max}")
            .unwrap();
    }
    for _ in 0..s.u32() {
        let (mode, ty, table, offset) = (s.u32(), s.u32(), s.u32(), s.expr());
        assert_eq!((u32::from(s.u16()), s.u16(), s.u32()), (ty, 0, 0));
        let entries: Vec<String> = (0..s.u32()).map(|_| s.expr()).collect();
        let entries = entries.join(", ");
        writeln!(out, "elements mode {mode} type {ty:#x} table {table} offset {offset}: {entries}")
            .unwrap();
    }
    for _ in 0..s.u32() {
        s.align(4);
        let (kind, params, results) = (s.u16(), s.u16(), s.u16());
        let (params, results) = (s.take(params.into()), s.take(results.into()));
        writeln!(out, "type {kind} {params:02x?} -> {results:02x?}").unwrap();
    }
    assert_eq!(s.u32(), 0, "imported globals");
    for _ in 0..s.u32() {
        s.align(4);
        let (ty, mutable, value) = (s.u8(), s.u8(), s.expr());
        writeln!(out, "global type {ty:#x} mutable {mutable} {value}").unwrap();
    }
    for _ in 0..s.u32() {
        let (ty, module, name) = (s.u16(), s.string(), s.string());
        writeln!(out, "import type {ty} {module}.{name}").unwrap();
    }
    writeln!(out, "functions {} start {}", s.u32(), s.u32() as i32).unwrap();
    let aux =
        [s.u32(), s.u32(), s.u32(), s.u32(), s.u32(), s.u32(), s.u32(), s.u32(), s.u32(), s.u32()];
    assert_eq!(aux, [u32::MAX, 0, 0, u32::MAX, 0, 0, u32::MAX, 0, 0, 0], "no C stack or heap");
    assert_eq!(s.u32(), 0, "object data sections");
    assert!(s.is_at_end());
    out
}
