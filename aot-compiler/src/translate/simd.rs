//! Each vector instruction → the function of its group. One arm, one line.
//!
//! A v128 has no lanes of its own: on the operand stack, in locals and in calls it is
//! always `I8X16`. An instruction gives its operands the lanes that it works on and
//! its result back as `I8X16`; both are free in machine code.
//!
//! Relaxed instructions have several permitted results (core specification 3.0,
//! "Relaxed operations"). Ours are fixed, so that every target computes the same:
//! each is the ordinary instruction that it relaxes, and multiply-add rounds twice.

use super::function::Translator;
use super::simd_memory::Extension;
use crate::error::CompileError;
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use wasmparser::Operator;

impl Translator<'_, '_> {
    pub fn translate_vector_operator(
        &mut self,
        operator: &Operator<'_>,
    ) -> Result<(), CompileError> {
        use Operator as O;
        match operator {
            // Memory.
            O::V128Load { memarg } => self.load_vector(memarg),
            O::V128Store { memarg } => self.store_vector(memarg),
            O::V128Load8x8S { memarg } => self.load_extended(Extension::Signed8x8, memarg),
            O::V128Load8x8U { memarg } => self.load_extended(Extension::Unsigned8x8, memarg),
            O::V128Load16x4S { memarg } => self.load_extended(Extension::Signed16x4, memarg),
            O::V128Load16x4U { memarg } => self.load_extended(Extension::Unsigned16x4, memarg),
            O::V128Load32x2S { memarg } => self.load_extended(Extension::Signed32x2, memarg),
            O::V128Load32x2U { memarg } => self.load_extended(Extension::Unsigned32x2, memarg),
            O::V128Load8Splat { memarg } => self.load_splat(I8X16, memarg),
            O::V128Load16Splat { memarg } => self.load_splat(I16X8, memarg),
            O::V128Load32Splat { memarg } => self.load_splat(I32X4, memarg),
            O::V128Load64Splat { memarg } => self.load_splat(I64X2, memarg),
            O::V128Load32Zero { memarg } => self.load_first_lane(I32X4, memarg),
            O::V128Load64Zero { memarg } => self.load_first_lane(I64X2, memarg),
            O::V128Load8Lane { memarg, lane } => self.load_lane(I8X16, memarg, *lane),
            O::V128Load16Lane { memarg, lane } => self.load_lane(I16X8, memarg, *lane),
            O::V128Load32Lane { memarg, lane } => self.load_lane(I32X4, memarg, *lane),
            O::V128Load64Lane { memarg, lane } => self.load_lane(I64X2, memarg, *lane),
            O::V128Store8Lane { memarg, lane } => self.store_lane(I8X16, memarg, *lane),
            O::V128Store16Lane { memarg, lane } => self.store_lane(I16X8, memarg, *lane),
            O::V128Store32Lane { memarg, lane } => self.store_lane(I32X4, memarg, *lane),
            O::V128Store64Lane { memarg, lane } => self.store_lane(I64X2, memarg, *lane),

            // Constants and lanes.
            O::V128Const { value } => self.vector_constant(*value.bytes()),
            O::I8x16Splat => self.splat(I8X16),
            O::I16x8Splat => self.splat(I16X8),
            O::I32x4Splat => self.splat(I32X4),
            O::I64x2Splat => self.splat(I64X2),
            O::F32x4Splat => self.splat(F32X4),
            O::F64x2Splat => self.splat(F64X2),
            O::I8x16ExtractLaneS { lane } => self.extract_narrow_lane(I8X16, *lane, true),
            O::I8x16ExtractLaneU { lane } => self.extract_narrow_lane(I8X16, *lane, false),
            O::I16x8ExtractLaneS { lane } => self.extract_narrow_lane(I16X8, *lane, true),
            O::I16x8ExtractLaneU { lane } => self.extract_narrow_lane(I16X8, *lane, false),
            O::I32x4ExtractLane { lane } => self.extract_lane(I32X4, *lane),
            O::I64x2ExtractLane { lane } => self.extract_lane(I64X2, *lane),
            O::F32x4ExtractLane { lane } => self.extract_lane(F32X4, *lane),
            O::F64x2ExtractLane { lane } => self.extract_lane(F64X2, *lane),
            O::I8x16ReplaceLane { lane } => self.replace_lane(I8X16, *lane),
            O::I16x8ReplaceLane { lane } => self.replace_lane(I16X8, *lane),
            O::I32x4ReplaceLane { lane } => self.replace_lane(I32X4, *lane),
            O::I64x2ReplaceLane { lane } => self.replace_lane(I64X2, *lane),
            O::F32x4ReplaceLane { lane } => self.replace_lane(F32X4, *lane),
            O::F64x2ReplaceLane { lane } => self.replace_lane(F64X2, *lane),
            O::I8x16Shuffle { lanes } => self.shuffle(*lanes),
            O::I8x16Swizzle | O::I8x16RelaxedSwizzle => {
                // CLIF's gives 0 for an index of 16 or more, as Wasm's does.
                self.binary_lanes(I8X16, |ins, a, b| ins.swizzle(a, b));
            }

            // Bits.
            O::V128Not => self.unary_lanes(I8X16, |ins, a| ins.bnot(a)),
            O::V128And => self.binary_lanes(I8X16, |ins, a, b| ins.band(a, b)),
            O::V128AndNot => self.binary_lanes(I8X16, |ins, a, b| ins.band_not(a, b)),
            O::V128Or => self.binary_lanes(I8X16, |ins, a, b| ins.bor(a, b)),
            O::V128Xor => self.binary_lanes(I8X16, |ins, a, b| ins.bxor(a, b)),
            O::V128Bitselect
            | O::I8x16RelaxedLaneselect
            | O::I16x8RelaxedLaneselect
            | O::I32x4RelaxedLaneselect
            | O::I64x2RelaxedLaneselect => self.bit_select(),
            O::V128AnyTrue => self.any_true(),
            O::I8x16AllTrue => self.all_true(I8X16),
            O::I16x8AllTrue => self.all_true(I16X8),
            O::I32x4AllTrue => self.all_true(I32X4),
            O::I64x2AllTrue => self.all_true(I64X2),
            O::I8x16Bitmask => self.bitmask(I8X16),
            O::I16x8Bitmask => self.bitmask(I16X8),
            O::I32x4Bitmask => self.bitmask(I32X4),
            O::I64x2Bitmask => self.bitmask(I64X2),

            // Comparisons.
            O::I8x16Eq => self.compare_int_lanes(I8X16, IntCC::Equal),
            O::I8x16Ne => self.compare_int_lanes(I8X16, IntCC::NotEqual),
            O::I8x16LtS => self.compare_int_lanes(I8X16, IntCC::SignedLessThan),
            O::I8x16LtU => self.compare_int_lanes(I8X16, IntCC::UnsignedLessThan),
            O::I8x16GtS => self.compare_int_lanes(I8X16, IntCC::SignedGreaterThan),
            O::I8x16GtU => self.compare_int_lanes(I8X16, IntCC::UnsignedGreaterThan),
            O::I8x16LeS => self.compare_int_lanes(I8X16, IntCC::SignedLessThanOrEqual),
            O::I8x16LeU => self.compare_int_lanes(I8X16, IntCC::UnsignedLessThanOrEqual),
            O::I8x16GeS => self.compare_int_lanes(I8X16, IntCC::SignedGreaterThanOrEqual),
            O::I8x16GeU => self.compare_int_lanes(I8X16, IntCC::UnsignedGreaterThanOrEqual),
            O::I16x8Eq => self.compare_int_lanes(I16X8, IntCC::Equal),
            O::I16x8Ne => self.compare_int_lanes(I16X8, IntCC::NotEqual),
            O::I16x8LtS => self.compare_int_lanes(I16X8, IntCC::SignedLessThan),
            O::I16x8LtU => self.compare_int_lanes(I16X8, IntCC::UnsignedLessThan),
            O::I16x8GtS => self.compare_int_lanes(I16X8, IntCC::SignedGreaterThan),
            O::I16x8GtU => self.compare_int_lanes(I16X8, IntCC::UnsignedGreaterThan),
            O::I16x8LeS => self.compare_int_lanes(I16X8, IntCC::SignedLessThanOrEqual),
            O::I16x8LeU => self.compare_int_lanes(I16X8, IntCC::UnsignedLessThanOrEqual),
            O::I16x8GeS => self.compare_int_lanes(I16X8, IntCC::SignedGreaterThanOrEqual),
            O::I16x8GeU => self.compare_int_lanes(I16X8, IntCC::UnsignedGreaterThanOrEqual),
            O::I32x4Eq => self.compare_int_lanes(I32X4, IntCC::Equal),
            O::I32x4Ne => self.compare_int_lanes(I32X4, IntCC::NotEqual),
            O::I32x4LtS => self.compare_int_lanes(I32X4, IntCC::SignedLessThan),
            O::I32x4LtU => self.compare_int_lanes(I32X4, IntCC::UnsignedLessThan),
            O::I32x4GtS => self.compare_int_lanes(I32X4, IntCC::SignedGreaterThan),
            O::I32x4GtU => self.compare_int_lanes(I32X4, IntCC::UnsignedGreaterThan),
            O::I32x4LeS => self.compare_int_lanes(I32X4, IntCC::SignedLessThanOrEqual),
            O::I32x4LeU => self.compare_int_lanes(I32X4, IntCC::UnsignedLessThanOrEqual),
            O::I32x4GeS => self.compare_int_lanes(I32X4, IntCC::SignedGreaterThanOrEqual),
            O::I32x4GeU => self.compare_int_lanes(I32X4, IntCC::UnsignedGreaterThanOrEqual),
            O::I64x2Eq => self.compare_int_lanes(I64X2, IntCC::Equal),
            O::I64x2Ne => self.compare_int_lanes(I64X2, IntCC::NotEqual),
            O::I64x2LtS => self.compare_int_lanes(I64X2, IntCC::SignedLessThan),
            O::I64x2GtS => self.compare_int_lanes(I64X2, IntCC::SignedGreaterThan),
            O::I64x2LeS => self.compare_int_lanes(I64X2, IntCC::SignedLessThanOrEqual),
            O::I64x2GeS => self.compare_int_lanes(I64X2, IntCC::SignedGreaterThanOrEqual),
            O::F32x4Eq => self.compare_float_lanes(F32X4, FloatCC::Equal),
            O::F32x4Ne => self.compare_float_lanes(F32X4, FloatCC::NotEqual),
            O::F32x4Lt => self.compare_float_lanes(F32X4, FloatCC::LessThan),
            O::F32x4Gt => self.compare_float_lanes(F32X4, FloatCC::GreaterThan),
            O::F32x4Le => self.compare_float_lanes(F32X4, FloatCC::LessThanOrEqual),
            O::F32x4Ge => self.compare_float_lanes(F32X4, FloatCC::GreaterThanOrEqual),
            O::F64x2Eq => self.compare_float_lanes(F64X2, FloatCC::Equal),
            O::F64x2Ne => self.compare_float_lanes(F64X2, FloatCC::NotEqual),
            O::F64x2Lt => self.compare_float_lanes(F64X2, FloatCC::LessThan),
            O::F64x2Gt => self.compare_float_lanes(F64X2, FloatCC::GreaterThan),
            O::F64x2Le => self.compare_float_lanes(F64X2, FloatCC::LessThanOrEqual),
            O::F64x2Ge => self.compare_float_lanes(F64X2, FloatCC::GreaterThanOrEqual),

            // Integers.
            O::I8x16Abs => self.unary_lanes(I8X16, |ins, a| ins.iabs(a)),
            O::I16x8Abs => self.unary_lanes(I16X8, |ins, a| ins.iabs(a)),
            O::I32x4Abs => self.unary_lanes(I32X4, |ins, a| ins.iabs(a)),
            O::I64x2Abs => self.unary_lanes(I64X2, |ins, a| ins.iabs(a)),
            O::I8x16Neg => self.unary_lanes(I8X16, |ins, a| ins.ineg(a)),
            O::I16x8Neg => self.unary_lanes(I16X8, |ins, a| ins.ineg(a)),
            O::I32x4Neg => self.unary_lanes(I32X4, |ins, a| ins.ineg(a)),
            O::I64x2Neg => self.unary_lanes(I64X2, |ins, a| ins.ineg(a)),
            O::I8x16Popcnt => self.unary_lanes(I8X16, |ins, a| ins.popcnt(a)),
            O::I8x16Shl => self.shift_lanes(I8X16, |ins, a, by| ins.ishl(a, by)),
            O::I16x8Shl => self.shift_lanes(I16X8, |ins, a, by| ins.ishl(a, by)),
            O::I32x4Shl => self.shift_lanes(I32X4, |ins, a, by| ins.ishl(a, by)),
            O::I64x2Shl => self.shift_lanes(I64X2, |ins, a, by| ins.ishl(a, by)),
            O::I8x16ShrS => self.shift_lanes(I8X16, |ins, a, by| ins.sshr(a, by)),
            O::I16x8ShrS => self.shift_lanes(I16X8, |ins, a, by| ins.sshr(a, by)),
            O::I32x4ShrS => self.shift_lanes(I32X4, |ins, a, by| ins.sshr(a, by)),
            O::I64x2ShrS => self.shift_lanes(I64X2, |ins, a, by| ins.sshr(a, by)),
            O::I8x16ShrU => self.shift_lanes(I8X16, |ins, a, by| ins.ushr(a, by)),
            O::I16x8ShrU => self.shift_lanes(I16X8, |ins, a, by| ins.ushr(a, by)),
            O::I32x4ShrU => self.shift_lanes(I32X4, |ins, a, by| ins.ushr(a, by)),
            O::I64x2ShrU => self.shift_lanes(I64X2, |ins, a, by| ins.ushr(a, by)),
            O::I8x16Add => self.binary_lanes(I8X16, |ins, a, b| ins.iadd(a, b)),
            O::I16x8Add => self.binary_lanes(I16X8, |ins, a, b| ins.iadd(a, b)),
            O::I32x4Add => self.binary_lanes(I32X4, |ins, a, b| ins.iadd(a, b)),
            O::I64x2Add => self.binary_lanes(I64X2, |ins, a, b| ins.iadd(a, b)),
            O::I8x16Sub => self.binary_lanes(I8X16, |ins, a, b| ins.isub(a, b)),
            O::I16x8Sub => self.binary_lanes(I16X8, |ins, a, b| ins.isub(a, b)),
            O::I32x4Sub => self.binary_lanes(I32X4, |ins, a, b| ins.isub(a, b)),
            O::I64x2Sub => self.binary_lanes(I64X2, |ins, a, b| ins.isub(a, b)),
            O::I16x8Mul => self.binary_lanes(I16X8, |ins, a, b| ins.imul(a, b)),
            O::I32x4Mul => self.binary_lanes(I32X4, |ins, a, b| ins.imul(a, b)),
            O::I64x2Mul => self.binary_lanes(I64X2, |ins, a, b| ins.imul(a, b)),
            O::I8x16AddSatS => self.binary_lanes(I8X16, |ins, a, b| ins.sadd_sat(a, b)),
            O::I8x16AddSatU => self.binary_lanes(I8X16, |ins, a, b| ins.uadd_sat(a, b)),
            O::I16x8AddSatS => self.binary_lanes(I16X8, |ins, a, b| ins.sadd_sat(a, b)),
            O::I16x8AddSatU => self.binary_lanes(I16X8, |ins, a, b| ins.uadd_sat(a, b)),
            O::I8x16SubSatS => self.binary_lanes(I8X16, |ins, a, b| ins.ssub_sat(a, b)),
            O::I8x16SubSatU => self.binary_lanes(I8X16, |ins, a, b| ins.usub_sat(a, b)),
            O::I16x8SubSatS => self.binary_lanes(I16X8, |ins, a, b| ins.ssub_sat(a, b)),
            O::I16x8SubSatU => self.binary_lanes(I16X8, |ins, a, b| ins.usub_sat(a, b)),
            O::I8x16MinS => self.binary_lanes(I8X16, |ins, a, b| ins.smin(a, b)),
            O::I8x16MinU => self.binary_lanes(I8X16, |ins, a, b| ins.umin(a, b)),
            O::I8x16MaxS => self.binary_lanes(I8X16, |ins, a, b| ins.smax(a, b)),
            O::I8x16MaxU => self.binary_lanes(I8X16, |ins, a, b| ins.umax(a, b)),
            O::I16x8MinS => self.binary_lanes(I16X8, |ins, a, b| ins.smin(a, b)),
            O::I16x8MinU => self.binary_lanes(I16X8, |ins, a, b| ins.umin(a, b)),
            O::I16x8MaxS => self.binary_lanes(I16X8, |ins, a, b| ins.smax(a, b)),
            O::I16x8MaxU => self.binary_lanes(I16X8, |ins, a, b| ins.umax(a, b)),
            O::I32x4MinS => self.binary_lanes(I32X4, |ins, a, b| ins.smin(a, b)),
            O::I32x4MinU => self.binary_lanes(I32X4, |ins, a, b| ins.umin(a, b)),
            O::I32x4MaxS => self.binary_lanes(I32X4, |ins, a, b| ins.smax(a, b)),
            O::I32x4MaxU => self.binary_lanes(I32X4, |ins, a, b| ins.umax(a, b)),
            O::I8x16AvgrU => self.binary_lanes(I8X16, |ins, a, b| ins.avg_round(a, b)),
            O::I16x8AvgrU => self.binary_lanes(I16X8, |ins, a, b| ins.avg_round(a, b)),
            O::I16x8Q15MulrSatS | O::I16x8RelaxedQ15mulrS => {
                self.binary_lanes(I16X8, |ins, a, b| ins.sqmul_round_sat(a, b));
            }

            // Between widths.
            O::I8x16NarrowI16x8S => self.binary_lanes(I16X8, |ins, a, b| ins.snarrow(a, b)),
            O::I8x16NarrowI16x8U => self.binary_lanes(I16X8, |ins, a, b| ins.unarrow(a, b)),
            O::I16x8NarrowI32x4S => self.binary_lanes(I32X4, |ins, a, b| ins.snarrow(a, b)),
            O::I16x8NarrowI32x4U => self.binary_lanes(I32X4, |ins, a, b| ins.unarrow(a, b)),
            O::I16x8ExtendLowI8x16S => self.unary_lanes(I8X16, |ins, a| ins.swiden_low(a)),
            O::I16x8ExtendHighI8x16S => self.unary_lanes(I8X16, |ins, a| ins.swiden_high(a)),
            O::I16x8ExtendLowI8x16U => self.unary_lanes(I8X16, |ins, a| ins.uwiden_low(a)),
            O::I16x8ExtendHighI8x16U => self.unary_lanes(I8X16, |ins, a| ins.uwiden_high(a)),
            O::I32x4ExtendLowI16x8S => self.unary_lanes(I16X8, |ins, a| ins.swiden_low(a)),
            O::I32x4ExtendHighI16x8S => self.unary_lanes(I16X8, |ins, a| ins.swiden_high(a)),
            O::I32x4ExtendLowI16x8U => self.unary_lanes(I16X8, |ins, a| ins.uwiden_low(a)),
            O::I32x4ExtendHighI16x8U => self.unary_lanes(I16X8, |ins, a| ins.uwiden_high(a)),
            O::I64x2ExtendLowI32x4S => self.unary_lanes(I32X4, |ins, a| ins.swiden_low(a)),
            O::I64x2ExtendHighI32x4S => self.unary_lanes(I32X4, |ins, a| ins.swiden_high(a)),
            O::I64x2ExtendLowI32x4U => self.unary_lanes(I32X4, |ins, a| ins.uwiden_low(a)),
            O::I64x2ExtendHighI32x4U => self.unary_lanes(I32X4, |ins, a| ins.uwiden_high(a)),
            O::I16x8ExtMulLowI8x16S => self.multiply_widened(I8X16, |ins, a| ins.swiden_low(a)),
            O::I16x8ExtMulHighI8x16S => self.multiply_widened(I8X16, |ins, a| ins.swiden_high(a)),
            O::I16x8ExtMulLowI8x16U => self.multiply_widened(I8X16, |ins, a| ins.uwiden_low(a)),
            O::I16x8ExtMulHighI8x16U => self.multiply_widened(I8X16, |ins, a| ins.uwiden_high(a)),
            O::I32x4ExtMulLowI16x8S => self.multiply_widened(I16X8, |ins, a| ins.swiden_low(a)),
            O::I32x4ExtMulHighI16x8S => self.multiply_widened(I16X8, |ins, a| ins.swiden_high(a)),
            O::I32x4ExtMulLowI16x8U => self.multiply_widened(I16X8, |ins, a| ins.uwiden_low(a)),
            O::I32x4ExtMulHighI16x8U => self.multiply_widened(I16X8, |ins, a| ins.uwiden_high(a)),
            O::I64x2ExtMulLowI32x4S => self.multiply_widened(I32X4, |ins, a| ins.swiden_low(a)),
            O::I64x2ExtMulHighI32x4S => self.multiply_widened(I32X4, |ins, a| ins.swiden_high(a)),
            O::I64x2ExtMulLowI32x4U => self.multiply_widened(I32X4, |ins, a| ins.uwiden_low(a)),
            O::I64x2ExtMulHighI32x4U => self.multiply_widened(I32X4, |ins, a| ins.uwiden_high(a)),
            O::I16x8ExtAddPairwiseI8x16S => self.add_pairs_widened(I8X16, true),
            O::I16x8ExtAddPairwiseI8x16U => self.add_pairs_widened(I8X16, false),
            O::I32x4ExtAddPairwiseI16x8S => self.add_pairs_widened(I16X8, true),
            O::I32x4ExtAddPairwiseI16x8U => self.add_pairs_widened(I16X8, false),
            O::I32x4DotI16x8S => self.dot_product(I16X8),
            O::I16x8RelaxedDotI8x16I7x16S => self.dot_product(I8X16),
            O::I32x4RelaxedDotI8x16I7x16AddS => self.dot_product_add(),

            // Floats.
            O::F32x4Ceil => self.unary_float_lanes(F32X4, |ins, a| ins.ceil(a)),
            O::F64x2Ceil => self.unary_float_lanes(F64X2, |ins, a| ins.ceil(a)),
            O::F32x4Floor => self.unary_float_lanes(F32X4, |ins, a| ins.floor(a)),
            O::F64x2Floor => self.unary_float_lanes(F64X2, |ins, a| ins.floor(a)),
            O::F32x4Trunc => self.unary_float_lanes(F32X4, |ins, a| ins.trunc(a)),
            O::F64x2Trunc => self.unary_float_lanes(F64X2, |ins, a| ins.trunc(a)),
            O::F32x4Nearest => self.unary_float_lanes(F32X4, |ins, a| ins.nearest(a)),
            O::F64x2Nearest => self.unary_float_lanes(F64X2, |ins, a| ins.nearest(a)),
            O::F32x4Abs => self.unary_lanes(F32X4, |ins, a| ins.fabs(a)),
            O::F64x2Abs => self.unary_lanes(F64X2, |ins, a| ins.fabs(a)),
            O::F32x4Neg => self.unary_lanes(F32X4, |ins, a| ins.fneg(a)),
            O::F64x2Neg => self.unary_lanes(F64X2, |ins, a| ins.fneg(a)),
            O::F32x4Sqrt => self.unary_float_lanes(F32X4, |ins, a| ins.sqrt(a)),
            O::F64x2Sqrt => self.unary_float_lanes(F64X2, |ins, a| ins.sqrt(a)),
            O::F32x4Add => self.binary_float_lanes(F32X4, |ins, a, b| ins.fadd(a, b)),
            O::F64x2Add => self.binary_float_lanes(F64X2, |ins, a, b| ins.fadd(a, b)),
            O::F32x4Sub => self.binary_float_lanes(F32X4, |ins, a, b| ins.fsub(a, b)),
            O::F64x2Sub => self.binary_float_lanes(F64X2, |ins, a, b| ins.fsub(a, b)),
            O::F32x4Mul => self.binary_float_lanes(F32X4, |ins, a, b| ins.fmul(a, b)),
            O::F64x2Mul => self.binary_float_lanes(F64X2, |ins, a, b| ins.fmul(a, b)),
            O::F32x4Div => self.binary_float_lanes(F32X4, |ins, a, b| ins.fdiv(a, b)),
            O::F64x2Div => self.binary_float_lanes(F64X2, |ins, a, b| ins.fdiv(a, b)),
            O::F32x4Min | O::F32x4RelaxedMin => {
                self.binary_float_lanes(F32X4, |ins, a, b| ins.fmin(a, b));
            }
            O::F64x2Min | O::F64x2RelaxedMin => {
                self.binary_float_lanes(F64X2, |ins, a, b| ins.fmin(a, b));
            }
            O::F32x4Max | O::F32x4RelaxedMax => {
                self.binary_float_lanes(F32X4, |ins, a, b| ins.fmax(a, b));
            }
            O::F64x2Max | O::F64x2RelaxedMax => {
                self.binary_float_lanes(F64X2, |ins, a, b| ins.fmax(a, b));
            }
            O::F32x4PMin => self.pseudo_min(F32X4),
            O::F64x2PMin => self.pseudo_min(F64X2),
            O::F32x4PMax => self.pseudo_max(F32X4),
            O::F64x2PMax => self.pseudo_max(F64X2),
            O::F32x4RelaxedMadd => self.multiply_add(F32X4, false),
            O::F64x2RelaxedMadd => self.multiply_add(F64X2, false),
            O::F32x4RelaxedNmadd => self.multiply_add(F32X4, true),
            O::F64x2RelaxedNmadd => self.multiply_add(F64X2, true),

            // Conversions.
            O::I32x4TruncSatF32x4S | O::I32x4RelaxedTruncF32x4S => {
                self.unary_lanes(F32X4, |ins, a| ins.fcvt_to_sint_sat(I32X4, a));
            }
            O::I32x4TruncSatF32x4U | O::I32x4RelaxedTruncF32x4U => {
                self.unary_lanes(F32X4, |ins, a| ins.fcvt_to_uint_sat(I32X4, a));
            }
            O::I32x4TruncSatF64x2SZero | O::I32x4RelaxedTruncF64x2SZero => {
                self.truncate_doubles(true);
            }
            O::I32x4TruncSatF64x2UZero | O::I32x4RelaxedTruncF64x2UZero => {
                self.truncate_doubles(false);
            }
            O::F32x4ConvertI32x4S => {
                self.unary_lanes(I32X4, |ins, a| ins.fcvt_from_sint(F32X4, a));
            }
            O::F32x4ConvertI32x4U => {
                self.unary_lanes(I32X4, |ins, a| ins.fcvt_from_uint(F32X4, a));
            }
            O::F64x2ConvertLowI32x4S => self.convert_low_to_doubles(true),
            O::F64x2ConvertLowI32x4U => self.convert_low_to_doubles(false),
            O::F32x4DemoteF64x2Zero => self.unary_float_lanes(F64X2, |ins, a| ins.fvdemote(a)),
            O::F64x2PromoteLowF32x4 => self.unary_float_lanes(F32X4, |ins, a| ins.fvpromote_low(a)),

            // Validation admits nothing else.
            other => return Err(CompileError::bug(format!("no translation of {other:?}"))),
        }
        Ok(())
    }
}
