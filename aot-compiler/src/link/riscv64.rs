//! Calls on RISC-V: `auipc` and `jalr`, the pair that `call` stands for.

use super::{RelocationKind, out_of_reach, word_at};
use crate::codegen::Call;
use crate::error::CompileError;
use cranelift_codegen::binemit::Reloc;

/// `unimp`, all bits zero in both halves (RISC-V unprivileged ISA, "Expanded Instruction-Length Encoding").
pub(super) const TRAP: [u8; 4] = [0; 4];

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

#[cfg(test)]
mod tests {
    use super::*;

    /// auipc ra, 0; jalr ra, 0(ra)
    const CALL: [u8; 8] = [0x97, 0, 0, 0, 0xe7, 0x80, 0, 0];

    /// What the pair adds to the address of the `auipc`.
    fn displacement_of(code: &[u8; 8]) -> i64 {
        let word = |at: usize| u32::from_le_bytes(*code[at..].first_chunk().unwrap()) as i32;
        i64::from(word(0) & !0xfff) + i64::from(word(4) >> 20)
    }

    #[test]
    fn the_two_parts_add_up_although_the_lower_has_a_sign() {
        for displacement in [0, 4, 0x7ff, 0x800, 0xfff, 0x1000, -4, -0x800, -0x1234_5678] {
            let mut code = CALL;
            patch_call(&mut code, 0, displacement).unwrap();
            assert_eq!(displacement_of(&code), displacement);
            assert_eq!((code[0], code[4] & 0x7f), (0x97, 0x67), "the instructions stay");
        }
        assert!(patch_call(&mut CALL.clone(), 0, i64::from(i32::MAX)).is_err());
    }
}
