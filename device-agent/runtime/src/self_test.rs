//! Shows at start that bounds checks work and that floats arrive unharmed.
//!
//! WAMR loads a file of the wrong kind without a word: one made for hardware
//! checks then reads beyond its memory, one made for another float convention
//! computes nonsense. The probe is compiled by the same compiler as what the
//! worker will be given.

use std::thread;
use wamr::{
    CallError, FuncType, HostFunction, Instance, InstanceConfig, Module, Profile, Runtime, Value,
    ValueType,
};

/// The probe's calls are shallow.
const STACK_BYTES: usize = 192 * 1024;

#[cfg(target_arch = "x86_64")]
const PROBES: &[(&str, &[u8])] = &[
    ("hardware", include_bytes!("../probe/x86_64-linux-hardware.aot")),
    ("software", include_bytes!("../probe/x86_64-linux-software.aot")),
];
#[cfg(target_arch = "aarch64")]
const PROBES: &[(&str, &[u8])] =
    &[("software", include_bytes!("../probe/aarch64-linux-software.aot"))];
#[cfg(target_arch = "riscv64")]
const PROBES: &[(&str, &[u8])] =
    &[("software", include_bytes!("../probe/riscv64-linux-software.aot"))];
/// Nothing compiles for it, so there is neither a probe nor a file that this runtime
/// would load: `wamr::Profile` refuses all of them.
#[cfg(target_arch = "arm")]
const PROBES: &[(&str, &[u8])] = &[];

/// Beyond one page of 65,536 bytes, and far enough not to be in the same page of
/// the machine.
const ADDRESS_OUTSIDE: i32 = 70_000;

/// Why this runtime must not be used, if so.
pub fn run() -> Option<String> {
    if PROBES.is_empty() {
        return None;
    }
    let outcome = Runtime::spawn("self-test", STACK_BYTES, probe).map(thread::JoinHandle::join);
    match outcome {
        Ok(Ok(Ok(failure))) => failure,
        Ok(Ok(Err(error))) => Some(error.to_string()),
        Ok(Err(_)) => Some("the self-test panicked".to_owned()),
        Err(error) => Some(format!("start the self-test's thread: {error}")),
    }
}

fn probe(runtime: &Runtime) -> Option<String> {
    try_probe(runtime).err()
}

fn try_probe(runtime: &Runtime) -> Result<(), String> {
    let bounds_checks = Profile::of_this_build().bounds_checks.as_str();
    let file = PROBES.iter().find(|(name, _)| *name == bounds_checks);
    let (_, file) = file.ok_or("there is no probe for these bounds checks on this architecture")?;
    runtime.register(echo()).map_err(|e| e.to_string())?;
    let module = Module::load(runtime, file).map_err(|e| format!("load the probe: {e}"))?;
    let instance = Instance::new(&module, InstanceConfig::default());
    let mut instance = instance.map_err(|e| e.to_string())?;
    check_bounds(&mut instance)?;
    check_floats(&mut instance)
}

fn check_bounds(instance: &mut Instance<'_>) -> Result<(), String> {
    let mut load_at = |address| instance.call("load_at", &[Value::I32(address)]);
    match load_at(65_532) {
        Ok(values) if values == [Value::I32(0)] => {}
        other => return Err(format!("a load from the last word gave {other:?}")),
    }
    match load_at(ADDRESS_OUTSIDE) {
        Err(CallError::Trap(_)) => Ok(()),
        other => Err(format!(
            "a load from address {ADDRESS_OUTSIDE} of a 65536-byte memory gave {other:?} and no trap"
        )),
    }
}

fn check_floats(instance: &mut Instance<'_>) -> Result<(), String> {
    let (a, b, c, d) = (1234.5f64, -7i32, -0.3f32, i64::MAX - 12_345);
    // -7 under the root would be NaN, whose payload may differ: squared it is not.
    let expected =
        (a * f64::from(b * b)).sqrt() / f64::from(c * 0.1) + (d as f64).round_ties_even();
    let args = [Value::F64(a.to_bits()), Value::I32(b * b), Value::F32(c.to_bits()), Value::I64(d)];
    let found = instance.call("floats", &args);
    if found != Ok(vec![Value::F64(expected.to_bits())]) {
        return Err(format!("floats: expected {expected:?}, found {found:?}"));
    }
    let args = [Value::I32(3), Value::I64(-1 << 40), Value::F64(0.1f64.to_bits())];
    let expected = 3.0 - (1u64 << 40) as f64 + 0.1;
    let found = instance.call("round_trip", &args);
    if found != Ok(vec![Value::F64(expected.to_bits())]) {
        return Err(format!("a host function: expected {expected:?}, found {found:?}"));
    }
    Ok(())
}

fn echo() -> HostFunction {
    use ValueType::{F64, I32, I64};
    let sum = |args: &[Value]| match args {
        [Value::I32(a), Value::I64(b), Value::F64(c)] => {
            f64::from(*a) + *b as f64 + f64::from_bits(*c)
        }
        _ => f64::NAN,
    };
    HostFunction::new("probe", "echo", FuncType::new([I32, I64, F64], [F64]), move |_, args| {
        Ok(Some(Value::F64(sum(args).to_bits())))
    })
}
