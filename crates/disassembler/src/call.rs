//! Direct calls and jumps, found in the bytes of an instruction.

use crate::Machine;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub mnemonic: &'static str,
    /// Of the instruction, or of the pair that stands for one.
    pub length: usize,
    /// From the instruction's first byte to the target.
    pub displacement: i64,
    /// From the instruction's first byte to where a relocation of it would stand.
    pub site: u64,
}

/// The call that `code` begins with, if it does.
pub(crate) fn find(machine: Machine, code: &[u8]) -> Option<Call> {
    match machine {
        Machine::X86_64 => find_x86_64(code),
        Machine::Aarch64 => find_aarch64(code),
        Machine::Riscv64 => find_riscv64(code),
    }
}

/// `call rel32` and `jmp rel32`, counted from the instruction's end.
fn find_x86_64(code: &[u8]) -> Option<Call> {
    let mnemonic = match code.first()? {
        0xe8 => "call",
        0xe9 => "jmp",
        _ => return None,
    };
    let relative = i32::from_le_bytes(*code.get(1..)?.first_chunk()?);
    Some(Call { mnemonic, length: 5, displacement: i64::from(relative) + 5, site: 1 })
}

/// `bl imm26` and `b imm26`, in instructions.
fn find_aarch64(code: &[u8]) -> Option<Call> {
    let word = u32::from_le_bytes(*code.first_chunk()?);
    let mnemonic = match word >> 26 {
        0b10_0101 => "bl",
        0b00_0101 => "b",
        _ => return None,
    };
    // The sign of the 26 bits by shifting them to the top and back.
    let instructions = i64::from((word << 6) as i32 >> 6);
    Some(Call { mnemonic, length: 4, displacement: instructions * 4, site: 0 })
}

/// `auipc` and `jalr` with the same register between them: what assemblers write as
/// `call` and `tail`.
fn find_riscv64(code: &[u8]) -> Option<Call> {
    let upper = u32::from_le_bytes(*code.first_chunk()?);
    let jump = u32::from_le_bytes(*code.get(4..)?.first_chunk()?);
    let (auipc, jalr) = (0x17, 0x67);
    let register = upper >> 7 & 0x1f;
    let is_pair = upper & 0x7f == auipc && jump & 0x707f == jalr && jump >> 15 & 0x1f == register;
    let mnemonic = match jump >> 7 & 0x1f {
        1 if is_pair => "call",
        0 if is_pair => "tail",
        _ => return None,
    };
    let displacement = i64::from((upper & !0xfff) as i32) + i64::from(jump as i32 >> 20);
    Some(Call { mnemonic, length: 8, displacement, site: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_counted_as_each_processor_does() {
        let x86 = find(Machine::X86_64, &[0xe8, 0xf6, 0xff, 0xff, 0xff]).unwrap();
        assert_eq!((x86.mnemonic, x86.length, x86.displacement, x86.site), ("call", 5, -5, 1));
        let arm = find(Machine::Aarch64, &0x97ff_ffff_u32.to_le_bytes()).unwrap();
        assert_eq!((arm.mnemonic, arm.displacement), ("bl", -4));
        // auipc ra, 1; jalr ra, -8(ra)
        let pair = [0x0000_1097_u32, 0xff80_80e7].map(u32::to_le_bytes).concat();
        let riscv = find(Machine::Riscv64, &pair).unwrap();
        assert_eq!((riscv.mnemonic, riscv.length, riscv.displacement), ("call", 8, 0x1000 - 8));
    }

    #[test]
    fn other_instructions_and_rests_are_none() {
        for machine in [Machine::X86_64, Machine::Aarch64, Machine::Riscv64] {
            assert_eq!(find(machine, &[]), None);
            assert_eq!(find(machine, &[0xe8, 0]), None);
            assert_eq!(find(machine, &[0; 16]), None);
        }
    }
}
