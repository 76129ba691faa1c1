//! Values of the protocol ↔ values of the wrapper.

use executor::Value;

pub fn to_wamr(value: Value) -> wamr::Value {
    match value {
        Value::I32(number) => wamr::Value::I32(number),
        Value::I64(number) => wamr::Value::I64(number),
        Value::F32(bits) => wamr::Value::F32(bits),
        Value::F64(bits) => wamr::Value::F64(bits),
        Value::V128(low, high) => wamr::Value::V128(u128::from(low) | u128::from(high) << 64),
        Value::FuncRef(index) => wamr::Value::FuncRef(index),
        Value::ExternRef(number) => wamr::Value::ExternRef(number),
    }
}

pub fn from_wamr(value: wamr::Value) -> Value {
    match value {
        wamr::Value::I32(number) => Value::I32(number),
        wamr::Value::I64(number) => Value::I64(number),
        wamr::Value::F32(bits) => Value::F32(bits),
        wamr::Value::F64(bits) => Value::F64(bits),
        wamr::Value::V128(bits) => Value::V128(bits as u64, (bits >> 64) as u64),
        wamr::Value::FuncRef(index) => Value::FuncRef(index),
        wamr::Value::ExternRef(number) => Value::ExternRef(number),
    }
}
