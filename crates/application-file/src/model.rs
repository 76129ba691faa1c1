//! What a file says, once nothing is wrong with it.

use crate::error::Place;
use known_answer::Step;
use module_limits::LimitActions;
use scheduling::Scheduling;
use std::collections::BTreeMap;

/// A value, and where it stands, for whoever finds something wrong with it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationFile {
    pub name: Located<String>,
    /// At least one; no two have the same name.
    pub modules: Vec<Module>,
}

impl ApplicationFile {
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.name.value == name)
    }

    /// What may have to be uploaded, each once, as [`Build::label`] has it.
    pub fn uploads(&self) -> Vec<String> {
        let builds = self.modules.iter().flat_map(|module| &module.builds);
        let mut uploads: Vec<String> = Vec::new();
        for build in builds.filter(|build| matches!(build.source, Source::File(_))) {
            let label = build.label();
            if !uploads.contains(&label) {
                uploads.push(label);
            }
        }
        uploads
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    pub name: Located<String>,
    /// At least one, the best first: a device gets the first that its target can run.
    pub builds: Vec<Build>,
    pub devices: Devices,
    /// Only on devices of these, at least one; `None` for any.
    pub targets: Option<Vec<Located<String>>>,
    pub placement: Placement,
    pub interval_ms: Option<u32>,
    pub health_window_ms: Option<u32>,
    pub isolation: Isolation,
    /// Only of a module that shares its process.
    pub priority: Option<u8>,
    pub metering: bool,
    pub canonical_nans: bool,
    pub memory_bytes_max: Option<u64>,
    pub call_ms_max: Option<u32>,
    pub gas_per_call_max: Option<u64>,
    pub gas_per_s_max: Option<u64>,
    pub actions: LimitActions,
    pub storage_bytes: Option<u32>,
    pub scheduling: Scheduling,
    /// By key.
    pub config: BTreeMap<String, String>,
    pub sensors: Vec<Located<String>>,
    pub actuators: Vec<Located<String>>,
    pub channels: Vec<Channel>,
    pub wasi: Option<Located<Wasi>>,
    /// Known answers of each build; none are the module's own, as it was pushed.
    pub steps: Vec<Located<Step>>,
}

impl Module {
    pub fn channels_to(&self, direction: Direction) -> impl Iterator<Item = &Channel> {
        self.channels.iter().filter(move |channel| channel.direction == direction)
    }

    pub fn publishes(&self, channel: &str) -> bool {
        self.channels_to(Direction::Publish).any(|own| own.name.value == channel)
    }
}

/// What it may reach through WASI. What is not said of the clocks and of random bytes is
/// for the gateway to ask for, which knows what the module imports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wasi {
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub stdout_to_log: bool,
    pub clock: Option<bool>,
    pub random: Option<bool>,
    /// Never `Some(true)`.
    pub sockets: Option<bool>,
    pub restart: Option<WasiRestart>,
    pub directories: Vec<WasiDirectory>,
}

/// One of the module's own, or one of the device's by its owner's name for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WasiDirectory {
    pub guest: String,
    pub private_bytes: Option<u32>,
    pub host: Option<String>,
    pub read_only: bool,
}

/// What follows the end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WasiRestart {
    OnFailure,
    Never,
    Always,
}

/// With whom a module shares its process, the strongest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// With nobody.
    #[default]
    Module,
    /// With the modules of its application that say the same.
    Application,
    /// With all modules of its device that say the same.
    Shared,
}

impl Isolation {
    pub const ALL: [Self; 3] = [Self::Module, Self::Application, Self::Shared];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Application => "application",
            Self::Shared => "shared",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub at: Place,
    pub source: Source,
    /// What a file is linked with: link names, and the paths of the files.
    pub libraries: BTreeMap<String, Located<String>>,
}

impl Build {
    /// For people, and between the gateway and whoever uploads: the path, and what the file
    /// there is linked with.
    pub fn label(&self) -> String {
        let source = self.source.to_string();
        let named = self.libraries.iter().map(|(name, path)| format!("{name}={}", path.value));
        match named.collect::<Vec<_>>().join(", ") {
            libraries if libraries.is_empty() => source,
            libraries => format!("{source} with {libraries}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path, as it is written.
    File(String),
    /// Of the module's own name.
    Version(u32),
    /// 64 lower-case hexadecimal digits.
    Id(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.write_str(path),
            Self::Version(version) => write!(f, "version {version}"),
            Self::Id(id) => f.write_str(id),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Devices {
    /// Also those that enrol later.
    All,
    /// By name or id, at least one.
    These(Vec<Located<String>>),
}

/// What a device has to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    pub labels: BTreeMap<String, String>,
    pub accelerators: Vec<Located<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    pub name: Located<String>,
    pub direction: Direction,
    pub scope: Scope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Publish,
    Subscribe,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// How far a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// On the device, and through the gateway.
    Both,
    /// Through the gateway alone.
    Remote,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Remote => "remote",
        }
    }
}
