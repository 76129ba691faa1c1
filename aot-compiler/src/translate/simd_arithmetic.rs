//! Vector arithmetic that is more than one CLIF instruction.
//!
//! Several of these are combinations that Cranelift recognises as a whole and turns
//! into one machine instruction; taking one apart may leave parts that the
//! architecture does not have. Such functions say so.

use super::function::Translator;
use super::simd_lanes::{vector_constant, with_lanes};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::FuncInstBuilder;

impl<'f> Translator<'_, 'f> {
    /// All ones in a lane for true.
    pub fn compare_int_lanes(&mut self, ty: Type, condition: IntCC) {
        self.binary_lanes(ty, |ins, left, right| ins.icmp(condition, left, right));
    }

    pub fn compare_float_lanes(&mut self, ty: Type, condition: FloatCC) {
        self.binary_lanes(ty, |ins, left, right| ins.fcmp(condition, left, right));
    }

    /// CLIF too takes the amount modulo the width of a lane.
    pub fn shift_lanes(
        &mut self,
        ty: Type,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value, Value) -> Value,
    ) {
        let amount = self.pop();
        self.unary_lanes(ty, |ins, vector| emit(ins, vector, amount));
    }

    /// `extmul`: the products of half of the lanes, in double width.
    pub fn multiply_widened(
        &mut self,
        ty: Type,
        widen: impl for<'s> Fn(FuncInstBuilder<'s, 'f>, Value) -> Value,
    ) {
        let right = self.pop_lanes(ty);
        let left = self.pop_lanes(ty);
        let left = widen(self.builder.ins(), left);
        let right = widen(self.builder.ins(), right);
        let product = self.builder.ins().imul(left, right);
        self.push_lanes(product);
    }

    /// `extadd_pairwise`: the sums of neighbours, in double width. One instruction.
    pub fn add_pairs_widened(&mut self, ty: Type, is_signed: bool) {
        let vector = self.pop_lanes(ty);
        let (low, high) = match is_signed {
            true => (self.builder.ins().swiden_low(vector), self.builder.ins().swiden_high(vector)),
            false => {
                (self.builder.ins().uwiden_low(vector), self.builder.ins().uwiden_high(vector))
            }
        };
        let sums = self.builder.ins().iadd_pairwise(low, high);
        self.push_lanes(sums);
    }

    /// The sums of two neighbouring products, in double width and wrapping around.
    pub fn dot_product(&mut self, ty: Type) {
        let right = self.pop_lanes(ty);
        let left = self.pop_lanes(ty);
        let left_low = self.builder.ins().swiden_low(left);
        let right_low = self.builder.ins().swiden_low(right);
        let low = self.builder.ins().imul(left_low, right_low);
        let left_high = self.builder.ins().swiden_high(left);
        let right_high = self.builder.ins().swiden_high(right);
        let high = self.builder.ins().imul(left_high, right_high);
        let sums = self.builder.ins().iadd_pairwise(low, high);
        self.push_lanes(sums);
    }

    /// `i32x4.relaxed_dot_i8x16_i7x16_add_s`: sums of four products and an addend.
    pub fn dot_product_add(&mut self) {
        let addend = self.pop_lanes(types::I32X4);
        self.dot_product(types::I8X16);
        self.add_pairs_widened(types::I16X8, true);
        self.unary_lanes(types::I32X4, |ins, sums| ins.iadd(sums, addend));
    }

    /// `pmin` is the second operand where it is less than the first, and the first
    /// in all other cases (core specification, "fpmin"). One instruction on x86.
    pub fn pseudo_min(&mut self, ty: Type) {
        let second = self.pop_lanes(ty);
        let first = self.pop_lanes(ty);
        let is_less = self.builder.ins().fcmp(FloatCC::LessThan, second, first);
        self.select_lanes(is_less, second, first);
    }

    pub fn pseudo_max(&mut self, ty: Type) {
        let second = self.pop_lanes(ty);
        let first = self.pop_lanes(ty);
        let is_greater = self.builder.ins().fcmp(FloatCC::LessThan, first, second);
        self.select_lanes(is_greater, second, first);
    }

    fn select_lanes(&mut self, mask: Value, if_ones: Value, if_zeros: Value) {
        let ty = self.builder.func.dfg.value_type(if_ones);
        let mask = with_lanes(&mut self.builder, mask, ty);
        let result = self.builder.ins().bitselect(mask, if_ones, if_zeros);
        self.push_lanes(result);
    }

    /// ±(a × b) + c, rounded after each step: x86-64-v2 has no fused instruction.
    pub fn multiply_add(&mut self, ty: Type, negates: bool) {
        let addend = self.pop_lanes(ty);
        let right = self.pop_lanes(ty);
        let mut left = self.pop_lanes(ty);
        if negates {
            left = self.builder.ins().fneg(left);
        }
        let product = self.builder.ins().fmul(left, right);
        let sum = self.builder.ins().fadd(product, addend);
        self.push_float_lanes(sum);
    }

    /// Two f64 → two saturated i32 and two zeros. x86 has only the whole.
    pub fn truncate_doubles(&mut self, is_signed: bool) {
        let doubles = self.pop_lanes(types::F64X2);
        let zeros = vector_constant(&mut self.builder, types::I64X2, [0; 16]);
        let result = if is_signed {
            let wide = self.builder.ins().fcvt_to_sint_sat(types::I64X2, doubles);
            self.builder.ins().snarrow(wide, zeros)
        } else {
            let wide = self.builder.ins().fcvt_to_uint_sat(types::I64X2, doubles);
            self.builder.ins().uunarrow(wide, zeros)
        };
        self.push_lanes(result);
    }

    /// The two lower i32 → two f64. x86 has only the whole.
    pub fn convert_low_to_doubles(&mut self, is_signed: bool) {
        let lanes = self.pop_lanes(types::I32X4);
        let result = if is_signed {
            let wide = self.builder.ins().swiden_low(lanes);
            self.builder.ins().fcvt_from_sint(types::F64X2, wide)
        } else {
            let wide = self.builder.ins().uwiden_low(lanes);
            self.builder.ins().fcvt_from_uint(types::F64X2, wide)
        };
        self.push_lanes(result);
    }
}
