//! `cargo xtask test`: every test, unit to end to end, and the count of all.
//!
//! A stage that cannot even run counts as one failure, and the stages after it
//! run nevertheless. A test that needs what this machine lacks appends a line
//! with its name and reason to the file in `FARRIER_SKIPS`; those are printed,
//! and where `FARRIER_NO_SKIPS` is set, as in CI, each is a failure.

use crate::test_binaries::{self, TestBinary};
use crate::{check, differential, executors, firmware, kit, programs, run, system};
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
    firmware::build_examples(workspace, false)?;
    let binaries = test_binaries::build(workspace)?;

    let skips = workspace.join("target/skipped-tests.txt");
    std::fs::write(&skips, "").with_context(|| format!("write {}", skips.display()))?;
    let mut stages = Stages { total: Counts::default(), skips: skips.clone() };
    stages.check("dependency rules", check::dependencies(workspace));
    stages.check("formatting", check::formatting(workspace));
    eprintln!("  everything is built after {:.0} s", started.elapsed().as_secs_f64());
    let of = |folder: &str| binaries.iter().filter(|b| b.folder == Path::new(folder)).collect();
    let apart = |b: &&TestBinary| APART.iter().any(|folder| b.folder == Path::new(folder));
    let here: Vec<_> = binaries.iter().filter(|binary| !apart(binary)).collect();
    stages.binaries("unit and integration tests", &here, |_| {});
    stages.tests("tests of xtask", Ok(tests_of_xtask(workspace)));
    // There are none so far, and one that is written shall run.
    stages.check(
        "examples in documentation",
        run::step("cargo test --doc", &mut documentation_tests(workspace)),
    );
    for example in firmware::TESTED_HERE {
        let tests = firmware::unit_tests(workspace, example);
        stages.tests(&format!("unit tests of {example}"), tests);
    }
    let worker: Vec<_> = of("device-agent/runtime");
    for (id, _, _) in kit::DEVICES.iter().filter(|(id, _, _)| *id != "x86_64-linux") {
        let on_it = |command: &mut Command| use_emulated_worker(workspace, id, command);
        stages.binaries(&format!("worker tests on {id}"), &worker, on_it);
    }
    for arguments in SPECIFICATION_RUNS {
        let command = spec_command(workspace).map(|mut command| {
            command.args(arguments);
            command
        });
        stages.tests(&format!("specification {}", arguments.join(" ")), command);
    }
    stages.tests("real programs", programs::command(workspace));
    stages.binaries("fuzz targets", &of("tests/fuzz-targets"), |_| {});
    stages.tests("random modules in other engines", differential::tests(workspace));
    stages.check("fetch playwright-core from npm", fetch_browser_driver(workspace));
    let (patient, others): (Vec<_>, Vec<_>) =
        of("tests/e2e").into_iter().partition(|binary| binary.name == PATIENT_TESTS);
    let use_kit = |threads: u32| {
        move |command: &mut Command| {
            command.arg(format!("--test-threads={threads}"));
            command.env("FARRIER_KIT", kit::directory(workspace));
        }
    };
    stages.binaries("end-to-end tests", &others, use_kit(1));
    stages.binaries("attacks on an agent", &patient, use_kit(PATIENT_THREADS));
    stages.binaries("faults, a few of each kind", &of("tests/faults"), use_kit(1));

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

/// Packages whose tests are stages of their own, by folder.
const APART: [&str; 3] = ["tests/e2e", "tests/faults", "tests/fuzz-targets"];

/// The specification runner, with more arguments to come. It finds the executors in
/// the kit.
fn spec_command(workspace: &Path) -> anyhow::Result<Command> {
    run::program(workspace, "dev", "spec-runner")
}

pub fn spec(workspace: &Path, arguments: &[String]) -> anyhow::Result<()> {
    executors::build(workspace)?;
    let mut command = spec_command(workspace)?;
    let status = command.args(arguments).status().context("start the specification runner")?;
    if !status.success() {
        bail!("the specification suite ended with {status}");
    }
    Ok(())
}

fn documentation_tests(workspace: &Path) -> Command {
    let mut command = run::cargo(workspace);
    command.args(["test", "--locked", "--no-fail-fast", "--doc"]).args(run::ALL_BUT_XTASK);
    command
}

fn tests_of_xtask(workspace: &Path) -> Command {
    let mut command = run::cargo(workspace);
    command.args(["test", "--locked", "-p", "xtask"]);
    command
}

/// The worker's own tests against the emulated worker of the kit.
fn use_emulated_worker(workspace: &Path, id: &str, command: &mut Command) {
    let arch = id.trim_end_matches("-linux");
    command
        .env("FARRIER_TEST_RUNTIME", kit::directory(workspace).join(id).join("farrier-runtime"))
        .env("FARRIER_TEST_LAUNCHER", format!("qemu-{arch}-static -L /usr/{arch}-linux-gnu"))
        .env("FARRIER_TEST_TARGET", id);
}

/// The tests of `tests/e2e` that wait most of the time, for an agent to refuse or to
/// give up: several at once. The others come one at a time, because each fills two
/// cores with a fleet of its own or measures.
const PATIENT_TESTS: &str = "attacks";
const PATIENT_THREADS: u32 = 3;

/// Pictures that the browser's test takes, and where the README looks for them.
const SCREENSHOTS: [(&str, &str); 2] = [
    ("overview-light-1440.png", "dashboard.png"),
    ("device-dark-1440.png", "dashboard-device.png"),
];

pub fn take_screenshots(workspace: &Path) -> anyhow::Result<()> {
    system::install(system::Need::ALL)?;
    kit::build(workspace)?;
    fetch_browser_driver(workspace)?;
    let mut command = run::cargo(workspace);
    command.args(["test", "--locked", "--package", "e2e", "--test", "browser"]);
    command.env("FARRIER_KIT", kit::directory(workspace));
    run::step("the dashboard in a browser", &mut command)?;
    for (taken, shown) in SCREENSHOTS {
        let taken = workspace.join("target/screenshots").join(taken);
        let shown = workspace.join("docs").join(shown);
        std::fs::copy(&taken, &shown).with_context(|| format!("copy {}", taken.display()))?;
        eprintln!("{}", shown.display());
    }
    Ok(())
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

    fn tests(&mut self, what: &str, command: anyhow::Result<Command>) {
        let command = match command {
            Ok(command) => command,
            Err(error) => return self.check(what, Err(error)),
        };
        self.commands(what, vec![(what.to_owned(), command)]);
    }

    /// Test binaries one after the other, each with what `with` adds to its command.
    fn binaries(&mut self, what: &str, binaries: &[&TestBinary], with: impl Fn(&mut Command)) {
        let named = |binary: &&TestBinary| {
            let mut command = binary.command();
            with(&mut command);
            (binary.to_string(), command)
        };
        self.commands(what, binaries.iter().map(named).collect());
    }

    fn commands(&mut self, what: &str, commands: Vec<(String, Command)>) {
        eprintln!("▸ {what}");
        let started = Instant::now();
        let mut of_stage = Counts::default();
        for (name, mut command) in commands {
            println!("     Running {name}");
            command.env("FARRIER_SKIPS", &self.skips);
            match count(&mut command) {
                Ok((counts, ended_well)) => {
                    of_stage.add(counts);
                    if !ended_well && counts.failed == 0 {
                        println!("FAILED: {name}: it ended badly without naming a failed test");
                        of_stage.failed += 1;
                    }
                }
                Err(error) => {
                    println!("FAILED: {name}: {error:#}");
                    of_stage.failed += 1;
                }
            }
        }
        if of_stage.passed == 0 && of_stage.failed == 0 {
            println!("FAILED: {what}: not a single test ran");
            of_stage.failed += 1;
        }
        self.total.add(of_stage);
        let seconds = started.elapsed().as_secs_f64();
        eprintln!(
            "  {what}: {} passed, {} failed, {seconds:.0} s",
            of_stage.passed, of_stage.failed
        );
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
