//! `cargo xtask test`: every test, unit to end to end, and the count of all.
//!
//! A stage that cannot even run counts as one failure, and the stages after it
//! run nevertheless. A test that needs what this machine lacks appends a line
//! with its name and reason to the file in `FARRIER_SKIPS`; those are printed,
//! and where `FARRIER_NO_SKIPS` is set, as in CI, each is a failure.

use crate::{check, differential, executors, faults, firmware, fuzz, kit, programs, run, system};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// All suites on all machines, but with hardware bounds checks under the emulator only
/// that of version 2, which has the most.
const SPECIFICATION_RUNS: [&[&str]; 5] = [
    &["--target", "x86_64"],
    &["--target", "aarch64", "--bounds", "software"],
    &["--target", "riscv64", "--bounds", "software"],
    &["--target", "aarch64", "--bounds", "hardware", "--suite", "2"],
    &["--target", "riscv64", "--bounds", "hardware", "--suite", "2"],
];

pub fn run(workspace: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    system::install(system::Need::ALL)?;
    kit::build(workspace)?;
    executors::build(workspace)?;
    firmware::build_examples(workspace)?;
    eprintln!("  everything is built after {:.0} s", started.elapsed().as_secs_f64());

    let skips = workspace.join("target/skipped-tests.txt");
    std::fs::write(&skips, "").with_context(|| format!("write {}", skips.display()))?;
    let mut stages = Stages { total: Counts::default(), skips: skips.clone() };
    stages.check("dependency rules", check::dependencies(workspace));
    stages.check("formatting", check::formatting(workspace));
    stages.tests(
        "unit and integration tests",
        cargo_test(workspace, &["--workspace", "--exclude", "e2e", "--exclude", "faults"]),
    );
    for (id, _, _) in kit::DEVICES.iter().filter(|(id, _, _)| *id != "x86_64-linux") {
        stages.tests(&format!("worker tests on {id}"), emulated_worker_test(workspace, id));
    }
    for arguments in SPECIFICATION_RUNS {
        let mut command = spec_command(workspace);
        command.args(arguments);
        stages.tests(&format!("specification {}", arguments.join(" ")), command);
    }
    stages.tests("real programs", programs::command(workspace));
    stages.tests("fuzz targets", fuzz::tests(workspace));
    stages.tests("random modules in other engines", differential::tests(workspace));
    stages.check("fetch playwright-core from npm", fetch_browser_driver(workspace));
    for (what, files, threads) in end_to_end_parts(workspace)? {
        stages.tests(what, end_to_end(workspace, &files, threads));
    }
    stages.tests("faults, a few of each kind", faults::tests(workspace));

    let mut total = stages.total;
    let skipped = std::fs::read_to_string(&skips).unwrap_or_default();
    let skipped: Vec<&str> = skipped.lines().collect();
    for line in &skipped {
        println!("skipped: {line}");
    }
    let skip_count = skipped.len() as u64 + total.ignored;
    if skip_count > 0 {
        println!("{skip_count} skipped");
        if std::env::var_os("FARRIER_NO_SKIPS").is_some() {
            println!("FARRIER_NO_SKIPS is set: a skipped test is a failed one");
            total.failed += skip_count;
        }
    }
    println!("all stages took {:.0} s", started.elapsed().as_secs_f64());
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// The specification runner, with more arguments to come. It finds the executors in
/// the kit.
fn spec_command(workspace: &Path) -> Command {
    let mut command = run::cargo(workspace);
    command.args(["run", "--quiet", "--locked", "-p", "spec-runner", "--"]);
    command
}

pub fn spec(workspace: &Path, arguments: &[String]) -> anyhow::Result<()> {
    executors::build(workspace)?;
    let mut command = spec_command(workspace);
    let status = command.args(arguments).status().context("start the specification runner")?;
    if !status.success() {
        bail!("the specification suite ended with {status}");
    }
    Ok(())
}

fn cargo_test(workspace: &Path, arguments: &[&str]) -> Command {
    let mut command = run::cargo(workspace);
    command.args(["test", "--locked", "--no-fail-fast"]).args(arguments);
    command
}

/// The worker's own tests against the emulated worker of the kit.
fn emulated_worker_test(workspace: &Path, id: &str) -> Command {
    let arch = id.trim_end_matches("-linux");
    let mut command = cargo_test(workspace, &["-p", "farrier-runtime", "--tests"]);
    command
        .env("FARRIER_TEST_RUNTIME", kit::directory(workspace).join(id).join("farrier-runtime"))
        .env("FARRIER_TEST_LAUNCHER", format!("qemu-{arch}-static -L /usr/{arch}-linux-gnu"))
        .env("FARRIER_TEST_TARGET", id);
    command
}

/// The tests of `tests/e2e` that wait most of the time, for an agent to refuse or to
/// give up: several at once. The others come one at a time, because each fills two
/// cores with a fleet of its own or measures.
const PATIENT_TESTS: &str = "attacks";
const PATIENT_THREADS: u32 = 3;

type Part = (&'static str, Vec<String>, u32);

fn end_to_end_parts(workspace: &Path) -> anyhow::Result<[Part; 2]> {
    let dir = workspace.join("tests/e2e/tests");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
        let name = entry.with_context(|| format!("list {}", dir.display()))?.file_name();
        let name = name.to_string_lossy();
        // What is neither Rust nor a folder is read by a test.
        match name.split_once('.') {
            None => files.push(name.into_owned()),
            Some((name, "rs")) => files.push(name.to_owned()),
            Some(_) => {}
        }
    }
    files.sort();
    let (patient, others) = files.into_iter().partition(|name| name == PATIENT_TESTS);
    Ok([("end-to-end tests", others, 1), ("attacks on an agent", patient, PATIENT_THREADS)])
}

fn end_to_end(workspace: &Path, files: &[String], threads: u32) -> Command {
    let mut command = cargo_test(workspace, &["-p", "e2e"]);
    command.args(files.iter().flat_map(|name| ["--test", name]));
    command.args(["--", &format!("--test-threads={threads}")]);
    command.env("FARRIER_KIT", kit::directory(workspace));
    command
}

fn fetch_browser_driver(workspace: &Path) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    run::step("npm ci in tests/browser", npm.current_dir(workspace.join("tests/browser")))
}

struct Stages {
    total: Counts,
    skips: std::path::PathBuf,
}

impl Stages {
    fn check(&mut self, what: &str, result: anyhow::Result<()>) {
        match result {
            Ok(()) => {
                eprintln!("▸ {what}: passed");
                self.total.passed += 1;
            }
            Err(error) => {
                println!("FAILED: {what}: {error:#}");
                self.total.failed += 1;
            }
        }
    }

    fn tests(&mut self, what: &str, mut command: Command) {
        eprintln!("▸ {what}");
        let started = Instant::now();
        command.env("FARRIER_SKIPS", &self.skips);
        match count(&mut command) {
            Ok((counts, ended_well)) => {
                self.total.add(counts);
                let seconds = started.elapsed().as_secs_f64();
                eprintln!(
                    "  {what}: {} passed, {} failed, {seconds:.0} s",
                    counts.passed, counts.failed
                );
                if !ended_well && counts.failed == 0 {
                    println!("FAILED: {what}: it ended badly without naming a failed test");
                    self.total.failed += 1;
                }
                if ended_well && counts.passed == 0 {
                    println!("FAILED: {what}: not a single test ran");
                    self.total.failed += 1;
                }
            }
            Err(error) => {
                println!("FAILED: {what}: {error:#}");
                self.total.failed += 1;
            }
        }
    }
}

/// Runs a stage, shows its lines as they come, and adds up the results in them.
fn count(command: &mut Command) -> anyhow::Result<(Counts, bool)> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("start the stage")?;
    let mut counts = Counts::default();
    let stdout = child.stdout.take().context("the stage has no standard output")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("read the stage's output")?;
        let line = String::from_utf8_lossy(&line);
        if let Some(result) = parse_result(&line) {
            counts.add(result);
        }
        println!("{line}");
    }
    Ok((counts, child.wait().context("wait for the stage")?.success()))
}

/// Reads cargo's `test result: ok. 3 passed; 0 failed; 1 ignored; …` and the
/// specification runner's `specification 1, …: 3 passed, 0 failed, …`, and the line
/// `programs: 3 passed, 0 failed`.
fn parse_result(line: &str) -> Option<Counts> {
    let of_specification = || Some(line.strip_prefix("specification ")?.split_once(": ")?.1);
    let of_programs = || line.strip_prefix("programs: ");
    let rest = line.strip_prefix("test result: ").or_else(of_specification);
    let rest = rest.or_else(of_programs)?;
    let mut counts = Counts::default();
    for part in rest.split([';', ',', '.']) {
        let Some((number, word)) = part.trim().split_once(' ') else { continue };
        let Ok(number) = number.parse() else { continue };
        match word {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "ignored" => counts.ignored = number,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_and_other_lines_are_not() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(parse_result(line), Some(Counts { passed: 3, failed: 2, ignored: 1 }));
        let line = "specification 1, riscv64 with software bounds checks: 16000 passed, 0 failed, \
                    12 excluded, 16012 in all (complete, 3 s)";
        assert_eq!(parse_result(line), Some(Counts { passed: 16_000, failed: 0, ignored: 0 }));
        let line = "programs: 90 passed, 1 failed";
        assert_eq!(parse_result(line), Some(Counts { passed: 90, failed: 1, ignored: 0 }));
        assert_eq!(parse_result("test fast ... ok"), None);
    }
}
