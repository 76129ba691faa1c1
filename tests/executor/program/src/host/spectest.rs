//! The functions of the module "spectest" that the specification's tests import. Each
//! prints its name and its arguments, floats as bits.

use super::print;
use wamr::{FuncType, HostFunction, RegisterError, Runtime, Value, ValueType};

const MODULE: &str = "spectest";

const FUNCTIONS: [(&str, &[ValueType]); 7] = {
    use ValueType::{F32, F64, I32, I64};
    [
        ("print", &[]),
        ("print_i32", &[I32]),
        ("print_i64", &[I64]),
        ("print_f32", &[F32]),
        ("print_f64", &[F64]),
        ("print_i32_f32", &[I32, F32]),
        ("print_f64_f64", &[F64, F64]),
    ]
};

pub fn register(runtime: &Runtime) -> Result<(), RegisterError> {
    for (name, params) in FUNCTIONS {
        let func_type = FuncType::new(params, []);
        runtime.register(HostFunction::new(
            MODULE,
            name,
            func_type,
            move |caller, arguments| {
                let words: Vec<String> = arguments.iter().map(describe).collect();
                print(caller, format!("{name}({})\n", words.join(", ")).as_bytes());
                Ok(None)
            },
        ))?;
    }
    Ok(())
}

fn describe(value: &Value) -> String {
    match value {
        Value::I32(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::F32(bits) => format!("{bits:#010x}"),
        Value::F64(bits) => format!("{bits:#018x}"),
        // No function above takes one.
        other => format!("{other:?}"),
    }
}
