//! Devices, and what they report.

use module_limits::{Limit, LimitAction};
use module_traps::{TrapCount, TrapKind};
use scheduling::{Allowance, InForce, TickReport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Device {
    pub id: String,
    pub name: String,
    pub target: String,
    /// For people, as `Linux on 64-bit Arm`.
    pub target_name: String,
    pub bounds_checks: String,
    pub cpu_features: Vec<String>,
    pub agent: String,
    pub runtime: String,
    /// Figures include the emulator that runs the worker.
    pub emulated: bool,
    pub sensors: Vec<String>,
    /// What its owner lets modules ask for, if anything.
    #[serde(default)]
    pub scheduling: Option<Allowance>,
    pub enrolled_at_ms: u64,
    pub connection: Connection,
    /// Time of the last report by the gateway's clock.
    pub last_seen_ms: Option<u64>,
    /// The number of the manifest that the gateway wants, and that the device has.
    pub generation_wanted: u64,
    pub generation: u64,
    pub uptime_ms: u64,
    /// CPU use of the whole device over the last two reports, 0 to 100.
    pub cpu_percent: Option<f64>,
    pub memory_total_bytes: u64,
    pub memory_available_bytes: u64,
    pub agent_rss_bytes: u64,
    pub store_bytes: u64,
    /// From then on it has no rights.
    #[serde(default)]
    pub revoked_at_ms: Option<u64>,
    /// Of its key, for comparing with what the device says itself.
    #[serde(default)]
    pub fingerprint: String,
    /// Why nothing can be deployed to it, if nothing can: no compiler makes code for its
    /// kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeployable: Option<String>,
    /// What the gateway did not take of it since its start: messages that are forged,
    /// unreadable, too many or not its own to send, subscriptions and logins that it has
    /// no right to.
    #[serde(default)]
    pub refused_messages: u64,
    /// The last document that the device refused.
    pub refusal: Option<Refusal>,
    pub apps: Vec<AppStatus>,
    /// What somebody has to look at.
    #[serde(default)]
    pub alarms: Vec<Alarm>,
    /// Reports that were refused since the gateway's start: repeated, late, replayed
    /// or forged.
    #[serde(default)]
    pub reports_refused: u64,
    /// Of the root document that the device trusts.
    #[serde(default)]
    pub root_version: Option<u32>,
    /// How it knows the time: `unknown`, `configured` or `heartbeat`.
    #[serde(default)]
    pub clock: Option<String>,
    /// Of the device as a whole; `None` before the first report and from older agents.
    #[serde(default)]
    pub system: Option<SystemStatus>,
    /// What it runs, exactly.
    #[serde(default)]
    pub builds: Option<BuildStatus>,
    /// What it has told of itself; `None` from older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<DeviceCapabilities>,
}

/// What modules can be placed by, beside the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceCapabilities {
    pub actuators: Vec<String>,
    pub accelerators: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// Sensors and actuators that are declared and not there, each with the reason.
    pub unavailable: BTreeMap<String, String>,
}

/// What cannot be measured on a device is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SystemStatus {
    /// Processes that run or want to, over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    pub cpus: Option<u32>,
    /// Of the hottest thermometer.
    pub temperature_c: Option<f64>,
    /// Of the file system with the agent's data.
    pub storage_total_bytes: Option<u64>,
    pub storage_free_bytes: Option<u64>,
    /// Since the kernel's start; `uptime_ms` of the device is the agent's.
    pub uptime_s: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BuildStatus {
    pub agent: String,
    /// The first 16 digits of the SHA-256 of the program's file.
    pub agent_sha256_start: Option<String>,
    pub runtime: String,
    pub runtime_sha256_start: Option<String>,
    pub wamr_version: String,
    pub aot_version: u32,
    pub target: String,
    /// `hardware` or `software`.
    pub bounds_checks: String,
}

/// Something about a device that is no refusal and may be an attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Alarm {
    /// `frozen`, `cloned` or `forged-reports`.
    pub kind: String,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// Enrolled, no report yet.
    New,
    Online,
    /// No report for ten seconds.
    Offline,
}

impl Connection {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }
}

/// A numbered refusal of a device, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refusal {
    pub code: u16,
    pub title: String,
    pub advice: String,
    /// The device's own words about this case.
    pub detail: String,
}

/// One application on one device, as the device reported it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AppStatus {
    pub device: String,
    pub device_name: String,
    pub target: String,
    pub app: String,
    pub version: u32,
    pub module: Option<String>,
    pub artifact: Option<String>,
    pub artifact_bytes: Option<u64>,
    pub compile_ms: Option<u64>,
    /// As `running` or `stopped: time limit`.
    pub state: String,
    pub refusal: Option<Refusal>,
    pub detail: String,
    /// Over the last two reports, in percent of one CPU.
    pub cpu_percent: Option<f64>,
    pub cpu_us: u64,
    pub memory_bytes: u64,
    pub memory_peak_bytes: u64,
    pub worker_rss_bytes: u64,
    pub calls: u64,
    pub traps: u64,
    pub restarts: u64,
    pub published: u64,
    pub publishes_dropped: u64,
    pub log_lines: u64,
    pub log_lines_dropped: u64,
    pub checks_passed: u64,
    pub checks_failed: u64,
    /// Of a metered module, since its worker started.
    #[serde(default)]
    pub gas_used: Option<u64>,
    /// Of the guest API's functions that it has called, since the agent's start.
    #[serde(default)]
    pub host_calls: Vec<HostCallStatus>,
    /// The module's own numbers.
    #[serde(default)]
    pub metrics: Vec<MetricStatus>,
    /// Of a module that may store something.
    #[serde(default)]
    pub storage: Option<StorageStatus>,
    /// Of the channels that it subscribes to.
    #[serde(default)]
    pub inboxes: Vec<InboxStatus>,
    pub emulated: bool,
    /// An earlier version runs because the wanted one was refused.
    pub fallback: bool,
    /// Which report these figures are from: the agent's start, as hexadecimal
    /// text, and the count since then.
    pub report_boot_id: String,
    pub report_counter: u64,
    pub reported_at_ms: u64,
    /// Of the device: where it is not online, the rest is as it was when it last was.
    #[serde(default)]
    pub connection: Option<Connection>,
    /// Limits that it reached since the agent's start.
    #[serde(default)]
    pub limit_hits: Vec<LimitHit>,
    /// What followed the last time.
    #[serde(default)]
    pub limit_last: Option<LimitLast>,
    /// It is called later than its interval because it used more gas than a second
    /// allows.
    #[serde(default)]
    pub throttled: bool,
    /// Of a program, once it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramStatus>,
    /// What confines its worker, by name; `None` without a worker, and from older agents.
    #[serde(default)]
    pub confinement: Option<Vec<String>>,
    /// `traps` by kind; kinds that never came are left out.
    #[serde(default)]
    pub trap_kinds: Vec<TrapCount>,
    /// What WAMR holds for the instance beside its linear memory.
    #[serde(default)]
    pub overhead_bytes: Option<u64>,
    /// CPU time of the worker with all its threads.
    #[serde(default)]
    pub worker_cpu_us: Option<u64>,
    /// Of the channels that it publishes on.
    #[serde(default)]
    pub outlets: Vec<OutletStatus>,
    /// How punctual it was; `None` without `tick`, and from older agents.
    #[serde(default)]
    pub ticks: Option<TickReport>,
    /// How it trapped the last time since the agent's start.
    #[serde(default)]
    pub last_trap: Option<TrapStatus>,
    /// What the kernel says that its thread has, of a module that asked for more than the
    /// usual.
    #[serde(default)]
    pub scheduling: Option<InForce>,
    /// Of a module that shares its worker's process with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<Company>,
}

/// A process that several modules share. Its memory and CPU time are theirs together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Company {
    pub pid: u32,
    /// How many modules it runs, with this one.
    pub modules: u32,
    /// How often this one was started again because another brought the process down.
    pub displaced: u32,
    /// Which module did it the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displaced_by: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitHit {
    pub limit: Limit,
    pub hits: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitLast {
    pub limit: Limit,
    pub action: LimitAction,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostCallStatus {
    /// As `farrier.publish`; `farrier.#` and a number where the device is newer than
    /// the gateway.
    pub import: String,
    pub calls: u64,
    /// Of the module's memory that were read and written.
    pub bytes: u64,
    pub time_ns: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MetricStatus {
    pub name: String,
    pub value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StorageStatus {
    pub used_bytes: u64,
    pub quota_bytes: u64,
}

/// Messages on one channel that a module subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InboxStatus {
    pub channel: String,
    /// That wait for the module now.
    pub depth: u32,
    /// That have arrived since its worker started, with those that were dropped.
    pub received: u64,
    /// The oldest, because more than 16 waited, and what the worker had no time for.
    pub dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrapStatus {
    /// The export that was called.
    pub export: String,
    pub kind: Option<TrapKind>,
    /// The runtime's words.
    pub detail: String,
    /// None where the device cannot tell, and until somebody has asked for the device.
    pub place: Option<TrapPlaceStatus>,
}

/// In the module as it was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrapPlaceStatus {
    /// By its index among all functions, imported ones first.
    pub function: u32,
    /// From the module's name section, else what it is exported as.
    pub name: Option<String>,
    /// Of the instruction in the file; None where it is the function's as a whole.
    pub offset: Option<u64>,
    /// It is the first of several accesses to memory in a straight line, of which one
    /// trapped.
    pub is_line: bool,
}

/// Messages on one channel that a module publishes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutletStatus {
    pub channel: String,
    /// That wait on the device for the connection.
    pub depth: u32,
    /// Since the agent's start: accepted from the module.
    pub published: u64,
    /// Refused for rate or size, or lost because too many waited.
    pub dropped: u64,
}

/// What a device's charts are drawn from, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct History {
    pub device: Vec<DeviceSample>,
    pub apps: Vec<AppSample>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceSample {
    pub device: String,
    pub time_ms: u64,
    pub report_counter: u64,
    pub cpu_percent: Option<f64>,
    pub memory_used_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AppSample {
    pub device: String,
    pub app: String,
    pub time_ms: u64,
    pub report_counter: u64,
    pub cpu_percent: Option<f64>,
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogLine {
    pub device: String,
    pub device_name: String,
    /// Empty for the agent itself.
    pub app: String,
    pub level: String,
    pub text: String,
    /// When the gateway received it.
    pub time_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Published {
    pub device: String,
    pub device_name: String,
    pub app: String,
    pub channel: String,
    /// Counts the worker's messages from 1.
    pub seq: u64,
    /// Hexadecimal.
    pub payload: String,
    pub time_ms: u64,
}

/// Devices that ask to be let in without a claim token, who waits longest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PendingEnrolments {
    pub items: Vec<PendingEnrolment>,
    /// A full list turns newcomers away.
    pub items_max: u32,
    /// Requests since the gateway's start that were turned away. An operator who knows
    /// a device's fingerprint can accept it although it is not in the list.
    pub turned_away: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PendingEnrolment {
    /// To be compared with what the device's agent says in its log.
    pub fingerprint: String,
    /// The id that it would get.
    pub device: String,
    /// This and the rest is what the device says of itself.
    pub name: String,
    pub target: String,
    pub agent: String,
    pub first_asked_ms: u64,
    pub last_asked_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AcceptedEnrolment {
    pub fingerprint: String,
    /// `None`: it has not asked yet, and gets in when it does so within an hour.
    pub device: Option<Device>,
}

/// How a module does that runs to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgramStatus {
    /// Since its worker started.
    pub runs: u64,
    /// Of the last run that ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u32>,
    /// It is not run again.
    pub is_finished: bool,
}
