//! WebAssembly values and types as they cross the boundary.

use std::fmt;
use wamrx_sys as sys;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    I32,
    I64,
    F32,
    F64,
    V128,
    FuncRef,
    ExternRef,
}

impl ValueType {
    /// `None` for a kind that WAMR may learn later.
    pub(crate) fn from_kind(kind: sys::wasm_valkind_t) -> Option<Self> {
        Some(match sys::wasm_valkind_enum::from(kind) {
            sys::WASM_I32 => Self::I32,
            sys::WASM_I64 => Self::I64,
            sys::WASM_F32 => Self::F32,
            sys::WASM_F64 => Self::F64,
            sys::WASM_V128 => Self::V128,
            sys::WASM_FUNCREF => Self::FuncRef,
            sys::WASM_EXTERNREF => Self::ExternRef,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
            Self::FuncRef => "funcref",
            Self::ExternRef => "externref",
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A function's parameters and results, shown as `(i32, i32) -> (i64)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FuncType {
    pub params: Vec<ValueType>,
    pub results: Vec<ValueType>,
}

impl FuncType {
    pub fn new(params: impl Into<Vec<ValueType>>, results: impl Into<Vec<ValueType>>) -> Self {
        Self { params: params.into(), results: results.into() }
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join =
            |types: &[ValueType]| types.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ");
        write!(f, "({}) -> ({})", join(&self.params), join(&self.results))
    }
}

/// A value. Floats are bits, because a NaN's payload must survive the journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(u128),
    /// An index into the module's functions, imports first.
    FuncRef(Option<u32>),
    /// A number that means something to the host alone. `u64::MAX - 1` and above
    /// are not representable: WAMR keeps them for null.
    ExternRef(Option<u64>),
}

impl Value {
    pub fn value_type(self) -> ValueType {
        match self {
            Self::I32(_) => ValueType::I32,
            Self::I64(_) => ValueType::I64,
            Self::F32(_) => ValueType::F32,
            Self::F64(_) => ValueType::F64,
            Self::V128(_) => ValueType::V128,
            Self::FuncRef(_) => ValueType::FuncRef,
            Self::ExternRef(_) => ValueType::ExternRef,
        }
    }
}

/// WAMR's null reference in a 32-bit cell (`NULL_REF` in `interpreter/wasm.h`).
const NULL_REF: u32 = u32::MAX;

/// Arguments or results as WAMR's call wants them: 32-bit cells, low half first.
///
/// An externref takes the cells of a host pointer here, although it is one cell
/// inside the module (`wasm_runtime_call_wasm` in `common/wasm_runtime_common.c`
/// converts), so two on the 64-bit hosts that we support. All ones mean null on
/// the way in and a null pointer means null on the way out; shifting our number
/// by one keeps both apart from it.
pub(crate) fn push_cells(cells: &mut Vec<u32>, value: Value) {
    let mut push_u64 = |number: u64| cells.extend([number as u32, (number >> 32) as u32]);
    match value {
        Value::I64(number) => push_u64(number.cast_unsigned()),
        Value::F64(bits) => push_u64(bits),
        Value::ExternRef(Some(number)) => push_u64(number.wrapping_add(1)),
        Value::ExternRef(None) => push_u64(u64::MAX),
        Value::V128(bits) => {
            push_u64(bits as u64);
            push_u64((bits >> 64) as u64);
        }
        Value::I32(number) => cells.push(number.cast_unsigned()),
        Value::F32(bits) => cells.push(bits),
        Value::FuncRef(index) => cells.push(index.unwrap_or(NULL_REF)),
    }
}

pub(crate) fn cell_count(types: &[ValueType]) -> usize {
    let cells_of = |value_type: &ValueType| match value_type {
        ValueType::I32 | ValueType::F32 | ValueType::FuncRef => 1,
        ValueType::I64 | ValueType::F64 | ValueType::ExternRef => 2,
        ValueType::V128 => 4,
    };
    types.iter().map(cells_of).sum()
}

/// The reverse. `cells` holds at least `cell_count(types)`; missing ones read as 0.
pub(crate) fn take_values(cells: &[u32], types: &[ValueType]) -> Vec<Value> {
    let mut cells = cells.iter().copied();
    let mut next = move || cells.next().unwrap_or(0);
    let next_u64 =
        |low: u32, next: &mut dyn FnMut() -> u32| u64::from(low) | u64::from(next()) << 32;
    let values = types.iter().map(|value_type| {
        let low = next();
        match value_type {
            ValueType::I32 => Value::I32(low.cast_signed()),
            ValueType::F32 => Value::F32(low),
            ValueType::FuncRef => Value::FuncRef((low != NULL_REF).then_some(low)),
            ValueType::I64 => Value::I64(next_u64(low, &mut next).cast_signed()),
            ValueType::F64 => Value::F64(next_u64(low, &mut next)),
            ValueType::ExternRef => Value::ExternRef(next_u64(low, &mut next).checked_sub(1)),
            ValueType::V128 => {
                let low = next_u64(low, &mut next);
                let high = next();
                Value::V128(u128::from(low) | u128::from(next_u64(high, &mut next)) << 64)
            }
        }
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_survives_its_cells() {
        let values = [
            Value::I32(-2),
            Value::I64(i64::MIN + 3),
            Value::F32(0x7fa0_0001),
            Value::F64(0x7ff4_0000_0000_0002),
            Value::V128(0x0123_4567_89ab_cdef_0011_2233_4455_6677),
            Value::FuncRef(None),
            Value::FuncRef(Some(7)),
            Value::ExternRef(Some(0)),
            Value::ExternRef(Some(u64::from(u32::MAX))),
        ];
        let types: Vec<_> = values.iter().map(|value| value.value_type()).collect();
        let mut cells = Vec::new();
        for value in values {
            push_cells(&mut cells, value);
        }
        assert_eq!(cells.len(), cell_count(&types));
        assert_eq!(take_values(&cells, &types), values);
    }
}
