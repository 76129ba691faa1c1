//! What the sensor filter must publish, computed here on the host.
//!
//! Written from the filter's README and not from its code: the two must agree on
//! the bits.

use simulated_sensor::SimulatedSensor;

/// Samples in the average, in the filter's two versions.
pub const FILTER_WINDOW: u64 = 8;
pub const FILTER_WINDOW_WIDE: u64 = 16;

/// The average after `count` samples: of the last `window`, summed from the
/// oldest to the newest.
pub fn expected_average(seed: u64, count: u64, window: u64) -> f64 {
    let sensor = SimulatedSensor { seed };
    let first = count.saturating_sub(window);
    let sum = (first..count).fold(0.0, |sum, index| sum + sensor.sample(index));
    sum / (count - first) as f64
}

/// A published record: how many samples were read, and their average.
pub fn read_record(payload: &[u8]) -> Option<(u64, f64)> {
    let (count, average) = payload.split_first_chunk::<8>()?;
    let average = f64::from_le_bytes(average.try_into().ok()?);
    Some((u64::from_le_bytes(*count), average))
}
