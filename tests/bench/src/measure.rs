//! The rounds: every engine runs every program, taking turns.

use crate::Options;
use crate::clock::cpu_time;
use crate::compilers::{CompileFigures, Compiled, compile_by_both};
use crate::wasmtime_engine::{self, Running};
use anyhow::{Context, bail};
use kernels::Kernel;
use serde::Serialize;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use target_spec::{Registry, Target};
use wamr::{Instance, InstanceConfig, Module, Runtime, Value};
use wasmtime::Engine;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    Native,
    Ours,
    Wasmtime,
}

/// Everything measured of one program.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub kind: &'static str,
    pub compile: CompileFigures,
    /// CPU time of a call, by round.
    pub run_ns: BTreeMap<Variant, Vec<f64>>,
    /// Load the file and make an instance, by round.
    pub load_ns: BTreeMap<Variant, Vec<f64>>,
    /// Why there are no figures.
    pub failure: Option<String>,
}

/// A row for each program; one that our compiler refuses says so in its row.
pub fn all(runtime: &Runtime, options: &Options) -> anyhow::Result<Vec<Row>> {
    let target = Registry::built_in().find("x86_64-linux")?;
    let engine = wasmtime_engine::engine_for(target)?;
    let mut rows = Vec::new();
    for kernel in options.kernels() {
        let path = options.modules.join(kernel.name).with_extension("wasm");
        let wasm = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        eprint!("{:<18}", kernel.name);
        let row = Measurement { runtime, target, engine: &engine, options }.row(kernel, &wasm);
        eprintln!("{}", row.failure.as_deref().unwrap_or("done"));
        rows.push(row);
    }
    if rows.is_empty() {
        bail!("no program's name contains {:?}; leave --filter out to see all", options.filter);
    }
    Ok(rows)
}

struct Measurement<'a> {
    runtime: &'a Runtime,
    target: &'a Target,
    engine: &'a Engine,
    options: &'a Options,
}

impl Measurement<'_> {
    fn row(&self, kernel: &Kernel, wasm: &[u8]) -> Row {
        let mut row = Row {
            name: kernel.name,
            kind: kernel.kind.name(),
            compile: CompileFigures { wasm_bytes: wasm.len(), ..CompileFigures::default() },
            run_ns: BTreeMap::new(),
            load_ns: BTreeMap::new(),
            failure: None,
        };
        if let Err(error) = self.fill(&mut row, kernel, wasm) {
            row.failure = Some(format!("{error:#}"));
        }
        row
    }

    fn fill(&self, row: &mut Row, kernel: &Kernel, wasm: &[u8]) -> anyhow::Result<()> {
        let rounds = self.options.rounds();
        let compiled = compile_by_both(wasm, self.target, self.engine, rounds)?;
        if let Some(folder) = &self.options.dump {
            dump(folder, kernel.name, wasm, &compiled)?;
        }
        self.run(row, kernel, &compiled)?;
        self.load(row, kernel, &compiled)?;
        row.compile = compiled.figures;
        Ok(())
    }

    fn run(&self, row: &mut Row, kernel: &Kernel, compiled: &Compiled) -> anyhow::Result<()> {
        let module = Module::load(self.runtime, &compiled.ours)?;
        let mut ours = Instance::new(&module, InstanceConfig::default())?;
        let mut wasmtime = Running::start(self.engine, &compiled.wasmtime, kernel.name)?;
        let mut call = |variant| match variant {
            Variant::Native => Ok(black_box(kernel.run)(black_box(kernel.size))),
            Variant::Ours => call_ours(&mut ours, kernel),
            Variant::Wasmtime => wasmtime.call(kernel.size),
        };
        let mut order = [Variant::Native, Variant::Ours, Variant::Wasmtime];
        // Warms caches and the allocator up, and compares the results.
        let expected = call(Variant::Native)?;
        for variant in order {
            let result = call(variant)?;
            if result != expected {
                bail!("{variant:?} computes {result:#x}, natively it is {expected:#x}");
            }
        }
        for _ in 0..self.options.rounds() {
            for variant in order {
                let (result, ns) = cpu_time(|| call(variant));
                result?;
                row.run_ns.entry(variant).or_default().push(ns);
            }
            // Nobody always comes after the same one.
            order.rotate_left(1);
        }
        Ok(())
    }

    fn load(&self, row: &mut Row, kernel: &Kernel, compiled: &Compiled) -> anyhow::Result<()> {
        for _ in 0..self.options.rounds() {
            let (result, ns) = cpu_time(|| -> anyhow::Result<()> {
                let module = Module::load(self.runtime, &compiled.ours)?;
                Instance::new(&module, InstanceConfig::default())?;
                Ok(())
            });
            result?;
            row.load_ns.entry(Variant::Ours).or_default().push(ns);
            let (result, ns) =
                cpu_time(|| Running::start(self.engine, &compiled.wasmtime, kernel.name).map(drop));
            result?;
            row.load_ns.entry(Variant::Wasmtime).or_default().push(ns);
        }
        Ok(())
    }
}

fn call_ours(instance: &mut Instance<'_>, kernel: &Kernel) -> anyhow::Result<u64> {
    match instance.call(kernel.name, &[Value::I32(kernel.size as i32)])?[..] {
        [Value::I64(checksum)] => Ok(checksum as u64),
        ref other => bail!("the module returned {other:?}"),
    }
}

fn dump(folder: &Path, name: &str, wasm: &[u8], compiled: &Compiled) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let files = [("wasm", wasm), ("aot", &compiled.ours), ("cwasm", &compiled.wasmtime)];
    for (extension, bytes) in files {
        let path = folder.join(name).with_extension(extension);
        std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
