//! The agent's one loop: every event is handled here, one after the other.
//!
//! Whatever happens outside (the broker, workers, the clock, signals) becomes an
//! [`Event`]. `handle` lets the pure parts decide and carries their decisions out.
//! What blocks it blocks everything, so the only things that may are the local
//! disk and hashing; both are bounded by the size of an artifact.

mod actions;
mod asks;
mod channels;
mod delivery;
mod heartbeat;
mod manifest;
mod programs;
mod reporting;
mod root;
mod scheduling;
mod spinning;
mod worker_news;

use crate::Moment;
use crate::app_storage::AppStorage;
use crate::clock::Clock;
use crate::config::Config;
use crate::fetch::queue::FetchQueue;
use crate::freeze::FreezeWatch;
use crate::hardware::GpioLines;
use crate::install::{Input, Installer, WorkerId};
use crate::log_allowance::LogAllowance;
use crate::mqtt::{Broker, LinkNews};
use crate::outbox::Outbox;
use crate::refusal::Refusal;
use crate::report::{Abridger, Counters, DeviceMeter, Pace};
use crate::state::{Enrolment, Progress, State};
use crate::store::Store;
use crate::workers::{RuntimeInfo, WorkerNews, Workers};
use device_protocol::{RefusalCode, Refused, Topic};
use ed25519_dalek::SigningKey;
use module_package::AppEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Everything that can happen to an agent.
pub enum Event {
    Link(LinkNews),
    Worker(WorkerId, WorkerNews),
    /// A runtime was found, or why not; it is tried again.
    Probed(Result<RuntimeInfo, Refusal>),
    /// A deadline has passed.
    Clock,
    /// Somebody asks the agent to end.
    Stop,
}

/// What an agent is made of.
pub struct Parts {
    pub config: Config,
    pub key: SigningKey,
    pub enrolment: Enrolment,
    pub state: State,
    pub store: Store,
    pub app_storage: AppStorage,
    pub workers: Box<dyn Workers>,
    /// For delays and ids that need not be secret.
    pub seed: u64,
    pub boot_id: [u8; 16],
    /// Milliseconds since 1970.
    pub wall_clock_ms: fn() -> u64,
}

pub struct Agent {
    parts: Parts,
    progress: Progress,
    /// The applications of the accepted manifest.
    desired: Vec<AppEntry>,
    /// The device's runtime, once one has said what it is.
    runtime: Option<RuntimeInfo>,
    runtime_trouble: Option<Refusal>,
    /// There is one as soon as there is a runtime.
    installer: Option<Installer>,
    /// Whether the disk has what the installer last asked to persist.
    is_persisted: bool,
    fetches: FetchQueue,
    broker: Option<Box<dyn Broker>>,
    outbox: Outbox,
    counters: Counters,
    meter: DeviceMeter,
    pace: Pace,
    abridger: Abridger,
    clock: Clock,
    freeze_watch: FreezeWatch,
    report_counter: u64,
    refused: Option<Refused>,
    /// Whether a report has told of it.
    refused_is_told: bool,
    refusal_log: LogAllowance,
    /// Workers whose hello has come.
    speaking: BTreeSet<WorkerId>,
    /// Of these, asked for their usage in this round and not heard.
    asked: BTreeSet<WorkerId>,
    /// Workers whose module has begun, and may ask for things.
    begun: BTreeMap<WorkerId, asks::Begun>,
    /// What confines each, by name.
    confinement: BTreeMap<WorkerId, Vec<String>>,
    /// How the kernel schedules those that asked for more than the usual, or use all of it.
    in_force: BTreeMap<WorkerId, ::scheduling::InForce>,
    spinning: spinning::Spinning,
    /// Why a worker is being killed, in place of the signal's number.
    last_words: BTreeMap<WorkerId, String>,
    /// Changes of stored values.
    stores: asks::PerSecond,
    /// What sensors said last, and until when it is good.
    sensor_values: BTreeMap<String, (Moment, worker_protocol::Outcome)>,
    /// Lines of GPIO chips, held for as long as the agent runs.
    gpio: GpioLines,
    taken: channels::Taken,
    stop_by: Option<Moment>,
}

/// From the request to end to the end.
const STOP_WITHIN: Duration = Duration::from_millis(2_500);

impl Agent {
    /// Takes up what the disk says; nothing runs until there is a runtime.
    pub fn new(parts: Parts) -> Result<Self, crate::state::StateError> {
        let progress = parts.state.progress()?;
        let interval = parts.config.report_interval();
        let clock = Clock::new(parts.config.clock_trusted, parts.state.time_floor_ms()?);
        let freeze_watch = FreezeWatch::new(parts.config.freeze_after());
        let gpio = GpioLines::open(&parts.config);
        let mut agent = Self {
            parts,
            gpio,
            progress,
            desired: Vec::new(),
            runtime: None,
            runtime_trouble: None,
            installer: None,
            is_persisted: true,
            fetches: FetchQueue::default(),
            broker: None,
            outbox: Outbox::default(),
            counters: Counters::default(),
            meter: DeviceMeter::default(),
            pace: Pace::new(interval),
            abridger: Abridger::default(),
            clock,
            freeze_watch,
            report_counter: 0,
            refused: None,
            refused_is_told: false,
            refusal_log: LogAllowance::default(),
            speaking: BTreeSet::new(),
            asked: BTreeSet::new(),
            begun: BTreeMap::new(),
            confinement: BTreeMap::new(),
            in_force: BTreeMap::new(),
            spinning: spinning::Spinning::default(),
            last_words: BTreeMap::new(),
            stores: asks::PerSecond::default(),
            sensor_values: BTreeMap::new(),
            taken: channels::Taken::default(),
            stop_by: None,
        };
        agent.reopen_manifest();
        Ok(agent)
    }

    pub fn handle(&mut self, event: Event, now: Moment) {
        match event {
            Event::Link(LinkNews::Connected(broker)) => self.connect(broker, now),
            Event::Link(LinkNews::Disconnected) => {
                self.broker = None;
                self.fetches.disconnect(now);
            }
            Event::Link(LinkNews::Message { topic, payload }) => match topic {
                Topic::Manifest(device) if device == self.parts.enrolment.device => {
                    self.take_manifest(payload, now);
                }
                Topic::Root(version) => self.take_root(version, &payload, now),
                Topic::Heartbeat(device) if device == self.parts.enrolment.device => {
                    self.take_heartbeat(&payload, now);
                }
                Topic::Message(device) if device == self.parts.enrolment.device => {
                    self.take_channel_message(&payload, now);
                }
                Topic::Blob(blob) | Topic::SiteBlob(blob, _) => {
                    self.take_block(blob, &payload, now);
                }
                Topic::OwnBlob(device, blob) if device == self.parts.enrolment.device => {
                    self.take_block(blob, &payload, now);
                }
                _ => {}
            },
            Event::Worker(worker, news) => self.hear_worker(worker, news, now),
            Event::Probed(probed) => self.take_runtime(probed, now),
            Event::Clock => {}
            Event::Stop => self.begin_stop(now),
        }
        self.do_what_is_due(now);
    }

    /// When to send [`Event::Clock`] unless something else happens before.
    pub fn deadline(&self) -> Moment {
        if let Some(stop_by) = self.stop_by {
            return stop_by;
        }
        let installer = self.installer.as_ref().and_then(Installer::deadline);
        let others =
            [installer, self.fetches.deadline(), self.outbox_deadline(), self.freeze_deadline()];
        others.into_iter().flatten().fold(self.pace.deadline(), Moment::min)
    }

    pub fn is_stopped(&self, now: Moment) -> bool {
        self.stop_by.is_some_and(|by| now >= by || self.parts.workers.pids().is_empty())
    }

    fn connect(&mut self, mut broker: Box<dyn Broker>, now: Moment) {
        broker.subscribe(&Topic::Manifest(self.parts.enrolment.device.clone()));
        broker.subscribe(&Topic::Heartbeat(self.parts.enrolment.device.clone()));
        broker.subscribe(&Topic::Message(self.parts.enrolment.device.clone()));
        self.broker = Some(broker);
        self.abridger.begin_anew();
        self.subscribe_root();
        self.freeze_watch.note_connected(now);
        self.fetches.connect();
        self.pace.note_change(now);
        tracing::info!(device.id = %self.parts.enrolment.device, "connected to the broker");
    }

    fn take_runtime(&mut self, probed: Result<RuntimeInfo, Refusal>, now: Moment) {
        match probed {
            Ok(info) => {
                self.runtime_trouble = None;
                let of_runtime = [RefusalCode::WorkerStart, RefusalCode::SelfTest];
                self.refused.take_if(|refused| of_runtime.contains(&refused.code));
                self.runtime = Some(info);
                if self.installer.is_none() {
                    let installed = self.progress.installed.clone();
                    self.installer = Some(Installer::new(installed, self.parts.seed));
                    self.act(Input::Desired(self.desired.clone()), now);
                }
            }
            Err(refusal) => {
                self.refuse(refusal.clone(), None, now);
                self.runtime_trouble = Some(refusal);
            }
        }
        self.pace.note_change(now);
    }

    fn do_what_is_due(&mut self, now: Moment) {
        if self.stop_by.is_some() {
            return;
        }
        if self.installer.as_ref().and_then(Installer::deadline).is_some_and(|at| at <= now) {
            self.act(Input::Clock, now);
        }
        self.give_up_fetches(now);
        self.request_blocks(now);
        self.check_freeze(now);
        self.report_if_due(now);
        self.flush_outbox(now);
    }

    fn begin_stop(&mut self, now: Moment) {
        self.stop_by = Some(now + STOP_WITHIN);
        let workers = self.installer.as_ref().map(Installer::workers).unwrap_or_default();
        tracing::info!(workers = workers.len(), "the agent ends");
        workers.into_iter().for_each(|worker| self.parts.workers.stop(worker));
        if let Some(broker) = &mut self.broker {
            broker.disconnect();
        }
    }
}

/// Runs the agent until it is asked to end.
pub async fn run(mut agent: Agent, mut events: mpsc::Receiver<Event>, began: Instant) {
    loop {
        let wait = agent.deadline().saturating_sub(began.elapsed());
        let event = tokio::select! {
            event = events.recv() => event.unwrap_or(Event::Stop),
            () = tokio::time::sleep(wait) => Event::Clock,
        };
        let now = began.elapsed();
        agent.handle(event, now);
        if agent.is_stopped(now) {
            return;
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
