//! Integer division and the operators that are one CLIF instruction each.

use super::function::Translator;
use crate::abi::TrapId;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::FuncInstBuilder;

impl<'f> Translator<'_, 'f> {
    pub fn unary(&mut self, emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value) -> Value) {
        let operand = self.pop();
        let result = emit(self.builder.ins(), operand);
        self.push(result);
    }

    pub fn binary(
        &mut self,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value, Value) -> Value,
    ) {
        let (left, right) = self.pop2();
        let result = emit(self.builder.ins(), left, right);
        self.push(result);
    }

    /// Comparisons give an 8-bit bool; Wasm wants an i32.
    pub fn compare_int(&mut self, condition: IntCC) {
        self.binary(|ins, left, right| ins.icmp(condition, left, right));
        self.unary(|ins, bool| ins.uextend(types::I32, bool));
    }

    pub fn compare_float(&mut self, condition: FloatCC) {
        self.binary(|ins, left, right| ins.fcmp(condition, left, right));
        self.unary(|ins, bool| ins.uextend(types::I32, bool));
    }

    pub fn test_zero(&mut self) {
        self.unary(|ins, operand| ins.icmp_imm_s(IntCC::Equal, operand, 0));
        self.unary(|ins, bool| ins.uextend(types::I32, bool));
    }

    /// Signed division also overflows, for the smallest value by -1.
    pub fn divide_signed(&mut self) {
        let (dividend, divisor) = self.pop2();
        self.trap_if_zero(divisor, TrapId::DivideByZero);
        let ty = self.builder.func.dfg.value_type(dividend);
        let smallest = self.builder.ins().iconst(ty, smallest_signed(ty.bits()));
        let is_smallest = self.builder.ins().icmp(IntCC::Equal, dividend, smallest);
        let is_minus_one = self.builder.ins().icmp_imm_s(IntCC::Equal, divisor, -1);
        let overflows = self.builder.ins().band(is_smallest, is_minus_one);
        self.trap_if(overflows, TrapId::IntegerOverflow);
        let result = self.builder.ins().sdiv(dividend, divisor);
        self.push(result);
    }

    /// CLIF's `srem` of the smallest value by -1 is 0, as in Wasm.
    pub fn remainder_signed(&mut self) {
        let (dividend, divisor) = self.pop2();
        self.trap_if_zero(divisor, TrapId::DivideByZero);
        let result = self.builder.ins().srem(dividend, divisor);
        self.push(result);
    }

    pub fn divide_unsigned(&mut self) {
        let (dividend, divisor) = self.pop2();
        self.trap_if_zero(divisor, TrapId::DivideByZero);
        let result = self.builder.ins().udiv(dividend, divisor);
        self.push(result);
    }

    pub fn remainder_unsigned(&mut self) {
        let (dividend, divisor) = self.pop2();
        self.trap_if_zero(divisor, TrapId::DivideByZero);
        let result = self.builder.ins().urem(dividend, divisor);
        self.push(result);
    }

    pub fn select(&mut self) {
        let (first, second, condition) = self.pop3();
        let result = self.builder.ins().select(condition, first, second);
        if self.is_exact(first) && self.is_exact(second) {
            self.exact(result);
        }
        self.push(result);
    }
}

fn smallest_signed(bits: u32) -> i64 {
    // The constant of a narrower type is stored zero-extended.
    if bits == 64 { i64::MIN } else { 1 << (bits - 1) }
}
