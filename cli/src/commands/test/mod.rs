//! `farrier test`: recorded input through a module, and its output compared.

mod file;

use crate::args::Format;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format;
use crate::local::{Local, LocalArgs, plain, read_guest, unexpected};
use clap::Args;
use file::{Case, TestFile};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use worker_protocol::{Command, Event, Grants};

/// Asked for at a time; a call that hangs is told by the runtime.
const TICKS_AT_ONCE: u32 = 1_000;

/// The first differences say enough.
const FAILURES_SHOWN: usize = 10;

#[derive(Debug, Args)]
#[command(after_help = "\
A test file gives a module's sensors their samples and says what the module must publish
and log, and how much gas it may take; docs/testing-modules.md has the whole of it:

  format = 1
  module = \"debounce.wasm\"           # from this file's folder; .wat too

  [[case]]
  name = \"a press that bounces is one press\"
  ticks = 6
  sensors.button = [0, 1, 0, 1, 1, 1]
  expect.pressed = [\"u8:1\"]

Each case is a fresh instance in the runtime that devices have. Samples recorded on a
device, by `farrier published -o json`, are given as \"file:PATH\".

Examples:
  farrier test
  farrier test debounce.test.toml
  farrier test --runtime ./riscv64/farrier-runtime \\
      --launcher \"qemu-riscv64-static -L /usr/riscv64-linux-gnu\"")]
pub struct TestArgs {
    /// Test files, or folders with files whose names end in .test.toml
    #[arg(value_name = "FILE", default_value = ".")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    local: LocalArgs,
    /// How to write the results
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Debug, Serialize)]
struct CaseResult {
    file: String,
    case: String,
    passed: bool,
    failures: Vec<String>,
    ticks: u32,
    gas_used: Option<u64>,
    cpu_us: u64,
    memory_peak_bytes: u64,
}

pub async fn run(args: TestArgs, console: &Console) -> Result<(), Failure> {
    let files = find(&args.files)?;
    let mut results = vec![];
    for path in &files {
        let test = TestFile::read(path)?;
        let wasm = read_guest(&test.module)?;
        for case in test.cases {
            let name = case.name.clone();
            let result = run_case(path, &test.module, &wasm, case, &args.local, console).await;
            let result = result.map_err(|failure| Failure {
                message: format!("{}, {name}: {}", path.display(), failure.message),
                ..failure
            })?;
            if args.output.is_for_people() {
                console.text(&in_words(&result))?;
            }
            results.push(result);
        }
    }
    let failed: Vec<&CaseResult> = results.iter().filter(|result| !result.passed).collect();
    match args.output {
        Format::Json | Format::Jsonl | Format::Yaml => console.document(args.output, &results)?,
        Format::Name => {
            failed.iter().try_for_each(|result| console.line(&format::printable(&result.case)))?;
        }
        Format::Table | Format::Wide => {
            let passed = results.len() - failed.len();
            console.line(&format!("{passed} passed, {} failed", failed.len()))?;
        }
    }
    match failed.len() {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, "a case failed")),
        count => Err(Failure::new(Exit::Failed, format!("{count} cases failed"))),
    }
}

fn find(asked: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = vec![];
    for path in asked {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let failure = |error: std::io::Error| {
            Failure::new(Exit::Failed, format!("list {}", path.display())).because(&error)
        };
        let mut inside = vec![];
        for entry in std::fs::read_dir(path).map_err(failure)? {
            let entry = entry.map_err(failure)?.path();
            if entry.to_string_lossy().ends_with(".test.toml") {
                inside.push(entry);
            }
        }
        if inside.is_empty() {
            let message = format!("{} has no file that ends in .test.toml", path.display());
            return Err(Failure::new(Exit::Failed, message)
                .or_try("name one; `farrier test --help` shows what stands in it"));
        }
        inside.sort();
        found.extend(inside);
    }
    Ok(found)
}

/// What came of a run.
#[derive(Default)]
struct Heard {
    messages: BTreeMap<String, Vec<Vec<u8>>>,
    /// What actuators were set to.
    set: BTreeMap<String, Vec<f64>>,
    log: Vec<String>,
    /// Export and reason.
    trap: Option<String>,
    failures: Vec<String>,
}

async fn run_case(
    path: &Path,
    module: &Path,
    wasm: &[u8],
    case: Case,
    local_args: &LocalArgs,
    console: &Console,
) -> Result<CaseResult, Failure> {
    let mut local = Local::start(local_args).await?;
    let channels = case.messages.keys().cloned().collect();
    let grants = Grants {
        sensors: case.sensors.clone(),
        channels,
        config: case.config.clone(),
        storage_bytes: case.storage_bytes,
        subscriptions: case.inputs.keys().cloned().collect(),
        actuators: case.actuators.keys().cloned().collect(),
        wasi: None,
    };
    let limits = local_args.limits(wasm);
    local.load(module, wasm, (limits, grants), console).await?;
    let mut heard = Heard::default();
    let mut done = 0;
    while done < case.ticks && heard.trap.is_none() && heard.failures.is_empty() {
        for (channel, payload) in case.due(done + 1) {
            local.deliver(channel, payload).await?;
        }
        let ticks = case.ticks_until_input(done).min(TICKS_AT_ONCE);
        local.send(&Command::RunTicks { ticks }).await?;
        done += ticks;
        loop {
            match local.next().await? {
                Event::TicksDone { .. } => break,
                Event::Asked(asked) => {
                    if let Some((actuator, value)) = local.answer(asked).await? {
                        heard.set.entry(actuator).or_default().push(value);
                    }
                }
                Event::Overrun { export, elapsed_ms } => {
                    let took = format!("{export} ran for {elapsed_ms} ms and was ended");
                    heard.failures.push(took);
                    return Ok(result_of(path, case, heard, &Default::default()));
                }
                event => heard.note(event)?,
            }
        }
    }
    let usage = local.usage(|event| heard.note(event)).await?;
    heard.compare(&case, &usage);
    Ok(result_of(path, case, heard, &usage))
}

fn result_of(path: &Path, case: Case, heard: Heard, usage: &worker_protocol::Usage) -> CaseResult {
    CaseResult {
        file: path.display().to_string(),
        case: case.name,
        passed: heard.failures.is_empty(),
        failures: heard.failures,
        ticks: case.ticks,
        gas_used: usage.gas_used,
        cpu_us: usage.cpu_us,
        memory_peak_bytes: usage.memory_peak_bytes,
    }
}

impl Heard {
    fn note(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Published(message) => {
                self.messages.entry(message.channel).or_default().push(message.payload);
            }
            Event::Log(line) => self.log.push(line.text),
            Event::Trapped { export, detail, .. } => {
                self.trap = Some(format!("{export}: {detail}"));
            }
            Event::LimitStop { detail, .. } => {
                self.failures.push(format!("it was stopped at a limit: {detail}"));
            }
            Event::Rejected { detail } => self.failures.push(detail),
            Event::Started => {}
            other => return Err(unexpected(&other)),
        }
        Ok(())
    }

    fn compare(&mut self, case: &Case, usage: &worker_protocol::Usage) {
        self.compare_messages(case);
        self.compare_actuators(case);
        if let Some(expected) = &case.log {
            self.compare_log(expected);
        }
        let trap = self.trap.clone();
        match (&case.trap, &trap) {
            (None, None) => {}
            (None, Some(trap)) => self.failures.push(format!("it trapped in {trap}")),
            (Some(expected), None) => {
                self.failures.push(format!("it did not trap; expected a trap with {expected:?}"));
            }
            (Some(expected), Some(trap)) if !trap.contains(expected.as_str()) => {
                self.failures.push(format!("it trapped in {trap}; expected {expected:?}"));
            }
            (Some(_), Some(_)) => {}
        }
        if usage.error_returns != case.error_returns {
            let (found, expected) = (usage.error_returns, case.error_returns);
            let line = self.log.last().map(|line| format!("; the last log line is {line:?}"));
            self.failures.push(format!(
                "{found} calls returned something other than 0, expected {expected}{}",
                line.unwrap_or_default()
            ));
        }
        match (case.gas, usage.gas_used) {
            (Some(expected), Some(found)) if found != expected => {
                self.failures.push(format!("it took {found} gas, expected {expected}"));
            }
            (Some(_), None) => {
                self.failures.push("gas is expected, and --no-metering counts none".to_owned());
            }
            _ => {}
        }
    }

    fn compare_messages(&mut self, case: &Case) {
        let nothing = vec![];
        for (channel, expected) in &case.messages {
            let found = self.messages.get(channel).unwrap_or(&nothing);
            for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                if *found != expected.bytes() {
                    self.failures.push(format!(
                        "channel {channel}, message {}: {}, expected {}",
                        index + 1,
                        expected.spell(found),
                        expected.spell(&expected.bytes())
                    ));
                }
            }
            if let Some(missing) = expected.get(found.len()) {
                self.failures.push(format!(
                    "channel {channel}: {} messages, expected {}; the next is {}",
                    found.len(),
                    expected.len(),
                    missing.spell(&missing.bytes())
                ));
            }
            for (number, extra) in found.iter().enumerate().skip(expected.len()) {
                let spelled = expected.last().map_or_else(|| plain(extra), |e| e.spell(extra));
                self.failures.push(format!(
                    "channel {channel}, message {}: {spelled}, and no more were expected",
                    number + 1
                ));
            }
        }
    }

    fn compare_actuators(&mut self, case: &Case) {
        for (actuator, expected) in &case.actuators {
            let found = self.set.get(actuator).map_or(&[][..], Vec::as_slice);
            if found != expected.as_slice() {
                self.failures.push(format!(
                    "actuator {actuator} was set to {found:?}, expected {expected:?}"
                ));
            }
        }
    }

    fn compare_log(&mut self, expected: &[String]) {
        let differs = self.log.iter().zip(expected).position(|(found, expected)| found != expected);
        let number = differs.unwrap_or(self.log.len().min(expected.len()));
        let (found, expected) = (self.log.get(number), expected.get(number));
        if found != expected {
            let say = |line: Option<&String>| line.map_or("nothing".into(), |l| format!("{l:?}"));
            self.failures.push(format!(
                "log line {}: {}, expected {}",
                number + 1,
                say(found),
                say(expected)
            ));
        }
    }
}

fn in_words(result: &CaseResult) -> String {
    let sign = if result.passed { "ok    " } else { "FAILED" };
    let gas = result.gas_used.map(|gas| format!(", {gas} gas")).unwrap_or_default();
    let (file, case) = (format::printable(&result.file), format::printable(&result.case));
    let mut text = format!("{sign} {file}: {case} ({} ticks{gas})\n", result.ticks);
    for failure in result.failures.iter().take(FAILURES_SHOWN) {
        text.push_str(&format!("         {}\n", format::printable(failure)));
    }
    if result.failures.len() > FAILURES_SHOWN {
        let more = result.failures.len() - FAILURES_SHOWN;
        text.push_str(&format!("         and {more} more\n"));
    }
    text
}
