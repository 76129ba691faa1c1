//! Calls on x86-64: `call rel32`.

use super::{RelocationKind, out_of_reach, word_at};
use crate::codegen::Call;
use crate::error::CompileError;
use cranelift_codegen::binemit::Reloc;

/// `ud2`, twice (Intel SDM volume 2, "UD—Undefined Instruction").
pub(super) const TRAP: [u8; 4] = [0x0f, 0x0b, 0x0f, 0x0b];

/// R_X86_64_PLT32 (`aot/arch/aot_reloc_x86_64.c`). The addend makes the displacement
/// relative to the end of the instruction, which is where the CPU counts from.
pub(super) const RELOCATION: RelocationKind = RelocationKind { number: 4, addend: -4 };

/// The site is the 32-bit field, the last part of the instruction.
pub(super) fn is_call(call: &Call) -> bool {
    call.kind == Reloc::X86CallPCRel4 && call.addend == RELOCATION.addend
}

pub(super) fn patch_call(
    code: &mut [u8],
    site: usize,
    displacement: i64,
) -> Result<(), CompileError> {
    let displacement = displacement + RELOCATION.addend;
    let displacement = i32::try_from(displacement).map_err(|_| out_of_reach())?;
    *word_at(code, site)? = displacement.to_le_bytes();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_displacement_counts_from_the_end_of_the_instruction() {
        // `call rel32` at 0, its field at 1, the target at 0x20.
        let mut code = [0xe8, 0, 0, 0, 0];
        patch_call(&mut code, 1, 0x20 - 1).unwrap();
        assert_eq!(code, [0xe8, 0x1b, 0, 0, 0]);
        assert!(patch_call(&mut code, 1, i64::from(i32::MAX) + 5).is_err());
        assert!(patch_call(&mut code, 4, 0).is_err(), "outside of the code");
    }
}
