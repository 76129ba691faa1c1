//! `farrier run`: a module on a device that is this machine.

use crate::args::Format;
use crate::commands::deploy::{config_of, parse_config, parse_storage};
use crate::commands::run_program::{self, ProgramArgs};
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format;
use crate::local::{
    Local, LocalArgs, Payload, SensorArg, ended_for_its_time, read_guest, stopped, unexpected,
};
use clap::{ArgAction, Args};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use worker_protocol::{Command, ConfigEntry, Event, Grants, LogLevel, Usage};

/// Asked for at a time, so that Ctrl-C is heard in between.
const TICKS_AT_ONCE: u32 = 100;

#[derive(Debug, Args)]
#[command(after_help = "\
The module runs in the runtime that devices have, compiled as the gateway would, under
the limits of a deployment, and without network. It may reach what is named here and
nothing else. What it publishes goes to stdout, its log and the sums at the end to
stderr; with -o json everything goes to stdout, one JSON document a line.

A program of WASI preview 1 (it exports _start) runs to its end: what it writes goes on
to stdout and stderr as it is, its input is empty, and farrier ends with its exit code.

A sensor's samples are those of a seeded waveform (sim:SEED, the default is sim:1), a
NUMBER for ever, or a recording: a number a line, or what `farrier published -o json`
wrote on a real fleet. After the last sample of file:PATH the sensor has no value;
loop:PATH begins again.

Examples:
  farrier run filter.wasm --sensor temperature --channel average
  farrier run filter.wasm --sensor temperature=21.5 --channel average --ticks 100
  farrier run report.wasm --env LANG=de --dir /data=./out -- --verbose
  farrier run debounce.wat --sensor button=file:presses.txt --channel pressed --interval-ms 5")]
pub struct RunArgs {
    /// The module, binary or text (.wat)
    file: PathBuf,
    /// A sensor that it may open: NAME, NAME=sim:SEED, NAME=NUMBER, NAME=file:PATH or
    /// NAME=loop:PATH; can be given several times
    #[arg(long = "sensor", value_name = "SENSOR", action = ArgAction::Append)]
    sensors: Vec<SensorArg>,
    /// A channel that it may publish on; can be given several times
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<String>,
    /// A channel whose messages it gets. Each line of stdin is one: the channel, a space,
    /// and the message as `farrier test` has it, such as `u8:1` or `text:open`; can be
    /// given several times
    #[arg(long = "subscribe", value_name = "CHANNEL")]
    subscriptions: Vec<String>,
    /// An actuator that it may set, which shows what it is set to; can be given several times
    #[arg(long = "actuator", value_name = "ACTUATOR")]
    actuators: Vec<String>,
    /// A value that it may look up; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_config)]
    config: Vec<(String, String)>,
    /// What it may store, which is empty at the start and gone at the end [default: nothing]
    #[arg(long, value_name = "BYTES", value_parser = parse_storage)]
    storage: Option<u32>,
    /// Time between two ticks
    #[arg(long, value_name = "MS", default_value_t = 1_000, conflicts_with = "ticks",
          value_parser = clap::value_parser!(u32).range(1..=3_600_000))]
    interval_ms: u32,
    /// So many ticks without waiting in between, and then the end [default: until Ctrl-C]
    #[arg(long, value_name = "COUNT")]
    ticks: Option<u32>,
    /// TOML file of known-answer steps to run first
    #[arg(long, value_name = "FILE")]
    known_answers: Option<PathBuf>,
    #[command(flatten)]
    program: ProgramArgs,
    #[command(flatten)]
    local: LocalArgs,
    /// How to write what happens
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

pub async fn run(args: RunArgs, console: &Console) -> Result<(), Failure> {
    if args.output == Format::Name {
        let failure = Failure::new(Exit::Usage, "what happens has no names");
        return Err(failure.or_try("-o table, wide, json or yaml"));
    }
    let wasm = read_guest(&args.file)?;
    let steps = args.known_answers.as_deref().map(known_answers).transpose()?;
    let sensors = args.sensors.iter().map(SensorArg::open).collect::<Result<_, _>>()?;
    let config = config_of(args.config.clone())?;
    let config = config.into_iter().map(|(key, value)| ConfigEntry { key, value });
    let grants = Grants {
        sensors,
        channels: args.channels.clone(),
        config: config.collect(),
        storage_bytes: args.storage.unwrap_or(0),
        subscriptions: args.subscriptions.clone(),
        actuators: args.actuators.clone(),
        wasi: Some(args.program.to_grants()),
    };

    let is_program = run_program::is_program(&wasm);
    if is_program && args.ticks.is_some() {
        let message = "the module is a program (it exports _start): it runs once, to its end";
        return Err(Failure::new(Exit::Usage, message).or_try("leaving out --ticks"));
    }
    args.program.warn_if_in_vain(&wasm, console);
    let mut session = Session {
        local: Local::start_in(&args.local, &args.program.open_directories()?).await?,
        teller: Teller { format: args.output, console, traps: 0 },
        messages: None,
    };
    let mut limits = args.local.limits(&wasm);
    if is_program && args.local.call_ms_max.is_none() {
        limits.call_ms_max = run_program::PROGRAM_MS_MAX;
    }
    let call_ms_max = limits.call_ms_max;
    let has_tick = session.local.load(&args.file, &wasm, (limits, grants), console).await?;
    if let Some(steps) = steps {
        session.check(steps).await?;
    }
    if is_program {
        return session.run_program(call_ms_max).await;
    }
    match args.ticks {
        Some(ticks) if has_tick => {
            session.deliver_all(&args.subscriptions).await?;
            session.run_ticks(ticks).await?;
        }
        Some(_) => {
            let failure = Failure::new(Exit::Failed, "the module exports no tick: () -> i32");
            return Err(failure.or_try("--known-answers for a library"));
        }
        // Its known answers were all that there is to a library.
        None if !has_tick && args.known_answers.is_some() => {}
        None if !has_tick => {
            console.warn("the module exports no tick: () -> i32, so nothing calls it");
        }
        None => {
            session.messages =
                (!args.subscriptions.is_empty()).then(|| Messages::read(&args.subscriptions));
            session.run_until_told(Duration::from_millis(args.interval_ms.into())).await?;
        }
    }
    session.tell_usage().await?;
    match session.teller.traps {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, "it trapped")),
        traps => Err(Failure::new(Exit::Failed, format!("it trapped {traps} times"))),
    }
}

fn known_answers(path: &std::path::Path) -> Result<Vec<known_answer::Step>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::of_reading(path, &error))?;
    known_answer::from_toml(&text)
        .map_err(|e| Failure::new(Exit::Failed, format!("{}: {e}", path.display())))
}

struct Session<'a> {
    local: Local,
    teller: Teller<'a>,
    /// From stdin, while it goes on.
    messages: Option<Messages>,
}

impl Session<'_> {
    async fn check(&mut self, steps: Vec<known_answer::Step>) -> Result<(), Failure> {
        let count = steps.len();
        self.local.send(&Command::RunChecks { steps }).await?;
        loop {
            match self.local.next().await? {
                Event::ChecksDone { failed: None, .. } => {
                    self.teller.console.note(format!("{count} known-answer steps held"));
                    return Ok(());
                }
                Event::ChecksDone { failed: Some(step), .. } => {
                    let message = format!("known-answer step {}: {}", step.number, step.detail);
                    return Err(Failure::new(Exit::Failed, message));
                }
                other => self.teller.tell(other)?,
            }
        }
    }

    /// What it used is in the way of what it writes, except in documents.
    async fn run_program(&mut self, call_ms_max: u32) -> Result<(), Failure> {
        let Self { local, teller, .. } = self;
        let ended = run_program::run_to_end(local, call_ms_max, |event| teller.tell(event)).await?;
        if teller.format.is_document() {
            teller.json(&Told::Finished { exit_code: ended.exit_code, detail: &ended.detail })?;
            self.tell_usage().await?;
        }
        ended.into_result()
    }

    async fn run_ticks(&mut self, mut left: u32) -> Result<(), Failure> {
        while left > 0 && self.teller.traps == 0 {
            let ticks = left.min(TICKS_AT_ONCE);
            self.local.send(&Command::RunTicks { ticks }).await?;
            left -= ticks;
            loop {
                let event = tokio::select! {
                    event = self.local.next() => event?,
                    told = tokio::signal::ctrl_c() => return told.map_err(|e| no_signal(&e)),
                };
                match event {
                    Event::TicksDone { .. } => break,
                    other => self.hear(other).await?,
                }
            }
        }
        Ok(())
    }

    async fn run_until_told(&mut self, interval: Duration) -> Result<(), Failure> {
        let interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        self.local.send(&Command::Start { interval_ms, stored: Some(vec![]) }).await?;
        self.teller.console.note(format!(
            "running on {}, a tick every {}; Ctrl-C ends it",
            self.local.description(),
            format::millis(interval_ms.into())
        ));
        loop {
            tokio::select! {
                event = self.local.next_whenever() => self.hear(event?).await?,
                message = next_of(&mut self.messages) => match message? {
                    Some((channel, payload)) => self.local.deliver(&channel, payload).await?,
                    None => self.messages = None,
                },
                told = tokio::signal::ctrl_c() => return told.map_err(|e| no_signal(&e)),
            }
        }
    }

    /// All of stdin, before the first tick.
    async fn deliver_all(&mut self, channels: &[String]) -> Result<(), Failure> {
        if channels.is_empty() {
            return Ok(());
        }
        let mut messages = Messages::read(channels);
        while let Some((channel, payload)) = messages.next().await? {
            self.local.deliver(&channel, payload).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, event: Event) -> Result<(), Failure> {
        let Event::Asked(asked) = event else { return self.teller.tell(event) };
        match self.local.answer(asked).await? {
            Some((actuator, value)) => self.teller.tell_actuator(&actuator, value),
            None => Ok(()),
        }
    }

    async fn tell_usage(&mut self) -> Result<(), Failure> {
        let Self { local, teller, .. } = self;
        let usage = local.usage(|event| teller.tell(event)).await?;
        teller.tell_usage(&usage)
    }
}

/// Messages for the module, a line of stdin each.
struct Messages {
    lines: tokio::sync::mpsc::Receiver<Result<(String, Vec<u8>), String>>,
}

impl Messages {
    fn read(channels: &[String]) -> Self {
        // A line that was typed ahead waits here, the others in the pipe.
        let (found, lines) = tokio::sync::mpsc::channel(1);
        let channels = channels.to_vec();
        // Reading a terminal cannot be given up, so no runtime may wait for it.
        std::thread::spawn(move || {
            for (line, number) in std::io::stdin().lines().zip(1..) {
                let message = line.map_err(|e| e.to_string());
                let message = message.and_then(|line| message_of(&line, &channels));
                let message = message.map_err(|what| format!("stdin, line {number}: {what}"));
                if found.blocking_send(message).is_err() {
                    return;
                }
            }
        });
        Self { lines }
    }

    async fn next(&mut self) -> Result<Option<(String, Vec<u8>)>, Failure> {
        self.lines.recv().await.transpose().map_err(|what| Failure::new(Exit::Failed, what))
    }
}

async fn next_of(messages: &mut Option<Messages>) -> Result<Option<(String, Vec<u8>)>, Failure> {
    match messages {
        Some(messages) => messages.next().await,
        None => std::future::pending().await,
    }
}

fn message_of(line: &str, channels: &[String]) -> Result<(String, Vec<u8>), String> {
    let (channel, payload) = line.trim_start().split_once(' ').unwrap_or((line.trim(), ""));
    if !channels.iter().any(|known| known == channel) {
        return Err(format!("{channel:?} is no channel of --subscribe"));
    }
    let payload: Payload = payload.parse()?;
    Ok((channel.to_owned(), payload.bytes()))
}

fn no_signal(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, "wait for Ctrl-C").because(error)
}

/// Shows what happens as it happens.
struct Teller<'a> {
    format: Format,
    console: &'a Console,
    traps: u32,
}

/// A line of `-o json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Told<'a> {
    Published {
        channel: &'a str,
        seq: u64,
        payload: String,
    },
    Log {
        level: &'static str,
        text: &'a str,
    },
    Actuator {
        name: &'a str,
        value: f64,
    },
    Wrote {
        stream: &'static str,
        text: &'a str,
    },
    Trapped {
        export: &'a str,
        detail: &'a str,
        restart_in_ms: u32,
    },
    /// Of a program; without an exit code it trapped.
    Finished {
        exit_code: Option<u32>,
        detail: &'a str,
    },
    Usage(Sums),
}

#[derive(Serialize)]
struct Sums {
    calls: u64,
    traps: u64,
    error_returns: u64,
    gas_used: Option<u64>,
    cpu_us: u64,
    memory_bytes: u64,
    memory_peak_bytes: u64,
    published: u64,
    publishes_dropped: u64,
    log_lines: u64,
    log_lines_dropped: u64,
}

impl Teller<'_> {
    fn tell(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Published(message) => {
                let (channel, seq) = (message.channel.as_str(), message.seq);
                let payload = hex::encode(&message.payload);
                if !self.format.is_document() {
                    let (channel, payload) =
                        (format::printable(channel), format::payload(&payload));
                    return self.console.line(&format!("{channel} #{seq}: {payload}"));
                }
                self.json(&Told::Published { channel, seq, payload })
            }
            Event::Log(line) => {
                let level = level_name(line.level);
                let told = Told::Log { level, text: &line.text };
                self.tell_either(&told, || format!("{level}: {}", format::printable(&line.text)))
            }
            Event::Trapped { export, detail, restart_in_ms, .. } => {
                self.traps += 1;
                let told = Told::Trapped { export: &export, detail: &detail, restart_in_ms };
                self.tell_either(&told, || {
                    let detail = format::printable(&detail);
                    format!("{export} trapped: {detail}; a fresh instance in {restart_in_ms} ms")
                })
            }
            Event::Wrote { is_error, bytes } if !self.format.is_document() => {
                run_program::pass_on(is_error, &bytes)
            }
            Event::Wrote { is_error, bytes } => {
                let stream = if is_error { "stderr" } else { "stdout" };
                self.json(&Told::Wrote { stream, text: &String::from_utf8_lossy(&bytes) })
            }
            Event::LimitStop { detail, .. } => Err(stopped(&detail)),
            Event::Overrun { export, elapsed_ms } => Err(ended_for_its_time(&export, elapsed_ms)),
            Event::Rejected { detail } => Err(Failure::new(Exit::Failed, detail)),
            // At the end nobody waits for an answer any more.
            Event::Started | Event::Asked(_) => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn tell_actuator(&self, name: &str, value: f64) -> Result<(), Failure> {
        let told = Told::Actuator { name, value };
        self.tell_either(&told, || {
            format!("actuator {} is set to {value}", format::printable(name))
        })
    }

    fn tell_either(&self, told: &Told<'_>, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.format.is_document() {
            return self.json(told);
        }
        self.console.aside(text());
        Ok(())
    }

    fn json(&self, told: &Told<'_>) -> Result<(), Failure> {
        self.console.next_document(self.format, told)
    }

    fn tell_usage(&self, usage: &Usage) -> Result<(), Failure> {
        let sums = Sums {
            calls: usage.calls,
            traps: usage.traps,
            error_returns: usage.error_returns,
            gas_used: usage.gas_used,
            cpu_us: usage.cpu_us,
            memory_bytes: usage.memory_bytes,
            memory_peak_bytes: usage.memory_peak_bytes,
            published: usage.published,
            publishes_dropped: usage.publishes_dropped,
            log_lines: usage.log_lines,
            log_lines_dropped: usage.log_lines_dropped,
        };
        self.tell_either(&Told::Usage(sums), || in_words(usage))
    }
}

fn in_words(usage: &Usage) -> String {
    let gas = usage.gas_used.map(|gas| format!(", {gas} gas")).unwrap_or_default();
    let mut text = format!(
        "{} calls, {} traps{gas}, {:.1} ms CPU, {} memory at most, {} messages, {} log lines",
        usage.calls,
        usage.traps,
        usage.cpu_us as f64 / 1_000.0,
        format::bytes(usage.memory_peak_bytes),
        usage.published,
        usage.log_lines
    );
    if usage.publishes_dropped + usage.log_lines_dropped > 0 {
        text.push_str(&format!(
            "; dropped {} messages and {} log lines",
            usage.publishes_dropped, usage.log_lines_dropped
        ));
    }
    text
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    }
}
