//! One suite on one machine: several files at a time, and the sums.

use crate::plan::Run;
use crate::report::Report;
use crate::script;
use anyhow::{Context, anyhow};
use executor::Machine;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

pub struct RunReport {
    pub run: Run,
    pub total: Report,
    pub seconds: f64,
}

/// Runs all files and prints those that are not wholly passed or excluded.
pub fn run(run: Run) -> anyhow::Result<RunReport> {
    let started = Instant::now();
    let results = Mutex::new(run.files.iter().map(|_| None).collect::<Vec<_>>());
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, file)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    run.files.get(index).map(|file| (index, file))
                } {
                    let report = script::run_file(run.suite, &run.machine, file.raw());
                    // A thread that panics while holding it ends the scope anyway.
                    results.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(report);
                }
            });
        }
    });
    let mut total = Report::default();
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (file, report) in run.files.iter().zip(results) {
        let report = report.ok_or_else(|| anyhow!("{} was not run", file.name()))?;
        let report = report.with_context(|| format!("run {}", file.name()))?;
        print_file(file.name(), &report);
        total.add(&report);
    }
    let seconds = started.elapsed().as_secs_f64();
    let report = RunReport { run, total, seconds };
    print_total(&report);
    Ok(report)
}

fn print_file(name: &str, report: &Report) {
    if report.failures.is_empty() {
        return;
    }
    println!(
        "{name}: {} passed, {} failed, {} excluded",
        report.passed,
        report.failures.len(),
        report.excluded_count()
    );
    for failure in report.failures.iter().take(10) {
        println!("    {failure}");
    }
    if report.failures.len() > 10 {
        println!("    and {} more", report.failures.len() - 10);
    }
}

/// `cargo xtask test` reads the last line.
fn print_total(report: &RunReport) {
    let RunReport { run, total, seconds } = report;
    for (reason, count) in &total.excluded {
        println!("  excluded {count}: {reason}");
    }
    println!(
        "specification {}, {}: {} passed, {} failed, {} excluded, {} in all ({}, {seconds:.0} s)",
        run.suite,
        describe(&run.machine),
        total.passed,
        total.failures.len(),
        total.excluded_count(),
        total.total(),
        if run.is_subset { format!("{} files", run.files.len()) } else { "complete".to_owned() },
    );
}

pub fn describe(machine: &Machine) -> String {
    format!("{} with {} bounds checks", machine.arch(), machine.bounds_checks)
}
