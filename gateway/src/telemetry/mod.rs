//! What devices last said, and a bounded past of it.
//!
//! Reports are states: the newest counts, and a restart of the gateway loses
//! nothing that the next report does not bring. So all of this is in memory, in
//! rings whose length is fixed, and what a device can make the gateway hold does
//! not grow with what it sends.

mod cpu;
mod device;
mod fleet;
mod increase;
mod point;
mod ring;
mod trap_places;

pub(crate) use device::cut;
pub use device::{AppFigures, DeviceTelemetry, ReportRefusal, StoredLog, StoredPublished};
pub use fleet::FleetPoint;
pub use increase::Increase;
pub use point::{AppPoint, DevicePoint};
pub use ring::Ring;
pub use trap_places::TrapPlaces;

use module_package::DeviceId;
use std::collections::HashMap;

/// Points kept for a chart: fifteen minutes at a report a second.
pub const POINTS_MAX: usize = 900;
/// Of the fleet: fifteen minutes as well.
const FLEET_POINTS_MAX: usize = 180;
pub const FLEET_POINT_MS: u64 = 5_000;
/// Log lines and published values kept for each device.
pub const LOG_LINES_KEPT: usize = 1_000;
pub const PUBLISHED_KEPT: usize = 1_000;
/// A device that has not reported for so long is offline.
pub const OFFLINE_AFTER_MS: u64 = 10_000;

pub struct Telemetry {
    devices: HashMap<DeviceId, DeviceTelemetry>,
    /// Messages that were not taken, of devices whose key is on record.
    refused_messages: HashMap<DeviceId, u64>,
    /// Orders lines and values of different devices by arrival.
    arrivals: u64,
    /// All devices together, every few seconds.
    fleet_points: Ring<FleetPoint>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            devices: HashMap::new(),
            refused_messages: HashMap::new(),
            arrivals: 0,
            fleet_points: Ring::new(FLEET_POINTS_MAX),
        }
    }
}

impl Telemetry {
    pub fn device(&self, device: &DeviceId) -> Option<&DeviceTelemetry> {
        self.devices.get(device)
    }

    /// Only for devices that are enrolled: the caller has verified who speaks.
    pub fn device_mut(&mut self, device: &DeviceId) -> &mut DeviceTelemetry {
        self.devices.entry(device.clone()).or_default()
    }

    pub fn forget(&mut self, device: &DeviceId) {
        self.devices.remove(device);
        self.refused_messages.remove(device);
    }

    /// Only for devices on record, so that their number is bounded.
    pub fn note_refused_message(&mut self, device: &DeviceId) {
        *self.refused_messages.entry(device.clone()).or_default() += 1;
    }

    pub fn refused_messages(&self, device: &DeviceId) -> u64 {
        self.refused_messages.get(device).copied().unwrap_or_default()
    }

    pub fn devices(&self) -> impl Iterator<Item = (&DeviceId, &DeviceTelemetry)> {
        self.devices.iter()
    }

    pub fn devices_mut(&mut self) -> impl Iterator<Item = (&DeviceId, &mut DeviceTelemetry)> {
        self.devices.iter_mut()
    }

    pub fn fleet_points(&self) -> &Ring<FleetPoint> {
        &self.fleet_points
    }

    /// How all devices together are, unless that was noted a moment ago.
    pub fn note_fleet(&mut self, now_ms: u64) {
        let last_ms = self.fleet_points.last().map(|point| point.time_ms);
        if last_ms.is_some_and(|last_ms| now_ms.abs_diff(last_ms) < FLEET_POINT_MS) {
            return;
        }
        let point = FleetPoint::of(self.devices.values(), now_ms);
        self.fleet_points.push(point);
    }

    pub fn next_arrival(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }
}
