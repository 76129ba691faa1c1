//! A Wasm module → the same module that counts what it does, in gas.
//!
//! The result is plain Wasm, so every code generator and interpreter meters alike;
//! our own compiler recognises it (`recognise`) and keeps the counter in a register.
//! `docs/metering.md` is the specification.
//!
//! ```text
//! charge_points  a body → where a charge goes and how much   cost_table  how much
//! rewrite        the module with these and what they need     recognise   back again
//! ```
//!
//! What is added comes last in its index space, so that nothing of the module is
//! renumbered: two exported globals, one function, one scratch local where a charge
//! depends on an operand. `start` becomes an export, because code must not run before
//! the host has set a limit.

mod charge_points;
pub(crate) mod cost_table;
pub(crate) mod recognise;
mod rewrite;

pub use cost_table::COST_TABLE_VERSION;
pub(crate) use rewrite::lead_back;

use crate::error::ModuleError;
use crate::intake::{self, ElementMode, ModuleInfo, ReadModule};
use cost_table::{BULK_BYTES_PER_UNIT, MEMORY_PAGE, TABLE_SLOT};
use target_spec::metering::MeteringNote;

/// A module that counts its gas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeteredModule {
    pub wasm: Vec<u8>,
    /// What the module says of itself in the section `farrier.metering`.
    pub note: MeteringNote,
}

/// Adds gas metering to a module, or refuses it as `compile` would.
///
/// The same module always gives the same bytes. Refused is also what exports a name
/// that metering needs for itself, such as a module that was metered before.
pub fn meter(wasm: &[u8]) -> Result<MeteredModule, ModuleError> {
    let ReadModule { info, .. } = intake::read_module(wasm)?;
    rewrite::rewrite(wasm, &info)
}

/// The charge for what instantiation allocates and copies. Cannot overflow: each term
/// is limited by intake, pages to 2^16.
fn instantiation_gas(info: &ModuleInfo<'_>) -> u64 {
    let pages = info.memory.map_or(0, |memory| u64::from(memory.initial_pages));
    let slots: u64 = info.tables.iter().map(|table| u64::from(table.initial)).sum();
    let data = info.data.iter().filter(|segment| segment.offset.is_some());
    let data: u64 = data.map(|segment| segment.bytes.len() as u64 / BULK_BYTES_PER_UNIT).sum();
    let is_active = |mode: &ElementMode| matches!(mode, ElementMode::Active { .. });
    let elements = info.elements.iter().filter(|segment| is_active(&segment.mode));
    let elements: u64 = elements.map(|segment| segment.entries.len() as u64).sum();
    pages * MEMORY_PAGE + data + (slots + elements) * TABLE_SLOT
}

#[cfg(test)]
mod tests;
