//! Finds where the stack begins that compilers of C and Rust keep in linear memory.
//!
//! LLVM's convention (tool-conventions, `BasicCABI.md`): a mutable i32 global called
//! `__stack_pointer` begins at the top of the stack, which grows down. Names are often
//! stripped; then it is the first own global, if some function begins by taking room
//! from it.

use crate::read::Module;
use wasmparser::{
    BinaryReader, ExternalKind, FunctionBody, Name, NameSectionReader, Operator, ValType,
};

const STACK_POINTER: &str = "__stack_pointer";

/// The ABI aligns the stack so.
const STACK_ALIGN_BYTES: u32 = 16;

/// Operators of a function that can belong to its prologue.
const PROLOGUE_OPERATORS: usize = 8;

/// The global's index, if the module has such a stack.
pub fn find(module: &Module<'_>, value_of: impl Fn(u32) -> Option<u32>) -> Option<u32> {
    let first_own = (module.global_types.len() - module.globals.len()) as u32;
    let is_i32 = |global: u32| {
        let ty = module.global_types.get(global as usize);
        ty.is_some_and(|ty| ty.mutable && ty.content_type == ValType::I32)
    };
    let is_called_so =
        module.exported(STACK_POINTER, ExternalKind::Global).or_else(|| named(module));
    if let Some(global) = is_called_so.filter(|g| *g >= first_own && is_i32(*g)) {
        return Some(global);
    }
    let could_be = is_i32(first_own)
        && value_of(first_own).is_some_and(|top| top > 0 && top.is_multiple_of(STACK_ALIGN_BYTES));
    let is_lowered = || module.bodies.iter().any(|body| lowers(body, first_own));
    (could_be && is_lowered()).then_some(first_own)
}

fn named(module: &Module<'_>) -> Option<u32> {
    let sections = module.customs.iter().filter(|(name, _)| *name == crate::names::SECTION);
    for (_, data) in sections {
        for subsection in NameSectionReader::new(BinaryReader::new(data, 0)) {
            let Ok(Name::Global(globals)) = subsection else { continue };
            let found = globals.into_iter().flatten().find(|naming| naming.name == STACK_POINTER);
            if let Some(naming) = found {
                return Some(naming.index);
            }
        }
    }
    None
}

/// `global.get; i32.const; i32.sub`. The compiler looks for the same in its own input,
/// which this crate cannot see (`aot-compiler/src/guest_stack.rs`).
fn lowers(body: &FunctionBody<'_>, pointer: u32) -> bool {
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
