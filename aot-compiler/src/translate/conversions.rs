//! Conversions between integers and floats.
//!
//! CLIF's trapping `fcvt_to_sint` would end the process, so a conversion that can
//! trap tests the range first and then uses the saturating instruction.

use super::function::Translator;
use crate::abi::TrapId;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};

impl Translator<'_, '_> {
    /// `to.trunc_from_s/u`: traps for NaN and for what does not fit.
    pub fn truncate(&mut self, to: Type, is_signed: bool) {
        let operand = self.pop();
        let is_nan = self.builder.ins().fcmp(FloatCC::Unordered, operand, operand);
        self.trap_if(is_nan, TrapId::InvalidConversion);
        let from = self.builder.func.dfg.value_type(operand);
        let range = range_of(from, to, is_signed);
        let lowest = self.float_const(from, range.lowest);
        let is_too_low = self.builder.ins().fcmp(range.too_low, operand, lowest);
        self.trap_if(is_too_low, TrapId::IntegerOverflow);
        let limit = self.float_const(from, range.limit);
        let is_too_high = self.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, operand, limit);
        self.trap_if(is_too_high, TrapId::IntegerOverflow);
        self.push(operand);
        self.truncate_saturating(to, is_signed);
    }

    pub fn truncate_saturating(&mut self, to: Type, is_signed: bool) {
        if is_signed {
            self.unary(|ins, operand| ins.fcvt_to_sint_sat(to, operand));
        } else {
            self.unary(|ins, operand| ins.fcvt_to_uint_sat(to, operand));
        }
    }

    pub fn sign_extend_from(&mut self, narrow: Type) {
        let operand = self.pop();
        let wide = self.builder.func.dfg.value_type(operand);
        let low = self.builder.ins().ireduce(narrow, operand);
        let result = self.builder.ins().sextend(wide, low);
        self.push(result);
    }

    fn float_const(&mut self, ty: Type, value: f64) -> Value {
        if ty == types::F32 {
            // Exact: the f32 ranges below are powers of two or small integers.
            self.builder.ins().f32const(Ieee32::with_float(value as f32))
        } else {
            self.builder.ins().f64const(Ieee64::with_float(value))
        }
    }
}

struct FloatRange {
    lowest: f64,
    /// The comparison with `lowest` that means "does not fit".
    too_low: FloatCC,
    /// The smallest power of two that does not fit.
    limit: f64,
}

fn range_of(from: Type, to: Type, is_signed: bool) -> FloatRange {
    let bits = to.bits() as i32;
    if !is_signed {
        // -0.9 truncates to 0.
        let limit = 2f64.powi(bits);
        return FloatRange { lowest: -1.0, too_low: FloatCC::LessThanOrEqual, limit };
    }
    let limit = 2f64.powi(bits - 1);
    if from == types::F64 && to == types::I32 {
        // Only here are there floats between -2^31 - 1 and -2^31, which fit.
        return FloatRange { lowest: -limit - 1.0, too_low: FloatCC::LessThanOrEqual, limit };
    }
    FloatRange { lowest: -limit, too_low: FloatCC::LessThan, limit }
}
