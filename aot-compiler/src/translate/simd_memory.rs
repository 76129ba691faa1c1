//! Loads and stores of vectors and of single lanes.
//!
//! None of them needs alignment: CLIF's accesses without the aligned flag become the
//! instructions that take any address.

use super::function::Translator;
use cranelift_codegen::ir::{InstBuilder, Type, types};
use wasmparser::MemArg;

/// Eight bytes whose lanes are extended to twice their width.
#[derive(Clone, Copy)]
pub(super) enum Extension {
    Signed8x8,
    Unsigned8x8,
    Signed16x4,
    Unsigned16x4,
    Signed32x2,
    Unsigned32x2,
}

impl Translator<'_, '_> {
    pub fn load_vector(&mut self, memarg: &MemArg) {
        self.load_lanes_of(types::I8X16, memarg);
    }

    pub fn store_vector(&mut self, memarg: &MemArg) {
        let (index, value) = self.pop2();
        let (address, offset) = self.checked_address(index, memarg.offset, types::I8X16.bytes());
        let flags = self.guest_flags();
        self.builder.ins().store(flags, value, address, offset);
    }

    pub fn load_extended(&mut self, extension: Extension, memarg: &MemArg) {
        let index = self.pop();
        let (address, offset) = self.checked_address(index, memarg.offset, 8);
        let flags = self.guest_flags();
        let ins = self.builder.ins();
        let lanes = match extension {
            Extension::Signed8x8 => ins.sload8x8(flags, address, offset),
            Extension::Unsigned8x8 => ins.uload8x8(flags, address, offset),
            Extension::Signed16x4 => ins.sload16x4(flags, address, offset),
            Extension::Unsigned16x4 => ins.uload16x4(flags, address, offset),
            Extension::Signed32x2 => ins.sload32x2(flags, address, offset),
            Extension::Unsigned32x2 => ins.uload32x2(flags, address, offset),
        };
        self.push_lanes(lanes);
    }

    /// One lane from memory in all lanes of `ty`.
    pub fn load_splat(&mut self, ty: Type, memarg: &MemArg) {
        self.load_lanes_of(ty.lane_type(), memarg);
        let lane = self.pop();
        let lanes = self.builder.ins().splat(ty, lane);
        self.push_lanes(lanes);
    }

    /// One lane from memory, and zero in the others.
    pub fn load_first_lane(&mut self, ty: Type, memarg: &MemArg) {
        self.load_lanes_of(ty.lane_type(), memarg);
        let lane = self.pop();
        let lanes = self.builder.ins().scalar_to_vector(ty, lane);
        self.push_lanes(lanes);
    }

    /// One lane from memory, and the others of the operand.
    pub fn load_lane(&mut self, ty: Type, memarg: &MemArg, lane: u8) {
        let vector = self.pop_lanes(ty);
        self.load_lanes_of(ty.lane_type(), memarg);
        let loaded = self.pop();
        let lanes = self.builder.ins().insertlane(vector, loaded, lane);
        self.push_lanes(lanes);
    }

    pub fn store_lane(&mut self, ty: Type, memarg: &MemArg, lane: u8) {
        let vector = self.pop_lanes(ty);
        let index = self.pop();
        let bytes = ty.lane_type().bytes();
        let (address, offset) = self.checked_address(index, memarg.offset, bytes);
        let flags = self.guest_flags();
        let value = self.builder.ins().extractlane(vector, lane);
        self.builder.ins().store(flags, value, address, offset);
    }

    /// Pops the index and pushes what lies there, without any extension.
    fn load_lanes_of(&mut self, ty: Type, memarg: &MemArg) {
        let index = self.pop();
        let (address, offset) = self.checked_address(index, memarg.offset, ty.bytes());
        let flags = self.guest_flags();
        let value = self.builder.ins().load(ty, flags, address, offset);
        self.push(value);
    }
}
