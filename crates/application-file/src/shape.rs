//! The file as it is written: what `serde` reads and `schemars` describes.
//!
//! The comments of the fields are what editors show. Unknown fields are refused
//! everywhere; `text` says how that is told.

use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use toml::Spanned;

/// An application: several modules that a gateway deploys as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Farrier application file")]
pub struct File {
    /// The layout of this file: 1.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    pub format: Spanned<u32>,
    /// The application's name: lower-case letters, digits and '-'.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Where the modules run: "all" for every device, also those that enrol later, or a
    /// list of devices by name or id. A module can say otherwise for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AllOrThese>")]
    pub devices: Option<Spanned<Devices>>,
    /// Of those devices, only these targets, such as "aarch64-linux". A module can say
    /// otherwise for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub targets: Option<Spanned<Vec<Spanned<String>>>>,
    /// What a device has to have. A module can say otherwise for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Placement>")]
    pub placement: Option<Spanned<Placement>>,
    /// The modules.
    #[serde(rename = "module", default)]
    #[schemars(with = "Vec<Module>", length(min = 1, max = 32))]
    pub modules: Vec<Spanned<Module>>,
}

/// One module of the application. It says in one of four ways which bytes run: `file`,
/// `version`, `id`, or `any_of`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// The module's name, here and at the gateway: lower-case letters, digits and '-'.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// The Wasm file, relative to this file. It is uploaded if the gateway lacks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub file: Option<Spanned<String>>,
    /// Libraries that the file is linked with, each a Wasm file by the name that it is
    /// imported as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub link: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    /// A version of the module that the gateway has already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub version: Option<Spanned<u32>>,
    /// The SHA-256 of a module that the gateway has already, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub id: Option<Spanned<String>>,
    /// Builds of one module, the best first: each device gets the first that its target
    /// can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Build>>")]
    pub any_of: Option<Spanned<Vec<Spanned<Build>>>>,
    /// Where it runs, if not where the application does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AllOrThese>")]
    pub devices: Option<Spanned<Devices>>,
    /// Of those devices, only these targets, if not those of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub targets: Option<Spanned<Vec<Spanned<String>>>>,
    /// What a device has to have, if not what the application says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Placement>")]
    pub placement: Option<Spanned<Placement>>,
    /// Time between two ticks in milliseconds, 10 to 3,600,000, of a real-time module from 1
    /// on; 1,000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub interval_ms: Option<Spanned<u32>>,
    /// How long a new version has to be well before a device keeps it, in milliseconds,
    /// 0 to 86,400,000; 30,000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub health_window_ms: Option<Spanned<u32>>,
    /// Whether it counts its gas, the same on every architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metering: Option<bool>,
    /// Whether NaNs have the same bits on every architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_nans: Option<bool>,
    /// The class that it runs in: "best-effort", which is so unless given, or "real-time"
    /// with the table `real_time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub class: Option<Spanned<String>>,
    /// Of the class "real-time".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RealTime>")]
    pub real_time: Option<Spanned<RealTime>>,
    /// The only processors that it runs on, by number in ascending order; any unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<u16>>")]
    pub cpus: Option<Spanned<Vec<u16>>>,
    /// Against other best-effort modules, 1 to 10,000; 100 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u16>")]
    pub cpu_weight: Option<Spanned<u16>>,
    /// With whom it shares its process on a device: "module", with nobody, which is so unless
    /// given; "application", with the modules of this file that say the same; "shared", with
    /// all modules of the device that say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub isolation: Option<Spanned<String>>,
    /// Of the modules of one process that are due, the highest is called first: 0 to 7, 0
    /// unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u8>")]
    pub priority: Option<Spanned<u8>>,
    /// Sensors that it may open, by the devices' names for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub sensors: Vec<Spanned<String>>,
    /// Actuators that it may set, by the devices' names for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub actuators: Vec<Spanned<String>>,
    /// What it may store on each device in bytes, up to 262,144; nothing unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub storage_bytes: Option<Spanned<u32>>,
    /// Text that it can look up by its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub config: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    /// What it may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Limits>")]
    pub limits: Option<Spanned<Limits>>,
    /// Channels that it may use.
    #[serde(rename = "channel", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Channel>")]
    pub channels: Vec<Spanned<Channel>>,
    /// What it may reach through WASI preview 1; nothing unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Wasi>")]
    pub wasi: Option<Spanned<Wasi>>,
    /// Steps that show on each device that the module computes what it should. They hold
    /// for every build of it.
    #[serde(rename = "step", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Step>")]
    pub steps: Vec<Spanned<Step>>,
}

/// What a device has to have. Of "all" devices, those that have it all are chosen; one that
/// is named and lacks something is refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Labels of the devices' configuration, each with its value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub labels: BTreeMap<String, Spanned<String>>,
    /// Accelerators, by the devices' names for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub accelerators: Vec<Spanned<String>>,
}

/// One build of a module: one of `file`, `version` and `id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The Wasm file, relative to the application file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub file: Option<Spanned<String>>,
    /// Libraries that the file is linked with, each a Wasm file by the name that it is
    /// imported as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub link: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    /// A version of the module that the gateway has already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub version: Option<Spanned<u32>>,
    /// The SHA-256 of a module that the gateway has already, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub id: Option<Spanned<String>>,
}

/// The class "real-time" of a module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RealTime {
    /// "fifo" or "deadline".
    #[schemars(with = "String")]
    pub policy: Spanned<String>,
    /// Processor time of one period at most, in microseconds.
    #[schemars(with = "u32")]
    pub runtime_us: Spanned<u32>,
    /// From the moment when a tick is due until it has to be over; the period unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub deadline_us: Option<Spanned<u32>>,
    /// Of "deadline": how often it gets its run time; the interval of its ticks unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub period_us: Option<Spanned<u32>>,
    /// Of "fifo": 1 to 98, the highest first; 10 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u8>")]
    pub priority: Option<Spanned<u8>>,
}

/// What a module may use at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Linear memory in bytes, up to 4,294,967,296; the module's own maximum, or 16 MiB,
    /// unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub memory_bytes_max: Option<Spanned<u64>>,
    /// Wall time of one call in milliseconds, 1 to 60,000; 1,000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub call_ms_max: Option<Spanned<u32>>,
    /// Gas of one call. This and the next make the module count its gas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub gas_per_call_max: Option<Spanned<u64>>,
    /// Gas on the average of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub gas_per_s_max: Option<Spanned<u64>>,
    /// What follows where a limit is reached: gas-per-call, gas-rate, call-time, log-rate
    /// or message-rate, each "warn", "throttle", "restart" or "stop".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub actions: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
}

/// A named channel that a module may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Letters, digits, '-', '_', '.' and '/'.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// "publish": to the gateway, and to the modules of its device that subscribe.
    /// "subscribe": to what modules of its device publish, and what operators send.
    #[schemars(with = "String")]
    pub direction: Spanned<String>,
    /// "both", which is so unless given. A subscriber can say "remote": nobody on its
    /// device publishes on the channel, its messages come through the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub scope: Option<Spanned<String>>,
}

/// What a module may reach through WASI preview 1. What is not given is denied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wasi {
    /// Its arguments, after its name: at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub arguments: Vec<Spanned<String>>,
    /// Variables of its environment by their names: at most 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub environment: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    /// Where standard output and standard error go: "log".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub stdout: Option<Spanned<String>>,
    /// Whether it may read the clocks and wait. A module that imports them is deployed only
    /// where this says true or false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<bool>,
    /// Whether it gets random bytes; as with `clock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<bool>,
    /// Only `false`, which lets a module run that imports functions of sockets: they answer
    /// `notsock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<bool>")]
    pub sockets: Option<Spanned<bool>>,
    /// What follows the end of a program, which is a module that exports `_start`:
    /// "on-failure", which is so unless given, "never", or "always", at its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub restart: Option<Spanned<String>>,
    /// Directories in which it may work: at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<WasiDirectory>")]
    pub directories: Vec<Spanned<WasiDirectory>>,
}

/// A directory: `private_bytes` makes it one of the module's own, `host` one of the
/// device's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WasiDirectory {
    /// Where the program finds it, such as "/data".
    #[schemars(with = "String")]
    pub guest: Spanned<String>,
    /// What it may hold in bytes, up to 67,108,864. It survives new versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    pub private_bytes: Option<Spanned<u32>>,
    /// The name that the device's owner has given to one of its directories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub host: Option<Spanned<String>>,
    /// Whether one of the device's is only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<bool>")]
    pub read_only: Option<Spanned<bool>>,
}

/// One known-answer step: `write`, `read`, or `call` with `args` and `expect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Put bytes into the module's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<StepBytes>,
    /// Compare bytes of the module's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<StepBytes>,
    /// Call an exported function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Its arguments, such as "i32:5".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Its results; any will do unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Vec<String>>,
}

/// Bytes at an address, as `text` or as `hex`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepBytes {
    /// In the module's first memory.
    pub address: u32,
    /// In UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// In hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

/// A word or a list, each with its place. `#[serde(untagged)]` would lose the places.
#[derive(Debug, Clone, PartialEq)]
pub enum Devices {
    Word(String),
    These(Vec<Spanned<String>>),
}

/// How the schema shows [`Devices`].
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum AllOrThese {
    /// "all": every device, also those that enrol later.
    All(String),
    /// Names or ids.
    These(Vec<String>),
}

impl<'de> Deserialize<'de> for Devices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyDevices;
        impl<'de> Visitor<'de> for AnyDevices {
            type Value = Devices;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\" or a list of devices")
            }

            fn visit_str<E>(self, word: &str) -> Result<Devices, E> {
                Ok(Devices::Word(word.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Devices, A::Error> {
                let mut these = Vec::new();
                while let Some(device) = seq.next_element()? {
                    these.push(device);
                }
                Ok(Devices::These(these))
            }
        }
        deserializer.deserialize_any(AnyDevices)
    }
}

impl Serialize for Devices {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Word(word) => serializer.serialize_str(word),
            Self::These(these) => these.serialize(serializer),
        }
    }
}
