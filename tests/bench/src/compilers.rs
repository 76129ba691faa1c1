//! Both compilers on one module: the files, their sizes, and the time it takes.

use crate::Options;
use crate::clock::process_cpu_time;
use crate::measure::Row;
use crate::variant::{BASE, V3, Variant};
use crate::wasmtime_engine;
use anyhow::Context;
use aot_compiler::CompileOptions;
use std::collections::BTreeMap;
use std::path::Path;
use target_spec::{Registry, Target};
use wasmtime::Engine;

/// Both compilers with all that they are asked for.
pub struct Compilers {
    ours: Vec<(Variant, &'static Target, CompileOptions)>,
    wasmtime: BTreeMap<Variant, Engine>,
}

/// The files of one module by variant.
pub struct Compiled {
    ours: BTreeMap<Variant, Vec<u8>>,
    wasmtime: BTreeMap<Variant, Vec<u8>>,
}

impl Compilers {
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let targets = Registry::built_in();
        let is_wanted = |variant: Variant| !(options.quick && variant.is_for_thorough_runs());
        let mut ours = Vec::new();
        for (variant, target, options) in Variant::of_ours() {
            if is_wanted(variant) {
                ours.push((variant, targets.find(target)?, options));
            }
        }
        let mut wasmtime = BTreeMap::new();
        for (variant, target) in [(Variant::Wasmtime, BASE), (Variant::WasmtimeV3, V3)] {
            if is_wanted(variant) {
                wasmtime.insert(variant, wasmtime_engine::engine_for(targets.find(target)?)?);
            }
        }
        Ok(Self { ours, wasmtime })
    }

    /// One that this was started with; see [`Compiled::wasmtime`].
    pub fn engine(&self, variant: Variant) -> &Engine {
        &self.wasmtime[&variant]
    }

    /// Compiles everything once. A refusal by our compiler goes into the row.
    pub fn compile(&self, wasm: &[u8], row: &mut Row) -> anyhow::Result<Compiled> {
        let mut files = Compiled { ours: BTreeMap::new(), wasmtime: BTreeMap::new() };
        for (variant, target, options) in &self.ours {
            match aot_compiler::compile(wasm, target, options) {
                Ok(artifact) => {
                    row.file_bytes.insert(*variant, artifact.aot.len());
                    if *variant == Variant::Ours {
                        row.code_bytes = artifact.code_bytes;
                    }
                    files.ours.insert(*variant, artifact.aot);
                }
                Err(error) => {
                    row.failures.insert(*variant, error.to_string());
                }
            }
        }
        for (variant, engine) in &self.wasmtime {
            let file = wasmtime_engine::compile(engine, wasm)?;
            row.file_bytes.insert(*variant, file.len());
            files.wasmtime.insert(*variant, file);
        }
        Ok(files)
    }

    /// Compiles again and again by turns, each at what it does by default.
    pub fn time(&self, wasm: &[u8], rounds: usize, row: &mut Row) -> anyhow::Result<()> {
        let timed = [Variant::Ours];
        for _ in 0..rounds {
            for (variant, target, options) in
                self.ours.iter().filter(|(variant, ..)| timed.contains(variant))
            {
                if row.failures.contains_key(variant) {
                    continue;
                }
                let compile = || aot_compiler::compile(wasm, target, options);
                let (result, cpu_ns, wall_ns) = process_cpu_time(compile);
                result?;
                row.compile_ns.entry(*variant).or_default().push(cpu_ns);
                row.compile_wall_ns.entry(*variant).or_default().push(wall_ns);
            }
            let variant = Variant::Wasmtime;
            let compile = || wasmtime_engine::compile(self.engine(variant), wasm);
            let (result, cpu_ns, wall_ns) = process_cpu_time(compile);
            result?;
            row.compile_ns.entry(variant).or_default().push(cpu_ns);
            row.compile_wall_ns.entry(variant).or_default().push(wall_ns);
        }
        Ok(())
    }
}

impl Compiled {
    /// Our files that this process can run.
    pub fn ours(&self) -> impl Iterator<Item = (Variant, &[u8])> {
        let files = self.ours.iter().filter(|(variant, _)| variant.runs_here());
        files.map(|(variant, file)| (*variant, &file[..]))
    }

    pub fn wasmtime(&self) -> impl Iterator<Item = (Variant, &[u8])> {
        self.wasmtime.iter().map(|(variant, file)| (*variant, &file[..]))
    }

    /// Writes module, our file and wasmtime's. The last is an ELF file that objdump
    /// disassembles; for ours: `objdump -D -b binary -mi386:x86-64`.
    pub fn dump(&self, folder: &Path, name: &str, wasm: &[u8]) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let write = |extension: &str, bytes: &[u8]| {
            let path = folder.join(name).with_extension(extension);
            std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
        };
        write("wasm", wasm)?;
        for (files, variant, extension) in
            [(&self.ours, Variant::Ours, "aot"), (&self.wasmtime, Variant::Wasmtime, "cwasm")]
        {
            if let Some(file) = files.get(&variant) {
                write(extension, file)?;
            }
        }
        Ok(())
    }
}
