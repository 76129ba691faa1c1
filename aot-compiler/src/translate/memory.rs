//! Linear memory: addresses, bounds, size, growth, and the bulk operations.
//!
//! Hardware checks: WAMR reserves 8 GiB for each memory, so that the base never
//! moves and base + 32-bit index + 32-bit offset always lies in the reservation;
//! what is not the guest's faults, and WAMR's signal handler turns that into the
//! exception. Software checks: the end of each access is compared with the size.
//!
//! WAMR also keeps bounds for each access width (`mem_bound_check_*bytes`), but
//! these are zero for an empty memory; comparing the end with `memory_data_size`
//! needs no exception from the rule, and one loaded size serves all widths. What is
//! known to be inside is not asked again (`known_bounds`).

use super::function::Translator;
use crate::abi::{Helper, InstanceLayout, TrapId};
use crate::intake::WASM_PAGE_BYTES;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, Endianness, InstBuilder, InstructionData, MemFlagsData, Opcode, Type, Value, types,
};
use wasmparser::MemArg;

/// A load's or store's bytes, and how they become a value.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Full(Type),
    /// Narrower than the value: bytes, and whether a load extends with the sign.
    Narrow {
        value: Type,
        bytes: u32,
        is_signed: bool,
    },
}

impl Access {
    fn bytes(self) -> u32 {
        match self {
            Self::Full(ty) => ty.bytes(),
            Self::Narrow { bytes, .. } => bytes,
        }
    }
}

impl Translator<'_, '_> {
    pub fn load(&mut self, access: Access, memarg: &MemArg) {
        let index = self.pop();
        let (address, offset) = self.checked_address(index, memarg.offset, access.bytes());
        let flags = self.guest_flags();
        let ins = self.builder.ins();
        let value = match access {
            Access::Full(ty) => ins.load(ty, flags, address, offset),
            Access::Narrow { value, bytes: 1, is_signed: true } => {
                ins.sload8(value, flags, address, offset)
            }
            Access::Narrow { value, bytes: 1, is_signed: false } => {
                ins.uload8(value, flags, address, offset)
            }
            Access::Narrow { value, bytes: 2, is_signed: true } => {
                ins.sload16(value, flags, address, offset)
            }
            Access::Narrow { value, bytes: 2, is_signed: false } => {
                ins.uload16(value, flags, address, offset)
            }
            Access::Narrow { is_signed: true, .. } => ins.sload32(flags, address, offset),
            Access::Narrow { is_signed: false, .. } => ins.uload32(flags, address, offset),
        };
        self.push_exact(value);
    }

    pub fn store(&mut self, access: Access, memarg: &MemArg) {
        let (index, value) = self.pop2();
        let value = self.seen(value);
        let (address, offset) = self.checked_address(index, memarg.offset, access.bytes());
        let flags = self.guest_flags();
        let ins = self.builder.ins();
        match access {
            Access::Full(_) => ins.store(flags, value, address, offset),
            Access::Narrow { bytes: 1, .. } => ins.istore8(flags, value, address, offset),
            Access::Narrow { bytes: 2, .. } => ins.istore16(flags, value, address, offset),
            Access::Narrow { .. } => ins.istore32(flags, value, address, offset),
        };
    }

    /// The native address of a guest access, as a value and a constant to add.
    pub fn checked_address(&mut self, index: Value, offset: u64, bytes: u32) -> (Value, i32) {
        if self.env.checks_in_software() {
            self.check_end(index, offset + u64::from(bytes));
        }
        let index = self.builder.ins().uextend(types::I64, index);
        let base = self.load_memory_base();
        let address = self.builder.ins().iadd(base, index);
        match i32::try_from(offset) {
            Ok(offset) => (address, offset),
            Err(_) => (self.builder.ins().iadd_imm_s(address, offset as i64), 0),
        }
    }

    /// Traps unless `end` bytes from `index` are inside; see `known_bounds`.
    fn check_end(&mut self, index: Value, end: u64) {
        let is_initial = match self.constant_of(index) {
            Some(index) => index + end <= self.initial_memory_bytes(),
            None => false,
        };
        if is_initial || self.known_bounds.covers(index, end) {
            return;
        }
        let wide = self.builder.ins().uextend(types::I64, index);
        // No overflow: all parts are below 2^32, and the sum is 64 bits wide.
        let end_address = self.builder.ins().iadd_imm_s(wide, end as i64);
        let size = self.load_memory_size_bytes();
        let is_outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end_address, size);
        let place = *self.access_place.get_or_insert(self.place);
        self.trap_at(place, is_outside, TrapId::OutOfBoundsMemory);
        self.known_bounds.learn(index, end);
    }

    /// The value of an `i32.const`.
    fn constant_of(&self, value: Value) -> Option<u64> {
        let dfg = &self.builder.func.dfg;
        match dfg.insts[dfg.value_def(value).inst()?] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
                Some(u64::from(imm.bits() as u32))
            }
            _ => None,
        }
    }

    fn initial_memory_bytes(&self) -> u64 {
        let memory = self.info().memory;
        memory.map_or(0, |memory| u64::from(memory.initial_pages) * WASM_PAGE_BYTES)
    }

    /// With hardware checks the access itself is the check, so it must stay even
    /// when its value is not used. With software checks it cannot fault.
    pub fn guest_flags(&self) -> MemFlagsData {
        let flags = MemFlagsData::new()
            .with_endianness(Endianness::Little)
            .with_alias_region(Some(self.regions.linear_memory));
        if self.env.checks_in_software() { flags.with_notrap() } else { flags }
    }

    fn load_memory_base(&mut self) -> Value {
        // The reservation of hardware checks stays where it is.
        let is_fixed = !self.env.checks_in_software() || !self.env.survey.grows_memory;
        let flags = if is_fixed { self.fixed_field() } else { self.field() };
        self.builder.ins().load(types::I64, flags, self.instance, InstanceLayout::MEMORY_DATA)
    }

    /// Our hosts never grow a guest's memory, so without `memory.grow` it is fixed.
    fn load_memory_size_bytes(&mut self) -> Value {
        let flags = if self.env.survey.grows_memory { self.field() } else { self.fixed_field() };
        self.builder.ins().load(types::I64, flags, self.instance, InstanceLayout::MEMORY_DATA_SIZE)
    }

    pub fn memory_size(&mut self) {
        let pages = self.load_page_count();
        self.push(pages);
    }

    fn load_page_count(&mut self) -> Value {
        let flags = self.field();
        self.builder.ins().load(types::I32, flags, self.instance, InstanceLayout::CUR_PAGE_COUNT)
    }

    /// `aot_enlarge_memory` says only whether it worked, and raises nothing.
    pub fn memory_grow(&mut self) {
        let more = self.pop();
        self.check_stack_before_host();
        let before = self.load_page_count();
        let is_ok = self.call_helper(Helper::EnlargeMemory, &[self.instance, more]);
        let is_ok = is_ok.expect("aot_enlarge_memory returns a bool");
        let failure = self.builder.ins().iconst(types::I32, i64::from(u32::MAX));
        let result = self.builder.ins().select(is_ok, before, failure);
        self.push(result);
    }

    /// The native address of `length` guest bytes from `index`, all inside.
    fn checked_range(&mut self, index: Value, length: Value) -> Value {
        let index = self.builder.ins().uextend(types::I64, index);
        let end = self.builder.ins().iadd(index, length);
        let size = self.load_memory_size_bytes();
        let is_outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, size);
        self.trap_if(is_outside, TrapId::OutOfBoundsMemory);
        let base = self.load_memory_base();
        self.builder.ins().iadd(base, index)
    }

    pub fn memory_fill(&mut self) {
        let (destination, byte, length) = self.pop3();
        let length = self.builder.ins().uextend(types::I64, length);
        let destination = self.checked_range(destination, length);
        self.call_helper(Helper::Memset, &[destination, byte, length]);
    }

    pub fn memory_copy(&mut self) {
        let (destination, source, length) = self.pop3();
        let length = self.builder.ins().uextend(types::I64, length);
        let destination = self.checked_range(destination, length);
        let source = self.checked_range(source, length);
        self.call_helper(Helper::Memmove, &[destination, source, length]);
    }

    /// `aot_memory_init` sets the exception on failure but does not leave, even with
    /// hardware checks; raising it "again" does.
    pub fn memory_init(&mut self, segment: u32) {
        let (destination, source, length) = self.pop3();
        self.check_stack_before_host();
        let segment = self.builder.ins().iconst(types::I32, i64::from(segment));
        let destination = self.builder.ins().uextend(types::I64, destination);
        let arguments = [self.instance, segment, source, length, destination];
        let is_ok = self.call_helper(Helper::MemoryInit, &arguments);
        let is_ok = is_ok.expect("aot_memory_init returns a bool");
        self.trap_if_zero(is_ok, TrapId::AlreadyThrown);
    }

    pub fn data_drop(&mut self, segment: u32) {
        let segment = self.builder.ins().iconst(types::I32, i64::from(segment));
        self.call_helper(Helper::DataDrop, &[self.instance, segment]);
    }

    pub fn global_get(&mut self, global: u32) {
        let ty = crate::abi::value_type(self.info().globals[global as usize].ty);
        let flags = self.global_flags(global);
        let offset = self.env.layout.global(global);
        let value = self.builder.ins().load(ty, flags, self.instance, offset);
        self.push_exact(value);
    }

    pub fn global_set(&mut self, global: u32) {
        let value = self.pop_seen();
        let flags = self.global_flags(global);
        let offset = self.env.layout.global(global);
        self.builder.ins().store(flags, value, self.instance, offset);
        self.note_global_set(global);
    }

    /// WAMR packs globals, so an 8-byte or 16-byte one may lie on a multiple of 4.
    fn global_flags(&self, global: u32) -> MemFlagsData {
        let region = self.region_of_global(global);
        MemFlagsData::new().with_notrap().with_alias_region(Some(region))
    }
}

pub(super) const fn narrow(value: ir::Type, bytes: u32, is_signed: bool) -> Access {
    Access::Narrow { value, bytes, is_signed }
}
