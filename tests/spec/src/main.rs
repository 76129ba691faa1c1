//! Runs the official WebAssembly specification tests on WAMR: every module is compiled
//! here by `aot-compiler` and executed by the runtime that devices use, in a process
//! of its own, natively or under qemu-user.
//!
//! ```text
//! spec-runner [--suite NAME] [--target ARCH] [--bounds hardware|software]
//!             [--file NAME] [--write-page PATH]
//! ```
//!
//! Everything that is not chosen runs. `suite` knows the files and `plan` which of them
//! run on which machine, `runs` takes several files at a time, `script` runs a file's
//! directives with `modules`, `rejection` and `values`, `sections` edits modules,
//! `report` counts, `page` writes the result into docs. Each directive counts once:
//! passed, failed, or excluded for one of the reasons in `exclusion`.
//!
//! Ends with status 1 if anything failed, 2 if it could not run.

mod exclusion;
mod modules;
mod page;
mod plan;
mod rejection;
mod report;
mod runs;
mod script;
mod sections;
mod suite;
mod values;

use anyhow::{Context, bail, ensure};
use plan::Choice;
use std::path::PathBuf;
use std::process::ExitCode;

struct Options {
    choice: Choice,
    page: Option<PathBuf>,
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

/// Whether nothing failed.
fn run() -> anyhow::Result<bool> {
    let options = read_options()?;
    let plan = options.choice.plan();
    ensure!(!plan.is_empty(), "nothing is left to run with these options");
    let mut reports = Vec::new();
    for run in plan {
        reports.push(runs::run(run)?);
    }
    if let Some(path) = &options.page {
        std::fs::write(path, page::render(&reports))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(reports.iter().all(|report| report.total.failures.is_empty()))
}

fn read_options() -> anyhow::Result<Options> {
    let mut options = Options { choice: Choice::default(), page: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        let choice = &mut options.choice;
        match name.as_str() {
            "--suite" if value == "all" => choice.suite = None,
            "--suite" => choice.suite = Some(value.parse()?),
            "--target" if value == "all" => choice.arch = None,
            "--target" => choice.arch = Some(plan::parse_arch(&value)?),
            "--bounds" => choice.bounds_checks = Some(value.parse()?),
            "--file" => choice.file = Some(value),
            "--write-page" => options.page = Some(value.into()),
            _ => {
                bail!(
                    "unknown option {name}; use --suite, --target, --bounds, --file, --write-page"
                )
            }
        }
    }
    Ok(options)
}
