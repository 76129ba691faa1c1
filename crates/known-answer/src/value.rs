//! A WebAssembly number with its type, as `i32:5`, `i64:0xff` or `f64:1.5`.

use minicbor::{Decode, Encode};
use std::fmt;
use std::str::FromStr;

/// Floats are held as bits: a known answer is equal bit for bit or it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Value {
    #[n(0)]
    I32(#[n(0)] i32),
    #[n(1)]
    I64(#[n(0)] i64),
    #[n(2)]
    F32(#[n(0)] u32),
    #[n(3)]
    F64(#[n(0)] u64),
}

impl Value {
    pub fn type_name(self) -> &'static str {
        match self {
            Self::I32(_) => "i32",
            Self::I64(_) => "i64",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32(number) => write!(f, "i32:{number}"),
            Self::I64(number) => write!(f, "i64:{number}"),
            Self::F32(bits) => write!(f, "f32:0x{bits:08x}"),
            Self::F64(bits) => write!(f, "f64:0x{bits:016x}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no value: write type and number, such as \"i32:-1\", \"i64:0xff\", \"f64:1.5\" or a float's bits as \"f64:0x3ff0000000000000\""
)]
pub struct InvalidValue(pub String);

impl FromStr for Value {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| InvalidValue(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<Value> {
    let (type_name, number) = text.split_once(':')?;
    let bits = |digits| u64::from_str_radix(digits, 16).ok();
    match (type_name, number.strip_prefix("0x")) {
        ("i32", Some(digits)) => Some(Value::I32(u32::try_from(bits(digits)?).ok()?.cast_signed())),
        ("i64", Some(digits)) => Some(Value::I64(bits(digits)?.cast_signed())),
        ("f32", Some(digits)) => Some(Value::F32(u32::try_from(bits(digits)?).ok()?)),
        ("f64", Some(digits)) => Some(Value::F64(bits(digits)?)),
        // An unsigned 32- or 64-bit number is as usual in hashes as a signed one.
        ("i32", None) => {
            let signed = number.parse::<i32>().ok();
            signed.or_else(|| Some(number.parse::<u32>().ok()?.cast_signed())).map(Value::I32)
        }
        ("i64", None) => {
            let signed = number.parse::<i64>().ok();
            signed.or_else(|| Some(number.parse::<u64>().ok()?.cast_signed())).map(Value::I64)
        }
        ("f32", None) => Some(Value::F32(number.parse::<f32>().ok()?.to_bits())),
        ("f64", None) => Some(Value::F64(number.parse::<f64>().ok()?.to_bits())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_value_is_read() {
        for (text, value) in [
            ("i32:-1", Value::I32(-1)),
            ("i32:4294967295", Value::I32(-1)),
            ("i32:0xffffffff", Value::I32(-1)),
            ("i64:18446744073709551615", Value::I64(-1)),
            ("i64:0x10", Value::I64(16)),
            ("f32:1.5", Value::F32(0x3fc0_0000)),
            ("f64:0x3ff8000000000000", Value::F64(1.5f64.to_bits())),
        ] {
            assert_eq!(text.parse(), Ok(value), "{text}");
            assert_eq!(value.to_string().parse(), Ok(value), "{value}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in ["", "5", "i32", "i32:", "i32:4294967296", "i32:0x1ffffffff", "v128:0", "i8:1"]
        {
            assert_eq!(text.parse::<Value>(), Err(InvalidValue(text.to_owned())), "{text}");
        }
    }
}
