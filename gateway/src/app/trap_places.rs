//! Where a module trapped, in words of the module as it was uploaded.

use super::App;
use crate::store::record::ArtifactKey;
use crate::telemetry::DeviceTelemetry;
use gateway_api::TrapPlaceStatus;
use module_package::{ArtifactId, BlobId, DeviceId, METERING_GAS};
use std::collections::BTreeMap;
use target_spec::BoundsChecks;

/// Places that one request looks for; the next one goes on.
const LOOKUPS_MAX: usize = 8;

impl App {
    /// Looks for what the last reports tell of places, for a person who asks. Without the
    /// lock of the state, because it reads modules.
    pub(super) fn find_trap_places(&self, wanted: impl Fn(&DeviceId) -> bool) {
        let mut open: BTreeMap<(ArtifactId, u32), Vec<DeviceId>> = BTreeMap::new();
        for (device, of_device) in self.telemetry().devices().filter(|(id, _)| wanted(id)) {
            for place in open_places(of_device) {
                open.entry(place).or_default().push(device.clone());
            }
        }
        for ((artifact, place), devices) in open.into_iter().take(LOOKUPS_MAX) {
            let key = self.state().model.artifact(artifact).map(|record| record.key.clone());
            let found = key.and_then(|key| self.find_trap_place(&key, place));
            let mut telemetry = self.telemetry();
            for device in &devices {
                telemetry.device_mut(device).trap_places.keep((artifact, place), found.clone());
            }
        }
    }

    /// None where the module is gone, or the device made the place up.
    fn find_trap_place(&self, key: &ArtifactKey, place: u32) -> Option<TrapPlaceStatus> {
        let wasm = self.rooms.blobs.get(BlobId(key.module.0)).ok()?;
        let is_metered = key.policy.metering == METERING_GAS;
        let found = aot_compiler::trap_place::find(&wasm, is_metered, place).ok()??;
        let mut name = found.name;
        if let Some(name) = &mut name {
            crate::telemetry::cut(name, 256);
        }
        Some(TrapPlaceStatus {
            function: found.function,
            name,
            offset: found.offset,
            is_line: found.is_access && key.bounds_checks == BoundsChecks::Software.as_str(),
        })
    }
}

fn open_places(of_device: &DeviceTelemetry) -> impl Iterator<Item = (ArtifactId, u32)> + '_ {
    let traps = of_device.apps().filter_map(|app| app.report.last_trap.as_ref());
    traps.filter_map(|trap| of_device.trap_places.open(trap))
}
