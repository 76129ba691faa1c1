//! The same script in wasmi, an interpreter that shares no code with us or with WAMR.

use crate::outcome::{Ending, Seen, TrapKind, comparable};
use crate::script::{Exports, Step};
use executor::Value;
use sha2::{Digest, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasmi::{
    Caller, CompilationMode, Config, Engine, Func, FuncType, Instance, Linker, Module, Nullable,
    Store, TrapCode, Val, ValType,
};

/// As `tests/executor/program/src/host/spectest.rs` offers them.
pub const IMPORTS: [(&str, &[ValType]); 7] = {
    use ValType::{F32, F64, I32, I64};
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

/// Why there is no module after a panic.
pub const PANICKED: &str = "its translator panicked";

/// What the guest has printed.
type State = Vec<u8>;

pub struct SecondEngine {
    engine: Engine,
    /// Translates nothing before it is called.
    reader: Engine,
    linker: Linker<State>,
}

impl SecondEngine {
    pub fn new() -> anyhow::Result<Self> {
        // At once, so that a panic of its translator is met in `module`.
        let mut config = Config::default();
        config.compilation_mode(CompilationMode::Eager);
        let engine = Engine::new(&config);
        config.compilation_mode(CompilationMode::Lazy);
        let reader = Engine::new(&config);
        let mut linker = Linker::new(&engine);
        for (name, params) in IMPORTS {
            let ty = FuncType::new(params.iter().copied(), []);
            let print = move |mut caller: Caller<'_, State>, arguments: &[Val], _: &mut [Val]| {
                let words: Vec<String> = arguments.iter().map(describe).collect();
                let line = format!("{name}({})\n", words.join(", "));
                caller.data_mut().extend_from_slice(line.as_bytes());
                Ok(())
            };
            linker.func_new("spectest", name, ty, print)?;
        }
        Ok(Self { engine, reader, linker })
    }

    /// Only what the module exports, of any valid module.
    pub fn exports(&self, wasm: &[u8]) -> Result<Exports, wasmi::Error> {
        Ok(Exports::of(&Module::new(&self.reader, wasm)?))
    }

    /// Panics of its translator become errors. One was seen in wasmi 2.0.0 while it
    /// translated lazily: a store in `choose_store_op_vt` of `translator/func/mod.rs`,
    /// whose address and value were in the same register.
    pub fn module(&self, wasm: &[u8]) -> Result<Module, String> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let module = catch_unwind(AssertUnwindSafe(|| Module::new(&self.engine, wasm)));
        std::panic::set_hook(hook);
        match module {
            Ok(module) => module.map_err(|error| error.to_string()),
            Err(_) => Err(PANICKED.to_owned()),
        }
    }

    /// Stops behind the first step after which there is nothing to compare.
    pub fn run(&self, module: &Module, exports: &Exports, steps: &[Step]) -> Vec<Seen> {
        let mut running: Option<(Store<State>, Instance)> = None;
        let mut seen = Vec::with_capacity(steps.len());
        for step in steps {
            match (step, &mut running) {
                (Step::Instantiate, running) => {
                    let mut store = Store::new(&self.engine, Vec::new());
                    match self.linker.instantiate_and_start(&mut store, module) {
                        Ok(instance) => {
                            let ending = Ending::Returned(Vec::new());
                            seen.push(look(&mut store, &instance, exports, ending));
                            *running = Some((store, instance));
                        }
                        Err(error) => {
                            seen.push(Seen::only(match ending_of(&error) {
                                Ending::Limit(why) => Ending::Limit(why),
                                _ => Ending::NotInstantiated,
                            }));
                            *running = None;
                        }
                    }
                }
                (Step::Call { function, arguments }, Some((store, instance))) => {
                    let ending = call(store, instance, function, arguments);
                    seen.push(look(store, instance, exports, ending));
                }
                (Step::Call { .. }, None) => {}
            }
            if seen.last().is_some_and(Seen::is_last) {
                break;
            }
        }
        seen
    }
}

fn call(store: &mut Store<State>, instance: &Instance, name: &str, arguments: &[Value]) -> Ending {
    let Some(function) = instance.get_func(&*store, name) else {
        return Ending::Failed(format!("there is no function {name:?}"));
    };
    let results = function.ty(&*store).results().to_vec();
    let mut results: Vec<Val> = results.into_iter().map(Val::default_for_ty).collect();
    let arguments: Vec<Val> = arguments.iter().copied().map(to_wasmi).collect();
    match function.call(store, &arguments, &mut results) {
        Ok(()) => Ending::Returned(results.iter().map(from_wasmi).collect()),
        Err(error) => ending_of(&error),
    }
}

fn look(store: &mut Store<State>, instance: &Instance, exports: &Exports, ending: Ending) -> Seen {
    let printed = std::mem::take(store.data_mut());
    let globals = exports.globals.iter().filter_map(|name| instance.get_global(&*store, name));
    let globals = globals.map(|global| from_wasmi(&global.get(&*store))).collect();
    let memory = exports.memory.as_ref().and_then(|name| instance.get_memory(&*store, name));
    let bytes = memory.map_or(&[][..], |memory| memory.data(&*store));
    let memory_sha256 = Sha256::digest(bytes).to_vec();
    Seen { ending, printed, globals, memory_bytes: bytes.len() as u64, memory_sha256 }
}

/// The hash of a memory that is not there.
pub fn no_memory() -> Vec<u8> {
    Sha256::digest([]).to_vec()
}

fn ending_of(error: &wasmi::Error) -> Ending {
    let Some(code) = error.as_trap_code() else { return Ending::Failed(error.to_string()) };
    Ending::Trapped(match code {
        TrapCode::UnreachableCodeReached => TrapKind::Unreachable,
        TrapCode::MemoryOutOfBounds => TrapKind::Memory,
        TrapCode::TableOutOfBounds => TrapKind::Table,
        TrapCode::IndirectCallToNull => TrapKind::UninitializedElement,
        TrapCode::BadSignature => TrapKind::IndirectCallType,
        TrapCode::IntegerDivisionByZero => TrapKind::DivisionByZero,
        TrapCode::IntegerOverflow => TrapKind::IntegerOverflow,
        TrapCode::BadConversionToInteger => TrapKind::ConversionToInteger,
        TrapCode::StackOverflow
        | TrapCode::OutOfFuel
        | TrapCode::GrowthOperationLimited
        | TrapCode::OutOfSystemMemory => return Ending::Limit(error.to_string()),
    })
}

fn to_wasmi(value: Value) -> Val {
    match value {
        Value::I32(number) => Val::I32(number),
        Value::I64(number) => Val::I64(number),
        Value::F32(bits) => Val::F32(wasmi::F32::from_bits(bits)),
        Value::F64(bits) => Val::F64(wasmi::F64::from_bits(bits)),
        Value::V128(low, high) => {
            Val::V128(wasmi::V128::from(u128::from(low) | u128::from(high) << 64))
        }
        // A script holds null references only.
        Value::FuncRef(_) => Val::FuncRef(Nullable::<Func>::Null),
        Value::ExternRef(_) => Val::ExternRef(Nullable::Null),
    }
}

fn from_wasmi(value: &Val) -> Value {
    comparable(match value {
        Val::I32(number) => Value::I32(*number),
        Val::I64(number) => Value::I64(*number),
        Val::F32(number) => Value::F32(number.to_bits()),
        Val::F64(number) => Value::F64(number.to_bits()),
        Val::V128(vector) => {
            let bits = vector.as_u128();
            Value::V128(bits as u64, (bits >> 64) as u64)
        }
        Val::FuncRef(function) => Value::FuncRef((!function.is_null()).then_some(0)),
        Val::ExternRef(object) => Value::ExternRef((!object.is_null()).then_some(0)),
    })
}

/// The same words as the executor's.
fn describe(value: &Val) -> String {
    match value {
        Val::I32(number) => number.to_string(),
        Val::I64(number) => number.to_string(),
        Val::F32(number) => format!("{:#010x}", number.to_bits()),
        Val::F64(number) => format!("{:#018x}", number.to_bits()),
        other => format!("{other:?}"),
    }
}
