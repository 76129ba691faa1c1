//! Compiled functions → one text section, with the calls between them resolved.
//!
//! Own functions call each other directly: the displacement is known here, so it is
//! patched in and the loader has nothing to do. Calls of the runtime's helpers stay
//! as relocations. One file for each architecture says how a call is encoded.

mod aarch64;
mod riscv64;
mod x86_64;

use crate::abi::Helper;
use crate::codegen::{Call, Callee, CompiledFunction, MachineCode};
use crate::error::{CompileError, check_limit};
use crate::limits;
use std::collections::BTreeMap;
use std::ops::Range;
use target_spec::Arch;

/// Functions start here; Cranelift's constants inside them need no more. The loader
/// keeps that alignment because of `aot_file::LITERAL_BYTES`.
pub(crate) const FUNCTION_ALIGNMENT: usize = 16;

/// A call of a helper, for the loader to complete.
pub(crate) struct Relocation {
    pub offset: u64,
    pub helper: Helper,
}

/// How the loader is told of a call: ELF number, and addend to the symbol.
pub(crate) struct RelocationKind {
    pub number: u32,
    pub addend: i64,
}

/// What a piece of code is; functions by their index among the own ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    Body(u32),
    StackTest(u32),
    HostEntry(u32),
    Dispatcher(u32),
}

#[derive(Default)]
pub(crate) struct Text {
    pub code: Vec<u8>,
    /// Where each own function is entered.
    pub entries: Vec<u64>,
    /// All code by where it lies, without what fills up to the next.
    pub pieces: Vec<(Piece, Range<u64>)>,
    pub relocations: Vec<Relocation>,
}

pub(crate) fn relocation_kind(arch: Arch) -> RelocationKind {
    match arch {
        Arch::X86_64 => x86_64::RELOCATION,
        Arch::Aarch64 => aarch64::RELOCATION,
        Arch::Riscv64 => riscv64::RELOCATION,
    }
}

/// Lays out the functions in their order, and the dispatchers behind them. Functions
/// without code share one entry that is no instruction.
pub(crate) fn link(
    functions: &[Option<CompiledFunction>],
    dispatchers: &BTreeMap<u32, MachineCode>,
    arch: Arch,
) -> Result<Text, CompileError> {
    let mut text = Text::default();
    let mut places = Places::default();
    let mut pieces = Vec::with_capacity(functions.len());
    let mut dead = Vec::new();
    for (index, function) in (0..).zip(functions) {
        let Some(function) = function else {
            dead.push(index as usize);
            places.bodies.push(0);
            places.own.push(0);
            text.entries.push(0);
            continue;
        };
        let body = text.place(Piece::Body(index), &function.body, &mut pieces)?;
        let stack_test = function.stack_test.as_ref();
        let own = text.place_or(Piece::StackTest(index), stack_test, body, &mut pieces)?;
        let host_entry = function.host_entry.as_ref();
        let entry = text.place_or(Piece::HostEntry(index), host_entry, own, &mut pieces)?;
        places.bodies.push(body);
        places.own.push(own);
        text.entries.push(entry);
    }
    for (ty, dispatcher) in dispatchers {
        let place = text.place(Piece::Dispatcher(*ty), dispatcher, &mut pieces)?;
        places.dispatchers.insert(*ty, place);
    }
    if !dead.is_empty() {
        text.pad();
        let entry = text.code.len() as u64;
        text.code.extend_from_slice(&trap_instruction(arch));
        dead.into_iter().for_each(|index| text.entries[index] = entry);
    }
    for (place, piece) in pieces {
        for call in &piece.calls {
            text.resolve(place, call, &places, arch)?;
        }
    }
    // The text section's size is a multiple of 4 for the section that follows.
    text.pad();
    Ok(text)
}

/// An instruction that every processor of the architecture refuses.
fn trap_instruction(arch: Arch) -> [u8; 4] {
    match arch {
        Arch::X86_64 => x86_64::TRAP,
        Arch::Aarch64 => aarch64::TRAP,
        Arch::Riscv64 => riscv64::TRAP,
    }
}

/// Where in the text things begin that code calls.
#[derive(Default)]
struct Places {
    bodies: Vec<u64>,
    own: Vec<u64>,
    dispatchers: BTreeMap<u32, u64>,
}

impl Places {
    fn dispatcher(&self, ty: u32) -> Result<u64, CompileError> {
        let place = self.dispatchers.get(&ty).copied();
        place.ok_or_else(|| CompileError::bug(format!("no dispatcher for type {ty}")))
    }
}

/// Code to be linked, with the place where it begins.
type Pieces<'c> = Vec<(u64, &'c MachineCode)>;

impl Text {
    fn place_or<'c>(
        &mut self,
        what: Piece,
        piece: Option<&'c MachineCode>,
        otherwise: u64,
        pieces: &mut Pieces<'c>,
    ) -> Result<u64, CompileError> {
        piece.map_or(Ok(otherwise), |piece| self.place(what, piece, pieces))
    }

    fn place<'c>(
        &mut self,
        what: Piece,
        piece: &'c MachineCode,
        pieces: &mut Pieces<'c>,
    ) -> Result<u64, CompileError> {
        self.pad();
        let (offset, code) = (self.code.len(), &piece.code);
        let end = (offset + code.len()) as u64;
        check_limit("bytes of machine code", end, limits::TEXT_BYTES_MAX as u64)?;
        self.code.extend_from_slice(code);
        self.pieces.push((what, offset as u64..end));
        pieces.push((offset as u64, piece));
        Ok(offset as u64)
    }

    fn pad(&mut self) {
        let padded = self.code.len().next_multiple_of(FUNCTION_ALIGNMENT);
        self.code.resize(padded, 0);
    }

    fn resolve(
        &mut self,
        function: u64,
        call: &Call,
        places: &Places,
        arch: Arch,
    ) -> Result<(), CompileError> {
        let site = function + u64::from(call.offset);
        let target = match call.callee {
            Callee::Helper(helper) => {
                self.relocations.push(Relocation { offset: site, helper });
                None
            }
            Callee::Own(index) => Some(places.own[index as usize]),
            Callee::Body(index) => Some(places.bodies[index as usize]),
            Callee::Dispatcher(ty) => Some(places.dispatcher(ty)?),
        };
        let expected = match arch {
            Arch::X86_64 => x86_64::is_call(call),
            Arch::Aarch64 => aarch64::is_call(call),
            Arch::Riscv64 => riscv64::is_call(call),
        };
        if !expected {
            return Err(CompileError::bug(format!("relocation {:?} is not a call", call.kind)));
        }
        let Some(target) = target else { return Ok(()) };
        let site = site as usize;
        let displacement = target as i64 - site as i64;
        match arch {
            Arch::X86_64 => x86_64::patch_call(&mut self.code, site, displacement),
            Arch::Aarch64 => aarch64::patch_call(&mut self.code, site, displacement),
            Arch::Riscv64 => riscv64::patch_call(&mut self.code, site, displacement),
        }
    }
}

/// The 4 bytes at `site`, which relocations of valid code never exceed.
fn word_at(code: &mut [u8], site: usize) -> Result<&mut [u8; 4], CompileError> {
    code.get_mut(site..)
        .and_then(|rest| rest.first_chunk_mut())
        .ok_or_else(|| CompileError::bug("a relocation lies outside of its function"))
}

fn out_of_reach() -> CompileError {
    CompileError::bug("a call does not reach its target")
}
