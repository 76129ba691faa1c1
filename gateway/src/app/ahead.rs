//! Devices that have seen more than the store knows of.
//!
//! After a restore from an older backup the store's manifests have numbers that the
//! devices have already seen, with the same content or another. A device refuses
//! those, and its signed reports say which manifest it has. So whenever a device is
//! ahead, it gets a manifest above what it has seen, and no number is given twice.

use super::{App, State};
use crate::store::record::ManifestRecord;
use crate::store::{Change, StoreError};
use module_package::{DeviceId, ManifestId, payload_of};
use std::cmp::Ordering;

/// A device decides only about its own numbers; beyond this it says nonsense, or
/// tries to use them up.
const SEQ_MAX: u64 = 1 << 48;

/// A device that claims a new number with every report is not to keep the disk busy.
const INTERVAL_MS: u64 = 2_000;

/// What a device says that it has accepted last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub epoch: u32,
    pub seq: u64,
    pub manifest: Option<ManifestId>,
}

impl App {
    pub(super) fn overtake(
        &self,
        state: &mut State,
        device: &DeviceId,
        seen: Seen,
    ) -> Result<(), StoreError> {
        let present = state.model.manifests.get(device);
        if !is_ahead(seen, present) {
            return Ok(());
        }
        let epoch = state.model.root.as_ref().map_or(0, |root| root.document().epoch);
        let now_ms = self.steady_ms();
        let last_ms = state.overtaken_ms.insert(device.clone(), now_ms);
        if last_ms.is_some_and(|last| last + INTERVAL_MS > now_ms) {
            return Ok(());
        }
        if seen.epoch > epoch || seen.seq >= SEQ_MAX {
            tracing::error!(
                device.id = %device, seen.epoch, seen.seq, epoch,
                "the device has seen what this gateway cannot go beyond; if the data directory was \
                 restored, publish the newest root document"
            );
            return Ok(());
        }
        let entries = present.map(|record| record.entries.clone()).unwrap_or_default();
        let Some(record) = self.make_manifest(state, device, seen.seq + 1, entries) else {
            return Ok(());
        };
        tracing::warn!(
            device.id = %device, seen = seen.seq, generation = record.seq,
            "the device has seen a manifest that is not in the store; it gets one above it"
        );
        self.commit(state, vec![Change::Manifest(record)])?;
        self.rooms.outbox.manifest_changed(device);
        Ok(())
    }
}

fn is_ahead(seen: Seen, present: Option<&ManifestRecord>) -> bool {
    let Some(present) = present else { return seen.seq > 0 };
    match (seen.epoch, seen.seq).cmp(&(present.epoch, present.seq)) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => {
            let ours = payload_of(&present.sealed).map(|payload| ManifestId::of(&payload));
            seen.manifest.is_some() && seen.manifest != ours
        }
    }
}
