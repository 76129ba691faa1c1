//! Samples of sensors that the device declares and the deployment grants.

use super::error::GuestError;
use super::host_call::{Answer, HostCall, done, numbers};
use super::{GuestState, Meters};
use simulated_sensor::SimulatedSensor;
use std::time::Instant;
use wamr::Value;
use worker_protocol::{Ask, Outcome, Sensor, SensorSource};

pub struct OpenSensor {
    name: String,
    source: SensorSource,
    next_sample: u64,
    is_open: bool,
}

impl OpenSensor {
    pub fn new(sensor: &Sensor) -> Self {
        let (name, source) = (sensor.name.clone(), sensor.source.clone());
        Self { name, source, next_sample: 0, is_open: false }
    }

    fn read(&mut self, meters: &Meters) -> Result<f64, GuestError> {
        let index = self.next_sample;
        let sample = match &self.source {
            SensorSource::Simulated { seed } => SimulatedSensor { seed: *seed }.sample(index),
            SensorSource::Recorded { samples, repeats } => {
                let count = samples.len() as u64;
                let index = if *repeats { index.checked_rem(count) } else { Some(index) };
                let index = index.and_then(|index| usize::try_from(index).ok());
                *index.and_then(|index| samples.get(index)).ok_or(GuestError::Unavailable)?
            }
            SensorSource::Device => return read_device(self.name.clone(), meters),
        };
        self.next_sample += 1;
        Ok(sample)
    }
}

/// The starter reads it, because a worker has no files.
fn read_device(name: String, meters: &Meters) -> Result<f64, GuestError> {
    if !meters.rates().sensor.admits(Instant::now()) {
        return Err(GuestError::TooMany);
    }
    match meters.shared.ask(Ask::ReadSensor { name }) {
        Outcome::Number(value) => Ok(value),
        other => Err(other.into()),
    }
}

pub fn open(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [address, len] = numbers(args)?;
    let Some(name) = call.name(address, len)? else { return GuestError::Name.into() };
    let sensors = &mut call.state()?.sensors;
    let Some(index) = sensors.iter().position(|sensor| sensor.name == name) else {
        return GuestError::Denied.into();
    };
    sensors[index].is_open = true;
    done(index)
}

pub fn read(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [handle, address] = numbers(args)?;
    // The address first: a bad one traps even with a bad handle and uses up no sample.
    call.check(address, size_of::<f64>() as u32)?;
    let GuestState { sensors, meters, .. } = call.state()?;
    let sensor = sensors.get_mut(handle as usize).filter(|sensor| sensor.is_open);
    let Some(sensor) = sensor else { return GuestError::Handle.into() };
    match sensor.read(meters) {
        Ok(sample) => {
            call.write(address, &sample.to_le_bytes())?;
            done(0)
        }
        Err(error) => error.into(),
    }
}
