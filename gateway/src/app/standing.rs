//! How things are at this moment, counted for `/metrics`, and whether the gateway can
//! do its work, for `/readyz`. Cheap enough for a reader every few seconds with ten
//! thousand devices: one walk over the last reports, and no view of anything.

use super::{App, views};
use crate::metrics::Standing;
use crate::telemetry::DeviceTelemetry;
use device_protocol::AppState;
use gateway_api::{Connection, DeploymentState};
use std::sync::PoisonError;

/// Why the gateway cannot do a part of its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// `store`, `broker`, `workers`, `start` or `trust`.
    pub part: &'static str,
    pub why: String,
}

const ALARMS: [&str; 3] = ["frozen", "cloned", "forged-reports"];

impl App {
    pub fn standing(&self) -> Standing {
        let (delivery, deployments) = (self.delivery_figures(), self.deployment_counts());
        let space = self.rooms.store.space();
        let state = self.state();
        let telemetry = self.telemetry();
        let now_ms = self.now_ms();
        let (mut online, mut offline, mut new, mut revoked) = (0, 0, 0, 0);
        let (mut running, mut not_running) = (0, 0);
        for device in state.model.devices.values() {
            if !device.is_served() {
                revoked += 1;
                continue;
            }
            let of_device = telemetry.device(&device.device);
            match views::connection(of_device, device, now_ms) {
                Connection::Online => {
                    online += 1;
                    for app in of_device.into_iter().flat_map(DeviceTelemetry::apps) {
                        match app.report.state {
                            AppState::Running => running += 1,
                            _ => not_running += 1,
                        }
                    }
                }
                Connection::Offline => offline += 1,
                Connection::New => new += 1,
            }
        }
        drop(telemetry);
        let alarms = |kind: &'static str| {
            let has = |kinds: &&Vec<String>| kinds.iter().any(|shown| shown == kind);
            (kind, state.shown_alarms.values().filter(has).count() as u64)
        };
        Standing {
            devices: vec![
                ("online", online),
                ("offline", offline),
                ("new", new),
                ("revoked", revoked),
            ],
            placed_modules: vec![("running", running), ("not-running", not_running)],
            alarms: ALARMS.map(alarms).to_vec(),
            deployments,
            compile_queue: vec![
                ("queued", state.jobs.queued_count() as u64),
                ("in-work", state.jobs.in_work_count() as u64),
            ],
            blocks: vec![("all", delivery.shared_blocks), ("one", delivery.own_blocks)],
            block_bytes: delivery.published_bytes,
            store_bytes: vec![
                ("modules", state.model.modules.values().map(|m| m.bytes).sum()),
                ("artifacts", state.model.artifacts.values().map(|a| a.bytes).sum()),
                ("journal", space.map_or(0, |space| space.used_bytes)),
                ("history", self.rooms.history.file_bytes()),
            ],
            store_free_bytes: space.map(|space| space.free_bytes),
            storage_full: self.is_storage_full(),
        }
    }

    /// As of the last tick: counting anew would look at every device for each.
    fn deployment_counts(&self) -> Vec<(&'static str, u64)> {
        let shown = self.shown_deployments.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |name: &'static str, state: DeploymentState| {
            (name, shown.values().filter(|deployment| deployment.state == state).count() as u64)
        };
        vec![
            count("waiting", DeploymentState::Waiting),
            count("in-progress", DeploymentState::InProgress),
            count("done", DeploymentState::Done),
            count("failed", DeploymentState::Failed),
            count("replaced", DeploymentState::Replaced),
        ]
    }

    /// What keeps the gateway from its work; nothing, if it is ready. It asks the store's
    /// thread for one record and writes nothing, because anybody may ask this.
    pub fn not_ready(&self) -> Vec<NotReady> {
        let mut reasons = Vec::new();
        let mut miss = |part, why: String| reasons.push(NotReady { part, why });
        if self.is_storage_full() {
            miss("store", "The disk is full; changes are refused until there is space.".into());
        } else if let Err(error) = self.audit(0, Some(1)) {
            tracing::error!(%error, "the store does not answer");
            miss("store", "The store does not answer; the gateway's log says why.".into());
        }
        if !self.metrics.is_broker_connected() {
            miss("broker", "The gateway is not connected to its MQTT broker.".into());
        }
        let wanted = 2 * self.rooms.compiling.workers as u64;
        let working = self.metrics.workers();
        if working < wanted {
            miss("workers", format!("{working} of {wanted} compile and check workers run."));
        }
        if self.addresses.get().is_none() {
            miss("start", "The gateway is starting.".into());
        } else if self.session().trust.waits_for_root() {
            miss("trust", "No root document is published, so no device can be let in.".into());
        }
        reasons
    }
}
