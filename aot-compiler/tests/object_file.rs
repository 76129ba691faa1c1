//! The ELF relocatable, read back by the crate `object` and by objdump.

mod support;

use aot_compiler::{CompileOptions, compile, compile_object};
use object::read::elf::ElfFile64;
use object::{FileFlags, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget};
use std::io::Write;
use std::process::{Command, Stdio};
use support::{all_targets, wasm};
use target_spec::{BoundsChecks, Registry, Target};

const NAMED: &str = r#"
(module
  (import "env" "log" (func $log (param i32)))
  (memory 1)
  ;; Referred to, so that it stays although its only call is inlined.
  (elem declare func $add_up 3)
  (func $add_up (param i32) (result i32)
    (call $log (local.get 0))
    (i32.load (local.get 0)))
  (func (export "run") (param i32) (result i32)
    (local $i i32)
    (memory.fill (i32.const 0) (i32.const 1) (local.get 0))
    (loop $again
      (local.set $i (i32.add (call $add_up (local.get $i)) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (local.get 0))))
    (local.get $i))
  (func (result i32) (i32.const 7)))
"#;

/// What a relocation of a call is called in ELF, by target architecture.
fn call_kind(target: &Target) -> (u32, i64) {
    match target.aot.e_machine {
        62 => (4, -4),   // R_X86_64_PLT32
        183 => (283, 0), // R_AARCH64_CALL26
        243 => (19, 0),  // R_RISCV_CALL_PLT
        other => panic!("machine {other}"),
    }
}

#[test]
fn functions_helpers_and_relocations_stand_in_the_object_of_each_target() {
    for (target, bounds_checks) in all_targets() {
        let options = CompileOptions::new(bounds_checks);
        let bytes = compile_object(&wasm(NAMED), target, &options).unwrap().elf;
        let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).unwrap();
        let header_machine = file.elf_header().e_machine.get(object::Endianness::Little);
        assert_eq!(header_machine.0, target.aot.e_machine);
        let FileFlags::Elf { e_flags, .. } = file.flags() else { panic!() };
        assert_eq!(e_flags.0, target.aot.e_flags, "{}", target.id);

        let text = file.section_by_name(".text").unwrap();
        let code = text.data().unwrap();
        // Named in the module, exported, neither.
        for name in ["add_up", "run", "wasm-function[3]"] {
            let symbol = file.symbol_by_name(name).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(symbol.section_index(), Some(text.index()));
            assert!(symbol.size() > 0 && symbol.address() + symbol.size() <= code.len() as u64);
        }
        let relocations: Vec<_> = text.relocations().collect();
        let mut helpers: Vec<_> = Vec::new();
        for (offset, relocation) in &relocations {
            assert!(*offset + 4 <= code.len() as u64);
            let RelocationFlags::Elf { r_type } = relocation.flags() else { panic!() };
            assert_eq!((r_type.0, relocation.addend()), call_kind(target));
            let RelocationTarget::Symbol(index) = relocation.target() else { panic!() };
            let symbol = file.symbol_by_index(index).unwrap();
            assert!(symbol.is_undefined());
            helpers.push(symbol.name().unwrap().to_owned());
        }
        assert!(helpers.iter().any(|name| name == "aot_invoke_native"), "{helpers:?}");
        assert!(helpers.iter().any(|name| name == "memset"), "{helpers:?}");
    }
}

#[test]
fn the_object_holds_the_code_of_the_aot_file() {
    for (target, bounds_checks) in all_targets() {
        let options = CompileOptions::new(bounds_checks);
        let aot = compile(&wasm(NAMED), target, &options).unwrap();
        let bytes = compile_object(&wasm(NAMED), target, &options).unwrap().elf;
        let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).unwrap();
        let code = file.section_by_name(".text").unwrap().data().unwrap();
        assert_eq!(code.len() as u64, aot.code_bytes);
        assert!(aot.aot.windows(code.len()).any(|window| window == code), "{}", target.id);
    }
}

#[test]
fn a_module_without_code_becomes_an_object_without_functions() {
    for (target, bounds_checks) in all_targets() {
        let options = CompileOptions::new(bounds_checks);
        let bytes = compile_object(&wasm("(module)"), target, &options).unwrap().elf;
        let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).unwrap();
        assert_eq!(file.symbols().filter(|symbol| symbol.is_definition()).count(), 0);
    }
}

/// The custom section "name" may hold anything.
#[test]
fn a_damaged_name_section_costs_names_and_nothing_else() {
    let mut module = wasm("(module (func $f (export \"shown\")))");
    let at = module.windows(4).position(|window| window == b"name").unwrap();
    // The subsection's size becomes larger than the section.
    module[at + 5] = 0x7f;
    let (target, bounds_checks) = all_targets()[0];
    let bytes = compile_object(&module, target, &CompileOptions::new(bounds_checks)).unwrap().elf;
    let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).unwrap();
    assert!(file.symbol_by_name("shown").is_some());
}

/// binutils come with gcc, which links these tests; they know this machine's code.
#[test]
fn objdump_shows_functions_by_name() {
    let options = CompileOptions::new(BoundsChecks::Software);
    let target = Registry::built_in().find(&format!("{}-linux", std::env::consts::ARCH)).unwrap();
    let bytes = compile_object(&wasm(NAMED), target, &options).unwrap().elf;
    let path = std::env::temp_dir().join(format!("farrier-object-{}.o", std::process::id()));
    std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
    let output = Command::new("objdump").arg("-dr").arg(&path).stdin(Stdio::null()).output();
    std::fs::remove_file(&path).unwrap();
    let output = output.expect("objdump of binutils");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for expected in ["<add_up>:", "<run>:", "<wasm-function[3]>:", "memset"] {
        assert!(text.contains(expected), "no {expected} in: {text}");
    }
}
