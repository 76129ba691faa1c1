//! A runtime with at most one module in it.

use super::link::Link;
use super::{LocalArgs, find};
use crate::commands::compile;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use aot_compiler::{CompileOptions, Metering};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};
use target_spec::{BoundsChecks, Registry};
use worker_protocol::{
    Answer, Ask, Asked, ClockTrust, Command, Delivered, Event, Grants, Hello, Limits, Load,
    LoadFailure, Outcome, PROTOCOL_VERSION, Usage, WallClock,
};

/// An emulator on a loaded machine needs a while.
const HELLO_WITHIN: Duration = Duration::from_secs(20);

pub struct Local {
    link: Link,
    hello: Hello,
    is_metered: bool,
    /// Messages by channel.
    delivered: BTreeMap<String, u64>,
}

impl Local {
    /// Starts a runtime and hears what it is.
    pub async fn start(args: &LocalArgs) -> Result<Self, Failure> {
        Self::start_in(args, &[]).await
    }

    /// The same with directories that the module may write in.
    pub async fn start_in(args: &LocalArgs, directories: &[File]) -> Result<Self, Failure> {
        let runtime = find::runtime(args.runtime.as_deref())?;
        let mut link = {
            let mut words = find::words(args.launcher.as_deref(), runtime);
            if !directories.is_empty() {
                words.extend(["--directories".into(), "w".repeat(directories.len()).into()]);
            }
            Link::start(&words, directories)?
        };
        let hello = match link.next_within(HELLO_WITHIN).await? {
            Event::Hello(hello) => hello,
            other => return Err(unexpected(&other)),
        };
        check_hello(&hello)?;
        Ok(Self { link, hello, is_metered: !args.no_metering, delivered: BTreeMap::new() })
    }

    /// The target and how it checks bounds, for people.
    pub fn description(&self) -> String {
        format!("{} with {} bounds checks", self.hello.target, self.hello.bounds_checks)
    }

    /// Compiles for the runtime and loads it, as a gateway and an agent would. Whether
    /// the module has a `tick` to call.
    pub async fn load(
        &mut self,
        path: &Path,
        wasm: &[u8],
        (limits, grants): (Limits, Grants),
        console: &Console,
    ) -> Result<bool, Failure> {
        let started = Instant::now();
        let artifact = self.compile(path, wasm)?;
        if console.verbose {
            let (bytes, ms) = (artifact.len(), started.elapsed().as_millis());
            console.note(format!("{bytes} bytes for {} in {ms} ms", self.description()));
        }
        let app = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let time_ms = crate::console::now_ms();
        let clock = Some(WallClock { trust: ClockTrust::Configured, time_ms });
        self.link
            .send(&Command::Load(Load { artifact, app, limits, grants, clock, ..Load::default() }))
            .await?;
        loop {
            match self.link.next().await? {
                Event::Loaded { has_tick, .. } => return Ok(has_tick),
                Event::LoadFailed { reason, detail } => {
                    return Err(not_loaded(path, reason, &detail));
                }
                Event::Log(line) => console.warn(line.text),
                Event::Overrun { elapsed_ms, .. } => {
                    return Err(ended_for_its_time("the start function", elapsed_ms));
                }
                Event::LimitStop { detail, .. } => return Err(stopped(&detail)),
                other => return Err(unexpected(&other)),
            }
        }
    }

    fn compile(&self, path: &Path, wasm: &[u8]) -> Result<Vec<u8>, Failure> {
        let target = Registry::built_in().find(&self.hello.target);
        let target = target.map_err(|e| Failure::new(Exit::Failed, e))?;
        let bounds_checks: Result<BoundsChecks, _> = self.hello.bounds_checks.parse();
        let bounds_checks = bounds_checks.map_err(|e| Failure::new(Exit::Failed, e))?;
        let metering = if self.is_metered { Metering::Gas } else { Metering::None };
        let options = CompileOptions { metering, ..CompileOptions::new(bounds_checks) };
        let compiled = aot_compiler::compile(wasm, target, &options);
        compiled.map(|artifact| artifact.aot).map_err(|error| {
            compile::refuse(path, &error, "--no-metering for a module that meters itself")
        })
    }

    pub async fn send(&mut self, command: &Command) -> Result<(), Failure> {
        self.link.send(command).await
    }

    pub async fn next(&mut self) -> Result<Event, Failure> {
        self.link.next().await
    }

    pub async fn next_whenever(&mut self) -> Result<Event, Failure> {
        self.link.next_whenever().await
    }

    /// Gives the module a message, which waits until it is received.
    pub async fn deliver(&mut self, channel: &str, payload: Vec<u8>) -> Result<(), Failure> {
        let seq = self.delivered.entry(channel.to_owned()).or_default();
        *seq += 1;
        let (channel, seq) = (channel.to_owned(), *seq);
        self.link.send(&Command::Deliver(Delivered { channel, seq, payload })).await
    }

    /// Answers what the module asks of the device. An actuator that was set is told.
    pub async fn answer(&mut self, asked: Asked) -> Result<Option<(String, f64)>, Failure> {
        let (outcome, set) = match asked.ask {
            Ask::SetActuator { name, value } => (Outcome::Done, Some((name, value))),
            // The runtime has a copy, and nothing outlives it here.
            Ask::Keep(_) | Ask::Forget { .. } => (Outcome::Done, None),
            // No sensor here is read by asking.
            Ask::ReadSensor { .. } => (Outcome::Unavailable, None),
        };
        self.link.send(&Command::Answer(Answer { id: asked.id, outcome })).await?;
        Ok(set)
    }

    /// What the module has used. Other events on the way there go to `others`.
    pub async fn usage(
        &mut self,
        mut others: impl FnMut(Event) -> Result<(), Failure>,
    ) -> Result<Usage, Failure> {
        self.link.send(&Command::ReportUsage).await?;
        loop {
            match self.link.next().await? {
                Event::Usage(usage) => return Ok(usage),
                other => others(other)?,
            }
        }
    }
}

fn check_hello(hello: &Hello) -> Result<(), Failure> {
    let Hello { protocol_version, runtime, self_test_failure, .. } = hello;
    if *protocol_version != PROTOCOL_VERSION {
        let message = format!(
            "{runtime} speaks version {protocol_version} of the worker protocol, \
             farrier speaks {PROTOCOL_VERSION}"
        );
        return Err(Failure::new(Exit::Failed, message).or_try("install the two together"));
    }
    match self_test_failure {
        None => Ok(()),
        Some(failure) => {
            let message = format!("{runtime} failed its self-test: {failure}");
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

fn not_loaded(path: &Path, reason: LoadFailure, detail: &str) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("{} does not load: {detail}", path.display()));
    match reason {
        LoadFailure::OverLimit => failure.or_try("--memory-bytes-max with more"),
        _ => failure,
    }
}

pub fn unexpected(event: &Event) -> Failure {
    Failure::new(Exit::Failed, format!("the runtime answered {event:?} where it should not"))
}

/// At a limit whose action is to stop the module, as it is for a call's time.
pub fn stopped(detail: &str) -> Failure {
    Failure::new(Exit::Failed, format!("it was stopped at a limit: {detail}"))
}

/// On a device the agent ends a worker for this.
pub fn ended_for_its_time(what: &str, elapsed_ms: u32) -> Failure {
    let message = format!("{what} ran for {elapsed_ms} ms and was ended");
    Failure::new(Exit::Failed, message)
        .or_try("do less in one call, or give it longer by --call-ms-max")
}
