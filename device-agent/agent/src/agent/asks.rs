//! What workers ask for in the middle of a call.
//!
//! A worker is not believed: what its module was granted is looked up here, and what is
//! bounded there is bounded here again.

use super::Agent;
use crate::Moment;
use crate::app_storage::to_stored;
use crate::config::ActuatorConfig;
use crate::hardware;
use crate::install::{Input, WorkerId, WorkerInput};
use crate::refusal::Refusal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use worker_protocol::{
    Answer, Ask, Asked, Command, NAME_BYTES_MAX, Outcome, STORED_VALUE_BYTES_MAX, StoredValue,
};

/// Questions of one worker in a second. An honest one asks for less of each kind.
const ASKS_PER_S_MAX: u32 = 200;

/// Changes of stored values in a second, of all modules together: each is a synced write,
/// and the agent does nothing else meanwhile.
const STORES_PER_S_MAX: u32 = 100;
/// How long a sensor's value is at least good for.
const VALUE_GOOD_MIN: Duration = Duration::from_millis(20);
/// Some sensors take a while to be read: so many times as long their value is good for, so
/// that no module can keep the agent from its work.
const VALUE_GOOD_TIMES: u32 = 10;

/// So many in a second.
#[derive(Debug, Default)]
pub(super) struct PerSecond {
    since: Moment,
    count: u32,
}

impl PerSecond {
    pub fn admits(&mut self, max: u32, now: Moment) -> bool {
        if now.saturating_sub(self.since) >= Duration::from_secs(1) {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= max
    }
}

/// A worker whose module has begun.
pub(super) struct Begun {
    pub app: String,
    storage_bytes: usize,
    /// Channels whose messages it gets, and how many were sent to it on each.
    pub subscriptions: BTreeMap<String, u64>,
    sensors: Vec<String>,
    actuators: Vec<String>,
    asked: PerSecond,
}

impl Agent {
    /// Lets the module begin with what it has stored.
    pub(super) fn begin(
        &mut self,
        worker: WorkerId,
        interval_ms: u32,
        now: Moment,
    ) -> Option<Input> {
        let slot = self.installer.as_ref()?.slot_of(worker)?;
        let call_ms_max = slot.release.as_ref().map_or(0, |release| release.limits.call_ms_max);
        let entry = slot.entry.clone();
        if let Err(refusal) = self.schedule(worker, &entry, call_ms_max) {
            return Some(Input::Worker(worker, WorkerInput::Refused(refusal)));
        }
        let provisions = entry.provisions.unwrap_or_default();
        let storage_bytes = provisions.storage_bytes.unwrap_or(0) as usize;
        let stored = match self.parts.app_storage.read(&entry.app) {
            _ if storage_bytes == 0 => Vec::new(),
            Ok(values) => to_stored(values),
            Err(error @ crate::app_storage::StorageError::Damaged { .. }) => {
                let text = format!("{error}; the module begins with nothing stored");
                self.log_line(entry.app.clone(), "error", text, now);
                self.refuse(Refusal::from(&error), None, now);
                Vec::new()
            }
            Err(error) => {
                // A module that found nothing would take itself for new.
                self.parts.workers.kill(worker);
                let refusal = Refusal::from(&error);
                return Some(Input::Worker(worker, WorkerInput::NotStarted(refusal)));
            }
        };
        let subscriptions = provisions.subscriptions.into_iter().map(|name| (name, 0)).collect();
        let begun = Begun {
            app: entry.app,
            storage_bytes,
            subscriptions,
            sensors: entry.sensors,
            actuators: provisions.actuators,
            asked: PerSecond::default(),
        };
        self.begun.insert(worker, begun);
        self.parts.workers.send(worker, Command::Start { interval_ms, stored: Some(stored) });
        None
    }

    pub(super) fn answer(&mut self, worker: WorkerId, asked: Asked, now: Moment) {
        let outcome = self.outcome_of(worker, asked.ask, now);
        self.parts.workers.send(worker, Command::Answer(Answer { id: asked.id, outcome }));
    }

    fn outcome_of(&mut self, worker: WorkerId, ask: Ask, now: Moment) -> Outcome {
        // Also one that was told to end may finish its call. One whose application has
        // left the device may not write any more.
        let Some(begun) = self.begun.get_mut(&worker) else { return Outcome::Denied };
        if !begun.asked.admits(ASKS_PER_S_MAX, now) {
            return Outcome::TooMany;
        }
        let (app, quota_bytes) = (begun.app.clone(), begun.storage_bytes);
        match ask {
            Ask::Keep(StoredValue { key, value }) => {
                if quota_bytes == 0 || key.len() > NAME_BYTES_MAX {
                    return Outcome::Denied;
                }
                if value.len() > STORED_VALUE_BYTES_MAX {
                    return Outcome::Full;
                }
                self.change_stored(&app, &key, Some(value), quota_bytes, now)
            }
            Ask::Forget { .. } if quota_bytes == 0 => Outcome::Denied,
            Ask::Forget { key } => self.change_stored(&app, &key, None, quota_bytes, now),
            Ask::ReadSensor { name } if begun.sensors.contains(&name) => {
                self.read_sensor(&name, now)
            }
            Ask::SetActuator { name, value } if begun.actuators.contains(&name) => {
                self.set_actuator(app, &name, value, now)
            }
            Ask::ReadSensor { .. } | Ask::SetActuator { .. } => Outcome::Denied,
        }
    }

    fn read_sensor(&mut self, name: &str, now: Moment) -> Outcome {
        if let Some((good_until, value)) = self.sensor_values.get(name)
            && now < *good_until
        {
            return *value;
        }
        let began = Instant::now();
        let value = self.read_sensor_now(name);
        let good_for = VALUE_GOOD_MIN.max(began.elapsed() * VALUE_GOOD_TIMES);
        if value != Outcome::Denied {
            // Only names that the owner has declared.
            self.sensor_values.insert(name.to_owned(), (now + good_for, value));
        }
        value
    }

    fn read_sensor_now(&self, name: &str) -> Outcome {
        let config = &self.parts.config;
        let Some(sensor) = config.sensors.iter().find(|sensor| sensor.name() == name) else {
            return Outcome::Denied;
        };
        match hardware::read_sensor(sensor, &config.sysfs_dir, &self.gpio) {
            Ok(Some(value)) => Outcome::Number(value),
            Ok(None) => Outcome::Denied,
            Err(error) => {
                tracing::warn!(sensor = name, "{error}");
                Outcome::Unavailable
            }
        }
    }

    fn set_actuator(&mut self, app: String, name: &str, value: f64, now: Moment) -> Outcome {
        let declared = self.parts.config.actuators.iter();
        let Some(actuator) = declared.into_iter().find(|actuator| actuator.name() == name) else {
            return Outcome::Denied;
        };
        if !actuator.takes(value) {
            return Outcome::OutOfRange;
        }
        match hardware::set_actuator(actuator, value, &self.gpio) {
            Ok(()) => {
                if matches!(actuator, ActuatorConfig::Simulated { .. }) {
                    self.log_line(app, "info", format!("actuator {name} set to {value}"), now);
                }
                Outcome::Done
            }
            Err(error) => {
                self.log_line(app, "error", format!("actuator {name}: {error}"), now);
                Outcome::Unavailable
            }
        }
    }

    fn change_stored(
        &mut self,
        app: &str,
        key: &str,
        value: Option<Vec<u8>>,
        quota_bytes: usize,
        now: Moment,
    ) -> Outcome {
        if !self.stores.admits(STORES_PER_S_MAX, now) {
            return Outcome::TooMany;
        }
        match self.parts.app_storage.change(app, key, value, quota_bytes) {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::Full,
            Err(error) => {
                self.refuse(Refusal::from(&error), None, now);
                Outcome::Unavailable
            }
        }
    }

    /// After a manifest was accepted, or found again at the start: what applications
    /// stored that are not in it goes, and their workers store nothing more.
    pub(super) fn forget_left_storage(&mut self, now: Moment) {
        let kept: Vec<&str> = self.desired.iter().map(|entry| entry.app.as_str()).collect();
        self.begun.retain(|_, begun| kept.contains(&begun.app.as_str()));
        // What cannot be removed now is tried again with the next manifest or start.
        let files_kept = crate::app_files::keep_only(&self.parts.config.data_dir, &kept);
        let refusal = files_kept.err();
        if let Err(error) = self.parts.app_storage.keep_only(&kept) {
            self.refuse(Refusal::from(&error), None, now);
        }
        if let Some(refusal) = refusal {
            self.refuse(refusal, None, now);
        }
    }
}
