//! How a device loses its rights, and how it is forgotten.
//!
//! A revoked device stays in the list, with its key, so that it cannot enrol again:
//! its session ends, its retained manifest is taken away, and nothing that it says is
//! taken. It gets its rights back by no way but removal and a new enrolment, which
//! somebody decides who has the device in hand. A removed device is a stranger; only
//! the number of its last manifest is kept, because the device refuses lower ones.

use super::{App, AppError, State};
use crate::store::Change;
use crate::store::record::DeviceRecord;
use gateway_api::{Device, Event};
use module_package::{DeviceId, KeyId, PublicKey};
use std::sync::PoisonError;

impl App {
    pub fn revoke_device(&self, reference: &str) -> Result<Device, AppError> {
        let mut state = self.state();
        let record = state.model.find_device(reference)?.clone();
        let device = record.device.clone();
        if record.revoked_at_ms.is_none() {
            let revoked = DeviceRecord { revoked_at_ms: Some(self.now_ms()), ..record };
            self.commit(&mut state, vec![Change::Device(revoked)])?;
            tracing::warn!(device.id = %device, "revoked");
        }
        // Also for one that is revoked already: whoever asks wants to be sure.
        self.cut_off(&state, &device);
        let record = state.model.find_device(device.as_str())?;
        Ok(super::views::device(&state, &self.telemetry(), record, self.now_ms()))
    }

    pub fn remove_device(&self, reference: &str) -> Result<(), AppError> {
        let mut state = self.state();
        let device = state.model.find_device(reference)?.device.clone();
        self.commit(&mut state, vec![Change::DeleteDevice(device.clone())])?;
        tracing::warn!(device.id = %device, "removed");
        self.telemetry().forget(&device);
        self.events.send(Event::Resync);
        self.cut_off(&state, &device);
        Ok(())
    }

    fn cut_off(&self, state: &State, device: &DeviceId) {
        self.rooms.outbox.device_gone(device);
        self.show_device(state, device);
        self.note_deployments_changed();
    }

    /// Every change of a device's record goes through here: who is revoked or gone
    /// has no key, and without one nothing of it is believed or served.
    pub(super) fn note_device_change(&self, change: &Change) {
        let mut keys = self.device_keys.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Device(record) if record.revoked_at_ms.is_none() => {
                keys.insert(record.device.clone(), record.public_key);
            }
            Change::Device(record) => drop(keys.remove(&record.device)),
            Change::DeleteDevice(device) => drop(keys.remove(device)),
            _ => {}
        }
    }

    pub(super) fn device_of_key(&self, id: &KeyId) -> Option<(DeviceId, PublicKey)> {
        let device = DeviceId::of_key_id(id);
        let key = self.device_key(&device).filter(|key| key.id() == *id)?;
        Some((device, key))
    }
}
