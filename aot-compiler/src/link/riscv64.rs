//! Calls on RISC-V: `auipc` and `jalr`, the pair that `call` stands for.

use super::{RelocationKind, out_of_reach, word_at};
use crate::codegen::Call;
use crate::error::CompileError;
use cranelift_codegen::binemit::Reloc;

/// R_RISCV_CALL_PLT (`aot/arch/aot_reloc_riscv.c`). The loader adds to what the
/// fields hold.
pub(super) const RELOCATION: RelocationKind = RelocationKind { number: 19, addend: 0 };

const INSTRUCTION_BYTES: usize = 4;

/// The site is the `auipc`; the `jalr` follows it.
pub(super) fn is_call(call: &Call) -> bool {
    call.kind == Reloc::RiscvCallPlt && call.addend == RELOCATION.addend
}

pub(super) fn patch_call(
    code: &mut [u8],
    site: usize,
    displacement: i64,
) -> Result<(), CompileError> {
    let displacement = i32::try_from(displacement).map_err(|_| out_of_reach())?;
    // `jalr` adds its 12 bits with their sign, so the upper part is rounded.
    let high = displacement.checked_add(0x800).ok_or_else(out_of_reach)? & !0xfff;
    let low = displacement - high;
    let auipc = word_at(code, site)?;
    *auipc = (u32::from_le_bytes(*auipc) | high as u32).to_le_bytes();
    let jalr = word_at(code, site + INSTRUCTION_BYTES)?;
    *jalr = (u32::from_le_bytes(*jalr) | (low as u32) << 20).to_le_bytes();
    Ok(())
}
