//! From events, of which a device sends one a second, to changes that somebody wants to
//! hear of. A device's reports are compared with what was said of it before; log lines,
//! values and charts are no notices.

use crate::app::App;
use gateway_api::{
    Artifact, ArtifactState, Connection, Deployment, DeploymentState, Device, Event,
};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// What a receiver can choose from.
pub const KINDS: [&str; 11] = [
    "device-enrolled",
    "device-online",
    "device-offline",
    "device-alarm",
    "device-refused",
    "module-changed",
    "artifact-ready",
    "artifact-refused",
    "deployment-changed",
    "deployment-removed",
    "resync",
];

/// Of what can be compared: so many devices, artifacts and deployments each.
const REMEMBERED_MAX: usize = 100_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Of the event: grows, and is the same at every receiver.
    pub number: u64,
    pub kind: &'static str,
    pub time_ms: u64,
    pub data: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    connection: Connection,
    alarms: BTreeSet<String>,
    refusal: Option<u16>,
}

pub struct Watch {
    position: u64,
    devices: HashMap<String, Seen>,
    artifacts: HashMap<String, ArtifactState>,
    deployments: HashMap<String, DeploymentState>,
}

impl Watch {
    /// What is there at the start is no news: a gateway that was started again shows all
    /// its deployments anew, and has told of them before.
    pub fn beginning(app: &App, position: u64) -> Self {
        let devices = app.devices().iter().map(|d| (d.id.clone(), seen_of(d))).collect();
        let modules = app.modules();
        let artifacts = modules.iter().flat_map(|module| &module.artifacts);
        Self {
            position,
            devices,
            artifacts: artifacts.map(|a| (artifact_key(a), a.state)).collect(),
            deployments: app.deployments().into_iter().map(|d| (d.id, d.state)).collect(),
        }
    }

    pub fn take(&mut self, app: &App) -> Vec<Notice> {
        let time_ms = app.now_ms();
        let Some(events) = app.events().after(self.position) else {
            self.position = *app.events().subscribe().borrow();
            let data = json!({ "detail": "Events were lost; read what you need from the API." });
            return vec![Notice { number: self.position, kind: "resync", time_ms, data }];
        };
        let mut notices = Vec::new();
        for numbered in events {
            self.position = numbered.number;
            let told = self.tell(&numbered.event);
            notices.extend(told.into_iter().map(|(kind, data)| Notice {
                number: numbered.number,
                kind,
                time_ms,
                data,
            }));
        }
        notices
    }

    fn tell(&mut self, event: &Event) -> Vec<(&'static str, Value)> {
        match event {
            Event::Device { device } => self.tell_device(device),
            Event::Module { module } => {
                let data =
                    json!({ "module": module.id, "name": module.name, "version": module.version });
                vec![("module-changed", data)]
            }
            Event::Artifact { artifact } => self.tell_artifact(artifact),
            Event::Deployment { deployment } => self.tell_deployment(deployment),
            Event::DeploymentRemoved { id } => {
                self.deployments.remove(id);
                vec![("deployment-removed", json!({ "deployment": id }))]
            }
            Event::Resync | Event::Samples { .. } | Event::Log { .. } | Event::Published { .. } => {
                Vec::new()
            }
        }
    }

    fn tell_device(&mut self, device: &Device) -> Vec<(&'static str, Value)> {
        let now = seen_of(device);
        let before = remember(&mut self.devices, device.id.clone(), now.clone());
        let about = |more: Value| {
            let mut data =
                json!({ "device": device.id, "name": device.name, "target": device.target });
            if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
                data.extend(more);
            }
            data
        };
        let mut told = Vec::new();
        if before.is_none() {
            told.push(("device-enrolled", about(json!({}))));
        }
        let connection = before.as_ref().map_or(Connection::New, |seen| seen.connection);
        match now.connection {
            Connection::Online if connection != Connection::Online => {
                told.push(("device-online", about(json!({}))));
            }
            Connection::Offline if connection == Connection::Online => {
                let last_seen = json!({ "last_seen_ms": device.last_seen_ms });
                told.push(("device-offline", about(last_seen)));
            }
            _ => {}
        }
        let earlier = before.as_ref().map(|seen| &seen.alarms);
        for alarm in &device.alarms {
            if !earlier.is_some_and(|alarms| alarms.contains(&alarm.kind)) {
                let what = json!({ "alarm": alarm.kind, "detail": alarm.text });
                told.push(("device-alarm", about(what)));
            }
        }
        if let Some(refusal) = &device.refusal
            && before.and_then(|seen| seen.refusal) != Some(refusal.code)
        {
            let what =
                json!({ "code": refusal.code, "title": refusal.title, "advice": refusal.advice });
            told.push(("device-refused", about(what)));
        }
        told
    }

    fn tell_artifact(&mut self, artifact: &Artifact) -> Vec<(&'static str, Value)> {
        let Artifact { module, target, state, .. } = artifact;
        if remember(&mut self.artifacts, artifact_key(artifact), *state) == Some(*state) {
            return Vec::new();
        }
        let kind = match state {
            ArtifactState::Ready => "artifact-ready",
            ArtifactState::Refused => "artifact-refused",
            _ => return Vec::new(),
        };
        let data = json!({ "module": module, "target": target, "artifact": artifact.artifact, "detail": artifact.detail });
        vec![(kind, data)]
    }

    fn tell_deployment(&mut self, deployment: &Deployment) -> Vec<(&'static str, Value)> {
        let Deployment { id, app, state, .. } = deployment;
        if remember(&mut self.deployments, id.clone(), *state) == Some(*state) {
            return Vec::new();
        }
        let data =
            json!({ "deployment": id, "app": app, "module": deployment.module, "state": state });
        vec![("deployment-changed", data)]
    }
}

fn artifact_key(artifact: &Artifact) -> String {
    let Artifact { module, target, bounds_checks, policy, .. } = artifact;
    format!("{module} {target} {bounds_checks} {}", policy.join(" "))
}

fn seen_of(device: &Device) -> Seen {
    Seen {
        connection: device.connection,
        alarms: device.alarms.iter().map(|alarm| alarm.kind.clone()).collect(),
        refusal: device.refusal.as_ref().map(|refusal| refusal.code),
    }
}

/// What was known before. Beyond the most, all is forgotten and told once more.
fn remember<T>(known: &mut HashMap<String, T>, key: String, now: T) -> Option<T> {
    if known.len() >= REMEMBERED_MAX && !known.contains_key(&key) {
        known.clear();
    }
    known.insert(key, now)
}
