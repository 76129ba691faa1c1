//! Constant expressions → the values that they have.
//!
//! WAMR gives a module nothing to import but functions, so every constant expression
//! is known here, also one that calculates or reads an earlier global. The file then
//! holds plain constants, and the runtime needs no switch for them.

use super::module_info::{GlobalInfo, to_invalid};
use crate::error::ModuleError;
use wasmparser::{ConstExpr, Operator};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConstValue {
    I32(u32),
    I64(u64),
    F32(u32),
    F64(u64),
    V128([u8; 16]),
    /// What depends on an imported global, which the census still lists and
    /// compilation refuses.
    Global(u32),
    Function(u32),
    NullRef,
}

pub(super) struct ConstantReader<'i> {
    /// Those before the expression.
    pub globals: &'i [GlobalInfo],
    /// Set when an expression is more than one instruction.
    pub is_extended: bool,
}

impl ConstantReader<'_> {
    /// Evaluates a validated expression.
    pub fn read(&mut self, expr: &ConstExpr<'_>) -> Result<ConstValue, ModuleError> {
        let mut operators = expr.get_operators_reader();
        let mut stack = Vec::new();
        loop {
            let operator = operators.read().map_err(to_invalid)?;
            let value = match operator {
                Operator::End => break,
                Operator::I32Const { value } => Some(ConstValue::I32(value as u32)),
                Operator::I64Const { value } => Some(ConstValue::I64(value as u64)),
                Operator::F32Const { value } => Some(ConstValue::F32(value.bits())),
                Operator::F64Const { value } => Some(ConstValue::F64(value.bits())),
                Operator::V128Const { value } => Some(ConstValue::V128(*value.bytes())),
                Operator::GlobalGet { global_index } => Some(self.global(global_index)),
                Operator::RefFunc { function_index } => Some(ConstValue::Function(function_index)),
                Operator::RefNull { .. } => Some(ConstValue::NullRef),
                calculation => {
                    self.is_extended = true;
                    let (second, first) = (stack.pop(), stack.pop());
                    first.zip(second).and_then(|(a, b)| calculate(&calculation, a, b))
                }
            };
            stack.push(value.ok_or_else(|| not_constant(expr))?);
        }
        stack.pop().ok_or_else(|| not_constant(expr))
    }

    fn global(&self, index: u32) -> ConstValue {
        let global = self.globals.get(index as usize);
        global.and_then(|global| global.value).unwrap_or(ConstValue::Global(index))
    }
}

fn calculate(operator: &Operator<'_>, first: ConstValue, second: ConstValue) -> Option<ConstValue> {
    use ConstValue::{Global, I32, I64};
    Some(match (operator, first, second) {
        (Operator::I32Add, I32(a), I32(b)) => I32(a.wrapping_add(b)),
        (Operator::I32Sub, I32(a), I32(b)) => I32(a.wrapping_sub(b)),
        (Operator::I32Mul, I32(a), I32(b)) => I32(a.wrapping_mul(b)),
        (Operator::I64Add, I64(a), I64(b)) => I64(a.wrapping_add(b)),
        (Operator::I64Sub, I64(a), I64(b)) => I64(a.wrapping_sub(b)),
        (Operator::I64Mul, I64(a), I64(b)) => I64(a.wrapping_mul(b)),
        (_, Global(index), _) | (_, _, Global(index)) => Global(index),
        _ => return None,
    })
}

/// Validation has accepted the expression, so this tells of a difference between it
/// and this file.
fn not_constant(expr: &ConstExpr<'_>) -> ModuleError {
    ModuleError::Invalid {
        message: "a constant expression of an unknown form".to_owned(),
        function: None,
        offset: expr.get_binary_reader().original_position(),
    }
}
