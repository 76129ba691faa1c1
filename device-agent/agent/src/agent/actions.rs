//! Carrying out what the installer decides.

use super::Agent;
use crate::Moment;
use crate::app_files;
use crate::fetch::Fetch;
use crate::hardware::Role;
use crate::install::{Action, Input, Persisted, SlotId, WorkerInput};
use crate::refusal::Refusal;
use crate::store::StoreError;
use crate::workers::{Room, rttime_us_max};
use device_protocol::RefusalCode;
use module_package::{AppEntry, RELEASE_BYTES_MAX, Release, Sharing, open_release};
use std::collections::VecDeque;
use std::rc::Rc;

impl Agent {
    /// Lets the installer decide and does what it says, until it has no more to say.
    pub(super) fn act(&mut self, input: Input, now: Moment) {
        let Some(installer) = &mut self.installer else { return };
        let mut actions = VecDeque::from(installer.handle(input, now));
        while let Some(action) = actions.pop_front() {
            if let Some(answer) = self.carry_out(action, now)
                && let Some(installer) = &mut self.installer
            {
                actions.extend(installer.handle(answer, now));
            }
        }
    }

    fn carry_out(&mut self, action: Action, now: Moment) -> Option<Input> {
        match action {
            Action::OpenRelease { slot, entry } => return self.open_release(slot, &entry, now),
            Action::ObtainArtifact { slot } => return self.obtain_artifact(slot, now),
            Action::Spawn { worker, slot } => {
                let slot = self.installer.as_ref()?.slot(slot)?;
                let (app, release) = (slot.entry.app.clone(), slot.release.as_ref()?);
                let memory_bytes_max = release.limits.memory_bytes_max;
                let scheduling = slot.entry.scheduling.as_ref();
                let call_ms_max = release.limits.call_ms_max;
                let room = Room {
                    memory_bytes_max,
                    artifact_bytes: release.artifact_bytes,
                    is_real_time: scheduling.is_some_and(|asked| asked.real_time.is_some()),
                    rttime_us_max: scheduling.and_then(|asked| rttime_us_max(asked, call_ms_max)),
                    cpu_weight: scheduling.and_then(|asked| asked.cpu_weight),
                };
                let opened = match app_files::open(&slot.entry, &self.parts.config) {
                    Ok(opened) => opened,
                    Err(refusal) => {
                        return Some(Input::Worker(worker, WorkerInput::NotStarted(refusal)));
                    }
                };
                // A process is given its directories before it is confined, so that one
                // which goes on takes no program that has some.
                match slot.entry.sharing.as_ref().map(Sharing::group) {
                    Some(group) if opened.is_empty() => {
                        self.parts.workers.spawn_in_group(worker, &app, room, &group);
                    }
                    _ => {
                        if !opened.is_empty() {
                            self.parts.workers.give_directories(worker, opened);
                        }
                        self.parts.workers.spawn(worker, &app, room);
                    }
                }
            }
            Action::Begin { worker, interval_ms } => {
                return self.begin(worker, interval_ms, now);
            }
            Action::Stop(worker) => {
                if self.speaking.contains(&worker) {
                    self.parts.workers.stop(worker);
                } else {
                    self.parts.workers.kill(worker);
                }
            }
            Action::Kill(worker) => self.parts.workers.kill(worker),
            Action::Persist(installed) => self.persist(installed, now),
            Action::Collect => self.collect(now),
            Action::Report => self.pace.note_change(now),
        }
        None
    }

    fn open_release(&mut self, slot: SlotId, entry: &AppEntry, now: Moment) -> Option<Input> {
        let blob = entry.release.into();
        match self.parts.store.read(&blob, RELEASE_BYTES_MAX as u64) {
            Ok(Some(sealed)) => return Some(Input::Release(slot, self.judge(&sealed, entry))),
            Ok(None) => {}
            Err(damaged @ StoreError::Damaged(_)) => self.refuse((&damaged).into(), None, now),
            Err(error) => return Some(Input::Release(slot, Err((&error).into()))),
        }
        self.start_fetch(Fetch::of_release(blob, now, self.parts.seed ^ slot.0));
        None
    }

    /// Whether the release is genuine, and whether this device can run it.
    fn judge(&mut self, sealed: &[u8], entry: &AppEntry) -> Result<Rc<Release>, Refusal> {
        let root = &self.parts.enrolment.root;
        let release = open_release(sealed, entry.release, root).map_err(|e| Refusal::from(&e))?;
        if release.app != entry.app {
            let detail = format!("the release of {} is listed as {}", release.app, entry.app);
            return Err(Refusal::new(RefusalCode::Inconsistent, detail));
        }
        let runtime = self.runtime.as_ref().ok_or_else(|| {
            Refusal::new(RefusalCode::WorkerStart, "this device has no runtime yet")
        })?;
        runtime.profile.check(&release).map_err(|e| Refusal::from(&e))?;
        let declared = &self.parts.config.sensors;
        let is_declared = |name: &String| declared.iter().any(|sensor| sensor.name() == name);
        if let Some(lacking) = entry.sensors.iter().find(|name| !is_declared(name)) {
            let has: Vec<&str> = declared.iter().map(|sensor| sensor.name()).collect();
            let detail = format!("no sensor {lacking}; this device has [{}]", has.join(", "));
            return Err(Refusal::new(RefusalCode::NotGranted, detail));
        }
        self.check_actuators(entry)?;
        self.check_lines(entry)?;
        self.check_storage(entry)?;
        self.check_scheduling(entry)?;
        app_files::check(entry, &self.desired, &self.parts.config)?;
        Ok(Rc::new(release))
    }

    fn check_actuators(&self, entry: &AppEntry) -> Result<(), Refusal> {
        let declared = &self.parts.config.actuators;
        let is_declared = |name: &&String| declared.iter().any(|actuator| actuator.name() == *name);
        let wanted = entry.provisions.iter().flat_map(|given| &given.actuators);
        let Some(lacking) = wanted.into_iter().find(|name| !is_declared(name)) else {
            return Ok(());
        };
        let has: Vec<&str> = declared.iter().map(|actuator| actuator.name()).collect();
        let detail = format!("no actuator {lacking}; this device has [{}]", has.join(", "));
        Err(Refusal::new(RefusalCode::NotGranted, detail))
    }

    /// What is declared can be missing all the same.
    fn check_lines(&mut self, entry: &AppEntry) -> Result<(), Refusal> {
        let actuators = entry.provisions.iter().flat_map(|given| &given.actuators);
        let sensors = entry.sensors.iter().map(|name| (Role::Sensor, name));
        for (role, name) in sensors.chain(actuators.map(|name| (Role::Actuator, name))) {
            if let Some(why) = self.gpio.why_unavailable(role, name) {
                let detail = format!("{name} is not available: {why}");
                return Err(Refusal::new(RefusalCode::NotGranted, detail));
            }
        }
        Ok(())
    }

    /// Against the sum of what the manifest grants up to this application, so that adding
    /// one takes nothing from those before it in the alphabet.
    fn check_storage(&self, entry: &AppEntry) -> Result<(), Refusal> {
        let bytes_of = |entry: &AppEntry| {
            let provisions = entry.provisions.as_ref();
            u64::from(provisions.and_then(|given| given.storage_bytes).unwrap_or(0))
        };
        let wanted_bytes = bytes_of(entry);
        let others = self.desired.iter().filter(|other| other.app < entry.app);
        let sum_bytes = others.map(bytes_of).sum::<u64>() + wanted_bytes;
        let bytes_max = self.parts.config.app_storage_bytes_max;
        if wanted_bytes == 0 || sum_bytes <= bytes_max {
            return Ok(());
        }
        let detail = format!(
            "{wanted_bytes} bytes of storage are asked for, {sum_bytes} together with other \
             applications; this device allows {bytes_max}"
        );
        Err(Refusal::new(RefusalCode::StorageNotGranted, detail))
    }

    fn obtain_artifact(&mut self, slot: SlotId, now: Moment) -> Option<Input> {
        let release = self.installer.as_ref()?.slot(slot)?.release.clone()?;
        let answer = |result| Some(Input::Artifact(slot, result));
        if self.parts.store.has(&release.artifact.into()) {
            return answer(Ok(()));
        }
        if self.fetches.find(&release.artifact.into()).is_some() {
            return None;
        }
        let mut missing = self.parts.store.resume_artifact(&release);
        if let Err(StoreError::NoSpace { .. }) = missing {
            self.collect(now);
            missing = self.parts.store.resume_artifact(&release);
        }
        match missing {
            Ok(missing) if missing.is_empty() => {
                match self.parts.store.finish_artifact(release.artifact) {
                    Ok(()) => answer(Ok(())),
                    Err(error) => answer(Err((&error).into())),
                }
            }
            Ok(missing) => {
                let seed = self.parts.seed ^ slot.0;
                self.start_fetch(Fetch::of_artifact(release, missing, now, seed));
                None
            }
            Err(error) => answer(Err((&error).into())),
        }
    }

    fn persist(&mut self, installed: Persisted, now: Moment) {
        self.progress.installed = installed;
        let stored = self.parts.state.set_progress(&self.progress);
        self.is_persisted = stored.is_ok();
        if let Err(error) = stored {
            self.refuse(Refusal::new(RefusalCode::Storage, error), None, now);
        }
    }

    /// Removes what nothing names: not while the disk still names an older set.
    pub(super) fn collect(&mut self, now: Moment) {
        let Some(installer) = &self.installer else { return };
        let needed = installer.needed();
        self.fetches.stop_all_but(|blob| needed.contains(blob));
        if !self.is_persisted {
            return;
        }
        if let Err(error) = self.parts.store.keep_only(&needed) {
            self.refuse(Refusal::from(&error), None, now);
        }
    }

    /// The worker of this slot is to be given up because its artifact is gone.
    pub(super) fn damaged(&mut self, refusal: Refusal, now: Moment) -> WorkerInput {
        self.refuse(refusal.clone(), None, now);
        WorkerInput::Damaged(refusal)
    }
}
