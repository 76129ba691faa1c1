//! What is said to the runtime during a check, over its socket.

use crate::app::CheckInput;
use crate::config::CheckRuntime;
use module_limits::Limit;
use std::io;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};
use target_spec::Registry;
use worker_protocol::{
    Command, ConfigEntry, Event, FrameError, Grants, Hello, Limits, Load, PROTOCOL_VERSION, Sensor,
    SensorSource, Usage, read_frame, write_frame,
};

/// The first tick comes at once, and the check is over before the second.
const TICK_INTERVAL_MS: u32 = 1_000;
const USAGE_INTERVAL: Duration = Duration::from_millis(20);
const SENSOR_SEED: u64 = 1;

#[derive(Debug, thiserror::Error)]
pub enum DialogError {
    #[error("the runtime was not done after {after_s} s")]
    Deadline { after_s: u64 },
    #[error("the runtime said nothing; check its path and launcher in the gateway's configuration")]
    NoHello,
    #[error("the runtime ended early, which it does when compiled code crashes")]
    Ended,
    #[error("talk to the runtime: {0}")]
    Frame(FrameError),
    #[error(
        "the runtime speaks version {0} of the protocol, this gateway version {PROTOCOL_VERSION}; install those of one release"
    )]
    Protocol(u32),
    #[error("the runtime is for {found}, and is configured for {configured}")]
    Profile { found: String, configured: String },
    #[error("the runtime failed its self-test: {0}")]
    SelfTest(String),
    #[error("the runtime lacks the CPU feature {0} of the target")]
    CpuFeature(String),
    #[error("the runtime reads AoT version {found}, the compiler writes {written}")]
    AotVersion { found: u32, written: u32 },
    #[error("the artifact does not load ({reason}): {detail}")]
    Load { reason: String, detail: String },
    #[error("known-answer step {number} does not hold: {detail}")]
    KnownAnswer { number: u32, detail: String },
    #[error("{export} trapped: {detail}")]
    Trapped { export: String, detail: String },
    #[error("{export} ran longer than the deployment's call_ms_max ({elapsed_ms} ms)")]
    Overrun { export: String, elapsed_ms: u32 },
    #[error("it reached the deployment's limit {limit}: {detail}")]
    LimitStop { limit: Limit, detail: String },
    #[error("the runtime answered {0} where it should not")]
    Unexpected(String),
}

impl From<FrameError> for DialogError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Closed => Self::Ended,
            FrameError::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => Self::Ended,
            FrameError::Io(e) if e.kind() == io::ErrorKind::BrokenPipe => Self::Ended,
            FrameError::Io(e) if e.kind() == io::ErrorKind::ConnectionReset => Self::Ended,
            other => Self::Frame(other),
        }
    }
}

pub fn await_hello(socket: &UnixStream, deadline: Instant) -> Result<Hello, DialogError> {
    match read(socket, deadline) {
        Ok(Event::Hello(hello)) => Ok(hello),
        Ok(other) => Err(unexpected(&other)),
        Err(DialogError::Frame(FrameError::Io(e))) if e.kind() == io::ErrorKind::WouldBlock => {
            Err(DialogError::NoHello)
        }
        Err(other) => Err(other),
    }
}

/// Whether this is the runtime that the configuration says it is.
pub fn check_hello(hello: &Hello, runtime: &CheckRuntime) -> Result<(), DialogError> {
    if hello.protocol_version != PROTOCOL_VERSION {
        return Err(DialogError::Protocol(hello.protocol_version));
    }
    if let Some(failure) = &hello.self_test_failure {
        return Err(DialogError::SelfTest(failure.clone()));
    }
    let (target, mode) = (runtime.target.as_str(), runtime.bounds_checks.as_str());
    if hello.target != target || hello.bounds_checks != mode {
        return Err(DialogError::Profile {
            found: format!("{} with {} bounds checks", hello.target, hello.bounds_checks),
            configured: format!("{target} with {mode} bounds checks"),
        });
    }
    if hello.aot_version != aot_compiler::AOT_VERSION {
        let (found, written) = (hello.aot_version, aot_compiler::AOT_VERSION);
        return Err(DialogError::AotVersion { found, written });
    }
    let target = Registry::built_in().get(&runtime.target).ok();
    let lacking = target.and_then(|t| t.missing_cpu_features(&hello.cpu_features).first().copied());
    lacking.map_or(Ok(()), |feature| Err(DialogError::CpuFeature(feature.to_owned())))
}

/// Load, known answers, one tick. Gives the number of steps that held.
pub fn run(socket: &UnixStream, deadline: Instant, input: CheckInput) -> Result<u32, DialogError> {
    let steps = input.known_answers.clone();
    let Entries { has_init, has_tick } = load(socket, deadline, input)?;
    write_frame(socket, &Command::RunChecks { steps })?;
    let passed = match next_answer(socket, deadline)? {
        Event::ChecksDone { passed, failed: None } => passed,
        Event::ChecksDone { failed: Some(step), .. } => {
            return Err(DialogError::KnownAnswer { number: step.number, detail: step.detail });
        }
        other => return Err(unexpected(&other)),
    };
    if has_tick {
        await_tick(socket, deadline, has_init)?;
    }
    Ok(passed)
}

/// Which entries the module exports.
struct Entries {
    has_init: bool,
    has_tick: bool,
}

fn config_of(config: Vec<module_package::ConfigEntry>) -> Vec<ConfigEntry> {
    config.into_iter().map(|entry| ConfigEntry { key: entry.key, value: entry.value }).collect()
}

fn load(socket: &UnixStream, deadline: Instant, input: CheckInput) -> Result<Entries, DialogError> {
    let sensors = input
        .sensors
        .into_iter()
        .map(|name| Sensor { name, source: SensorSource::Simulated { seed: SENSOR_SEED } });
    let limits = Limits {
        memory_bytes_max: input.limits.memory_bytes_max,
        stack_bytes: input.limits.stack_bytes,
        call_ms_max: input.limits.call_ms_max,
        log_lines_per_s_max: input.limits.log_lines_per_s_max,
        publishes_per_s_max: input.limits.publishes_per_s_max,
        gas_per_call_max: input.limits.gas_per_call_max,
        gas_per_s_max: input.limits.gas_per_s_max,
        actions: input.limits.actions,
    };
    let load = Load {
        artifact: input.artifact,
        app: input.app,
        limits,
        grants: Grants {
            sensors: sensors.collect(),
            channels: input.channels,
            config: config_of(input.provisions.config),
            storage_bytes: input.provisions.storage_bytes.unwrap_or(0),
            subscriptions: input.provisions.subscriptions,
            actuators: input.provisions.actuators,
            // A program is not run here: it may wait for what only a device has.
            wasi: None,
        },
        ..Load::default()
    };
    write_frame(socket, &Command::Load(load))?;
    match next_answer(socket, deadline)? {
        Event::Loaded { has_init, has_tick } => Ok(Entries { has_init, has_tick }),
        Event::LoadFailed { reason, detail } => {
            Err(DialogError::Load { reason: format!("{reason:?}"), detail })
        }
        other => Err(unexpected(&other)),
    }
}

/// Starts the module and waits until `init`, where it has one, and the first
/// `tick` have returned. What a later tick does is the device's business.
fn await_tick(socket: &UnixStream, deadline: Instant, has_init: bool) -> Result<(), DialogError> {
    let before = usage(socket, deadline)?;
    write_frame(socket, &Command::Start { interval_ms: TICK_INTERVAL_MS, stored: None })?;
    match next_answer(socket, deadline)? {
        Event::Started => {}
        other => return Err(unexpected(&other)),
    }
    let enough = before.calls + 1 + u64::from(has_init);
    loop {
        let has_ticked = usage(socket, deadline)?.calls >= enough;
        thread::sleep(USAGE_INTERVAL);
        if has_ticked {
            // A call counts before its trap is told, so ask once more.
            usage(socket, deadline)?;
            return Ok(());
        }
    }
}

fn usage(socket: &UnixStream, deadline: Instant) -> Result<Usage, DialogError> {
    write_frame(socket, &Command::ReportUsage)?;
    match next_answer(socket, deadline)? {
        Event::Usage(usage) => Ok(usage),
        other => Err(unexpected(&other)),
    }
}

/// The next event that answers something; what the module says is passed over,
/// what ends the check is an error.
fn next_answer(socket: &UnixStream, deadline: Instant) -> Result<Event, DialogError> {
    loop {
        match read(socket, deadline)? {
            Event::Log(_) | Event::Published(_) => {}
            Event::Trapped { export, detail, .. } => {
                return Err(DialogError::Trapped { export, detail });
            }
            Event::Overrun { export, elapsed_ms } => {
                return Err(DialogError::Overrun { export, elapsed_ms });
            }
            Event::LimitStop { limit, detail } => {
                return Err(DialogError::LimitStop { limit, detail });
            }
            answer => return Ok(answer),
        }
    }
}

fn read(socket: &UnixStream, deadline: Instant) -> Result<Event, DialogError> {
    let left = deadline.saturating_duration_since(Instant::now());
    // Zero would mean "wait for ever".
    let left = left.max(Duration::from_millis(1));
    socket.set_read_timeout(Some(left)).map_err(FrameError::from)?;
    Ok(read_frame(socket)?)
}

fn unexpected(event: &Event) -> DialogError {
    let mut text = format!("{event:?}");
    crate::telemetry::cut(&mut text, 200);
    DialogError::Unexpected(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use module_package::{Provisions, ReleaseLimits};
    use worker_protocol::{FailedStep, LoadFailure, LogLevel, LogLine};

    fn input() -> CheckInput {
        CheckInput {
            artifact: b"aot".to_vec(),
            app: "answer".into(),
            target: "x86_64-linux".into(),
            bounds_checks: "software".into(),
            limits: ReleaseLimits {
                memory_bytes_max: 1,
                stack_bytes: 1,
                call_ms_max: 1,
                log_lines_per_s_max: 1,
                publishes_per_s_max: 1,
                ..ReleaseLimits::default()
            },
            known_answers: vec![],
            sensors: vec!["temperature".into()],
            channels: vec![],
            provisions: Provisions::default(),
        }
    }

    /// A check against a runtime that answers each command with these events.
    fn check(answer: impl Fn(Command) -> Vec<Event> + Send + 'static) -> Result<u32, DialogError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let runtime = thread::spawn(move || {
            while let Ok(command) = read_frame::<Command>(&theirs) {
                for event in answer(command) {
                    write_frame(&theirs, &event).unwrap();
                }
            }
        });
        let result = run(&ours, Instant::now() + Duration::from_secs(5), input());
        drop(ours);
        runtime.join().unwrap();
        result
    }

    fn log() -> Event {
        Event::Log(LogLine { level: LogLevel::Info, text: "hello".into() })
    }

    fn good(command: Command, calls: u64) -> Vec<Event> {
        match command {
            Command::Load(_) => vec![Event::Loaded { has_init: true, has_tick: true }],
            Command::RunChecks { .. } => vec![Event::ChecksDone { passed: 3, failed: None }],
            Command::Start { .. } => vec![log(), Event::Started],
            Command::ReportUsage => vec![log(), Event::Usage(Usage { calls, ..Usage::default() })],
            Command::Stop
            | Command::SetClock(_)
            | Command::RunTicks { .. }
            | Command::Unload
            | Command::Answer(_)
            | Command::Deliver(_) => {
                vec![]
            }
        }
    }

    #[test]
    fn an_artifact_that_loads_answers_and_ticks_is_good() {
        let calls = std::sync::atomic::AtomicU64::new(4);
        let passed = check(move |command| {
            good(command, calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
        });
        assert_eq!(passed.unwrap(), 3);
        // A library is not started.
        let passed = check(|command| match command {
            Command::Load(_) => vec![Event::Loaded { has_init: false, has_tick: false }],
            Command::Start { .. } => panic!("there is nothing to start"),
            other => good(other, 0),
        });
        assert_eq!(passed.unwrap(), 3);
    }

    #[test]
    fn each_failure_has_its_reason() {
        let refusal = |answer: fn(Command) -> Vec<Event>| check(answer).unwrap_err().to_string();
        let load = refusal(|_| {
            let (reason, detail) = (LoadFailure::UnknownImport, "farrier.fly".into());
            vec![Event::LoadFailed { reason, detail }]
        });
        assert!(load.contains("UnknownImport") && load.contains("farrier.fly"), "{load}");
        let step = refusal(|command| match command {
            Command::RunChecks { .. } => {
                let failed = FailedStep { number: 2, detail: "got i32:1".into() };
                vec![Event::ChecksDone { passed: 1, failed: Some(failed) }]
            }
            other => good(other, 0),
        });
        assert_eq!(step, "known-answer step 2 does not hold: got i32:1");
        let trap = refusal(|command| match command {
            Command::Start { .. } => vec![Event::Trapped {
                export: "init".into(),
                detail: "unreachable".into(),
                restart_in_ms: 0,
                kind: None,
                place: None,
            }],
            other => good(other, 0),
        });
        assert_eq!(trap, "init trapped: unreachable");
        let overrun = refusal(|command| match command {
            Command::ReportUsage => {
                vec![Event::Overrun { export: "tick".into(), elapsed_ms: 2_000 }]
            }
            other => good(other, 0),
        });
        assert!(overrun.starts_with("tick ran longer"), "{overrun}");
        let nonsense = refusal(|_| vec![Event::Started]);
        assert!(nonsense.contains("Started"), "{nonsense}");
    }
}
