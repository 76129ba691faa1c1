//! Machine code with the names of its functions and the calls that are open → an ELF
//! relocatable, so that objdump, perf and debuggers read what our compiler made.
//!
//! `farrier compile --emit object` fills it from a compilation, `farrier inspect
//! --object` from an AoT file. The file is for reading: its functions follow WAMR's
//! calling convention and its symbols are those of WAMR's runtime, so linking it into
//! a program gives nothing that runs.

use object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, FileFlags, RelocationFlags, SectionKind, SymbolFlags,
    SymbolKind, SymbolScope, elf,
};
use std::collections::BTreeMap;
use std::ops::Range;

/// What of ELF differs by processor: `e_machine` and `e_flags` of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    pub e_machine: u16,
    pub e_flags: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function<'a> {
    pub name: &'a str,
    /// Of the code.
    pub range: Range<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCall<'a> {
    /// Of the code.
    pub offset: u64,
    pub symbol: &'a str,
    /// ELF's number for this machine, such as `R_X86_64_PLT32`.
    pub kind: u32,
    pub addend: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    #[error(
        "ELF objects are made for x86-64, AArch64 and RISC-V with 64 bits, not for machine {0}"
    )]
    Machine(u16),
    #[error("write the object file: {0}")]
    Write(String),
}

/// Functions start at multiples of this in our compiler's code.
const CODE_ALIGNMENT: u64 = 16;

/// Writes the file. Functions keep their order; a name may occur twice, because
/// function names of Wasm may.
pub fn write(
    machine: Machine,
    code: &[u8],
    functions: &[Function<'_>],
    calls: &[OpenCall<'_>],
) -> Result<Vec<u8>, ObjectError> {
    let architecture = match elf::Machine(machine.e_machine) {
        elf::EM_X86_64 => Architecture::X86_64,
        elf::EM_AARCH64 => Architecture::Aarch64,
        elf::EM_RISCV => Architecture::Riscv64,
        _ => return Err(ObjectError::Machine(machine.e_machine)),
    };
    let mut object = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    object.flags = FileFlags::Elf {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_flags: elf::FileFlags(machine.e_flags),
    };
    let text = object.section_id(object::write::StandardSection::Text);
    object.append_section_data(text, code, CODE_ALIGNMENT);
    for function in functions {
        add_function(&mut object, text, function);
    }
    add_calls(&mut object, text, calls)?;
    // Without this section a linker believes that the code needs a stack on which
    // code can run.
    object.add_section(Vec::new(), b".note.GNU-stack".to_vec(), SectionKind::Other);
    object.write().map_err(|error| ObjectError::Write(error.to_string()))
}

/// All local: the names come from the module, and one called `memset` must not be
/// taken for the runtime's.
fn add_function(object: &mut Object<'_>, text: SectionId, function: &Function<'_>) {
    object.add_symbol(Symbol {
        name: elf_name(function.name),
        value: function.range.start,
        size: function.range.end.saturating_sub(function.range.start),
        kind: SymbolKind::Text,
        scope: SymbolScope::Compilation,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
}

fn add_calls(
    object: &mut Object<'_>,
    text: SectionId,
    calls: &[OpenCall<'_>],
) -> Result<(), ObjectError> {
    let mut symbols: BTreeMap<&str, SymbolId> = BTreeMap::new();
    for call in calls {
        let symbol = *symbols.entry(call.symbol).or_insert_with(|| {
            object.add_symbol(Symbol {
                name: elf_name(call.symbol),
                value: 0,
                size: 0,
                kind: SymbolKind::Text,
                scope: SymbolScope::Unknown,
                weak: false,
                section: SymbolSection::Undefined,
                flags: SymbolFlags::None,
            })
        });
        let flags = RelocationFlags::Elf { r_type: elf::RelocationType(call.kind) };
        let relocation = Relocation { offset: call.offset, symbol, addend: call.addend, flags };
        let added = object.add_relocation(text, relocation);
        added.map_err(|error| ObjectError::Write(error.to_string()))?;
    }
    Ok(())
}

/// ELF ends names at a NUL, which a name of Wasm may hold.
fn elf_name(name: &str) -> Vec<u8> {
    name.replace('\0', "\\0").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::read::elf::ElfFile64;
    use object::{Object as _, ObjectSection, ObjectSymbol, RelocationTarget};

    const RISCV: Machine = Machine { e_machine: 243, e_flags: 5 };

    fn example(machine: Machine, name: &str) -> Result<Vec<u8>, ObjectError> {
        let functions = [Function { name, range: 0..6 }, Function { name: "g", range: 16..20 }];
        let call = |offset| OpenCall { offset, symbol: "memset", kind: 19, addend: -4 };
        write(machine, &[0x13; 20], &functions, &[call(0), call(16)])
    }

    #[test]
    fn functions_calls_and_flags_are_read_back() {
        let bytes = example(RISCV, "f").unwrap();
        let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).unwrap();
        assert_eq!(file.architecture(), Architecture::Riscv64);
        assert!(matches!(file.flags(), FileFlags::Elf { e_flags, .. } if e_flags.0 == 5));
        let symbol = |name| file.symbol_by_name(name).unwrap();
        assert_eq!((symbol("f").address(), symbol("f").size()), (0, 6));
        assert_eq!((symbol("g").address(), symbol("g").size()), (16, 4));
        assert!(symbol("memset").is_undefined() && symbol("f").is_local());
        let text = file.section_by_name(".text").unwrap();
        assert_eq!(text.data().unwrap(), [0x13; 20]);
        let relocations: Vec<_> = text.relocations().collect();
        assert_eq!(relocations.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 16]);
        for (_, relocation) in relocations {
            assert_eq!(relocation.target(), RelocationTarget::Symbol(symbol("memset").index()));
            assert_eq!(relocation.addend(), -4);
            let kind = relocation.flags();
            assert!(matches!(kind, RelocationFlags::Elf { r_type } if r_type.0 == 19));
        }
        assert!(file.section_by_name(".note.GNU-stack").is_some());
    }

    #[test]
    fn a_name_with_a_nul_stays_one_name() {
        let bytes = example(RISCV, "a\0b").unwrap();
        let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).unwrap();
        assert!(file.symbol_by_name("a\\0b").is_some());
    }

    #[test]
    fn another_machine_is_refused() {
        let arm = Machine { e_machine: 40, e_flags: 0 };
        assert_eq!(example(arm, "f"), Err(ObjectError::Machine(40)));
    }
}
