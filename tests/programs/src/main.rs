//! Compiles real programs and runs them on WAMR: what others published, and what
//! other compilers make of our sources, each with the output that it must have.
//!
//! ```text
//! programs [--all] [--filter NAME] [--machine NAME]
//! ```
//!
//! Without `--all`, those of `programs.toml` that are marked for CI. `list` reads that
//! file, `published` brings packages and `build` compiles sources into `target/programs`,
//! `job` compiles and runs one program on all its machines, with and without metering, or
//! has `device` run it as devices do, by the programs of `cargo xtask devices`,
//! `outcome` says what came of it, and `table` prints. The executors come from
//! `cargo xtask executors`.
//!
//! Ends with status 1 if anything failed, 2 if it could not run.

mod build;
mod device;
mod job;
mod list;
mod outcome;
mod published;
mod table;

use anyhow::{Context, bail, ensure};
use list::Program;
use outcome::Outcome;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

#[derive(Default)]
struct Options {
    all: bool,
    filter: Option<String>,
    machine: Option<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("programs: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing failed.
fn run() -> anyhow::Result<bool> {
    let started = Instant::now();
    let options = read_options()?;
    let chosen = chosen(list::read()?, &options);
    ensure!(!chosen.is_empty(), "no program is left with these options");
    let outcomes = run_all(chosen, options.machine.as_deref());
    print!("{}", table::render(&outcomes));
    let (mut passed, mut failed) = (0, 0);
    for outcome in &outcomes {
        let (good, bad) = outcome.counts();
        (passed, failed) = (passed + good, failed + bad);
        for problem in outcome.problems() {
            println!("FAILED: {problem}");
        }
    }
    println!("{} programs in {:.0} s", outcomes.len(), started.elapsed().as_secs_f64());
    println!("programs: {passed} passed, {failed} failed");
    Ok(failed == 0)
}

fn read_options() -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{name} needs a value"));
        match name.as_str() {
            "--all" => options.all = true,
            "--filter" => options.filter = Some(value()?),
            "--machine" => options.machine = Some(value()?),
            _ => bail!("unknown option {name}; use --all, --filter, --machine"),
        }
    }
    Ok(options)
}

/// A filter chooses among all programs.
fn chosen(programs: Vec<Program>, options: &Options) -> Vec<Program> {
    let is_chosen = |program: &Program| match &options.filter {
        Some(filter) => program.name.contains(filter.as_str()),
        None => options.all || program.ci,
    };
    programs.into_iter().filter(is_chosen).collect()
}

/// Two at a time, as many as the machines have cores that this is for; in the order of
/// the list in the end.
fn run_all(programs: Vec<Program>, machine: Option<&str>) -> Vec<Outcome> {
    let queue: VecDeque<_> = programs.into_iter().enumerate().collect();
    let (queue, done) = (Mutex::new(queue), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((index, program)) = next else { return };
                    let outcome = job::run(program, machine);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Where this package's sources are.
fn folder() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Where everything that is fetched and built goes.
fn cache() -> PathBuf {
    folder().join("../../target/programs")
}
