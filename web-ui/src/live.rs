//! What the pages know: signals with modules and deployments, one device and the
//! overview's numbers, kept fresh by one stream of events.
//!
//! `Live` is made once and handed down as context. Opening the stream, reading
//! everything, holding events back meanwhile, and starting over after a break
//! happen here; pages only read. The stream brings the reports of the one device whose
//! page is open; lists of devices are asked for in pages, at each `beat`, because all
//! reports of a large fleet are more than a browser can take.

use crate::api::{self, ApiError};
use crate::browser;
use crate::fleet::{self, Holdback};
use crate::model::{Deployment, Device, History, LogLine, Module, Overview, Session};
use crate::stream::{Event, Signal, Stream};
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

const EVENTS_PATH: &str = "/api/v1/events?devices=";
/// Between two own attempts, where the browser has given up.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_secs(1);
/// Between two readings of a list that is shown, in ticks.
const BEAT_TICKS: u64 = 2;

/// May the pages be shown?
#[derive(Debug, Clone, PartialEq)]
pub enum Gate {
    Loading,
    LoginNeeded,
    Failed(ApiError),
    Open,
}

/// How the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Connecting,
    Live,
    Down { since_ms: u64 },
}

/// The device whose page is open.
#[derive(Debug, Clone, PartialEq)]
pub enum Watched {
    Nobody,
    Loading,
    Missing,
    Failed(ApiError),
    Here(Box<Device>),
}

impl Watched {
    pub fn device(&self) -> Option<&Device> {
        match self {
            Self::Here(device) => Some(device),
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
pub struct Live {
    pub gate: RwSignal<Gate>,
    pub link: RwSignal<Link>,
    pub session: RwSignal<Option<Session>>,
    pub overview: RwSignal<Option<Overview>>,
    pub modules: RwSignal<Vec<Module>>,
    pub deployments: RwSignal<Vec<Deployment>>,
    pub watched: RwSignal<Watched>,
    /// What only a device's page shows.
    pub history: RwSignal<History>,
    pub log_lines: RwSignal<Vec<LogLine>>,
    pub now_ms: RwSignal<u64>,
    /// Counts up when shown lists are to be read again.
    pub beat: RwSignal<u64>,
    ticks: StoredValue<u64>,
    overview_shown: StoredValue<bool>,
    /// As it stands in the address: an id, or a name.
    watched_reference: StoredValue<Option<String>>,
    holdback: StoredValue<Holdback>,
    stream: StoredValue<Option<Stream>, LocalStorage>,
}

impl Live {
    /// Makes the signals and opens the stream.
    pub fn start() -> Self {
        let live = Self {
            gate: RwSignal::new(Gate::Loading),
            link: RwSignal::new(Link::Connecting),
            session: RwSignal::new(None),
            overview: RwSignal::new(None),
            modules: RwSignal::new(vec![]),
            deployments: RwSignal::new(vec![]),
            watched: RwSignal::new(Watched::Nobody),
            history: RwSignal::new(empty_history()),
            log_lines: RwSignal::new(vec![]),
            now_ms: RwSignal::new(browser::now_ms()),
            beat: RwSignal::new(0),
            ticks: StoredValue::new(0),
            overview_shown: StoredValue::new(false),
            watched_reference: StoredValue::new(None),
            holdback: StoredValue::new(Holdback::default()),
            stream: StoredValue::new_local(None),
        };
        live.connect();
        set_interval(move || live.tick(), TICK);
        live
    }

    /// From a page or a component below the one that made it.
    pub fn here() -> Self {
        expect_context()
    }

    /// Closes the stream and starts over, as the person asks.
    pub fn reconnect(self) {
        if matches!(self.gate.get_untracked(), Gate::Failed(_)) {
            self.set_gate(Gate::Loading);
        }
        self.connect();
    }

    /// The cookie is there now.
    pub fn logged_in(self) {
        self.gate.set(Gate::Loading);
        self.connect();
    }

    pub fn log_out(self) {
        spawn_local(async move {
            // Without an answer the cookie may live on, so the pages stay.
            match api::log_out().await {
                Ok(()) | Err(ApiError::LoginRequired) => self.lose_session(),
                Err(_) => {}
            }
        });
    }

    /// Its numbers are asked for only while somebody looks at them.
    pub fn show_overview(self, shown: bool) {
        self.overview_shown.set_value(shown);
        if shown {
            spawn_local(self.load_overview());
        }
    }

    /// Begins to gather what the page of a device shows.
    pub fn watch(self, reference: Option<String>) {
        if self.watched_reference.get_value() == reference {
            return;
        }
        let starts = reference.is_some();
        self.watched_reference.set_value(reference);
        self.watched.set(if starts { Watched::Loading } else { Watched::Nobody });
        self.history.set(empty_history());
        self.log_lines.set(vec![]);
        spawn_local(async move {
            self.load_watched().await;
            // The stream is of the devices that were named when it was opened.
            self.connect();
        });
    }

    fn watched_id(self) -> Option<String> {
        self.watched.with_untracked(|watched| watched.device().map(|device| device.id.clone()))
    }

    fn connect(self) {
        let path = format!("{EVENTS_PATH}{}", self.watched_id().unwrap_or_default());
        let opened = Stream::open(&path, move |signal| match signal {
            Signal::Open => self.on_open(),
            Signal::Event(event) => self.on_event(*event),
            Signal::Broken { gave_up } => self.on_broken(gave_up),
        });
        // The old stream closes here. `open` fails only for a path that is no URL.
        self.stream.set_value(opened.ok());
    }

    fn on_open(self) {
        self.link.set(Link::Live);
        self.load();
    }

    fn on_broken(self, gave_up: bool) {
        self.link.update(|link| {
            if !matches!(link, Link::Down { .. }) {
                *link = Link::Down { since_ms: browser::now_ms() };
            }
        });
        if !gave_up {
            return;
        }
        // Why it gave up only another request can tell.
        spawn_local(async move {
            match api::session().await {
                Err(ApiError::LoginRequired) => self.lose_session(),
                Err(error) if self.gate.get_untracked() != Gate::Open => {
                    self.set_gate(Gate::Failed(error));
                    set_timeout(move || self.connect(), RECONNECT_DELAY);
                }
                _ => set_timeout(move || self.connect(), RECONNECT_DELAY),
            }
        });
    }

    /// What stands below an open gate is not made anew because it is opened once more.
    fn set_gate(self, gate: Gate) {
        if self.gate.with_untracked(|known| *known != gate) {
            self.gate.set(gate);
        }
    }

    fn lose_session(self) {
        self.stream.set_value(None);
        self.set_gate(Gate::LoginNeeded);
    }

    /// Reads everything, and applies what happened meanwhile.
    fn load(self) {
        if !self.holdback.try_update_value(Holdback::start).unwrap_or_default() {
            return;
        }
        spawn_local(async move {
            let result = self.read_all().await;
            let (held, again) =
                self.holdback.try_update_value(Holdback::finish).unwrap_or_default();
            if again {
                return self.load();
            }
            match result {
                Ok(()) => {
                    self.set_gate(Gate::Open);
                    held.into_iter().for_each(|event| self.apply(event));
                    self.load_watched().await;
                }
                Err(ApiError::LoginRequired) => self.lose_session(),
                Err(error) if self.gate.get_untracked() != Gate::Open => {
                    self.set_gate(Gate::Failed(error));
                }
                // The old figures stay, marked as old, and the stream is opened
                // again, which reads everything again.
                Err(_) => {
                    self.stream.set_value(None);
                    self.link.set(Link::Down { since_ms: browser::now_ms() });
                    set_timeout(move || self.connect(), RECONNECT_DELAY);
                }
            }
        });
    }

    async fn read_all(self) -> api::Answer<()> {
        self.session.set(Some(api::session().await?));
        let mut modules = api::modules().await?;
        let mut deployments = api::deployments().await?;
        fleet::sort_modules(&mut modules);
        fleet::sort_deployments(&mut deployments);
        self.modules.set(modules);
        self.deployments.set(deployments);
        self.beat.update(|beat| *beat += 1);
        Ok(())
    }

    async fn load_watched(self) {
        let Some(reference) = self.watched_reference.get_value() else { return };
        let device = api::device(&reference).await;
        // Another page may have been opened meanwhile.
        if self.watched_reference.get_value().as_ref() != Some(&reference) {
            return;
        }
        let watched = match device {
            Ok(device) => Watched::Here(Box::new(device)),
            Err(error) if error.is_not_found() => Watched::Missing,
            Err(error) => Watched::Failed(error),
        };
        self.watched.set(watched);
        let Some(id) = self.watched_id() else { return };
        let history = api::history(&id).await;
        let lines = api::log_lines(&id, fleet::LOG_LINES_MAX).await;
        if self.watched_id().as_ref() != Some(&id) {
            return;
        }
        // A failure leaves what the stream brings.
        if let Ok(fetched) = history {
            self.history.update(|history| fleet::merge_history(history, fetched));
        }
        if let Ok(fetched) = lines {
            self.log_lines.update(|lines| fleet::merge_logs(lines, fetched));
        }
    }

    async fn load_overview(self) {
        if let Ok(overview) = api::overview().await {
            self.overview.set(Some(overview));
        }
    }

    fn on_event(self, event: Event) {
        let passed = self.holdback.try_update_value(|holdback| holdback.pass(event)).flatten();
        if let Some(event) = passed {
            self.apply(event);
        }
    }

    fn apply(self, event: Event) {
        match event {
            Event::Resync => self.load(),
            Event::Device(device) => {
                if self.is_watched(&device.id) {
                    self.watched.set(Watched::Here(device));
                }
            }
            Event::Samples { device, apps } => {
                if self.is_watched(&device.device) {
                    self.history.update(|all| fleet::append_samples(all, device, apps));
                }
            }
            Event::Module(module) => {
                self.modules.update(|modules| fleet::put_module(modules, *module));
            }
            Event::Artifact(artifact) => {
                self.modules.update(|modules| fleet::put_artifact(modules, artifact));
            }
            Event::Deployment(deployment) => {
                self.deployments.update(|all| fleet::put_deployment(all, *deployment));
            }
            Event::DeploymentRemoved(id) => {
                self.deployments.update(|all| all.retain(|deployment| deployment.id != id));
            }
            Event::Log(line) => {
                if self.is_watched(&line.device) {
                    self.log_lines.update(|lines| fleet::append_log(lines, line));
                }
            }
        }
    }

    fn is_watched(self, device: &str) -> bool {
        self.watched_id().as_deref() == Some(device)
    }

    fn tick(self) {
        self.now_ms.set(browser::now_ms());
        self.ticks.update_value(|ticks| *ticks += 1);
        let is_due = self.ticks.get_value().is_multiple_of(BEAT_TICKS);
        if !is_due || browser::is_hidden() || self.link.get_untracked() != Link::Live {
            return;
        }
        self.beat.update(|beat| *beat += 1);
        if self.overview_shown.get_value() {
            spawn_local(self.load_overview());
        }
    }
}

fn empty_history() -> History {
    History { device: vec![], apps: vec![] }
}
