//! Constant expressions, of which those of other modules become a part.
//!
//! An own global may not be read in a constant expression without the GC proposal, and
//! another module's global is an own one of the result. So its value, which is a constant
//! expression too, takes the place of the `global.get`.

use crate::CONSTANT_BYTES_MAX;
use crate::error::LinkError;
use std::collections::HashMap;
use wasmparser::{BinaryReader, ConstExpr, Operator};

/// Values of the result's own globals, as instructions without the final `end`.
#[derive(Default)]
pub struct Constants {
    values: HashMap<u32, Vec<u8>>,
    bytes: usize,
}

impl Constants {
    pub fn add(&mut self, global: u32, value: Vec<u8>) {
        self.values.insert(global, value);
    }

    /// Puts the value of a global there, unless it is an import of the result.
    pub fn splice(&mut self, global: u32, into: &mut Vec<u8>) -> Result<bool, LinkError> {
        let Some(value) = self.values.get(&global) else { return Ok(false) };
        self.bytes += value.len();
        if self.bytes > CONSTANT_BYTES_MAX {
            return Err(LinkError::ConstantsTooLarge);
        }
        into.extend_from_slice(value);
        Ok(true)
    }

    /// A number that is known before the module is instantiated.
    pub fn i32_of(&self, expression: &ConstExpr<'_>, globals: &[u32]) -> Option<u32> {
        self.calculate(expression, globals)
    }

    pub fn i32_of_global(&self, global: u32) -> Option<u32> {
        let mut value = self.values.get(&global)?.clone();
        // The expression's end, which is kept for none of them.
        value.push(0x0b);
        self.calculate(&ConstExpr::new(BinaryReader::new(&value, 0)), &[])
    }

    /// What was spliced has no `global.get` any more but those of imports.
    fn calculate(&self, expression: &ConstExpr<'_>, globals: &[u32]) -> Option<u32> {
        let mut stack: Vec<i32> = Vec::new();
        for operator in expression.get_operators_reader() {
            let calculated = match operator.ok()? {
                Operator::I32Const { value } => value,
                Operator::GlobalGet { global_index } => {
                    let global = globals.get(global_index as usize)?;
                    self.i32_of_global(*global)?.cast_signed()
                }
                Operator::I32Add => stack.pop()?.wrapping_add(stack.pop()?),
                Operator::I32Mul => stack.pop()?.wrapping_mul(stack.pop()?),
                Operator::I32Sub => {
                    let subtracted = stack.pop()?;
                    stack.pop()?.wrapping_sub(subtracted)
                }
                Operator::End => break,
                _ => return None,
            };
            stack.push(calculated);
        }
        stack.pop().map(i32::cast_unsigned)
    }
}
