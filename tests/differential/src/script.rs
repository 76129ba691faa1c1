//! A module and chance → what is done with it: instances, calls, arguments.
//!
//! The script is made before anything runs, so every engine follows the same one.

use executor::Value;
use fuzz_targets::Random;
use wasmi::{ExternType, ValType};

/// Exported functions that are called in one round, at most.
const CALLS_MAX: usize = 24;

/// After so many calls everything starts again with a fresh instance.
const CALLS_PER_INSTANCE: usize = 8;

#[derive(Debug, Clone)]
pub enum Step {
    /// Ends the life of the instance before it, too.
    Instantiate,
    Call {
        function: String,
        arguments: Vec<Value>,
    },
}

/// What is looked at after each step, beside results and memory.
#[derive(Debug, Default)]
pub struct Exports {
    pub functions: Vec<(String, Vec<ValType>)>,
    pub globals: Vec<String>,
    pub memory: Option<String>,
}

impl Exports {
    pub fn of(module: &wasmi::Module) -> Self {
        let mut exports = Self::default();
        for export in module.exports() {
            let name = export.name().to_owned();
            match export.ty() {
                ExternType::Func(ty) => exports.functions.push((name, ty.params().to_vec())),
                ExternType::Global(_) => exports.globals.push(name),
                ExternType::Memory(_) => exports.memory = Some(name),
                ExternType::Table(_) => {}
            }
        }
        exports
    }
}

pub fn script(exports: &Exports, random: &mut Random) -> Vec<Step> {
    let mut steps = vec![Step::Instantiate];
    if exports.functions.is_empty() {
        return steps;
    }
    for call in 0..CALLS_MAX {
        if call > 0 && call % CALLS_PER_INSTANCE == 0 {
            steps.push(Step::Instantiate);
        }
        let (function, params) = &exports.functions[random.below(exports.functions.len())];
        let arguments = params.iter().map(|ty| argument(*ty, random)).collect();
        steps.push(Step::Call { function: function.clone(), arguments });
    }
    steps
}

fn argument(ty: ValType, random: &mut Random) -> Value {
    match ty {
        ValType::I32 => Value::I32(i32_of(random)),
        ValType::I64 => Value::I64(match random.below(3) {
            0 => i64::from(i32_of(random)),
            1 => [0, 1, -1, i64::MIN, i64::MAX, 1 << 32][random.below(6)],
            _ => random.bits() as i64,
        }),
        ValType::F32 => Value::F32(f32_of(random)),
        ValType::F64 => Value::F64(match random.below(2) {
            0 => f64::from(f32::from_bits(f32_of(random))).to_bits(),
            _ => random.bits(),
        }),
        ValType::V128 => Value::V128(random.bits(), random.bits()),
        // References of one engine mean nothing to another.
        ValType::FuncRef => Value::FuncRef(None),
        ValType::ExternRef => Value::ExternRef(None),
    }
}

/// Often an address at the end of the first pages.
fn i32_of(random: &mut Random) -> i32 {
    match random.below(16) {
        0..=3 => random.below(64) as i32,
        4..=8 => 65_536 - random.below(48) as i32,
        9..=10 => ((1 + random.below(4)) * 65_536) as i32 - random.below(40) as i32,
        11..=13 => random.below(65_536) as i32,
        14 => [0, 1, -1, i32::MIN, i32::MAX, -8][random.below(6)],
        _ => random.bits() as i32,
    }
}

fn f32_of(random: &mut Random) -> u32 {
    let special = [0.0, -0.0, 1.0, -1.5, f32::INFINITY, f32::NAN, 2_147_483_648.0, 1e-40];
    match random.below(2) {
        0 => special[random.below(special.len())].to_bits(),
        _ => random.bits() as u32,
    }
}
