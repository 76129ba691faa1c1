//! What workers say, and what it means for their application.

use super::Agent;
use crate::Moment;
use crate::install::{Figures, Input, WorkerId, WorkerInput};
use crate::refusal::{DETAIL_BYTES_MAX, Refusal, of_limit, of_load_failure, shorten};
use crate::store::StoreError;
use crate::workers::{WorkerNews, info_of};
use device_protocol::{LogLine, MESSAGE_VERSION, PublishedMessage, RefusalCode, TrapReport};
use module_limits::{Limit, LimitAction};
use module_package::{AppEntry, Release};
use worker_protocol::{
    Activity, ClockTrust, Command, ConfigEntry, Event as Message, Grants, Hello,
    LOG_LINE_BYTES_MAX, Limits, Load, LogLevel, NAME_BYTES_MAX, PUBLISH_BYTES_MAX, Published,
    Usage, WallClock,
};

const CONFINEMENT_NAMES_MAX: usize = 24;
const CONFINEMENT_NAME_BYTES_MAX: usize = 40;

impl Agent {
    pub(super) fn hear_worker(&mut self, worker: WorkerId, news: WorkerNews, now: Moment) {
        let input = match news {
            WorkerNews::Hello(hello) => self.welcome(worker, &hello, now),
            WorkerNews::Event(Message::Asked(asked)) => {
                self.answer(worker, asked, now);
                None
            }
            WorkerNews::Event(message) => self.hear_message(worker, message, now),
            WorkerNews::NotStarted(refusal) => {
                tracing::warn!(worker.id = worker.0, "{refusal}");
                self.parts.workers.forget(worker);
                Some(WorkerInput::NotStarted(refusal))
            }
            WorkerNews::Ended(how) => Some(WorkerInput::Ended(self.bury(worker, how, true))),
            WorkerNews::Displaced { by, how } => {
                self.note_displaced(worker, &by, &how, now);
                self.bury(worker, format!("{by} brought it down: {how}"), false);
                Some(WorkerInput::Displaced { by })
            }
        };
        if let Some(input) = input {
            self.act(Input::Worker(worker, input), now);
        }
    }

    /// Only now does it count as started; it gets its module.
    fn welcome(&mut self, worker: WorkerId, hello: &Hello, now: Moment) -> Option<WorkerInput> {
        self.speaking.insert(worker);
        let mut confinement = self.parts.workers.surroundings(worker);
        confinement.extend(hello.confinement.iter().cloned());
        self.confinement.insert(worker, shown(confinement));
        let runtime = self.runtime.as_ref()?;
        let found = info_of(hello);
        if found.profile != runtime.profile {
            let (found, expected) = (&found.profile, &runtime.profile);
            let detail = format!(
                "the runtime has changed since the agent's start: it is for {} with {} bounds checks, was {} with {}; restart the agent",
                found.target, found.bounds_checks, expected.target, expected.bounds_checks
            );
            self.parts.workers.kill(worker);
            return Some(WorkerInput::NotStarted(Refusal::new(RefusalCode::WorkerStart, detail)));
        }
        let slot = self.installer.as_ref()?.slot_of(worker)?;
        let (release, entry) = (slot.release.clone()?, slot.entry.clone());
        let blob = release.artifact.into();
        match self.parts.store.read(&blob, release.artifact_bytes) {
            Ok(Some(artifact)) => {
                let load = self.load_of(&release, &entry, artifact, now);
                self.parts.workers.send(worker, Command::Load(load));
                None
            }
            Ok(None) => {
                let detail = format!("artifact {} is no longer on the disk", release.artifact);
                let refusal = Refusal::new(RefusalCode::DamagedArtifact, detail);
                Some(self.damaged(refusal, now))
            }
            Err(error @ StoreError::Damaged(_)) => Some(self.damaged((&error).into(), now)),
            Err(error) => {
                self.parts.workers.kill(worker);
                Some(WorkerInput::NotStarted((&error).into()))
            }
        }
    }

    fn load_of(&self, release: &Release, entry: &AppEntry, artifact: Vec<u8>, now: Moment) -> Load {
        let limits = release.limits;
        let sensors = self.parts.config.sensors.iter();
        let granted = sensors.filter(|sensor| entry.sensors.iter().any(|n| n == sensor.name()));
        let provisions = entry.provisions.clone().unwrap_or_default();
        let config = provisions.config.into_iter();
        let config = config.map(|entry| ConfigEntry { key: entry.key, value: entry.value });
        Load {
            artifact,
            app: entry.app.clone(),
            limits: Limits {
                memory_bytes_max: limits.memory_bytes_max,
                stack_bytes: limits.stack_bytes,
                call_ms_max: limits.call_ms_max,
                log_lines_per_s_max: limits.log_lines_per_s_max,
                publishes_per_s_max: limits.publishes_per_s_max,
                gas_per_call_max: limits.gas_per_call_max,
                gas_per_s_max: limits.gas_per_s_max,
                actions: limits.actions,
            },
            grants: Grants {
                sensors: granted.map(|sensor| sensor.to_grant()).collect(),
                channels: entry.channels.clone(),
                config: config.collect(),
                storage_bytes: provisions.storage_bytes.unwrap_or(0),
                subscriptions: provisions.subscriptions,
                actuators: provisions.actuators,
                wasi: provisions
                    .wasi
                    .map(|wasi| super::programs::to_grants(wasi, &self.parts.config)),
            },
            clock: Some(self.wall_clock_of_workers(now)),
            priority: entry.sharing.as_ref().map(|sharing| sharing.priority),
            real_time: entry.scheduling.as_ref().and_then(|asked| asked.real_time),
        }
    }

    /// The time as workers are told it.
    pub(super) fn wall_clock_of_workers(&self, now: Moment) -> WallClock {
        let trust = match self.clock.trust() {
            device_protocol::ClockTrust::Unknown => ClockTrust::Unknown,
            device_protocol::ClockTrust::Configured => ClockTrust::Configured,
            device_protocol::ClockTrust::Heartbeat => ClockTrust::Gateway,
        };
        let time_ms = self.clock.at_least_ms(now, (self.parts.wall_clock_ms)());
        WallClock { trust, time_ms: time_ms.unwrap_or(0) }
    }

    fn hear_message(
        &mut self,
        worker: WorkerId,
        message: Message,
        now: Moment,
    ) -> Option<WorkerInput> {
        let slot = self.installer.as_ref()?.slot_of(worker)?;
        let app = slot.entry.app.clone();
        match message {
            Message::Loaded { .. } => {
                let steps = slot.release.as_ref()?.known_answers.clone();
                self.parts.workers.send(worker, Command::RunChecks { steps });
                None
            }
            Message::LoadFailed { reason, detail } => {
                Some(WorkerInput::Refused(of_load_failure(reason, &detail)))
            }
            Message::ChecksDone { failed: None, .. } => Some(WorkerInput::Passed),
            Message::ChecksDone { failed: Some(step), .. } => {
                let detail = format!("step {}: {}", step.number, step.detail);
                Some(WorkerInput::Refused(Refusal::new(RefusalCode::KnownAnswer, detail)))
            }
            Message::Started => {
                // The first report that calls it running then has its figures.
                self.parts.workers.send(worker, Command::ReportUsage);
                Some(WorkerInput::Started)
            }
            Message::Usage(usage) => {
                let figures = figures_of(&usage);
                self.counters.note_usage(&app, worker, usage);
                self.note_answer(worker, now);
                Some(WorkerInput::Measured(figures))
            }
            Message::Log(line) => {
                let level = level_name(line.level);
                self.log_line(app, level, shorten(line.text, LOG_LINE_BYTES_MAX), now);
                None
            }
            Message::Published(value) => {
                let is_granted = slot.entry.channels.contains(&value.channel);
                // Known answers are no news for neighbours.
                if is_granted && self.begun.contains_key(&worker) {
                    self.deliver_locally(&app, &value.channel, &value.payload);
                }
                self.publish_value(app, is_granted, value, now);
                None
            }
            Message::Trapped { export, detail, restart_in_ms, kind, place } => {
                if let Some(release) = &slot.release {
                    let artifact = release.artifact;
                    let export = shorten(export.clone(), NAME_BYTES_MAX);
                    let detail = shorten(detail.clone(), DETAIL_BYTES_MAX);
                    let trap = TrapReport { export, kind, place, artifact, detail };
                    self.counters.note_trap(&app, trap);
                }
                let text = format!("{export} trapped: {detail}; restart in {restart_in_ms} ms");
                self.log_line(app, "error", text, now);
                let detail = format!("{export}: {detail}");
                Some(WorkerInput::Trapped(shorten(detail, DETAIL_BYTES_MAX)))
            }
            Message::Overrun { export, elapsed_ms } => {
                let text = format!("{export} ran for {elapsed_ms} ms");
                let limits = slot.release.as_ref().map(|release| release.limits);
                let actions = limits.and_then(|limits| limits.actions).unwrap_or_default();
                let action = actions.at(Limit::CallTime);
                self.counters.note_limit(&app, Limit::CallTime, action);
                self.log_line(app, "error", format!("{text} and was ended"), now);
                if action == LimitAction::Restart {
                    // Its end is then a death like any other: it is started again after a
                    // delay, and quarantined if it happens again and again.
                    self.last_words.insert(worker, format!("{text}, and it was ended"));
                    self.parts.workers.kill(worker);
                    return None;
                }
                Some(WorkerInput::Overran(Refusal::new(RefusalCode::TimeLimit, text)))
            }
            Message::LimitStop { limit, detail } => {
                self.counters.note_limit(&app, limit, LimitAction::Stop);
                let text = format!("{limit}: {detail}");
                self.log_line(app, "error", format!("stopped at its limit, {text}"), now);
                Some(WorkerInput::Overran(Refusal::new(of_limit(limit), text)))
            }
            Message::Finished { exit_code, detail, again_in_ms } => {
                // The report that says so then has its figures.
                self.parts.workers.send(worker, Command::ReportUsage);
                Some(self.note_end(app, exit_code, detail, again_in_ms, now))
            }
            Message::Rejected { detail } => {
                tracing::warn!(worker.id = worker.0, app, "the worker rejects: {detail}");
                None
            }
            // The agent asks for no `RunTicks`, and never grants what is written as it is.
            Message::Hello(_)
            | Message::Asked(_)
            | Message::Unloaded
            | Message::Wrote { .. }
            | Message::TicksDone { .. } => None,
        }
    }

    pub(super) fn log_line(&mut self, app: String, level: &str, text: String, now: Moment) {
        let (level, time_ms) = (level.into(), (self.parts.wall_clock_ms)());
        self.outbox.add_line(LogLine { app, level, text, time_ms }, now);
    }

    fn publish_value(&mut self, app: String, is_granted: bool, value: Published, now: Moment) {
        let Published { channel, seq, payload } = value;
        // The worker checks both; it is not believed.
        if !is_granted || payload.len() > PUBLISH_BYTES_MAX {
            self.counters.note_dropped(&app, is_granted.then_some(channel.as_str()));
            return;
        }
        let (version, time_ms) = (MESSAGE_VERSION, (self.parts.wall_clock_ms)());
        let message = PublishedMessage { version, app, channel, seq, payload, time_ms };
        if let Some(dropped) = self.outbox.add_published(message, now) {
            self.counters.note_dropped(&dropped.app, Some(&dropped.channel));
        }
    }

    /// In the module's own log, where people look who wonder why it began anew.
    fn note_displaced(&mut self, worker: WorkerId, by: &str, how: &str, now: Moment) {
        let slot = self.installer.as_ref().and_then(|installer| installer.slot_of(worker));
        let Some(app) = slot.map(|slot| slot.entry.app.clone()) else { return };
        let text = format!("{by} brought down the process that both share, {how}; started again");
        self.log_line(app, "warn", text, now);
    }

    /// Its last words. A death that another module caused is no restart of its own.
    fn bury(&mut self, worker: WorkerId, how: String, is_own: bool) -> String {
        let how = self.last_words.remove(&worker).unwrap_or(how);
        let slot = self.installer.as_ref().and_then(|installer| installer.slot_of(worker));
        if let Some(slot) = slot {
            let app = slot.entry.app.clone();
            tracing::warn!(worker.id = worker.0, app, "the worker died: {how}");
            if is_own {
                self.counters.note_restart(&app);
            }
        }
        self.speaking.remove(&worker);
        self.confinement.remove(&worker);
        self.in_force.remove(&worker);
        self.spinning.forget(worker);
        self.asked.remove(&worker);
        self.begun.remove(&worker);
        self.counters.end_worker(worker);
        self.meter.end_worker(worker);
        self.parts.workers.forget(worker);
        how
    }
}

fn figures_of(usage: &Usage) -> Figures {
    Figures {
        calls: usage.calls,
        gas_used: usage.gas_used,
        memory_peak_bytes: usage.memory_peak_bytes,
        health: usage.health.map(|health| (health.last, health.sick)),
        is_running: usage.activity == Activity::Running,
    }
}

/// A worker's word about itself, in bounds.
fn shown(mut confinement: Vec<String>) -> Vec<String> {
    confinement.truncate(CONFINEMENT_NAMES_MAX);
    confinement.into_iter().map(|name| shorten(name, CONFINEMENT_NAME_BYTES_MAX)).collect()
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    }
}
