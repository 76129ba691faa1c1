//! Where a module trapped: from the word that compiled code leaves for the host to the
//! function and the offset in the module as it was uploaded.
//!
//! A word is the place, an offset in the module that was compiled, with the number of the
//! exception above it. A metered module's places are led back through the charges that
//! were put into it. Nothing has to be kept for that: the module itself is the table.

use crate::abi::TrapId;
use crate::error::ModuleError;
use crate::instrument;
use crate::intake::{self, ModuleInfo, ReadModule};
use crate::object_file::function_names;

/// Places take the lower bits: offsets below 64 MiB.
pub(crate) const PLACE_BITS: u32 = 26;
const PLACE_MAX: u32 = (1 << PLACE_BITS) - 1;

/// What code leaves; a place that does not fit is left out.
pub(crate) fn word(id: u32, place: u32) -> u32 {
    id << PLACE_BITS | if place <= PLACE_MAX { place } else { 0 }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapPlace {
    /// By its index among all functions, imported ones first.
    pub function: u32,
    /// From the name section, else what it is exported as.
    pub name: Option<String>,
    /// Of the instruction in the module's file; None where the trap belongs to the function
    /// as a whole: its stack, its gas.
    pub offset: Option<u64>,
    /// It trapped for an access to memory.
    pub is_access: bool,
}

/// The place that a word's lower bits tell; None where they tell none.
pub fn find(wasm: &[u8], is_metered: bool, word: u32) -> Result<Option<TrapPlace>, ModuleError> {
    let place = u64::from(word & PLACE_MAX);
    let ReadModule { info, .. } = intake::read_module(wasm)?;
    let found = match is_metered {
        false => find_in(&info, place),
        true => {
            let metered = instrument::meter(wasm)?.wasm;
            let ReadModule { info: metered, .. } = intake::read_module(&metered)?;
            let lead_back = |(own_index, offset)| {
                let offset = instrument::lead_back(&info, own_index, offset)?;
                Ok::<_, ModuleError>((own_index, offset))
            };
            find_in(&metered, place).map(lead_back).transpose()?
        }
    };
    // The function that takes charges is not the module's own.
    let found = found.filter(|(own_index, _)| (*own_index as usize) < info.bodies.len());
    Ok(found.map(|(own_index, offset)| {
        let function = info.imported_function_count() + own_index;
        let names = function_names(wasm, &info);
        let start = info.bodies[own_index as usize].range().start;
        TrapPlace {
            function,
            name: names.get(&function).map(|name| (*name).to_owned()),
            offset: (offset > 0).then(|| start + offset),
            is_access: word >> PLACE_BITS == TrapId::OutOfBoundsMemory as u32,
        }
    }))
}

/// The own function with this place, and the offset in its body.
fn find_in(info: &ModuleInfo<'_>, place: u64) -> Option<(u32, u64)> {
    let mut bodies = (0..).zip(&info.bodies);
    let (own_index, body) = bodies.find(|(_, body)| body.range().contains(&place))?;
    Some((own_index, place - body.range().start))
}
