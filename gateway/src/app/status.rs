//! What follows from time alone: a device went silent, or ignores its manifest.

use super::{App, Behind};
use module_package::DeviceId;
use std::collections::HashMap;

/// A device that reports, but an older generation, gets its manifest again this often.
const REPUBLISH_MS: u64 = 10_000;

impl App {
    pub(super) fn notice_offline_devices(&self) {
        let now_ms = self.now_ms();
        let mut gone = Vec::new();
        for (device, of_device) in self.telemetry().devices_mut() {
            if of_device.shown_online && !of_device.is_online(now_ms) {
                of_device.shown_online = false;
                gone.push(device.clone());
            }
        }
        if gone.is_empty() {
            return;
        }
        let state = self.state();
        for device in gone {
            tracing::info!(device.id = %device, "offline");
            self.show_device(&state, &device);
        }
        self.note_deployments_changed();
    }

    /// A message can be lost on the way however often it was retained. A device
    /// that refused the manifest has it.
    pub(super) fn republish_ignored_manifests(&self) {
        let (now_ms, steady_ms) = (self.now_ms(), self.steady_ms());
        let mut state = self.state();
        let telemetry = self.telemetry();
        let mut ignored: Vec<DeviceId> = Vec::new();
        for (device, manifest) in &state.model.manifests {
            if !state.model.is_served(device) {
                continue;
            }
            let Some(of_device) = telemetry.device(device) else { continue };
            let Some(report) = of_device.report() else { continue };
            let refused_it = report.refused.as_ref().is_some_and(|r| r.seq == Some(manifest.seq));
            if of_device.is_online(now_ms) && report.seq < manifest.seq && !refused_it {
                ignored.push(device.clone());
            }
        }
        drop(telemetry);
        let behind = &mut state.behind;
        behind.retain(|device, _| ignored.contains(device));
        for device in &ignored {
            let begins = Behind { since_ms: steady_ms, for_ms: 0 };
            let of_device = behind.entry(device.clone()).or_insert(begins);
            of_device.for_ms = steady_ms.saturating_sub(of_device.since_ms);
        }
        let told: &mut HashMap<DeviceId, u64> = &mut state.manifest_told_ms;
        told.retain(|device, _| ignored.contains(device));
        for device in ignored {
            // The first sight only starts the time: it may be on its way.
            let told_ms = told.entry(device.clone()).or_insert(steady_ms);
            if steady_ms >= *told_ms + REPUBLISH_MS {
                *told_ms = steady_ms;
                tracing::warn!(device.id = %device, "the device has an old manifest; publishing it again");
                self.rooms.outbox.manifest_changed(&device);
            }
        }
    }
}
