//! The messages. Field numbers are only ever added.

use crate::{Answer, Asked, GuestUsage, ProgramUsage, StoredValue, WasiGrants};
use known_answer::Step;
use minicbor::{Decode, Encode};
use module_limits::{Limit, LimitActions, LimitHits};
use module_traps::{TrapCounts, TrapKind};
use scheduling::{RealTime, TickReport};

/// From the starter to the worker.
// The large one comes once in a module's life, and is made and taken at once.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Command {
    /// Load and instantiate a module as the guest that the frame names. Answered by
    /// `Loaded` or `LoadFailed`. Once for each guest, and again after `Unloaded`.
    #[n(0)]
    Load(#[n(0)] Load),
    /// Run known-answer steps on the instance. Answered by `ChecksDone`.
    #[n(1)]
    RunChecks {
        #[n(0)]
        steps: Vec<Step>,
    },
    /// Call `init` once, then `tick` at the interval until `Stop`. A module
    /// without `tick` repeats its known-answer steps at the interval instead,
    /// so that a library module is seen to live. Answered by `Started`.
    #[n(2)]
    Start {
        #[n(0)]
        interval_ms: u32,
        /// What the module has stored. None: nothing is kept, as in a check.
        #[n(1)]
        stored: Option<Vec<StoredValue>>,
    },
    /// Answered by `Usage`, also while a call runs.
    #[n(3)]
    ReportUsage,
    /// End the process after the current call, whichever guest the frame names. Answered
    /// by closing the socket.
    #[n(4)]
    Stop,
    /// What time it is, as far as the device knows; given again now and then, for all
    /// guests at once. Not answered.
    #[n(5)]
    SetClock(#[n(0)] WallClock),
    /// Answers `Asked`. Not answered itself.
    #[n(6)]
    Answer(#[n(0)] Answer),
    /// A message on a channel that the module subscribes to. Not answered.
    #[n(7)]
    Deliver(#[n(0)] Delivered),
    /// End this guest alone, after the current call. Answered by `Unloaded`.
    #[n(15)]
    Unload,
    /// Call `init` where that has not been done, then `tick` as often as said without
    /// waiting in between, for replays that must not depend on the clock: rates by the
    /// second do not count from then on. What the module does is done, as after `Start`
    /// with an empty storage. Nothing else happens meanwhile, so a starter asks for a
    /// bounded number at a time. Answered by `TicksDone`.
    #[n(20)]
    RunTicks {
        #[n(0)]
        ticks: u32,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Load {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub artifact: Vec<u8>,
    /// The module's name in the application, for logs.
    #[n(1)]
    pub app: String,
    #[n(2)]
    pub limits: Limits,
    #[n(3)]
    pub grants: Grants,
    /// None: the time is unknown.
    #[n(4)]
    pub clock: Option<WallClock>,
    /// Among the guests of this worker: of those that are due, the highest is called
    /// first. 0 unless given.
    #[n(25)]
    pub priority: Option<u8>,
    /// What its ticks are measured by; the starter sees to the rest. None: best-effort.
    #[n(20)]
    pub real_time: Option<RealTime>,
}

/// The time at the moment when the message was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WallClock {
    #[n(0)]
    pub trust: ClockTrust,
    /// Milliseconds since 1970. While the time is unknown, a lower bound that does not
    /// run, and 0 where nothing at all is known.
    #[n(1)]
    pub time_ms: u64,
}

/// How the device knows the time. The numbers are what modules see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ClockTrust {
    #[default]
    #[n(0)]
    Unknown,
    /// Its owner says that the system's clock is right.
    #[n(1)]
    Configured,
    /// The gateway told it.
    #[n(2)]
    Gateway,
}

/// What a module may use at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Limits {
    /// Linear memory; growing beyond it fails as the module sees it.
    #[n(0)]
    pub memory_bytes_max: u64,
    /// Native stack of a call.
    #[n(1)]
    pub stack_bytes: u32,
    /// Wall time of one call, after which the worker reports `Overrun`.
    #[n(2)]
    pub call_ms_max: u32,
    /// Log lines accepted in a second; the rest are counted and dropped.
    #[n(3)]
    pub log_lines_per_s_max: u32,
    /// Messages accepted in a second; the rest fail as the module sees it.
    #[n(4)]
    pub publishes_per_s_max: u32,
    /// Gas of one call, and on the average of a second; of a metered module only.
    #[n(5)]
    pub gas_per_call_max: Option<u64>,
    #[n(6)]
    pub gas_per_s_max: Option<u64>,
    /// What follows where a limit is reached; the usual where nothing is asked for.
    #[n(7)]
    pub actions: Option<LimitActions>,
}

impl Limits {
    pub fn actions(&self) -> LimitActions {
        self.actions.unwrap_or_default()
    }
}

/// What a module may reach. Everything not named here is denied.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Grants {
    #[n(0)]
    pub sensors: Vec<Sensor>,
    /// Names of channels that the module may publish on.
    #[n(1)]
    pub channels: Vec<String>,
    /// Its configuration.
    #[n(2)]
    pub config: Vec<ConfigEntry>,
    /// What it may store; 0 is nothing.
    #[cbor(n(3), default)]
    pub storage_bytes: u32,
    /// Names of channels whose messages it gets.
    #[cbor(n(4), default)]
    pub subscriptions: Vec<String>,
    /// Names of actuators that it may set.
    #[cbor(n(5), default)]
    pub actuators: Vec<String>,
    /// Of a module that may use WASI.
    #[n(30)]
    pub wasi: Option<WasiGrants>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct ConfigEntry {
    #[n(0)]
    pub key: String,
    #[n(1)]
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Sensor {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub source: SensorSource,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum SensorSource {
    /// The seeded waveform of the crate `simulated-sensor`, from sample 0 at
    /// each instantiation.
    #[n(0)]
    Simulated {
        #[n(0)]
        seed: u64,
    },
    /// These samples, in order, from the first at each instantiation. After the
    /// last comes the first again, or the sensor has no value.
    #[n(1)]
    Recorded {
        #[n(0)]
        samples: Vec<f64>,
        #[n(1)]
        repeats: bool,
    },
    /// The starter reads it when it is asked.
    #[n(2)]
    Device,
}

/// From the worker to the starter.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    /// The first frame.
    #[n(0)]
    Hello(#[n(0)] Hello),
    #[n(1)]
    Loaded {
        #[n(0)]
        has_init: bool,
        #[n(1)]
        has_tick: bool,
    },
    #[n(2)]
    LoadFailed {
        #[n(0)]
        reason: LoadFailure,
        #[n(1)]
        detail: String,
    },
    #[n(3)]
    ChecksDone {
        #[n(0)]
        passed: u32,
        /// The first step that did not hold, counted from 1, and why.
        #[n(1)]
        failed: Option<FailedStep>,
    },
    /// `init` returned and ticking began.
    #[n(4)]
    Started,
    #[n(5)]
    Usage(#[n(0)] Usage),
    #[n(6)]
    Log(#[n(0)] LogLine),
    #[n(7)]
    Published(#[n(0)] Published),
    /// A call ended in a trap. The instance is thrown away and made afresh after
    /// `restart_in_ms`, never called again.
    #[n(8)]
    Trapped {
        #[n(0)]
        export: String,
        #[n(1)]
        detail: String,
        #[n(2)]
        restart_in_ms: u32,
        #[n(70)]
        kind: Option<TrapKind>,
        /// Where, as compiled code left it (`aot_compiler::trap_place`).
        #[n(71)]
        place: Option<u32>,
    },
    /// A call runs longer than its limit. Compiled code cannot be stopped from
    /// inside, so the starter ends the process.
    #[n(9)]
    Overrun {
        #[n(0)]
        export: String,
        #[n(1)]
        elapsed_ms: u32,
    },
    /// In the middle of a call. Answered by `Answer`.
    #[n(25)]
    Asked(#[n(0)] Asked),
    /// The command cannot be carried out now, such as `Start` before `Load`.
    #[n(10)]
    Rejected {
        #[n(0)]
        detail: String,
    },
    /// The module reached a limit whose action is to stop it. It is not called again;
    /// the starter ends the process.
    #[n(20)]
    LimitStop {
        #[n(0)]
        limit: Limit,
        #[n(1)]
        detail: String,
    },
    /// This guest is gone, and all that it had is free. Its number can be given again.
    #[n(35)]
    Unloaded,
    /// A program has ended and is not run again, or not before its interval is over.
    #[n(38)]
    Finished {
        /// What it gave to `proc_exit`; 0 where it returned. `None`: it trapped.
        #[n(0)]
        exit_code: Option<u32>,
        #[n(1)]
        detail: String,
        #[n(2)]
        again_in_ms: Option<u32>,
    },
    /// What a program wrote, where its starter takes that instead of lines in the log.
    #[n(39)]
    Wrote {
        #[n(0)]
        is_error: bool,
        #[cbor(n(1), with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// How many ticks returned, fewer than asked for after a trap. The trap, the log
    /// and the messages of these ticks were sent before.
    #[n(40)]
    TicksDone {
        #[n(0)]
        ticks: u32,
    },
}

/// What a worker is, so that its starter can refuse a file of another build.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    #[n(0)]
    pub protocol_version: u32,
    /// `farrier-runtime` and its version.
    #[n(1)]
    pub runtime: String,
    #[n(2)]
    pub wamr_version: String,
    #[n(3)]
    pub aot_version: u32,
    /// A target id, such as `riscv64-linux`.
    #[n(4)]
    pub target: String,
    /// `hardware` or `software`.
    #[n(5)]
    pub bounds_checks: String,
    /// Of the target's optional CPU features, those that this CPU has.
    #[n(6)]
    pub cpu_features: Vec<String>,
    /// Names of imports that a module may have, such as `farrier.log`.
    #[n(7)]
    pub imports: Vec<String>,
    /// Why the self-test failed (bounds, floats); the process ends after it.
    #[n(8)]
    pub self_test_failure: Option<String>,
    /// What confines this process: names such as `no-new-privileges`, `landlock`.
    #[n(9)]
    pub confinement: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum LoadFailure {
    /// The note in the file names another target, bounds mode or CPU.
    #[n(0)]
    WrongProfile,
    /// WAMR refuses the file.
    #[n(1)]
    Malformed,
    /// An import that this runtime does not offer, or offers with another type.
    #[n(2)]
    UnknownImport,
    /// The module needs more than its limits at the start.
    #[n(3)]
    OverLimit,
    /// Instantiation trapped: a segment out of range, or the start function.
    #[n(4)]
    Instantiation,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FailedStep {
    #[n(0)]
    pub number: u32,
    #[n(1)]
    pub detail: String,
}

/// Counters since the worker started. They survive a fresh instance.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Usage {
    /// CPU time of the thread that runs the module.
    #[n(0)]
    pub cpu_us: u64,
    #[n(1)]
    pub memory_bytes: u64,
    #[n(2)]
    pub memory_peak_bytes: u64,
    /// Calls from the host into the module.
    #[n(3)]
    pub calls: u64,
    #[n(4)]
    pub traps: u64,
    /// Fresh instances after a trap.
    #[n(5)]
    pub restarts: u64,
    #[n(6)]
    pub published: u64,
    /// Messages refused for rate or size.
    #[n(7)]
    pub publishes_dropped: u64,
    #[n(8)]
    pub log_lines: u64,
    #[n(9)]
    pub log_lines_dropped: u64,
    /// Runs of the known-answer steps that held, and that did not.
    #[n(10)]
    pub checks_passed: u64,
    #[n(11)]
    pub checks_failed: u64,
    /// How long the present call has been running.
    #[n(12)]
    pub call_running_ms: Option<u32>,
    #[n(13)]
    pub activity: Activity,
    /// Returns of `init` and `tick` other than 0.
    #[n(14)]
    pub error_returns: u64,
    /// Of a metered module, with what its ended instances used.
    #[n(15)]
    pub gas_used: Option<u64>,
    /// Of a module with a health export that was asked.
    #[n(16)]
    pub health: Option<Health>,
    /// Once one was reached.
    #[n(20)]
    pub limits: Option<LimitHits>,
    /// The module waits because it used more gas than a second allows.
    #[n(21)]
    pub throttled: Option<bool>,
    /// Of a module that has called anything.
    #[n(30)]
    pub guest: Option<GuestUsage>,
    /// Of a program.
    #[n(60)]
    pub program: Option<ProgramUsage>,
    /// Once there was one: `traps` by kind.
    #[n(70)]
    pub trap_kinds: Option<TrapCounts>,
    /// What WAMR holds of the heap for the instance, beside its linear memory and the
    /// loaded module. None between instances.
    #[n(71)]
    pub overhead_bytes: Option<u64>,
    /// Of each channel that it has published on, or tried to.
    #[n(72)]
    pub outlets: Option<Vec<OutletUsage>>,
    /// Of a module with `tick`, once it has begun.
    #[n(50)]
    pub ticks: Option<Box<TickReport>>,
}

/// Messages of a module on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct OutletUsage {
    #[n(0)]
    pub channel: String,
    #[n(1)]
    pub published: u64,
    /// Refused for rate or size.
    #[n(2)]
    pub dropped: u64,
}

/// What a module's own health export answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Health {
    /// 0 is healthy.
    #[n(0)]
    pub last: i32,
    /// Answers other than 0.
    #[n(1)]
    pub sick: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Activity {
    #[default]
    #[n(0)]
    Idle,
    #[n(1)]
    Loaded,
    #[n(2)]
    Running,
    /// Waiting to make a fresh instance after a trap.
    #[n(3)]
    BackingOff,
    /// A program that has ended.
    #[n(60)]
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum LogLevel {
    #[n(0)]
    Error,
    #[n(1)]
    Warn,
    #[n(2)]
    Info,
    #[n(3)]
    Debug,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogLine {
    #[n(0)]
    pub level: LogLevel,
    /// At most 1,024 bytes; control characters are replaced.
    #[n(1)]
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Published {
    #[n(0)]
    pub channel: String,
    /// Counts this worker's messages from 1.
    #[n(1)]
    pub seq: u64,
    /// At most 1,024 bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Delivered {
    #[n(0)]
    pub channel: String,
    /// Counts the messages of this channel to this worker from 1. One that is missing was
    /// dropped because the worker was busy.
    #[n(1)]
    pub seq: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

/// Limits of the guest API, version 1.
pub const LOG_LINE_BYTES_MAX: usize = 1024;
pub const PUBLISH_BYTES_MAX: usize = 1024;
pub const NAME_BYTES_MAX: usize = 64;
/// Messages that wait on one channel.
pub const INBOX_MESSAGES_MAX: usize = 16;
pub const RANDOM_BYTES_MAX: usize = 256;
/// Most metrics of one module.
pub const METRICS_MAX: usize = 16;
