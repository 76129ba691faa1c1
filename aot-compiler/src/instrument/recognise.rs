//! A module → how it meters itself, if it does exactly as `rewrite` makes it.
//!
//! What is found is what the code does, whoever made the module: the function's body
//! is compared byte for byte, so that compiling a call of it as "add, store, compare"
//! is right for any module. The note only says where to look.

use super::rewrite::{charge_body, charge_type};
use crate::intake::ModuleInfo;
use target_spec::metering::{MeteringNote, SECTION_NAME};
use wasmparser::{Parser, Payload, ValType};

/// The note of a module whose charging function is the known one.
pub(crate) fn recognise(wasm: &[u8], info: &ModuleInfo<'_>) -> Option<MeteringNote> {
    let note = find_note(wasm)?;
    let own_index = note.charge_function.checked_sub(info.imported_function_count())?;
    let body = info.bodies.get(own_index as usize)?;
    let is_known = *info.function_type(note.charge_function) == charge_type()
        && note.used_global != note.limit_global
        && is_counter(info, note.used_global)
        && is_counter(info, note.limit_global)
        && body.as_bytes() == charge_body(note.used_global, note.limit_global);
    is_known.then_some(note)
}

fn is_counter(info: &ModuleInfo<'_>, global: u32) -> bool {
    let global = info.globals.get(global as usize);
    global.is_some_and(|global| global.ty == ValType::I64 && global.mutable)
}

fn find_note(wasm: &[u8]) -> Option<MeteringNote> {
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CustomSection(section) = payload.ok()?
            && section.name() == SECTION_NAME
        {
            return MeteringNote::from_bytes(section.data()).ok();
        }
    }
    None
}
