//! The second engine: wasmtime at its default optimisation, held to the CPU features
//! of our target.
//!
//! Left alone it would use everything that this machine has, such as BMI2 and AVX,
//! which an artifact for the target `x86_64-linux` must not. Compilation runs on the
//! thread that asks (the crate is built without `parallel-compilation`).

#![allow(unsafe_code)]

use anyhow::{Context, anyhow};
use target_spec::Target;
use wasmtime::{Config, Engine, Instance, Module, Store, TypedFunc};

/// As pinned in `Cargo.toml`.
pub const VERSION: &str = "48.0.8";

/// Fails where a feature of the target is unknown to wasmtime.
pub fn engine_for(target: &Target) -> anyhow::Result<Engine> {
    let mut config = Config::new();
    // A stated target switches the detection of the host's features off.
    config.target(&target.triple).map_err(|e| anyhow!("{e:#}"))?;
    for feature in &target.cpu_features {
        let flag = format!("has_{}", feature.replace('.', ""));
        // SAFETY: unsafe because a flag can break the ABI or name an instruction
        // that this processor lacks. These only name instruction sets, and loading
        // a module compares them with the host (wasmtime, Config::cranelift_flag_enable).
        unsafe { config.cranelift_flag_enable(&flag) };
    }
    Engine::new(&config).map_err(|e| anyhow!("{e:#}")).context("start wasmtime")
}

/// A module's compiled form: an ELF file, that objdump reads.
pub fn compile(engine: &Engine, wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    engine.precompile_module(wasm).map_err(|e| anyhow!("{e:#}")).context("compile by wasmtime")
}

/// One instance of a module, with its exported function.
pub struct Running {
    store: Store<()>,
    function: TypedFunc<u32, u64>,
}

impl Running {
    /// `compiled` must come from [`compile`] of the same engine.
    pub fn start(engine: &Engine, compiled: &[u8], function: &str) -> anyhow::Result<Self> {
        // SAFETY: unsafe because the bytes are machine code; they were made by
        // `compile` in this process and did not leave it.
        let module = unsafe { Module::deserialize(engine, compiled) };
        let module = module.map_err(|e| anyhow!("{e:#}")).context("load in wasmtime")?;
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[]);
        let instance = instance.map_err(|e| anyhow!("{e:#}")).context("start in wasmtime")?;
        let function = instance.get_typed_func(&mut store, function);
        let function = function.map_err(|e| anyhow!("{e:#}"))?;
        Ok(Self { store, function })
    }

    pub fn call(&mut self, size: u32) -> anyhow::Result<u64> {
        self.function.call(&mut self.store, size).map_err(|e| anyhow!("in wasmtime: {e:#}"))
    }
}
