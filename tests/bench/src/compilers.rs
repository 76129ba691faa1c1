//! Both compilers, taking turns on one module: CPU time and what comes out.

use crate::clock::cpu_time;
use crate::wasmtime_engine;
use aot_compiler::CompileOptions;
use serde::Serialize;
use target_spec::{BoundsChecks, Target};
use wasmtime::Engine;

/// Compiling takes long for large modules and varies little.
const COMPILE_ROUNDS_MAX: usize = 5;

/// The files, and what making them took.
pub struct Compiled {
    pub ours: Vec<u8>,
    pub wasmtime: Vec<u8>,
    pub figures: CompileFigures,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct CompileFigures {
    pub wasm_bytes: usize,
    /// Our file with hardware bounds checks, which is the one that runs.
    pub aot_bytes: usize,
    pub aot_software_bytes: usize,
    /// Machine code in our file.
    pub code_bytes: u64,
    pub wasmtime_bytes: usize,
    pub ours_ns: Vec<f64>,
    pub wasmtime_ns: Vec<f64>,
}

pub fn compile_by_both(
    wasm: &[u8],
    target: &Target,
    engine: &Engine,
    rounds: usize,
) -> anyhow::Result<Compiled> {
    let options = CompileOptions::new(BoundsChecks::Hardware);
    let ours = aot_compiler::compile(wasm, target, &options)?;
    let software = CompileOptions::new(BoundsChecks::Software);
    let software = aot_compiler::compile(wasm, target, &software)?;
    let wasmtime = wasmtime_engine::compile(engine, wasm)?;
    let mut figures = CompileFigures {
        wasm_bytes: wasm.len(),
        aot_bytes: ours.aot.len(),
        aot_software_bytes: software.aot.len(),
        code_bytes: ours.code_bytes,
        wasmtime_bytes: wasmtime.len(),
        ..CompileFigures::default()
    };
    for _ in 0..rounds.min(COMPILE_ROUNDS_MAX) {
        let (result, ns) = cpu_time(|| aot_compiler::compile(wasm, target, &options));
        result?;
        figures.ours_ns.push(ns);
        let (result, ns) = cpu_time(|| wasmtime_engine::compile(engine, wasm));
        result?;
        figures.wasmtime_ns.push(ns);
    }
    Ok(Compiled { ours: ours.aot, wasmtime, figures })
}
