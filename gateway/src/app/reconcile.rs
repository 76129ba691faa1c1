//! From what the devices should run to manifests, and to the work that is missing.
//!
//! While the build that a device should run is not ready, or is refused, the
//! device keeps the entry that its manifest has for the application. A manifest
//! is in the store before anyone is told of it, so a crash in between publishes
//! it at the next start.

use super::builds::BuildStatus;
use super::desired::{build_for, module_for, wanted_by};
use super::{App, State};
use crate::store::record::{
    DeploymentRecord, DeviceRecord, ManifestEntry, ManifestRecord, ReleaseRecord, to_cbor,
};
use crate::store::{Change, StoreError};
use module_package::{
    AppEntry, DOCUMENT_VERSION, DeviceId, MANIFEST_APPS_MAX, MANIFEST_BYTES_MAX, Manifest,
    ReleaseId,
};
use std::sync::atomic::Ordering;

/// Room in a sealed manifest for everything but its entries: header, signature
/// and the other fields take less than 250 bytes.
const MANIFEST_FRAME_BYTES: usize = 512;

/// Of each application. A device goes back to the last that proved itself.
const EARLIER_RELEASES_KEPT: usize = 8;

impl App {
    /// It follows from changes that are written, and so a full disk is no error here: the
    /// manifests come when there is space.
    pub(super) fn reconcile_all(&self, state: &mut State) -> Result<(), StoreError> {
        let devices: Vec<DeviceId> = state.model.devices.keys().cloned().collect();
        match self.reconcile(state, &devices) {
            Err(error) if error.is_full() => {
                state.waits_for_space = true;
                Ok(())
            }
            done => {
                state.waits_for_space = false;
                done
            }
        }
    }

    pub(super) fn reconcile(
        &self,
        state: &mut State,
        devices: &[DeviceId],
    ) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        for device in devices {
            let Some(device) = state.model.devices.get(device).cloned() else { continue };
            if !device.is_served() {
                continue;
            }
            let entries = self.entries_for(state, &device);
            changed.extend(self.next_manifest(state, &device.device, entries));
        }
        let told: Vec<DeviceId> = changed.iter().map(|record| record.device.clone()).collect();
        self.commit(state, changed.into_iter().map(Change::Manifest).collect())?;
        for device in told {
            self.rooms.outbox.manifest_changed(&device);
        }
        self.deployments_changed.store(true, Ordering::Release);
        Ok(())
    }

    /// The entries that the device's manifest should have now, by application.
    fn entries_for(&self, state: &mut State, device: &DeviceRecord) -> Vec<ManifestEntry> {
        let wanted: Vec<DeploymentRecord> =
            wanted_by(&state.model, device).into_values().cloned().collect();
        let mut entries: Vec<ManifestEntry> = state
            .model
            .manifests
            .get(&device.device)
            .map(|m| m.entries.clone())
            .unwrap_or_default();
        entries.retain(|entry| wanted.iter().any(|d| d.app == entry.entry.app));
        // A version below the floor leaves the device, whatever takes its place and when.
        let floor_of = |app: &str| state.model.floor_of(app);
        entries.retain(|e| !state.model.is_below_floor(e, floor_of(&e.entry.app)));
        state.no_room.retain(|(of, _)| *of != device.device);
        for deployment in wanted {
            let Some(module) = module_for(&state.model, &deployment, device).cloned() else {
                continue;
            };
            // Without a build the previous entry stays; `progress` tells why.
            let Ok(build) = build_for(&module, &deployment, device) else { continue };
            if module.version < state.model.floor_of(&deployment.app) {
                continue;
            }
            let BuildStatus::Ready(release) = state.build_status(&build) else {
                self.pursue(state, &build);
                continue;
            };
            let entry = to_entry(&deployment, &release);
            if !put_entry(&mut entries, entry, deployment.number) {
                state.no_room.insert((device.device.clone(), deployment.number));
            }
        }
        entries.sort_by(|a, b| a.entry.app.cmp(&b.entry.app));
        entries
    }

    /// The next manifest, if these entries are not what the present one has.
    fn next_manifest(
        &self,
        state: &State,
        device: &DeviceId,
        entries: Vec<ManifestEntry>,
    ) -> Option<ManifestRecord> {
        let present = state.model.manifests.get(device);
        let (present_seq, present_entries) = present.map_or((0, &[][..]), |m| (m.seq, &m.entries));
        if entries == present_entries {
            return None;
        }
        self.make_manifest(state, device, present_seq + 1, entries)
    }

    pub(super) fn make_manifest(
        &self,
        state: &State,
        device: &DeviceId,
        seq: u64,
        mut entries: Vec<ManifestEntry>,
    ) -> Option<ManifestRecord> {
        // No device is let in before there is a root.
        let root = state.model.root.as_ref()?;
        let epoch = root.document().epoch;
        entries.iter_mut().filter(|e| e.since_seq == 0).for_each(|e| e.since_seq = seq);
        let manifest = Manifest {
            version: DOCUMENT_VERSION,
            epoch,
            seq,
            device: device.clone(),
            issued_at_ms: self.now_ms(),
            not_after_ms: self.manifest_end_ms(),
            apps: entries.iter().map(|entry| entry.entry.clone()).collect(),
        };
        let (_, sealed) = self.rooms.signing.seal_manifest(root, &manifest)?;
        tell_manifest(state, device, seq, &entries);
        Some(ManifestRecord { device: device.clone(), epoch, seq, entries, sealed })
    }

    /// The manifest to publish for a device, if it has one.
    pub fn sealed_manifest(&self, device: &DeviceId) -> Option<Vec<u8>> {
        let state = self.state();
        let record = state.model.manifests.get(device)?;
        state.model.is_served(device).then(|| record.sealed.clone())
    }

    /// Every device with a manifest: published again whenever the broker may have
    /// lost what it retained.
    pub fn devices_with_manifests(&self) -> Vec<DeviceId> {
        let state = self.state();
        let devices = state.model.manifests.keys();
        devices.filter(|device| state.model.is_served(device)).cloned().collect()
    }
}

/// The newest of the deployments that the manifest brings to the device, and the request
/// that made it: from there to the device's own log it goes on by device and generation.
fn tell_manifest(state: &State, device: &DeviceId, seq: u64, entries: &[ManifestEntry]) {
    let brought = entries.iter().filter(|entry| entry.since_seq == seq);
    let newest = brought.max_by_key(|entry| entry.deployment);
    let origin = newest.and_then(|entry| state.origins.get(entry.deployment));
    let deployment = newest.map(|entry| entry.entry.deployment_id());
    tracing::info!(
        device.id = %device,
        generation = seq,
        apps = entries.len(),
        deployment.id = deployment,
        deployment.request.id = origin.map(|origin| origin.request_id.as_str()),
        deployment.trace.id = origin.map(|origin| origin.trace_id.as_str()),
        "new manifest"
    );
}

fn to_entry(deployment: &DeploymentRecord, release: &ReleaseRecord) -> AppEntry {
    AppEntry {
        app: deployment.app.clone(),
        release: release.release,
        run: true,
        interval_ms: deployment.interval_ms,
        sensors: deployment.sensors.clone(),
        channels: deployment.channels.clone(),
        class: deployment.scheduling.clone().unwrap_or_default().class().into(),
        deployment: deployment.number,
        health_window_ms: deployment.health_window_ms,
        provisions: deployment.provisions.clone(),
        scheduling: deployment.scheduling.clone(),
        sharing: deployment.sharing.clone(),
    }
}

/// What the device may have to go back to once it has the new entry.
fn earlier_releases(present: &ManifestEntry, new: &AppEntry) -> Vec<ReleaseId> {
    let mut earlier = vec![present.entry.release];
    earlier.extend(present.earlier.iter().flatten().filter(|r| **r != present.entry.release));
    earlier.retain(|release| *release != new.release);
    earlier.truncate(EARLIER_RELEASES_KEPT);
    earlier
}

/// Puts the entry in, unless the manifest would grow beyond its limits. A new
/// deployment of the same content counts as a change: it restarts what was stopped.
fn put_entry(entries: &mut Vec<ManifestEntry>, entry: AppEntry, deployment: u64) -> bool {
    let position = entries.iter().position(|e| e.entry.app == entry.app);
    if let Some(present) = position.map(|index| &entries[index])
        && present.entry == entry
        && present.deployment == deployment
    {
        return true;
    }
    let bytes_of = |entry: &AppEntry| to_cbor(entry).len();
    let kept = entries.iter().filter(|e| e.entry.app != entry.app);
    let bytes = kept.map(|e| bytes_of(&e.entry)).sum::<usize>() + bytes_of(&entry);
    let count = entries.len() + usize::from(position.is_none());
    if count > MANIFEST_APPS_MAX || bytes + MANIFEST_FRAME_BYTES > MANIFEST_BYTES_MAX {
        return false;
    }
    // The sequence number is set when it is known.
    let earlier = position.map(|index| earlier_releases(&entries[index], &entry));
    let new = ManifestEntry { entry, deployment, since_seq: 0, earlier };
    match position {
        Some(index) => entries[index] = new,
        None => entries.push(new),
    }
    true
}
