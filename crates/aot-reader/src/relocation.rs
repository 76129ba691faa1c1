//! Section 5: what the loader completes (`load_relocation_section`,
//! `validate_symbol_table`).

use crate::cursor::Cursor;
use crate::error::{Problem, ReadError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// From the start of the group's section; of the code for `.rela.text`.
    pub offset: u64,
    pub addend: i64,
    /// ELF's number, whose meaning depends on the machine.
    pub kind: u32,
    /// Among [`Relocations::symbols`].
    pub symbol_index: u32,
}

/// What ELF calls a kind of relocation on a machine, of those that WAMR's loader knows
/// (`aot/arch/aot_reloc_*.c`).
pub fn relocation_kind_name(e_machine: u16, kind: u32) -> Option<&'static str> {
    Some(match (e_machine, kind) {
        (62, 1) => "R_X86_64_64",
        (62, 2) => "R_X86_64_PC32",
        (62, 4) => "R_X86_64_PLT32",
        (62, 9) => "R_X86_64_GOTPCREL",
        (62, 10) => "R_X86_64_32",
        (62, 11) => "R_X86_64_32S",
        (62, 24) => "R_X86_64_PC64",
        (183, 275) => "R_AARCH64_ADR_PREL_PG_HI21",
        (183, 277) => "R_AARCH64_ADD_ABS_LO12_NC",
        (183, 282) => "R_AARCH64_JUMP26",
        (183, 283) => "R_AARCH64_CALL26",
        (183, 286) => "R_AARCH64_LDST64_ABS_LO12_NC",
        (243, 1) => "R_RISCV_32",
        (243, 2) => "R_RISCV_64",
        (243, 18) => "R_RISCV_CALL",
        (243, 19) => "R_RISCV_CALL_PLT",
        (243, 23) => "R_RISCV_PCREL_HI20",
        (243, 24) => "R_RISCV_PCREL_LO12_I",
        (243, 25) => "R_RISCV_PCREL_LO12_S",
        _ => return None,
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelocationGroup<'a> {
    /// `.rela.text`, or of an object data section.
    pub name: &'a str,
    pub relocations: Vec<Relocation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocations<'a> {
    /// Names of groups too.
    pub symbols: Vec<&'a str>,
    pub groups: Vec<RelocationGroup<'a>>,
}

impl<'a> Relocations<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>, is_64_bit: bool) -> Result<Self, ReadError> {
        let symbols = read_symbols(cursor)?;
        let groups =
            cursor.list("the relocations", |cursor| read_group(cursor, &symbols, is_64_bit))?;
        Ok(Self { symbols, groups })
    }

    /// Those of the code.
    pub fn of_text(&self) -> impl Iterator<Item = &Relocation> {
        let groups = self.groups.iter().filter(|group| is_of_text(group.name));
        groups.flat_map(|group| &group.relocations)
    }

    pub fn symbol(&self, relocation: &Relocation) -> &'a str {
        // In range: `read_group` refused others.
        self.symbols.get(relocation.symbol_index as usize).copied().unwrap_or_default()
    }
}

/// `is_text_section` in the loader.
fn is_of_text(group: &str) -> bool {
    matches!(group, ".rela.text" | ".rel.text" | ".rela.ltext")
}

/// Strings in a pool, each at a multiple of 2, without gaps, in the order of their
/// offsets; so they are read one after the other and the offsets compared.
fn read_symbols<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<&'a str>, ReadError> {
    const WHAT: &str = "the symbols";
    let offsets = cursor.list(WHAT, |cursor| Ok((cursor.offset(), cursor.u32(WHAT)?)))?;
    let pool_bytes = cursor.u32(WHAT)? as usize;
    let pool_start = cursor.offset();
    let mut symbols = Vec::new();
    for (at, offset) in offsets {
        cursor.align(2);
        let found = cursor.offset() - pool_start;
        if offset as usize != found {
            let (what, limit) = ("offset of a symbol", found as u64);
            let problem = Problem::OutOfRange { what, found: offset.into(), limit };
            return Err(cursor.damaged_at(at, problem));
        }
        symbols.push(cursor.string(WHAT)?);
    }
    cursor.align(2);
    let found = cursor.offset() - pool_start;
    if found != pool_bytes {
        let (what, limit) = ("end of the symbols", found as u64);
        let problem = Problem::OutOfRange { what, found: pool_bytes as u64, limit };
        return Err(cursor.damaged(problem));
    }
    Ok(symbols)
}

fn read_group<'a>(
    cursor: &mut Cursor<'a>,
    symbols: &[&'a str],
    is_64_bit: bool,
) -> Result<RelocationGroup<'a>, ReadError> {
    const WHAT: &str = "a group of relocations";
    let name_index = read_symbol_index(cursor, symbols)?;
    let name = symbols.get(name_index as usize).copied().unwrap_or_default();
    let relocations = cursor.list(WHAT, |cursor| {
        Ok(Relocation {
            offset: cursor.word(is_64_bit, WHAT)?,
            addend: match is_64_bit {
                true => cursor.u64(WHAT)? as i64,
                false => (cursor.u32(WHAT)? as i32).into(),
            },
            kind: cursor.u32(WHAT)?,
            symbol_index: read_symbol_index(cursor, symbols)?,
        })
    })?;
    Ok(RelocationGroup { name, relocations })
}

fn read_symbol_index(cursor: &mut Cursor<'_>, symbols: &[&str]) -> Result<u32, ReadError> {
    cursor.align(4);
    let at = cursor.offset();
    let index = cursor.u32("a symbol's index")?;
    let limit = symbols.len() as u64;
    if u64::from(index) >= limit {
        let what = "index of a symbol";
        return Err(cursor.damaged_at(at, Problem::OutOfRange { what, found: index.into(), limit }));
    }
    Ok(index)
}
