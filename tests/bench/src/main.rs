//! `cargo xtask bench compiler`: how good the code is that Farrier's compiler makes.
//!
//! The same Rust programs (`kernels`) run natively, compiled by Farrier on WAMR, and
//! by wasmtime, in one process and on one thread, taking turns round by round. What
//! is told apart is the ratio within a round, so a machine that slows down does so
//! for all. xtask builds this binary and the modules; see `docs/benchmark-compiler.md`.
//!
//! It judges speed and size. That all engines compute the same is checked on the
//! way, and an engine that differs is an error.

// One module opts out: wasmtime's CPU features and its compiled files.
#![deny(unsafe_code)]

mod clock;
mod compilers;
mod docs;
mod interpreter;
mod machine;
mod measure;
mod report;
mod statistics;
mod variant;
mod wasmtime_engine;

use anyhow::{Context, anyhow};
use clap::Parser;
use kernels::Kernel;
use std::path::PathBuf;
use std::process::ExitCode;
use wamr::Runtime;

/// Compiled code runs on this stack in our engine and in wasmtime's alike.
const STACK_BYTES: usize = 8 << 20;

#[derive(Parser, Clone)]
#[command(name = "cargo xtask bench compiler")]
struct Options {
    /// Only programs whose name contains this.
    #[arg(long, default_value = "")]
    filter: String,
    /// How often each program runs on each engine.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Five rounds, only ours and wasmtime at the base target: to see a change of a tenth.
    #[arg(long)]
    quick: bool,
    /// Write every sample to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the results to docs/benchmark-compiler.md.
    #[arg(long)]
    write_docs: bool,
    /// Write each module, our file and wasmtime's, to look at the code.
    #[arg(long)]
    dump: Option<PathBuf>,
    /// Where the modules are.
    #[arg(long, hide = true, default_value = "target/bench/modules")]
    modules: PathBuf,
    /// The program that runs WAMR's interpreter.
    #[arg(long, hide = true)]
    interpreter: Option<PathBuf>,
    /// Print the programs' names, one a line with `simd` behind those that need it.
    #[arg(long, hide = true)]
    list: bool,
}

impl Options {
    fn rounds(&self) -> usize {
        if self.quick { 5 } else { self.rounds.max(3) }
    }

    /// Compiling takes long for large modules and varies little.
    fn compile_rounds(&self) -> usize {
        self.rounds().min(5)
    }

    fn kernels(&self) -> Vec<&'static Kernel> {
        kernels::ALL.iter().filter(|kernel| kernel.name.contains(&self.filter)).collect()
    }
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<()> {
    if options.list {
        for kernel in kernels::ALL {
            println!("{} {}", kernel.name, if kernel.kind.is_simd() { "simd" } else { "plain" });
        }
        return Ok(());
    }
    let machine = machine::describe();
    println!("{machine}");
    let for_thread = options.clone();
    let thread =
        Runtime::spawn("bench", STACK_BYTES, move |runtime| measure::all(runtime, &for_thread));
    let joined = thread.context("start the thread that measures")?.join();
    let rows = joined.map_err(|_| anyhow!("the thread that measures panicked"))???;
    let report = report::text(&rows);
    println!("\n{report}");
    if options.write_docs {
        docs::write(&machine, &report)?;
    }
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&rows).context("write the samples as JSON")?;
        std::fs::write(path, json).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
