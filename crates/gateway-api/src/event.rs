//! The stream of server-sent events. The name of an event is its `type`; its
//! data the JSON below; its id counts up, and `Last-Event-ID` resumes behind it
//! or brings a `resync` where that is no longer possible.

use crate::{AppSample, Artifact, Deployment, Device, DeviceSample, LogLine, Module, Published};
use serde::{Deserialize, Serialize};

// Most events are of the large kinds, and each is soon gone.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// Events were lost: read everything again.
    Resync,
    /// A device enrolled, reported or went offline; with its applications.
    Device {
        /// Much longer than what most events hold.
        device: Box<Device>,
    },
    /// New points for the charts.
    Samples {
        device: DeviceSample,
        apps: Vec<AppSample>,
    },
    Module {
        module: Module,
    },
    Artifact {
        artifact: Artifact,
    },
    Deployment {
        deployment: Deployment,
    },
    DeploymentRemoved {
        id: String,
    },
    Log {
        line: LogLine,
    },
    Published {
        published: Published,
    },
}

impl Event {
    /// The event's name on the wire, equal to the JSON's `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Resync => "resync",
            Self::Device { .. } => "device",
            Self::Samples { .. } => "samples",
            Self::Module { .. } => "module",
            Self::Artifact { .. } => "artifact",
            Self::Deployment { .. } => "deployment",
            Self::DeploymentRemoved { .. } => "deployment-removed",
            Self::Log { .. } => "log",
            Self::Published { .. } => "published",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceSelector, NewDeployment};

    #[test]
    fn the_type_in_the_json_is_the_events_name() {
        for event in [Event::Resync, Event::DeploymentRemoved { id: "x".into() }] {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["type"], event.name());
        }
    }

    #[test]
    fn a_new_deployment_is_short_to_write() {
        let new: NewDeployment =
            serde_json::from_str(r#"{"module": "filter", "devices": "all"}"#).unwrap();
        assert_eq!(new.devices, DeviceSelector::All);
        let new: NewDeployment =
            serde_json::from_str(r#"{"module": "filter", "devices": {"these": ["a"]}}"#).unwrap();
        assert_eq!(new.devices, DeviceSelector::These(vec!["a".into()]));
        assert!(
            serde_json::from_str::<NewDeployment>(r#"{"module": "f", "device": "all"}"#).is_err()
        );
    }
}
