//! Deployments: which module shall run where.

use crate::{Placement, Provisions};
use module_limits::LimitActions;
use scheduling::Scheduling;
use serde::{Deserialize, Serialize};

/// What a user asks for. A later deployment of the same application replaces an
/// earlier one on the devices that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewDeployment {
    /// An id, `name@version`, or `name` for its newest.
    pub module: String,
    pub devices: DeviceSelector,
    /// Time between two ticks, 10 to 3,600,000; 1,000 unless given.
    #[serde(default)]
    pub interval_ms: Option<u32>,
    /// Wall time of one call, 1 to 60,000; 1,000 unless given, for a program 60,000.
    #[serde(default)]
    pub call_ms_max: Option<u32>,
    /// Linear memory at most; the module's own maximum, or 16 MiB, unless given. A module
    /// that starts with more than these 16 MiB gets them above its start.
    #[serde(default)]
    pub memory_bytes_max: Option<u64>,
    /// Sensors that the module may open, by the devices' names for them.
    #[serde(default)]
    pub sensors: Vec<String>,
    /// Channels that it may publish on.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Whether it counts its gas, by version 1 of the cost table.
    #[serde(default)]
    pub metering: bool,
    /// Whether NaNs have the same bits on every architecture.
    #[serde(default)]
    pub canonical_nans: bool,
    /// How long a version that takes another's place has to be well before a device
    /// keeps it, 0 to 86,400,000; 30,000 unless given.
    #[serde(default)]
    pub health_window_ms: Option<u32>,
    /// What else the module gets.
    #[serde(default, skip_serializing_if = "Provisions::is_empty")]
    pub provisions: Provisions,
    /// A gateway from before there were any is not asked for none.
    #[serde(default, skip_serializing_if = "ModuleLimits::is_usual")]
    pub limits: ModuleLimits,
    /// What a device has to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// Its class, processors and weight where they are not the usual, docs/real-time.md. A
    /// real-time module can have an interval from 1 ms on.
    #[serde(default, skip_serializing_if = "Scheduling::is_usual")]
    pub scheduling: Scheduling,
}

/// Limits beside those that every module has, and what follows where one is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ModuleLimits {
    /// Gas of one call, 1 to 2^63 - 1. This and the next make the module metered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas_per_call_max: Option<u64>,
    /// Gas on the average of a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas_per_s_max: Option<u64>,
    /// Where it is not the usual.
    pub actions: LimitActions,
}

impl ModuleLimits {
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    pub fn has_gas(&self) -> bool {
        self.gas_per_call_max.is_some() || self.gas_per_s_max.is_some()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DeviceSelector {
    /// Every device, also those that enrol later.
    All,
    /// These, by id or name.
    These(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Deployment {
    pub id: String,
    /// The module's name, under which it runs on devices.
    pub app: String,
    /// The application that it is a part of, if it was not made by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    pub module: String,
    pub module_version: u32,
    pub devices: DeviceSelector,
    /// Of those devices, only these targets; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    pub interval_ms: u32,
    pub call_ms_max: u32,
    pub memory_bytes_max: u64,
    pub sensors: Vec<String>,
    pub channels: Vec<String>,
    #[serde(default, skip_serializing_if = "Provisions::is_empty")]
    pub provisions: Provisions,
    #[serde(default)]
    pub limits: ModuleLimits,
    #[serde(default, skip_serializing_if = "Scheduling::is_usual")]
    pub scheduling: Scheduling,
    pub created_at_ms: u64,
    pub state: DeploymentState,
    /// One for each device that it concerns.
    pub progress: Vec<DeviceProgress>,
}

impl Deployment {
    /// Whether both ask for the same, wherever and whenever.
    fn does_as(&self, other: &Self) -> bool {
        // Named one by one, so that whoever adds a field decides where it belongs.
        let Self {
            app,
            application,
            module,
            module_version,
            targets,
            interval_ms,
            call_ms_max,
            memory_bytes_max,
            sensors,
            channels,
            provisions,
            limits,
            scheduling,
            id: _,
            devices: _,
            created_at_ms: _,
            state: _,
            progress: _,
        } = self;
        *app == other.app
            && *application == other.application
            && *module == other.module
            && *module_version == other.module_version
            && *targets == other.targets
            && *interval_ms == other.interval_ms
            && *call_ms_max == other.call_ms_max
            && *memory_bytes_max == other.memory_bytes_max
            && *sensors == other.sensors
            && *channels == other.channels
            && *provisions == other.provisions
            && *limits == other.limits
            && *scheduling == other.scheduling
    }
}

/// What an application does now and what it did before, as far as that was something
/// else: where "go back" leads.
pub fn earlier_deployment<'a>(
    newest_first: impl Iterator<Item = &'a Deployment>,
    app: &str,
) -> Option<(&'a Deployment, &'a Deployment)> {
    let mut of_app = newest_first.filter(|d| d.app == app);
    let now = of_app.by_ref().find(|d| d.state != DeploymentState::Replaced)?;
    let is_earlier = |d: &&Deployment| d.state == DeploymentState::Replaced && !d.does_as(now);
    Some((now, of_app.find(is_earlier)?))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentState {
    /// No device is concerned yet.
    Waiting,
    InProgress,
    /// Runs on every device.
    Done,
    /// Ended on every device, on some of them with a refusal.
    Failed,
    /// A later deployment of the application has taken all its devices.
    Replaced,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceProgress {
    pub device: String,
    pub device_name: String,
    pub target: String,
    pub state: ProgressState,
    /// Which of the deployment's builds runs there, as `name@version`, if it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The manifest that carries it, once one is published.
    pub generation: Option<u64>,
    pub fetched_bytes: u64,
    pub fetch_total_bytes: u64,
    pub refusal: Option<crate::Refusal>,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProgressState {
    /// The artifact for its target is queued, compiled or checked.
    Compiling,
    /// Compiled and checked; the release is not signed yet. `detail` says by whom.
    AwaitingReleaseSignature,
    /// The manifest is published; the device has not accepted it yet.
    Published,
    Fetching,
    Starting,
    Running,
    /// Compile, check or device refused; `detail` and `refusal` say why.
    Refused,
    /// It ran, and trapped or was stopped.
    Stopped,
    /// A later deployment of the application is on its way to this device.
    Replaced,
}

impl ProgressState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compiling => "compiling",
            Self::AwaitingReleaseSignature => "awaiting release signature",
            Self::Published => "published",
            Self::Fetching => "fetching",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
            Self::Replaced => "replaced",
        }
    }
}
