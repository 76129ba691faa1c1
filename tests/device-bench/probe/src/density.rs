//! How many instances fit.

use anyhow::{Context, anyhow, ensure};
use serde::Serialize;
use wamr::bare::BareModule;
use wamr::{FuncType, HostFunction, Instance, InstanceConfig, Module, Runtime, Value, ValueType};

/// Looked at in between: reading it takes longer than making an instance.
const BATCH: usize = 500;

/// With hardware checks the address space ends at 16,378.
const INSTANCES_MAX: usize = 200_000;

#[derive(Debug, Serialize)]
pub struct Density {
    instances: usize,
    resident_bytes: u64,
    /// Why there are no more, where it was not the memory asked for.
    stopped: Option<String>,
}

pub fn ours(runtime: &Runtime, artifact: &[u8], bytes: u64) -> anyhow::Result<Density> {
    let same = FuncType::new([ValueType::I32], [ValueType::I32]);
    runtime.register(HostFunction::new("ours", "same", same, |_, args| Ok(Some(args[0]))))?;
    let module = Module::load(runtime, artifact)?;
    fill(bytes, || {
        let mut instance =
            Instance::new(&module, InstanceConfig::default()).map_err(|e| anyhow!(e))?;
        // Touches a page of its memory.
        instance.call("tick", &[Value::I32(1)])?;
        Ok(instance)
    })
}

pub fn bare(runtime: &Runtime, artifact: &[u8], bytes: u64) -> anyhow::Result<Density> {
    ensure!(wamr::bare::register(runtime), "WAMR takes no native function");
    let module = BareModule::load(runtime, artifact).map_err(|e| anyhow!(e))?;
    fill(bytes, || {
        let mut instance = module.instantiate().map_err(|e| anyhow!(e))?;
        instance.call(c"tick", 1).map_err(|e| anyhow!(e))?;
        Ok(instance)
    })
}

fn fill<I>(bytes: u64, mut make: impl FnMut() -> anyhow::Result<I>) -> anyhow::Result<Density> {
    let before = resident_bytes()?;
    let mut instances = Vec::with_capacity(INSTANCES_MAX);
    let mut stopped = None;
    while stopped.is_none() && instances.len() < INSTANCES_MAX {
        for _ in 0..BATCH {
            match make() {
                Ok(instance) => instances.push(instance),
                Err(error) => {
                    stopped = Some(error.to_string());
                    break;
                }
            }
        }
        if resident_bytes()? - before >= bytes {
            break;
        }
    }
    Ok(Density { instances: instances.len(), resident_bytes: resident_bytes()? - before, stopped })
}

fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("read its own status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("find VmRSS")?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}
