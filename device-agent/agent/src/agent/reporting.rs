//! Reports, and what goes out beside them.

use super::Agent;
use crate::Moment;
use crate::install::{App, Slot, Stage, WorkerId};
use crate::outbox::Parcel;
use crate::report::{app_report, outlets_report, system, waiting_app_report};
use crate::workers::Seat;
use device_protocol::{
    AppReport, CAPABILITIES_MAX, Capabilities, CompanyReport, Label, MESSAGE_VERSION,
    REPORT_BYTES_MAX, Report, Topic,
};
use module_package::{BlobId, Domain, seal};
use worker_protocol::Command;

/// What the device has hardly ever changes, and the first report of a start tells it; that
/// one can be lost.
const CAPABILITIES_EVERY: u64 = 32;

impl Agent {
    pub(super) fn report_if_due(&mut self, now: Moment) {
        if self.pace.begin_round(now) {
            self.asked = self.speaking.clone();
            let clock = self.wall_clock_of_workers(now);
            for worker in &self.asked {
                self.parts.workers.send(*worker, Command::SetClock(clock));
                self.parts.workers.send(*worker, Command::ReportUsage);
            }
            if self.asked.is_empty() {
                self.pace.note_change(now);
            }
        }
        if self.pace.take_due(now) {
            self.report(now);
        }
    }

    /// The last answer of a round sends the report, and one outside of a round.
    pub(super) fn note_answer(&mut self, worker: WorkerId, now: Moment) {
        let was_asked = self.asked.remove(&worker);
        if !was_asked || self.asked.is_empty() {
            self.pace.note_change(now);
        }
    }

    fn report(&mut self, now: Moment) {
        let workers = self.parts.workers.pids();
        let usage = self.meter.measure(&workers, self.parts.store.used_bytes());
        self.lower_spinning(now);
        if self.broker.is_none() {
            return;
        }
        let tells_capabilities = self.report_counter.is_multiple_of(CAPABILITIES_EVERY);
        self.report_counter += 1;
        let nonce = self.nonce_to_ask(now);
        let accepted = self.progress.accepted.as_ref().map(|(accepted, _)| *accepted);
        let config = &self.parts.config;
        let mut report = Report {
            version: MESSAGE_VERSION,
            device: self.parts.enrolment.device.clone(),
            boot_id: self.parts.boot_id,
            counter: self.report_counter,
            epoch: accepted.map_or(0, |accepted| accepted.epoch),
            seq: accepted.map_or(0, |accepted| accepted.seq),
            manifest: accepted.map(|accepted| accepted.manifest),
            uptime_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            usage,
            apps: self.app_reports(now),
            refused: self.refused.clone(),
            emulated: config.is_emulated(),
            nonce,
            root_version: Some(self.root_version()),
            clock: Some(self.clock.trust()),
            system: Some(system::measure(&config.sysfs_dir, &config.data_dir)),
            builds: self.runtime.as_ref().map(|runtime| runtime.builds.clone()),
            brief: None,
            capabilities: tells_capabilities.then(|| self.capabilities()),
            scheduling: (!config.scheduling.is_nothing()).then(|| config.scheduling.clone()),
        };
        self.abridger.abridge(&mut report, now);
        let Some(sealed) = self.seal_report(report) else { return };
        let topic = Topic::Report(self.parts.enrolment.device.clone());
        if let Some(broker) = &mut self.broker {
            if broker.publish(&topic, sealed) {
                self.refused_is_told = true;
                if let Some(nonce) = nonce {
                    self.clock.note_question(nonce, now);
                }
            } else {
                self.abridger.begin_anew();
                self.pace.note_change(now);
            }
        }
    }

    /// What the owner has declared, and what of it is not there.
    fn capabilities(&self) -> Capabilities {
        let config = &self.parts.config;
        let sensors = config.sensors.iter().map(|sensor| sensor.name().to_owned());
        let actuators = config.actuators.iter().map(|actuator| actuator.name().to_owned());
        let label =
            |(key, value): (&String, &String)| Label { key: key.clone(), value: value.clone() };
        Capabilities {
            // As many as the two lists below can name.
            unavailable: self.gpio.unavailable().take(2 * CAPABILITIES_MAX).collect(),
            accelerators: config.accelerators.clone(),
            labels: config.labels.iter().map(label).collect(),
            sensors: sensors.take(CAPABILITIES_MAX).collect(),
            actuators: actuators.take(CAPABILITIES_MAX).collect(),
        }
    }

    /// Without what modules did through the guest API where there is no room for it: the
    /// rest is what people need most.
    fn seal_report(&mut self, mut report: Report) -> Option<Vec<u8>> {
        let seal_it = |report: &Report| {
            let sealed = seal(Domain::Report, minicbor::to_vec(report).ok()?, &self.parts.key);
            Some(sealed).filter(|sealed| sealed.len() <= REPORT_BYTES_MAX)
        };
        if let Some(sealed) = seal_it(&report) {
            return Some(sealed);
        }
        report.apps.iter_mut().for_each(|app| app.guest = None);
        // Or the next brief report would leave out of it what nobody was told.
        self.abridger.forget_guests();
        let sealed = seal_it(&report);
        if sealed.is_none() {
            self.abridger.begin_anew();
            tracing::error!(apps = report.apps.len(), "the report is too long to be sent");
        }
        sealed
    }

    fn app_reports(&self, now: Moment) -> Vec<AppReport> {
        let Some(installer) = &self.installer else {
            let trouble = self.runtime_trouble.as_ref();
            return self.desired.iter().map(|entry| waiting_app_report(entry, trouble)).collect();
        };
        installer.apps().filter_map(|(name, app)| self.report_app(name, app, now)).collect()
    }

    fn report_app(&self, name: &str, app: &App, now: Moment) -> Option<AppReport> {
        let wanted = app.wanted()?;
        let blob = match &wanted.stage {
            Stage::Release => Some(BlobId::from(wanted.entry.release)),
            Stage::Artifact => wanted.release.as_ref().map(|release| release.artifact.into()),
            _ => None,
        };
        let fetch = blob.and_then(|blob| self.fetches.find(&blob));
        let serving = app.serving().and_then(Slot::worker);
        let usage = self.counters.total(name, serving);
        let rss_bytes = serving.map_or(0, |worker| self.meter.worker_rss_bytes(worker));
        let mut report = app_report(app, wanted, fetch, &usage, rss_bytes, now);
        let worker = serving.or(wanted.worker());
        report.last_trap = self.counters.last_trap(name);
        report.worker_cpu_us = serving.and_then(|worker| self.meter.worker_cpu_us(worker));
        let outlets = usage.outlets.as_deref().unwrap_or_default();
        report.outlets = outlets_report(outlets, name, &self.outbox);
        report.scheduling = worker.and_then(|worker| self.in_force.get(&worker).cloned());
        report.company = worker.and_then(|worker| self.company_of(worker, wanted));
        report.confinement = worker.and_then(|worker| self.confinement.get(&worker).cloned());
        Some(report)
    }

    /// Nothing is said of a module that has a process of its own.
    fn company_of(&self, worker: WorkerId, wanted: &Slot) -> Option<CompanyReport> {
        let shares = |slot: &Slot| slot.entry.sharing.is_some();
        let installer = self.installer.as_ref()?;
        installer.slot_of(worker).filter(|slot| shares(slot))?;
        let Seat { pid, modules } = self.parts.workers.seat(worker)?;
        let modules = u32::try_from(modules).unwrap_or(u32::MAX);
        let (displaced, displaced_by) = (wanted.displaced, wanted.displaced_by.clone());
        Some(CompanyReport { pid, modules, displaced, displaced_by })
    }

    /// Nothing can go out without a connection, so nothing is due either.
    pub(super) fn outbox_deadline(&self) -> Option<Moment> {
        self.broker.as_ref().and(self.outbox.deadline())
    }

    pub(super) fn flush_outbox(&mut self, now: Moment) {
        let Some(broker) = &mut self.broker else { return };
        let device = &self.parts.enrolment.device;
        self.outbox.flush(now, |parcel| {
            let (topic, payload) = match parcel {
                Parcel::Log(log) => (Topic::Log(device.clone()), minicbor::to_vec(log)),
                Parcel::Published(message) => {
                    (Topic::Published(device.clone()), minicbor::to_vec(message))
                }
            };
            // What cannot be encoded would block the queue: it is dropped.
            payload.map_or(true, |payload| broker.publish(&topic, payload))
        });
    }
}
