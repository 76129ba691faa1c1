//! Runs the official WebAssembly specification tests on WAMR: every module is
//! compiled by `aot-compiler` and executed by the runtime that devices use.
//!
//! ```text
//! spec-runner --suite 1 [--bounds hardware|software] [--file NAME]
//! ```
//!
//! `suite` knows the files, `supervisor` gives each one a process of its own, so
//! that a crash of the runtime is that file's failure and not the end of the run,
//! `script` runs a file's directives, `host` offers the module "spectest", `values`
//! compares, `exports` helps with one odd module. Each directive counts once: passed, failed, or excluded for a named
//! reason. `--file` runs one file in this process and prints its report.
//!
//! Ends with status 1 if anything failed, 2 if it could not run.

mod exports;
mod host;
mod report;
mod script;
mod suite;
mod supervisor;
mod values;

use anyhow::{Context, bail};
use std::process::ExitCode;
use suite::Suite;
use target_spec::BoundsChecks;

struct Options {
    suite: Suite,
    bounds: BoundsChecks,
    file: Option<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("spec-runner: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything passed.
fn run() -> anyhow::Result<bool> {
    let options = read_options()?;
    let built = wamr::Profile::of_this_build().bounds_checks;
    if options.bounds != built {
        bail!(
            "this binary holds WAMR built for {built} bounds checks; build it again with \
             FARRIER_BOUNDS_CHECKS={} and a CARGO_TARGET_DIR of its own (see cmake/README.md)",
            options.bounds
        );
    }
    match &options.file {
        Some(file) => supervisor::run_here(options.suite, file),
        None => supervisor::run_all(options.suite, options.bounds),
    }
}

fn read_options() -> anyhow::Result<Options> {
    let mut options = Options {
        suite: Suite::V1,
        bounds: wamr::Profile::of_this_build().bounds_checks,
        file: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--suite" => options.suite = value.parse()?,
            "--bounds" => options.bounds = value.parse()?,
            "--file" => options.file = Some(value),
            _ => bail!("unknown option {name}; use --suite, --bounds and --file"),
        }
    }
    Ok(options)
}
