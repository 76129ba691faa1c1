//! Reads the sensor `temperature` on each tick and publishes its moving average.
//!
//! A message on the channel `average` is 16 bytes: the number of samples read so
//! far as a little-endian u64, then the average of the last ones as a
//! little-endian f64. The samples of the window are summed from the oldest to the
//! newest, so that whoever checks the figure gets the same bits.

use farrier_guest::{Level, Sensor, log, publish};
use std::cell::RefCell;
use std::collections::VecDeque;

/// Samples in the window.
pub const WINDOW: usize = if cfg!(feature = "wide-window") { 16 } else { 8 };

pub const RECORD_BYTES: usize = 16;

/// The window and what was counted.
#[derive(Debug, Default)]
pub struct Filter {
    samples_read: u64,
    window: VecDeque<f64>,
}

impl Filter {
    /// Takes one sample and returns the record to publish.
    pub fn push(&mut self, sample: f64) -> [u8; RECORD_BYTES] {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(sample);
        self.samples_read += 1;
        let average = self.window.iter().sum::<f64>() / self.window.len() as f64;
        let mut record = [0; RECORD_BYTES];
        record[..8].copy_from_slice(&self.samples_read.to_le_bytes());
        record[8..].copy_from_slice(&average.to_le_bytes());
        record
    }
}

struct State {
    sensor: Option<Sensor>,
    filter: Filter,
}

thread_local! {
    static STATE: RefCell<State> =
        RefCell::new(State { sensor: None, filter: Filter::default() });
}

#[unsafe(no_mangle)]
pub extern "C" fn init() -> i32 {
    match Sensor::open("temperature") {
        Ok(sensor) => {
            STATE.with_borrow_mut(|state| state.sensor = Some(sensor));
            log(Level::Info, &format!("averaging the last {WINDOW} samples of temperature"));
            0
        }
        Err(error) => {
            log(Level::Error, &format!("open temperature: {error:?}"));
            1
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn tick() -> i32 {
    STATE.with_borrow_mut(|state| {
        let Some(sample) = state.sensor.and_then(|sensor| sensor.read().ok()) else { return 1 };
        let record = state.filter.push(sample);
        publish("average", &record).is_err().into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_of_the_window_alone() {
        let mut filter = Filter::default();
        let mut record = [0; RECORD_BYTES];
        for sample in 0..20u32 {
            record = filter.push(f64::from(sample));
        }
        assert_eq!(record[..8], 20u64.to_le_bytes());
        let expected = (0..WINDOW).map(|back| 19.0 - back as f64).sum::<f64>() / WINDOW as f64;
        assert_eq!(record[8..], expected.to_le_bytes());
    }
}
