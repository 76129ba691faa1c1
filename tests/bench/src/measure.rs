//! The rounds: every engine runs every program, taking turns.

use crate::Options;
use crate::clock::thread_cpu_time;
use crate::compilers::{Compiled, Compilers};
use crate::interpreter::Interpreter;
use crate::variant::Variant;
use crate::wasmtime_engine::Running;
use anyhow::{Context, bail};
use kernels::Kernel;
use serde::Serialize;
use std::collections::BTreeMap;
use std::hint::black_box;
use wamr::{Instance, InstanceConfig, Module, Runtime, Value};

/// Samples by variant, one for each round.
pub type Samples = BTreeMap<Variant, Vec<f64>>;

/// Everything measured of one program.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub kind: &'static str,
    pub wasm_bytes: usize,
    /// Files by variant.
    pub file_bytes: BTreeMap<Variant, usize>,
    /// Machine code in our file with hardware bounds checks.
    pub code_bytes: u64,
    pub compile_ns: Samples,
    /// Wall time of the same compilations.
    pub compile_wall_ns: Samples,
    /// CPU time of a call.
    pub run_ns: Samples,
    /// CPU time to load the file and make an instance.
    pub load_ns: Samples,
    /// What could not be done, and why; the figures are of the rest.
    pub failures: BTreeMap<Variant, String>,
}

/// A row for each program; what our compiler refuses stands in its row.
pub fn all(runtime: &Runtime, options: &Options) -> anyhow::Result<Vec<Row>> {
    let compilers = Compilers::start(options)?;
    let interpreter = options.interpreter.as_deref().map(Interpreter::start).transpose()?;
    let mut measurement = Measurement { runtime, compilers, interpreter, options };
    let mut rows = Vec::new();
    for kernel in options.kernels() {
        eprint!("{:<18}", kernel.name);
        let row = measurement.row(kernel).with_context(|| kernel.name.to_owned())?;
        eprintln!("{}", if row.failures.is_empty() { "done" } else { "done in part" });
        rows.push(row);
    }
    if rows.is_empty() {
        bail!("no program's name contains {:?}; leave --filter out to see all", options.filter);
    }
    Ok(rows)
}

struct Measurement<'a> {
    runtime: &'a Runtime,
    compilers: Compilers,
    interpreter: Option<Interpreter>,
    options: &'a Options,
}

/// A program, ready to be called.
enum Callable<'m> {
    Native,
    Ours(Instance<'m>),
    Wasmtime(Running),
}

impl Callable<'_> {
    fn call(&mut self, kernel: &Kernel) -> anyhow::Result<u64> {
        match self {
            Self::Native => Ok(black_box(kernel.run)(black_box(kernel.size))),
            Self::Ours(instance) => call_ours(instance, kernel),
            Self::Wasmtime(running) => running.call(kernel.size),
        }
    }
}

impl Measurement<'_> {
    fn row(&mut self, kernel: &Kernel) -> anyhow::Result<Row> {
        let path = self.options.modules.join(kernel.name).with_extension("wasm");
        let wasm = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let mut row = Row {
            name: kernel.name,
            kind: kernel.kind.name(),
            wasm_bytes: wasm.len(),
            ..Row::default()
        };
        let compiled = self.compilers.compile(&wasm, &mut row)?;
        if let Some(folder) = &self.options.dump {
            compiled.dump(folder, kernel.name, &wasm)?;
        }
        self.load(&mut row, kernel, &compiled)?;
        self.run(&mut row, kernel, &compiled)?;
        self.compilers.time(&wasm, self.options.compile_rounds(), &mut row)?;
        Ok(row)
    }

    fn run(&mut self, row: &mut Row, kernel: &Kernel, files: &Compiled) -> anyhow::Result<()> {
        let mut modules = Vec::new();
        for (variant, file) in files.ours() {
            modules.push((variant, Module::load(self.runtime, file)?));
        }
        let mut callables = vec![(Variant::Native, Callable::Native)];
        for (variant, module) in &modules {
            let instance = Instance::new(module, InstanceConfig::default())?;
            callables.push((*variant, Callable::Ours(instance)));
        }
        for (variant, file) in files.wasmtime() {
            let running = Running::start(self.compilers.engine(variant), file, kernel.name)?;
            callables.push((variant, Callable::Wasmtime(running)));
        }
        // Warms caches and the allocators up, and compares the results.
        let expected = (kernel.run)(kernel.size);
        for (variant, callable) in &mut callables {
            let result = callable.call(kernel).with_context(|| format!("{variant:?}"))?;
            if result != expected {
                bail!("{variant:?} computes {result:#x}, natively it is {expected:#x}");
            }
        }
        for round in 0..self.options.rounds() {
            for (variant, callable) in &mut callables {
                let (result, ns) = thread_cpu_time(|| callable.call(kernel));
                result?;
                row.run_ns.entry(*variant).or_default().push(ns);
            }
            // Nobody always comes after the same one.
            callables.rotate_left(1);
            if round < INTERPRETER_ROUNDS_MAX {
                self.interpret(row, kernel, expected)?;
            }
        }
        Ok(())
    }

    fn interpret(&mut self, row: &mut Row, kernel: &Kernel, expected: u64) -> anyhow::Result<()> {
        let Some(interpreter) = &mut self.interpreter else { return Ok(()) };
        let variant = Variant::Interpreter;
        if row.failures.contains_key(&variant) {
            return Ok(());
        }
        match interpreter.call(&self.options.modules, kernel) {
            Ok((result, ns)) if result == expected => {
                row.run_ns.entry(variant).or_default().push(ns);
            }
            Ok((result, _)) => {
                bail!("the interpreter computes {result:#x}, natively it is {expected:#x}")
            }
            Err(error) => {
                row.failures.insert(variant, format!("{error:#}"));
            }
        }
        Ok(())
    }

    fn load(&self, row: &mut Row, kernel: &Kernel, files: &Compiled) -> anyhow::Result<()> {
        for _ in 0..self.options.rounds() {
            for (variant, file) in files.ours().filter(|(v, _)| *v == Variant::Ours) {
                let (result, ns) = thread_cpu_time(|| -> anyhow::Result<()> {
                    let module = Module::load(self.runtime, file)?;
                    Instance::new(&module, InstanceConfig::default())?;
                    Ok(())
                });
                result?;
                row.load_ns.entry(variant).or_default().push(ns);
            }
            for (variant, file) in files.wasmtime().filter(|(v, _)| *v == Variant::Wasmtime) {
                let engine = self.compilers.engine(variant);
                let start = || Running::start(engine, file, kernel.name).map(drop);
                let (result, ns) = thread_cpu_time(start);
                result?;
                row.load_ns.entry(variant).or_default().push(ns);
            }
        }
        Ok(())
    }
}

/// It takes some fifty times as long as the others, and its ratio is no close call.
const INTERPRETER_ROUNDS_MAX: usize = 3;

fn call_ours(instance: &mut Instance<'_>, kernel: &Kernel) -> anyhow::Result<u64> {
    match instance.call(kernel.name, &[Value::I32(kernel.size as i32)])?[..] {
        [Value::I64(checksum)] => Ok(checksum as u64),
        ref other => bail!("the module returned {other:?}"),
    }
}
