//! Publishes by how much the temperature has changed.

use farrier_guest::{Level, Sensor, log, publish};
use std::cell::Cell;

thread_local! {
    static SENSOR: Cell<Option<Sensor>> = const { Cell::new(None) };
    static BEFORE: Cell<Option<f64>> = const { Cell::new(None) };
}

/// Called once. What it returns is 0 for good, or your own number for what went wrong.
#[unsafe(no_mangle)]
pub extern "C" fn init() -> i32 {
    match Sensor::open("temperature") {
        Ok(sensor) => {
            SENSOR.set(Some(sensor));
            0
        }
        Err(error) => {
            log(Level::Error, &format!("open temperature: {error:?}"));
            1
        }
    }
}

/// Called at the interval of the deployment.
#[unsafe(no_mangle)]
pub extern "C" fn tick() -> i32 {
    let Some(sample) = SENSOR.get().and_then(|sensor| sensor.read().ok()) else { return 2 };
    match BEFORE.replace(Some(sample)) {
        Some(before) if before != sample => {
            publish("change", &(sample - before).to_le_bytes()).is_err().into()
        }
        _ => 0,
    }
}
