//! Calls on AArch64: `bl imm26`.

use super::{RelocationKind, out_of_reach, word_at};
use crate::codegen::Call;
use crate::error::CompileError;
use cranelift_codegen::binemit::Reloc;

/// `udf #0` (Arm ARM, C6.2, "UDF").
pub(super) const TRAP: [u8; 4] = [0; 4];

/// R_AARCH64_CALL26 (`aot/arch/aot_reloc_aarch64.c`). The loader adds to what the
/// field holds, and wants no positive addend for its PLT.
pub(super) const RELOCATION: RelocationKind = RelocationKind { number: 283, addend: 0 };

/// The field counts instructions, so it reaches 2^25 of them each way.
const INSTRUCTION_BYTES: i64 = 4;
const FIELD_BITS: u32 = 26;
const REACH_INSTRUCTIONS: i64 = 1 << (FIELD_BITS - 1);

/// The site is the instruction.
pub(super) fn is_call(call: &Call) -> bool {
    call.kind == Reloc::Arm64Call && call.addend == RELOCATION.addend
}

pub(super) fn patch_call(
    code: &mut [u8],
    site: usize,
    displacement: i64,
) -> Result<(), CompileError> {
    let instructions = displacement / INSTRUCTION_BYTES;
    if !(-REACH_INSTRUCTIONS..REACH_INSTRUCTIONS).contains(&instructions) {
        return Err(out_of_reach());
    }
    let word = word_at(code, site)?;
    let field = instructions as u32 & ((1 << FIELD_BITS) - 1);
    *word = (u32::from_le_bytes(*word) | field).to_le_bytes();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_counts_instructions_both_ways() {
        let bl = 0x9400_0000_u32;
        let mut code = bl.to_le_bytes();
        patch_call(&mut code, 0, 0x20).unwrap();
        assert_eq!(u32::from_le_bytes(code), 0x9400_0008);
        let mut code = bl.to_le_bytes();
        patch_call(&mut code, 0, -4).unwrap();
        assert_eq!(u32::from_le_bytes(code), 0x97ff_ffff);
        assert!(patch_call(&mut code, 0, 128 << 20).is_err());
    }
}
