//! Machine code → an ELF relocatable with names, for `farrier compile --emit object`.
//!
//! A function is called what the module's name section says, else what it is exported
//! as, else `wasm-function[N]`, N counting the imported functions too. Code that comes
//! with a function or a type says what it is behind a `$`: `run$host_entry`. Calls
//! between own functions are resolved already; those of the runtime's helpers are
//! relocations to undefined symbols, as in the AoT file.

use crate::aot_file::AotParts;
use crate::error::CompileError;
use crate::intake::ModuleInfo;
use crate::link::{self, Piece};
use elf_object::{Function, Machine, ObjectError, OpenCall};
use std::collections::BTreeMap;
use wasmparser::{ExternalKind, KnownCustom, Name, Parser, Payload};

pub(crate) fn write(wasm: &[u8], parts: &AotParts<'_>) -> Result<Vec<u8>, CompileError> {
    let names = function_names(wasm, parts.info);
    let pieces: Vec<_> = parts.text.pieces.iter().collect();
    let labels: Vec<String> =
        pieces.iter().map(|(piece, _)| label(*piece, parts.info, &names)).collect();
    let functions = labels.iter().zip(&pieces);
    let functions: Vec<_> =
        functions.map(|(name, (_, range))| Function { name, range: range.clone() }).collect();
    let kind = link::relocation_kind(parts.target.arch);
    let calls = parts.text.relocations.iter().map(|relocation| OpenCall {
        offset: relocation.offset,
        symbol: relocation.helper.symbol(),
        kind: kind.number,
        addend: kind.addend,
    });
    let aot = &parts.target.aot;
    let machine = Machine { e_machine: aot.e_machine, e_flags: aot.e_flags };
    let calls: Vec<_> = calls.collect();
    elf_object::write(machine, &parts.text.code, &functions, &calls).map_err(|error| match error {
        ObjectError::Machine(_) => CompileError::TargetCannot {
            target: parts.target.id.to_string(),
            why: error.to_string(),
        },
        ObjectError::Write(_) => CompileError::bug(error),
    })
}

/// By index among all functions. A name section that is damaged is worth as much as
/// was read of it: it is a custom section, so the module is valid all the same.
pub(crate) fn function_names<'m>(wasm: &'m [u8], info: &ModuleInfo<'m>) -> BTreeMap<u32, &'m str> {
    let functions = info.exports.iter().filter(|export| export.kind == ExternalKind::Func);
    // The first export of a function gives its name.
    let mut names: BTreeMap<u32, &str> = functions.rev().map(|e| (e.index, e.name)).collect();
    for payload in Parser::new(0).parse_all(wasm) {
        let Ok(Payload::CustomSection(section)) = payload else { continue };
        let KnownCustom::Name(subsections) = section.as_known() else { continue };
        for subsection in subsections {
            let Ok(Name::Function(map)) = subsection else { continue };
            names.extend(map.into_iter().map_while(Result::ok).map(|n| (n.index, n.name)));
        }
    }
    names
}

fn label(piece: Piece, info: &ModuleInfo<'_>, names: &BTreeMap<u32, &str>) -> String {
    let name = |own_index: u32| {
        let index = info.imported_function_count() + own_index;
        match names.get(&index) {
            Some(name) => (*name).to_owned(),
            None => format!("wasm-function[{index}]"),
        }
    };
    match piece {
        Piece::Body(index) => name(index),
        Piece::StackTest(index) => format!("{}$stack_test", name(index)),
        Piece::HostEntry(index) => format!("{}$host_entry", name(index)),
        Piece::Dispatcher(ty) => format!("call_indirect$type[{ty}]"),
    }
}
