//! The agent's configuration file.
//!
//! ```toml
//! data_dir = "/var/lib/farrier"
//! gateway_url = "http://127.0.0.1:8080"
//! claim_token_file = "/etc/farrier/claim-token"   # needed until the device is enrolled
//! name = "bench-1"
//! # log_format = "json"   # an object a line; docs/logs.md
//! # site = "north"   # shares a limited link with the other devices of this name
//!
//! # accelerators = ["npu:edge-x"]   # names that placement can ask for
//! # labels = { room = "hall", floor = "2" }
//!
//! [runtime]
//! path = "/usr/lib/farrier/farrier-runtime"
//! # target = "x86_64-v3-linux"   # this processor has AVX2 and more
//! launcher = []   # or ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"]
//!
//! # [workers]             # what each gets, where the agent may give it
//! # uid_first = 59000     # user ids that nobody else may have; uid_count = 0: none
//! # uid_count = 512
//! # cgroups = true
//! # cpu_percent_max = 100 # of one processor
//! # lower_spinning = true # what never waits gets what others leave; docs/real-time.md. Usually not
//!
//! # [scheduling]                    # what modules may ask for; docs/real-time.md
//! # policies = ["fifo", "deadline"]  # none unless given
//! # utilization_percent_max = 50     # of one processor, all real-time modules together
//! # priority_max = 50               # of fifo
//! # cpus = [1]                      # processors that a module may choose; none unless given
//! # cpu_weight_max = 100            # of best-effort modules, 100 is the usual; none unless given
//!
//! [[sensor]]
//! name = "temperature"
//! kind = "simulated"
//! seed = 42
//!
//! [[sensor]]
//! name = "cpu"
//! kind = "thermal"   # or "hwmon" with chip and input, "iio" with device and channel,
//! type = "cpu-thermal"   # "gpio" with chip and line, "file" with path and scale
//!
//! [[actuator]]
//! name = "fan"
//! kind = "file"      # or "gpio" with chip and line, or "simulated"
//! path = "/sys/class/hwmon/hwmon2/pwm1"
//! min = 0
//! max = 255
//!
//! [[directory]]          # for programs of WASI, which ask for it by its name
//! name = "site"
//! path = "/etc/site"
//! writable = false
//! ```

use crate::fetch::patience::Patience;
use device_protocol::SiteName;
use scheduling::Allowance;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use worker_protocol::{NAME_BYTES_MAX, Sensor, SensorSource};

/// Shortest interval between two reports; more would be work for nobody.
const REPORT_INTERVAL_MS_MIN: u64 = 100;
/// A manifest takes some time from the heartbeat that names it.
const FREEZE_AFTER_MS_MIN: u64 = 1_000;
/// An f64 has no more that mean anything.
const DECIMALS_MAX: u8 = 15;
const WORKER_UIDS_MAX: u32 = 65_536;
/// Accelerators, and labels, that an owner may declare; a report has room for more.
const DECLARED_MAX: usize = 32;
/// A worker has one busy thread.
const CPU_PERCENT_MAX: u32 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line: docs/logs.md.
    Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Of the lines on standard error.
    #[serde(default)]
    pub log_format: LogFormat,
    /// Keys, enrolment, state and the store. Made if it is missing.
    pub data_dir: PathBuf,
    pub gateway_url: String,
    /// A file with the claim token; read only for the first enrolment. Without one the
    /// device waits until an operator accepts its fingerprint.
    pub claim_token_file: Option<PathBuf>,
    /// The id of the gateway's root document, for a device without a claim token, which
    /// would else trust the first that it is given.
    pub root_id: Option<String>,
    /// For people, 1 to 64 characters.
    pub name: String,
    /// The devices behind one link, whose deliveries the gateway may hold to a number
    /// of bytes a second. 1 to 32 characters of `a-z`, `0-9` and `-`.
    pub site: Option<SiteName>,
    pub runtime: RuntimeConfig,
    #[serde(default = "default_report_interval_ms")]
    pub report_interval_ms: u64,
    /// Longest time between two attempts to reach the broker, before jitter, which
    /// can double it. A fleet that may all lose it at once should not make it short.
    #[serde(default = "default_reconnect_s_max")]
    pub reconnect_s_max: u64,
    #[serde(default = "default_store_bytes_max")]
    pub store_bytes_max: u64,
    /// What all applications together may be granted to store on this device.
    #[serde(default = "default_app_storage_bytes_max")]
    pub app_storage_bytes_max: u64,
    /// What the directories of all programs together may be granted to hold.
    #[serde(default = "default_app_files_bytes_max")]
    pub app_files_bytes_max: u64,
    /// PEM certificates to trust for `https` and `mqtts` in place of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// Whether the clock is right whenever the agent runs. Otherwise the device asks
    /// the gateway for the time, and knows none until it has an answer.
    #[serde(default)]
    pub clock_trusted: bool,
    /// How long something newer that a heartbeat names may be on its way, before the
    /// device says that it is frozen; after five times as long without a heartbeat
    /// it says so too. Not shorter than the gateway's `heartbeat_s`.
    #[serde(default = "default_freeze_after_ms")]
    pub freeze_after_ms: u64,
    /// What is fetched has to bring `fetch_bytes_per_s_min` on the average of so much
    /// connected time. What is slower is given up and reported, and goes on from where
    /// it was at the next deployment.
    #[serde(default = "default_fetch_patience_s")]
    pub fetch_patience_s: u64,
    #[serde(default = "default_fetch_bytes_per_s_min")]
    pub fetch_bytes_per_s_min: u64,
    /// Where the kernel's view of the hardware is.
    #[serde(default = "default_sysfs_dir")]
    pub sysfs_dir: PathBuf,
    #[serde(default)]
    pub workers: WorkerConfig,
    /// What modules may ask for beside the usual.
    #[serde(default)]
    pub scheduling: Allowance,
    #[serde(default, rename = "sensor")]
    pub sensors: Vec<SensorConfig>,
    #[serde(default, rename = "actuator")]
    pub actuators: Vec<ActuatorConfig>,
    /// What the device has beside its processor, such as `npu:edge-x`: names that its
    /// owner chooses, and placement asks for.
    #[serde(default)]
    pub accelerators: Vec<String>,
    /// What its owner says of it, for placement: where it is, what it is for.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What programs may be given of this device's own files, by name. No manifest has a
    /// path.
    #[serde(default, rename = "directory")]
    pub directories: Vec<DirectoryConfig>,
}

/// Workers have user ids of their own, so what is in it has to be there for everybody.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryConfig {
    pub name: String,
    pub path: PathBuf,
    #[serde(default)]
    pub writable: bool,
    /// What it may hold where programs write in it, with what is there already.
    #[serde(default = "default_directory_bytes_max")]
    pub bytes_max: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeConfig {
    pub path: PathBuf,
    /// Put before the path, for a runtime of another architecture.
    #[serde(default)]
    pub launcher: Vec<String>,
    /// A target with more CPU features than the runtime's usual one, such as
    /// `x86_64-v3-linux`. The runtime refuses it where the processor lacks them.
    pub target: Option<String>,
    /// Whether figures of workers include an emulator; by default if there is a
    /// launcher.
    pub emulated: Option<bool>,
}

/// The process itself takes half of the least.
const SHARED_MIB_MIN: u32 = 64;
const SHARED_MIB_MAX: u32 = 65_536;

/// What each worker gets, as far as the system lets the agent give it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// User ids for workers, which nobody else may have; used by an agent that is root.
    /// A `uid_count` of 0 lets workers run as the agent does.
    pub uid_first: u32,
    pub uid_count: u32,
    /// Whether workers get control groups where there are any.
    pub cgroups: bool,
    /// Processor time of one worker, in percent of one processor.
    pub cpu_percent_max: u32,
    /// Whether a best-effort module that never waits goes behind all others.
    pub lower_spinning: bool,
    /// Writable memory of one process that several modules share. Where they need more
    /// together, there is another such process.
    pub shared_mib_max: u32,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        // Below the ids that systems give away by themselves, above those of people.
        let (uid_first, uid_count) = (59_000, 512);
        let (cpu_percent_max, shared_mib_max) = (100, 256);
        let (cgroups, lower_spinning) = (true, false);
        Self { uid_first, uid_count, cgroups, cpu_percent_max, lower_spinning, shared_mib_max }
    }
}

/// The ids that workers may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerUids {
    pub first: u32,
    pub count: u32,
}

impl WorkerConfig {
    pub fn uids(&self) -> WorkerUids {
        WorkerUids { first: self.uid_first, count: self.uid_count }
    }

    pub fn shared_bytes_max(&self) -> u64 {
        u64::from(self.shared_mib_max) << 20
    }

    fn check(&self) -> Result<(), String> {
        if !(SHARED_MIB_MIN..=SHARED_MIB_MAX).contains(&self.shared_mib_max) {
            return Err(format!(
                "workers.shared_mib_max needs {SHARED_MIB_MIN} to {SHARED_MIB_MAX}"
            ));
        }
        if self.uid_count > 0 && (self.uid_first == 0 || self.uid_first > u32::MAX / 2) {
            return Err("workers.uid_first needs 1 to 2147483647: 0 is root".into());
        }
        if self.uid_count > WORKER_UIDS_MAX {
            return Err(format!("workers.uid_count is more than {WORKER_UIDS_MAX}"));
        }
        if !(1..=CPU_PERCENT_MAX).contains(&self.cpu_percent_max) {
            return Err(format!("workers.cpu_percent_max needs 1 to {CPU_PERCENT_MAX}"));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SensorConfig {
    /// The waveform of the crate `simulated-sensor`.
    Simulated { name: String, seed: u64 },
    /// `temp` of a thermal zone below `class/thermal`, in degrees Celsius: by the zone's
    /// number, or by its `type`, such as `cpu-thermal`, which does not change.
    Thermal {
        name: String,
        zone: Option<u32>,
        #[serde(rename = "type")]
        zone_type: Option<String>,
    },
    /// An input such as `temp1` or `fan2` of the chip of this name below
    /// `class/hwmon`, in degrees Celsius, volts, amperes, watts, percent or turns a
    /// minute.
    Hwmon { name: String, chip: String, input: String },
    /// A channel such as `in_temp` or `in_voltage0` of the device of this name or label
    /// below `bus/iio/devices`.
    Iio { name: String, device: String, channel: String },
    /// An input of a GPIO chip: 1 where it is active, else 0.
    Gpio(GpioLine),
    /// A number as text in a file, times `scale`.
    File {
        name: String,
        path: PathBuf,
        #[serde(default = "default_scale")]
        scale: f64,
    },
}

/// What a module may be granted to set. Values outside of `min` to `max` are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ActuatorConfig {
    /// Says what it was set to in the application's log.
    Simulated { name: String, min: f64, max: f64 },
    /// An output of a GPIO chip, which takes 0 and 1.
    Gpio(GpioLine),
    /// The number is written as text with so many decimals into a file that exists, such
    /// as `pwm1` of a fan or the `value` of a pin.
    File {
        name: String,
        path: PathBuf,
        min: f64,
        max: f64,
        #[serde(default)]
        decimals: u8,
    },
}

/// One line of a GPIO chip.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpioLine {
    pub name: String,
    /// The chip's name, such as `gpiochip0`, or its label, which does not change.
    pub chip: String,
    pub line: LineName,
    /// Whether it is active where there is no voltage.
    #[serde(default)]
    pub active_low: bool,
    pub bias: Option<Bias>,
    /// Of an actuator: whether it is active from the agent's start.
    #[serde(default)]
    pub initial: bool,
}

/// As the device tree names the line, or its offset in the chip.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum LineName {
    Offset(u32),
    Name(String),
}

impl std::fmt::Display for LineName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    PullUp,
    PullDown,
    Disabled,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read the configuration {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration {path} is not valid: {detail}")]
    Invalid { path: PathBuf, detail: String },
}

fn default_report_interval_ms() -> u64 {
    5_000
}

fn default_freeze_after_ms() -> u64 {
    60_000
}

fn default_reconnect_s_max() -> u64 {
    15
}

fn default_fetch_patience_s() -> u64 {
    Patience::default().stretch.as_secs()
}

fn default_fetch_bytes_per_s_min() -> u64 {
    Patience::default().bytes_per_s_min
}

fn default_sysfs_dir() -> PathBuf {
    "/sys".into()
}

fn default_scale() -> f64 {
    1.0
}

fn default_store_bytes_max() -> u64 {
    256 * 1024 * 1024
}

fn default_app_files_bytes_max() -> u64 {
    64 * 1024 * 1024
}

fn default_directory_bytes_max() -> u64 {
    16 * 1024 * 1024
}

fn default_app_storage_bytes_max() -> u64 {
    1024 * 1024
}

impl Config {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(&text).map_err(|detail| ConfigError::Invalid { path: path.into(), detail })
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.chars().count() > 64 {
            return Err("name needs 1 to 64 characters".into());
        }
        if let Some(root_id) = &self.root_id {
            root_id.parse::<module_package::RootId>().map_err(|e| format!("root_id: {e}"))?;
        }
        if self.report_interval_ms < REPORT_INTERVAL_MS_MIN {
            return Err(format!("report_interval_ms needs at least {REPORT_INTERVAL_MS_MIN}"));
        }
        if self.freeze_after_ms < FREEZE_AFTER_MS_MIN {
            return Err(format!("freeze_after_ms needs at least {FREEZE_AFTER_MS_MIN}"));
        }
        if self.reconnect_s_max == 0 {
            return Err("reconnect_s_max needs at least 1".into());
        }
        if self.fetch_patience_s == 0 {
            return Err("fetch_patience_s needs at least 1".into());
        }
        self.workers.check()?;
        self.scheduling.check()?;
        for (index, sensor) in self.sensors.iter().enumerate() {
            let name = sensor.name();
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(format!("a sensor's name needs 1 to {NAME_BYTES_MAX} bytes"));
            }
            if self.sensors[..index].iter().any(|other| other.name() == name) {
                return Err(format!("sensor {name} is declared twice"));
            }
            sensor.check()?;
        }
        for (index, actuator) in self.actuators.iter().enumerate() {
            let name = actuator.name();
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(format!("an actuator's name needs 1 to {NAME_BYTES_MAX} bytes"));
            }
            if self.actuators[..index].iter().any(|other| other.name() == name) {
                return Err(format!("actuator {name} is declared twice"));
            }
            actuator.check()?;
        }
        for (index, directory) in self.directories.iter().enumerate() {
            let DirectoryConfig { name, path, .. } = directory;
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(format!("a directory's name needs 1 to {NAME_BYTES_MAX} bytes"));
            }
            if self.directories[..index].iter().any(|other| other.name == *name) {
                return Err(format!("directory {name} is declared twice"));
            }
            if !path.is_absolute() {
                return Err(format!("the path of directory {name} has to begin with '/'"));
            }
        }
        self.check_capabilities()
    }

    fn check_capabilities(&self) -> Result<(), String> {
        let is_name = |text: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
            (1..=NAME_BYTES_MAX).contains(&text.len()) && text.chars().all(is_plain)
        };
        let rule = format!("use 1 to {NAME_BYTES_MAX} letters, digits, '-', '_', '.', '/' or ':'");
        if self.accelerators.len() > DECLARED_MAX || self.labels.len() > DECLARED_MAX {
            return Err(format!("more than {DECLARED_MAX} accelerators or labels"));
        }
        for (index, name) in self.accelerators.iter().enumerate() {
            if !is_name(name) {
                return Err(format!("accelerator {name:?}: {rule}"));
            }
            if self.accelerators[..index].contains(name) {
                return Err(format!("accelerator {name} is declared twice"));
            }
        }
        match self.labels.iter().flat_map(|(key, value)| [key, value]).find(|t| !is_name(t)) {
            Some(wrong) => Err(format!("label {wrong:?}: {rule}")),
            None => Ok(()),
        }
    }

    pub fn report_interval(&self) -> Duration {
        Duration::from_millis(self.report_interval_ms)
    }

    pub fn freeze_after(&self) -> Duration {
        Duration::from_millis(self.freeze_after_ms)
    }

    pub fn patience(&self) -> Patience {
        let stretch = Duration::from_secs(self.fetch_patience_s);
        Patience { stretch, bytes_per_s_min: self.fetch_bytes_per_s_min }
    }

    pub fn is_emulated(&self) -> bool {
        self.runtime.emulated.unwrap_or(!self.runtime.launcher.is_empty())
    }
}

impl SensorConfig {
    pub fn name(&self) -> &str {
        match self {
            Self::Simulated { name, .. }
            | Self::Thermal { name, .. }
            | Self::Hwmon { name, .. }
            | Self::Iio { name, .. }
            | Self::Gpio(GpioLine { name, .. })
            | Self::File { name, .. } => name,
        }
    }

    pub fn to_grant(&self) -> Sensor {
        let source = match self {
            Self::Simulated { seed, .. } => SensorSource::Simulated { seed: *seed },
            _ => SensorSource::Device,
        };
        Sensor { name: self.name().to_owned(), source }
    }

    fn check(&self) -> Result<(), String> {
        let name = self.name();
        match self {
            Self::Simulated { .. } => Ok(()),
            Self::Thermal { zone, zone_type, .. } => match (zone, zone_type) {
                (Some(_), None) | (None, Some(_)) => Ok(()),
                _ => Err(format!("sensor {name}: give the zone's number as zone, or its type")),
            },
            Self::Iio { channel, .. } => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                let is_input = channel.starts_with("in_") && channel.chars().all(is_plain);
                let refuse =
                    || format!("sensor {name}: channel {channel:?} is not such as in_temp");
                is_input.then_some(()).ok_or_else(refuse)
            }
            Self::Gpio(line) if line.initial => {
                Err(format!("sensor {name}: initial is for actuators"))
            }
            Self::Gpio(_) => Ok(()),
            Self::Hwmon { input, .. } => {
                let kind = input.trim_end_matches(|c: char| c.is_ascii_digit());
                let is_input = kind != input && kind.chars().all(|c| c.is_ascii_lowercase());
                let refuse = || format!("sensor {name}: input {input:?} is not such as temp1");
                (is_input && !kind.is_empty()).then_some(()).ok_or_else(refuse)
            }
            Self::File { path, scale, .. } => {
                check_path(&format!("sensor {name}"), path)?;
                let refuse =
                    || format!("sensor {name}: scale is {scale}; it needs a finite number");
                scale.is_finite().then_some(()).ok_or_else(refuse)
            }
        }
    }
}

impl ActuatorConfig {
    pub fn name(&self) -> &str {
        match self {
            Self::Simulated { name, .. }
            | Self::File { name, .. }
            | Self::Gpio(GpioLine { name, .. }) => name,
        }
    }

    pub fn takes(&self, value: f64) -> bool {
        let (min, max) = self.range();
        (min..=max).contains(&value)
    }

    fn range(&self) -> (f64, f64) {
        match self {
            Self::Simulated { min, max, .. } | Self::File { min, max, .. } => (*min, *max),
            Self::Gpio(_) => (0.0, 1.0),
        }
    }

    fn check(&self) -> Result<(), String> {
        let name = self.name();
        let (min, max) = self.range();
        if !(min.is_finite() && max.is_finite() && min <= max) {
            return Err(format!("actuator {name}: min {min} to max {max} is no range"));
        }
        match self {
            Self::File { decimals, .. } if *decimals > DECIMALS_MAX => {
                Err(format!("actuator {name}: decimals is {decimals}; the most is {DECIMALS_MAX}"))
            }
            Self::File { path, .. } => check_path(&format!("actuator {name}"), path),
            Self::Simulated { .. } | Self::Gpio(_) => Ok(()),
        }
    }
}

fn check_path(of: &str, path: &Path) -> Result<(), String> {
    let refuse = || format!("{of}: path {} has to begin with /", path.display());
    path.is_absolute().then_some(()).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        data_dir = "/d"
        gateway_url = "http://127.0.0.1:1"
        name = "n"
        [runtime]
        path = "/r"
        launcher = ["qemu"]
        [[sensor]]
        name = "temperature"
        kind = "simulated"
        seed = 42
    "#;

    #[test]
    fn a_small_configuration_gets_the_defaults() {
        let config = Config::parse(GOOD).unwrap();
        assert!(config.is_emulated());
        assert_eq!(config.report_interval_ms, 5_000);
        assert_eq!(config.reconnect_s_max, 15);
        assert_eq!(config.store_bytes_max, 268_435_456);
        assert_eq!(config.patience(), Patience::default());
        assert_eq!(config.sensors[0].to_grant().source, SensorSource::Simulated { seed: 42 });
    }

    #[test]
    fn a_misspelt_key_or_a_doubled_sensor_is_refused() {
        let misspelt = GOOD.replace("launcher", "lancher");
        assert!(Config::parse(&misspelt).unwrap_err().contains("lancher"));
        let misspelt = GOOD.replace("seed = 42", "seed = 42\nsede = 1");
        assert!(Config::parse(&misspelt).is_err());
        let sensor = "[[sensor]]\nname = \"temperature\"\nkind = \"simulated\"\nseed = 1\n";
        assert!(Config::parse(&format!("{GOOD}\n{sensor}")).unwrap_err().contains("twice"));
        assert!(Config::parse(&GOOD.replace("\"n\"", "\"\"")).is_err());
        let workers = |text: &str| Config::parse(&format!("{GOOD}\n[workers]\n{text}"));
        assert!(workers("uid_first = 0").unwrap_err().contains("0 is root"));
        assert!(workers("cpu_percent_max = 0").is_err());
        assert!(workers("uid_cuont = 1").is_err());
        assert_eq!(workers("uid_count = 0").unwrap().workers.uids().count, 0);
        let scheduling = |text: &str| Config::parse(&format!("{GOOD}\n[scheduling]\n{text}"));
        let some = scheduling("policies = [\"fifo\"]\ncpus = [1, 3]").unwrap().scheduling;
        assert_eq!((some.policies.len(), some.cpus.len(), some.priority_max), (1, 2, 50));
        assert!(scheduling("policies = [\"rr\"]").unwrap_err().contains("rr"));
        assert!(scheduling("cpus = [3, 1]").unwrap_err().contains("ascending"));
        assert!(scheduling("policy = [\"fifo\"]").is_err());
        assert_eq!(Config::parse(GOOD).unwrap().scheduling, Allowance::default());
    }

    #[test]
    fn sensors_and_actuators_behind_files_are_checked() {
        let parse = |text: &str| Config::parse(&format!("{GOOD}\n{text}\n"));
        let sensor = |rest: &str| parse(&format!("[[sensor]]\nname = \"s\"\n{rest}"));
        let config = sensor("kind = \"thermal\"\nzone = 0").unwrap();
        assert_eq!(config.sensors[1].to_grant().source, SensorSource::Device);
        let hwmon =
            |input: &str| sensor(&format!("kind = \"hwmon\"\nchip = \"k\"\ninput = \"{input}\""));
        assert!(hwmon("temp1").is_ok());
        for input in ["", "1", "temp", "../temp1", "temp1_input", "TEMP1"] {
            assert!(hwmon(input).is_err(), "{input}");
        }
        assert!(sensor("kind = \"thermal\"\ntype = \"cpu-thermal\"").is_ok());
        for both in ["kind = \"thermal\"", "kind = \"thermal\"\ntype = \"c\"\nzone = 0"] {
            assert!(sensor(both).unwrap_err().contains("zone's number"), "{both}");
        }
        let iio = |channel: &str| {
            sensor(&format!("kind = \"iio\"\ndevice = \"d\"\nchannel = \"{channel}\""))
        };
        assert!(iio("in_temp").is_ok() && iio("in_voltage0-voltage1").is_ok());
        for channel in ["", "temp", "in_../x", "in_temp/.."] {
            assert!(iio(channel).is_err(), "{channel}");
        }
        let gpio = "kind = \"gpio\"\nchip = \"c\"\nline = \"RUN\"\nbias = \"pull-up\"";
        assert!(sensor(gpio).is_ok());
        assert!(sensor(&format!("{gpio}\ninitial = true")).unwrap_err().contains("actuators"));
        assert!(sensor("kind = \"gpio\"\nchip = \"c\"\nline = -1").is_err());
        let output = "[[actuator]]\nname = \"a\"\nkind = \"gpio\"\nchip = \"c\"\nline = 4\n\
                      initial = true\nactive_low = true";
        let output = parse(output).unwrap();
        assert!(output.actuators[0].takes(1.0) && !output.actuators[0].takes(1.5));
        // Keys of the whole file stand before its tables.
        let whole = |text: &str| Config::parse(&format!("{text}\n{GOOD}"));
        assert_eq!(whole("accelerators = [\"npu:x\"]").unwrap().accelerators, ["npu:x"]);
        assert!(whole("accelerators = [\"a b\"]").is_err());
        assert!(whole("accelerators = [\"a\", \"a\"]").unwrap_err().contains("twice"));
        assert_eq!(whole("labels = { room = \"hall\" }").unwrap().labels["room"], "hall");
        assert!(whole("labels = { room = \"\" }").is_err());

        assert!(sensor("kind = \"file\"\npath = \"/x\"").is_ok());
        assert!(sensor("kind = \"file\"\npath = \"x\"").is_err());
        assert!(sensor("kind = \"file\"\npath = \"/x\"\nscale = inf").is_err());

        let actuator = |rest: &str| parse(&format!("[[actuator]]\nname = \"a\"\n{rest}"));
        let config = actuator("kind = \"simulated\"\nmin = 0\nmax = 1.5").unwrap();
        let takes = |value| config.actuators[0].takes(value);
        assert!(takes(0.0) && takes(1.5) && !takes(1.6) && !takes(f64::NAN));
        assert!(actuator("kind = \"simulated\"\nmin = 2\nmax = 1").unwrap_err().contains("range"));
        assert!(
            actuator("kind = \"file\"\npath = \"/x\"\nmin = 0\nmax = 1\ndecimals = 16").is_err()
        );
        assert!(actuator("kind = \"file\"\npath = \"x\"\nmin = 0\nmax = 1").is_err());
        let twice = "[[actuator]]\nname = \"a\"\nkind = \"simulated\"\nmin = 0\nmax = 1\n";
        assert!(parse(&twice.repeat(2)).unwrap_err().contains("twice"));
    }
}
