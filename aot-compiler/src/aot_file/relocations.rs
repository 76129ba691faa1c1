//! Section 5: the calls of helpers that the loader completes (`aot/aot_loader.c`,
//! `load_relocation_section` and `validate_symbol_table`).
//!
//! Symbols are strings in a pool, each at a multiple of 2, in the order of their
//! offsets and without gaps. One group holds all relocations of the text section.

use super::writer::SectionWriter;
use crate::abi::Helper;
use crate::link::{Relocation, RelocationKind};
use std::collections::BTreeMap;

/// The group's name, which is the first symbol.
const TEXT_GROUP: &str = ".rela.text";

pub(super) fn write(relocations: &[Relocation], kind: &RelocationKind) -> SectionWriter {
    let mut out = SectionWriter::new();
    if relocations.is_empty() {
        out.u32(0); // symbols
        out.u32(0); // bytes of the pool
        out.u32(0); // groups
        return out;
    }
    let mut helpers: BTreeMap<Helper, u32> = relocations.iter().map(|r| (r.helper, 0)).collect();
    let mut symbols = vec![TEXT_GROUP];
    for (helper, index) in &mut helpers {
        *index = symbols.len() as u32;
        symbols.push(helper.symbol());
    }
    write_symbols(&mut out, &symbols);
    out.u32(1); // groups
    out.u32(0); // the group's name
    out.u32(relocations.len() as u32);
    for relocation in relocations {
        out.u64(relocation.offset);
        out.u64(kind.addend as u64);
        out.u32(kind.number);
        out.u32(helpers[&relocation.helper]);
    }
    out
}

fn write_symbols(out: &mut SectionWriter, symbols: &[&str]) {
    let mut pool = SectionWriter::new();
    out.u32(symbols.len() as u32);
    for symbol in symbols {
        pool.align(2);
        out.u32(pool.len());
        pool.string(symbol);
    }
    // The pool must end where its last string does, which counts as padded.
    pool.align(2);
    out.u32(pool.len());
    out.bytes(&pool.into_bytes());
}
