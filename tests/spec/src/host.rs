//! The functions of the module "spectest" that test modules import. They only have
//! to exist and to take their arguments.

use wamr::{FuncType, HostFunction, Runtime, ValueType};

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

pub fn register(runtime: &Runtime) -> anyhow::Result<()> {
    for (name, params) in FUNCTIONS {
        let func_type = FuncType::new(params, []);
        runtime.register(HostFunction::new(MODULE, name, func_type, |_, _| Ok(None)))?;
    }
    Ok(())
}
