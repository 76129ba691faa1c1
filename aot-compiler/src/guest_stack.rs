//! Finds the stack that compilers of C and Rust keep in linear memory, and its size.
//!
//! LLVM's convention (tool-conventions, `BasicCABI.md` and `Linking.md`): a mutable
//! i32 global called `__stack_pointer` begins at the top of the stack, and the stack
//! grows down. Either the linker puts it first, then it reaches down to 0, or behind
//! the data, then it ends at `__data_end`. Where neither is certain there is no answer.

use crate::intake::{ConstValue, ModuleInfo};
use wasmparser::{
    BinaryReader, ExternalKind, KnownCustom, Name, Operator, Parser, Payload, ValType,
};

const STACK_POINTER: &str = "__stack_pointer";
const DATA_END: &str = "__data_end";

/// The ABI aligns the stack so.
const STACK_ALIGN_BYTES: u32 = 16;

/// Operators of a function that can belong to its prologue.
const PROLOGUE_OPERATORS: usize = 8;

pub(crate) fn guest_stack_bytes(wasm: &[u8], info: &ModuleInfo<'_>) -> Option<u64> {
    let pointer = exported_global(info, STACK_POINTER)
        .or_else(|| global_of_name(wasm, STACK_POINTER))
        .or_else(|| global_that_prologues_lower(info))?;
    let top = initial_i32(info, pointer).filter(|_| info.globals[pointer as usize].mutable)?;
    let lowest_data = info.data.iter().filter_map(|segment| match segment.offset {
        Some(ConstValue::I32(offset)) if !segment.bytes.is_empty() => Some(offset),
        _ => None,
    });
    if lowest_data.min().is_none_or(|lowest| lowest >= top) {
        return Some(top.into());
    }
    let data_end = initial_i32(info, exported_global(info, DATA_END)?)?;
    let bottom = data_end.checked_next_multiple_of(STACK_ALIGN_BYTES)?;
    top.checked_sub(bottom).map(u64::from)
}

fn exported_global(info: &ModuleInfo<'_>, name: &str) -> Option<u32> {
    let is_it = |export: &&crate::intake::ExportEntry<'_>| {
        export.kind == ExternalKind::Global && export.name == name
    };
    info.exports.iter().find(is_it).map(|export| export.index)
}

fn initial_i32(info: &ModuleInfo<'_>, global: u32) -> Option<u32> {
    match info.globals.get(global as usize)?.value? {
        ConstValue::I32(value) => Some(value),
        _ => None,
    }
}

/// From the section for debuggers, which says what it likes: an index that is none
/// is refused by the caller.
fn global_of_name(wasm: &[u8], wanted: &str) -> Option<u32> {
    for payload in Parser::new(0).parse_all(wasm) {
        let Ok(Payload::CustomSection(section)) = payload else { continue };
        let KnownCustom::Name(names) = section.as_known() else { continue };
        for subsection in names {
            let Ok(Name::Global(globals)) = subsection else { continue };
            let found = globals.into_iter().find(|n| n.as_ref().is_ok_and(|n| n.name == wanted));
            if let Some(Ok(naming)) = found {
                return Some(naming.index);
            }
        }
    }
    None
}

/// Without names: the first own global, if it could be a stack's top and some function
/// begins by taking room from it, `global.get; i32.const; i32.sub`.
fn global_that_prologues_lower(info: &ModuleInfo<'_>) -> Option<u32> {
    let own = info.globals.iter().position(|global| global.value.is_some())?;
    let global = &info.globals[own];
    let pointer = own as u32;
    let top = initial_i32(info, pointer)?;
    let memory_bytes =
        info.memory.map_or(0, |m| u64::from(m.initial_pages) * crate::intake::WASM_PAGE_BYTES);
    let could_be = global.mutable
        && global.ty == ValType::I32
        && top > 0
        && top.is_multiple_of(STACK_ALIGN_BYTES)
        && u64::from(top) <= memory_bytes;
    let is_lowered = || info.bodies.iter().any(|body| lowers(body.as_bytes(), pointer));
    (could_be && is_lowered()).then_some(pointer)
}

fn lowers(body: &[u8], pointer: u32) -> bool {
    let body = wasmparser::FunctionBody::new(BinaryReader::new(body, 0));
    let Ok(mut operators) = body.get_operators_reader() else { return false };
    let mut matched = 0;
    for _ in 0..PROLOGUE_OPERATORS {
        let Ok(operator) = operators.read() else { return false };
        matched = match (matched, operator) {
            (_, Operator::GlobalGet { global_index }) if global_index == pointer => 1,
            (1, Operator::I32Const { .. }) => 2,
            (2, Operator::I32Sub) => return true,
            _ => 0,
        };
    }
    false
}
