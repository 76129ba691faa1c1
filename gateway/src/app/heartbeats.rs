//! Heartbeats to devices, and manifests that end and are renewed.
//!
//! Every device that reports gets a heartbeat at an interval, each device at its own
//! moment of it, and at once, though not more than once a second, when a report
//! carries a nonce: that is how a device without a clock asks for the time.
//!
//! A manifest ends after some weeks, so that an old one cannot be shown to a device
//! for ever. It is sealed anew long before, and a device that comes back after a
//! month gets the present one: the end stops replays, and nobody's return.

use super::{App, State};
use crate::store::record::ManifestRecord;
use crate::store::{Change, StoreError};
use module_package::{
    DOCUMENT_VERSION, DeviceId, Domain, Heartbeat, Manifest, ManifestId, NONCE_BYTES, TrustedRoot,
    read_unverified,
};
use std::collections::HashMap;
use std::sync::PoisonError;

/// Between two answers to one device.
const ANSWER_SPACING_MS: u64 = 1_000;
/// Between two looks at the ends of manifests.
const RENEWAL_LOOK_MS: u64 = 60 * 60 * 1_000;

/// Intervals from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct PulseRules {
    pub heartbeat_ms: u64,
    /// From the sealing of a manifest to its end.
    pub manifest_valid_ms: u64,
}

#[derive(Default)]
pub struct Heartbeats {
    devices: HashMap<DeviceId, Pulse>,
    /// When the ends of manifests were last looked at.
    renewed_ms: Option<u64>,
}

#[derive(Default)]
struct Pulse {
    next_ms: u64,
    /// Asked with, and not answered.
    nonce: Option<[u8; NONCE_BYTES]>,
    answered_ms: u64,
}

impl Heartbeats {
    /// Whether it is time. The first one of a device comes at its own moment.
    fn is_due(&mut self, device: &DeviceId, every_ms: u64, now_ms: u64) -> bool {
        let first = || Pulse { next_ms: now_ms + stagger(device, every_ms), ..Pulse::default() };
        let pulse = self.devices.entry(device.clone()).or_insert_with(first);
        // A clock that was set back must not silence anything.
        let is_far = pulse.next_ms > now_ms + every_ms;
        let is_due = pulse.next_ms <= now_ms || is_far;
        if is_due {
            pulse.next_ms = now_ms + every_ms;
        }
        is_due
    }

    /// Whether the question is answered at once. One that is not is asked again.
    fn note_question(&mut self, device: &DeviceId, nonce: [u8; NONCE_BYTES], now_ms: u64) -> bool {
        let pulse = self.devices.entry(device.clone()).or_default();
        if now_ms.abs_diff(pulse.answered_ms) < ANSWER_SPACING_MS {
            return false;
        }
        (pulse.nonce, pulse.answered_ms) = (Some(nonce), now_ms);
        true
    }
}

/// Spreads devices over the interval, the same at every start.
fn stagger(device: &DeviceId, every_ms: u64) -> u64 {
    let hash = ManifestId::of(device.as_str().as_bytes()).0;
    u64::from(u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])) % every_ms.max(1)
}

impl App {
    pub(super) fn send_heartbeats(&self) {
        let now_ms = self.now_ms();
        let telemetry = self.telemetry();
        let online = telemetry.devices().filter(|(_, device)| device.is_online(now_ms));
        let online: Vec<DeviceId> = online.map(|(device, _)| device.clone()).collect();
        drop(telemetry);
        let every_ms = self.rooms.pulse.heartbeat_ms;
        let mut heartbeats = self.heartbeats();
        let due = online.iter().filter(|device| heartbeats.is_due(device, every_ms, now_ms));
        due.for_each(|device| self.rooms.outbox.heartbeat_due(device));
    }

    pub(super) fn take_question(&self, device: &DeviceId, nonce: Option<[u8; NONCE_BYTES]>) {
        if let Some(nonce) = nonce
            && self.heartbeats().note_question(device, nonce, self.now_ms())
        {
            self.rooms.outbox.heartbeat_due(device);
        }
    }

    /// The heartbeat to send now; none before there is a root document, and none for
    /// a device that is not enrolled any more.
    pub fn sealed_heartbeat(&self, device: &DeviceId) -> Option<Vec<u8>> {
        let state = self.state();
        state.model.devices.get(device)?;
        let root = state.model.root.as_ref()?;
        let record = state.model.manifests.get(device);
        let sealed = record.and_then(|record| read_unverified(&record.sealed).ok());
        let manifest = sealed.map(|(_, payload)| ManifestId::of(&payload));
        let nonce = self.heartbeats().devices.get_mut(device).and_then(|pulse| pulse.nonce.take());
        let heartbeat = Heartbeat {
            version: DOCUMENT_VERSION,
            device: device.clone(),
            time_ms: self.now_ms(),
            epoch: record.map_or(0, |record| record.epoch),
            seq: record.map_or(0, |record| record.seq),
            manifest,
            root_version: root.document().root_version,
            nonce,
        };
        let payload = crate::store::record::to_cbor(&heartbeat);
        self.rooms.signing.seal_by_assign_key(root, Domain::Heartbeat, payload)
    }

    /// When a manifest that is sealed now ends.
    pub(super) fn manifest_end_ms(&self) -> Option<u64> {
        Some(self.now_ms().saturating_add(self.rooms.pulse.manifest_valid_ms))
    }

    /// Seals anew what has less than two thirds of its time left.
    pub(super) fn renew_manifests(&self) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        let mut heartbeats = self.heartbeats();
        if heartbeats.renewed_ms.is_some_and(|last| now_ms.abs_diff(last) < RENEWAL_LOOK_MS) {
            return Ok(());
        }
        heartbeats.renewed_ms = Some(now_ms);
        drop(heartbeats);
        let mut state = self.state();
        let Some(root) = state.model.root.clone() else { return Ok(()) };
        let renewed: Vec<ManifestRecord> =
            state.model.manifests.values().filter_map(|m| self.renew(m, &root, now_ms)).collect();
        self.store_renewed(&mut state, renewed)
    }

    fn store_renewed(
        &self,
        state: &mut State,
        renewed: Vec<ManifestRecord>,
    ) -> Result<(), StoreError> {
        let told: Vec<DeviceId> = renewed.iter().map(|record| record.device.clone()).collect();
        self.commit(state, renewed.into_iter().map(Change::Manifest).collect())?;
        told.iter().for_each(|device| self.rooms.outbox.manifest_changed(device));
        Ok(())
    }

    fn renew(
        &self,
        record: &ManifestRecord,
        root: &TrustedRoot,
        now_ms: u64,
    ) -> Option<ManifestRecord> {
        let (_, payload) = read_unverified(&record.sealed).ok()?;
        let present: Manifest = minicbor::decode(&payload).ok()?;
        let valid_ms = self.rooms.pulse.manifest_valid_ms;
        let left_ms = present.not_after_ms.map_or(0, |end| end.saturating_sub(now_ms));
        if left_ms >= valid_ms / 3 * 2 {
            return None;
        }
        let seq = record.seq + 1;
        let manifest = Manifest {
            seq,
            epoch: root.document().epoch,
            issued_at_ms: now_ms,
            not_after_ms: self.manifest_end_ms(),
            ..present
        };
        let (_, sealed) = self.rooms.signing.seal_manifest(root, &manifest)?;
        tracing::info!(device.id = %record.device, generation = seq, "manifest renewed");
        Some(ManifestRecord { epoch: manifest.epoch, seq, sealed, ..record.clone() })
    }

    fn heartbeats(&self) -> std::sync::MutexGuard<'_, Heartbeats> {
        self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u8) -> DeviceId {
        DeviceId::of_key(&[number; 32])
    }

    #[test]
    fn heartbeats_are_regular_and_not_all_at_once() {
        let mut heartbeats = Heartbeats::default();
        let mut per_second = [0; 60];
        for second in 0..120 {
            for number in 0..200 {
                let is_due = heartbeats.is_due(&device(number), 60_000, second * 1_000);
                per_second[second as usize % 60] += u32::from(is_due && second >= 60);
            }
        }
        assert_eq!(per_second.iter().sum::<u32>(), 200);
        assert!(per_second.iter().all(|count| *count < 15), "{per_second:?}");
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nothing() {
        let mut heartbeats = Heartbeats::default();
        heartbeats.is_due(&device(1), 60_000, 1_000_000_000_000);
        assert!(heartbeats.is_due(&device(1), 60_000, 5));
    }

    #[test]
    fn a_device_that_asks_without_end_is_answered_once_a_second() {
        let mut heartbeats = Heartbeats::default();
        let answers =
            (0..10_000).filter(|ms| heartbeats.note_question(&device(1), [1; 16], 5_000 + ms));
        assert_eq!(answers.count(), 10);
    }
}
