//! What all vector instructions share, and those that only move lanes or test them.

use super::function::Translator;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::{FuncInstBuilder, FunctionBuilder};
use wasmparser::ValType;

impl<'f> Translator<'_, 'f> {
    /// Pops a v128 with the lanes of `ty`.
    pub fn pop_lanes(&mut self, ty: Type) -> Value {
        let vector = self.pop();
        with_lanes(&mut self.builder, vector, ty)
    }

    /// Pushes a vector of whatever lanes as a v128.
    pub fn push_lanes(&mut self, vector: Value) {
        let vector = with_lanes(&mut self.builder, vector, types::I8X16);
        self.push(vector);
    }

    pub fn unary_lanes(
        &mut self,
        ty: Type,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value) -> Value,
    ) {
        let result = self.emit_unary_lanes(ty, emit);
        self.push_lanes(result);
    }

    pub fn binary_lanes(
        &mut self,
        ty: Type,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value, Value) -> Value,
    ) {
        let result = self.emit_binary_lanes(ty, emit);
        self.push_lanes(result);
    }

    pub fn emit_unary_lanes(
        &mut self,
        ty: Type,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value) -> Value,
    ) -> Value {
        let operand = self.pop_lanes(ty);
        emit(self.builder.ins(), operand)
    }

    pub fn emit_binary_lanes(
        &mut self,
        ty: Type,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value, Value) -> Value,
    ) -> Value {
        let right = self.pop_lanes(ty);
        let left = self.pop_lanes(ty);
        emit(self.builder.ins(), left, right)
    }

    pub fn vector_constant(&mut self, bytes: [u8; 16]) {
        let constant = vector_constant(&mut self.builder, types::I8X16, bytes);
        self.push(constant);
    }

    pub fn splat(&mut self, ty: Type) {
        let lane = self.pop_lane(ty);
        let lanes = self.builder.ins().splat(ty, lane);
        self.push_lanes(lanes);
    }

    pub fn extract_lane(&mut self, ty: Type, lane: u8) {
        let vector = self.pop_lanes(ty);
        let value = self.builder.ins().extractlane(vector, lane);
        self.push_exact(value);
    }

    /// A lane of 8 or 16 bits as an i32.
    pub fn extract_narrow_lane(&mut self, ty: Type, lane: u8, is_signed: bool) {
        self.extract_lane(ty, lane);
        if is_signed {
            self.unary(|ins, lane| ins.sextend(types::I32, lane));
        } else {
            self.unary(|ins, lane| ins.uextend(types::I32, lane));
        }
    }

    pub fn replace_lane(&mut self, ty: Type, lane: u8) {
        let value = self.pop_lane(ty);
        let vector = self.pop_lanes(ty);
        let lanes = self.builder.ins().insertlane(vector, value, lane);
        self.push_lanes(lanes);
    }

    /// The operand for one lane of `ty`: Wasm has no integers below 32 bits.
    fn pop_lane(&mut self, ty: Type) -> Value {
        let value = self.pop_seen();
        match ty.lane_type() {
            narrow @ (types::I8 | types::I16) => self.builder.ins().ireduce(narrow, value),
            _ => value,
        }
    }

    /// Each index below 32, by validation.
    pub fn shuffle(&mut self, lanes: [u8; 16]) {
        let mask = self.builder.func.dfg.immediates.push(lanes.as_slice().into());
        self.binary_lanes(types::I8X16, |ins, a, b| ins.shuffle(a, b, mask));
    }

    pub fn bit_select(&mut self) {
        let (first, second, mask) = self.pop3();
        let result = self.builder.ins().bitselect(mask, first, second);
        self.push(result);
    }

    pub fn any_true(&mut self) {
        self.unary(|ins, vector| ins.vany_true(vector));
        self.unary(|ins, bool| ins.uextend(types::I32, bool));
    }

    pub fn all_true(&mut self, ty: Type) {
        let vector = self.pop_lanes(ty);
        let bool = self.builder.ins().vall_true(vector);
        let result = self.builder.ins().uextend(types::I32, bool);
        self.push(result);
    }

    /// The highest bit of each lane, in the order of the lanes.
    pub fn bitmask(&mut self, ty: Type) {
        let vector = self.pop_lanes(ty);
        let bits = self.builder.ins().vhigh_bits(types::I32, vector);
        self.push(bits);
    }

    /// What a function gets for each of its own parameters from the values that the
    /// calling convention carries; see `abi::params_of`.
    pub fn join_params(&mut self, types: &[ValType], carried: &[Value]) -> Vec<Value> {
        let mut carried = carried.iter().copied();
        let mut next = || carried.next().expect("the signature has all parameters");
        let mut params = Vec::with_capacity(types.len());
        for is_split in crate::abi::split_vectors(types) {
            let first = next();
            if !is_split {
                params.push(first);
                continue;
            }
            let second = next();
            let halves = self.builder.ins().scalar_to_vector(types::F64X2, first);
            let vector = self.builder.ins().insertlane(halves, second, 1);
            params.push(with_lanes(&mut self.builder, vector, types::I8X16));
        }
        params
    }

    /// The reverse, for a call.
    pub fn split_arguments(&mut self, types: &[ValType], arguments: &[Value]) -> Vec<Value> {
        let mut carried = Vec::with_capacity(arguments.len());
        for (is_split, argument) in crate::abi::split_vectors(types).zip(arguments) {
            if !is_split {
                carried.push(*argument);
                continue;
            }
            let halves = with_lanes(&mut self.builder, *argument, types::F64X2);
            carried.push(self.builder.ins().extractlane(halves, 0));
            carried.push(self.builder.ins().extractlane(halves, 1));
        }
        carried
    }
}

/// The same 128 bits; lanes count from the lowest byte, as in Wasm.
pub(super) fn with_lanes(builder: &mut FunctionBuilder<'_>, vector: Value, ty: Type) -> Value {
    if builder.func.dfg.value_type(vector) == ty {
        return vector;
    }
    let flags = MemFlagsData::new().with_endianness(Endianness::Little);
    builder.ins().bitcast(ty, flags, vector)
}

pub(super) fn vector_constant(
    builder: &mut FunctionBuilder<'_>,
    ty: Type,
    bytes: [u8; 16],
) -> Value {
    let constant = builder.func.dfg.constants.insert(bytes.as_slice().into());
    builder.ins().vconst(ty, constant)
}
