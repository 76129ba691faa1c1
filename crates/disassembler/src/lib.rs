//! Functions of an AoT file → instructions as text, with the targets of calls named.
//!
//! `farrier inspect` prints them, the file tests of the compiler compare them. Capstone
//! decodes; a target is found in the bytes of the instruction and in the file's
//! relocations, never in Capstone's text.
//!
//! Code may hold constants, which look like instructions or like none. Bytes that are
//! none are shown as such, and nothing is skipped.

mod call;
mod names;

use aot_reader::Text;
use capstone::Capstone;
use capstone::arch::{
    BuildsCapstone, BuildsCapstoneExtraMode, BuildsCapstoneSyntax, arm64, riscv, x86,
};

pub use names::Names;
use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisassemblerError {
    #[error("only code for x86-64, AArch64 and RISC-V can be shown, and this is for machine {0}")]
    Machine(u16),
    #[error("start the disassembler: {0}")]
    Start(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    X86_64,
    Aarch64,
    Riscv64,
}

/// What addresses count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The first byte of the text section's code, as relocations do.
    Code,
    /// The first byte of the range, so that its text does not change with others.
    Range,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    pub address: u64,
    pub bytes: &'a [u8],
    /// "mov rax, rbx", or "call aot_invoke_native".
    pub text: String,
}

pub struct Disassembler {
    machine: Machine,
    capstone: Capstone,
}

impl Disassembler {
    /// For `e_machine` of the file.
    pub fn new(e_machine: u16) -> Result<Self, DisassemblerError> {
        let (machine, capstone) = match e_machine {
            62 => {
                let builder = Capstone::new().x86().mode(x86::ArchMode::Mode64);
                (Machine::X86_64, builder.syntax(x86::ArchSyntax::Intel).build())
            }
            183 => {
                let builder = Capstone::new().arm64().mode(arm64::ArchMode::Arm);
                (Machine::Aarch64, builder.build())
            }
            243 => {
                let builder = Capstone::new().riscv().mode(riscv::ArchMode::RiscV64);
                let compressed = [riscv::ArchExtraMode::RiscVC];
                (Machine::Riscv64, builder.extra_mode(compressed.into_iter()).build())
            }
            other => return Err(DisassemblerError::Machine(other)),
        };
        let capstone = capstone.map_err(|error| DisassemblerError::Start(error.to_string()))?;
        Ok(Self { machine, capstone })
    }

    /// Hands each line of a range of the code, such as a function's, to `show`, until
    /// that fails.
    pub fn each_line<'a, E>(
        &self,
        text: &Text<'a>,
        names: &Names<'_>,
        range: Range<u64>,
        origin: Origin,
        mut show: impl FnMut(&Line<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        // What lies outside of the code, which is a slice, is left out.
        let end = range.end.min(text.code.len() as u64);
        let start = range.start.min(end);
        let code = &text.code[start as usize..end as usize];
        let base = match origin {
            Origin::Code => start,
            Origin::Range => 0,
        };
        let mut at = 0;
        while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
            let in_code = start + at as u64;
            let (length, text) = self.decode(rest, base + at as u64, in_code, names);
            // At least a byte, so that this ends, and no more than there are.
            let length = length.clamp(1, rest.len());
            show(&Line { address: base + at as u64, bytes: &rest[..length], text })?;
            at += length;
        }
        Ok(())
    }

    /// The first instruction of `code`: its length and its text.
    fn decode(
        &self,
        code: &[u8],
        address: u64,
        in_code: u64,
        names: &Names<'_>,
    ) -> (usize, String) {
        if code.len() < PADDING_BYTES_MAX && code.iter().all(|byte| *byte == 0) {
            return (code.len(), format!(".zero {}", code.len()));
        }
        if let Some(call) = call::find(self.machine, code)
            && let Some(target) = names.target_of(&call, in_code)
        {
            return (call.length, format!("{} {target}", call.mnemonic));
        }
        let decoded = self.capstone.disasm_count(code, address, 1);
        match decoded.as_ref().ok().and_then(|instructions| instructions.first()) {
            Some(instruction) => {
                let mnemonic = instruction.mnemonic().unwrap_or_default();
                let operands = instruction.op_str().unwrap_or_default();
                (instruction.bytes().len(), format!("{mnemonic} {operands}").trim_end().to_owned())
            }
            None => {
                let length = self.unit_bytes().min(code.len());
                let bytes = code[..length].iter().map(|byte| format!("{byte:#04x}"));
                (length, format!(".byte {}", bytes.collect::<Vec<_>>().join(", ")))
            }
        }
    }

    /// What instructions' lengths are multiples of.
    fn unit_bytes(&self) -> usize {
        match self.machine {
            Machine::X86_64 => 1,
            Machine::Aarch64 => 4,
            Machine::Riscv64 => 2,
        }
    }
}

/// Functions begin at multiples of 16; zeros before the next one fill up.
const PADDING_BYTES_MAX: usize = 16;
