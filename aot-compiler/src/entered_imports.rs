//! An imported function that the host may enter → an own function that calls it.
//!
//! WAMR cannot be asked to enter an imported function of an AoT module. As the start
//! function it is silently not run (`aot/aot_runtime.c`, `execute_start_function`
//! takes own functions only); as an export it is called with the wrong convention if
//! its host registered it with the raw one, and the process crashes (`aot_call_function`
//! there hands `func_ptr_linked` to `invoke_native_internal` in any case).

use crate::intake::ModuleInfo;
use std::collections::BTreeMap;
use wasm_encoder::{Function, Instruction};
use wasmparser::ExternalKind;

/// Exports and the start are led to the new functions, whose bodies are returned.
/// They come behind all others, so that no index changes.
pub(crate) fn wrap(info: &mut ModuleInfo<'_>) -> Vec<Vec<u8>> {
    let imported_count = info.imported_function_count();
    let exported = info.exports.iter().filter(|export| is_function(export.kind));
    let entered = exported.map(|export| export.index).chain(info.start);
    // In the order of their indices, so that the same module gives the same file.
    let mut wrappers: BTreeMap<u32, u32> =
        entered.filter(|index| *index < imported_count).map(|index| (index, 0)).collect();
    let mut bodies = Vec::with_capacity(wrappers.len());
    for (imported, wrapper) in &mut wrappers {
        *wrapper = info.function_types.len() as u32;
        bodies.push(call_of(*imported, info.function_type(*imported).params().len()));
        info.function_types.push(info.function_types[*imported as usize]);
    }
    for export in info.exports.iter_mut().filter(|export| is_function(export.kind)) {
        export.index = wrappers.get(&export.index).copied().unwrap_or(export.index);
    }
    info.start = info.start.map(|start| wrappers.get(&start).copied().unwrap_or(start));
    bodies
}

fn is_function(kind: ExternalKind) -> bool {
    matches!(kind, ExternalKind::Func | ExternalKind::FuncExact)
}

fn call_of(function: u32, param_count: usize) -> Vec<u8> {
    let mut body = Function::new([]);
    for param in 0..param_count as u32 {
        body.instruction(&Instruction::LocalGet(param));
    }
    body.instruction(&Instruction::Call(function));
    body.instruction(&Instruction::End);
    body.into_raw_body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_hands_on_all_parameters() {
        assert_eq!(call_of(200, 2), [0, 0x20, 0, 0x20, 1, 0x10, 0xc8, 1, 0x0b]);
    }
}
