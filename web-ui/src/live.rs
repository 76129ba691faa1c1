//! What the pages know: signals with the gateway's lists, kept fresh by one
//! stream of events.
//!
//! `Live` is made once and handed down as context. Opening the stream, reading
//! everything, holding events back meanwhile, and starting over after a break
//! happen here; pages only read.

use crate::api::{self, ApiError};
use crate::browser;
use crate::fleet::{self, Holdback};
use crate::stream::{Signal, Stream};
use futures_util::future::join4;
use gateway_api::{Deployment, Device, Event, History, LogLine, Module, Overview, Session};
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::time::Duration;

const EVENTS_PATH: &str = "/api/v1/events";
/// Between two own attempts, where the browser has given up.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_secs(1);

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

#[derive(Clone, Copy)]
pub struct Live {
    pub gate: RwSignal<Gate>,
    pub link: RwSignal<Link>,
    pub session: RwSignal<Option<Session>>,
    pub overview: RwSignal<Option<Overview>>,
    pub devices: RwSignal<Vec<Device>>,
    pub modules: RwSignal<Vec<Module>>,
    pub deployments: RwSignal<Vec<Deployment>>,
    /// The device whose page is open, and what only that page shows.
    pub watched: RwSignal<Option<String>>,
    pub history: RwSignal<History>,
    pub log_lines: RwSignal<Vec<LogLine>>,
    pub now_ms: RwSignal<u64>,
    /// Something that the overview counts has changed.
    overview_stale: StoredValue<bool>,
    overview_shown: StoredValue<bool>,
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
            devices: RwSignal::new(vec![]),
            modules: RwSignal::new(vec![]),
            deployments: RwSignal::new(vec![]),
            watched: RwSignal::new(None),
            history: RwSignal::new(empty_history()),
            log_lines: RwSignal::new(vec![]),
            now_ms: RwSignal::new(browser::now_ms()),
            overview_stale: StoredValue::new(false),
            overview_shown: StoredValue::new(false),
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
            self.gate.set(Gate::Loading);
        }
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

    /// The list's own numbers arrive with it; those of the overview are asked
    /// for, and only while somebody looks at them.
    pub fn show_overview(self, shown: bool) {
        self.overview_shown.set_value(shown);
        self.overview_stale.set_value(shown);
    }

    /// Begins to gather the charts and log lines of a device.
    pub fn watch(self, device: Option<String>) {
        if self.watched.get_untracked() == device {
            return;
        }
        self.watched.set(device);
        self.history.set(empty_history());
        self.log_lines.set(vec![]);
        spawn_local(self.load_watched());
    }

    fn connect(self) {
        let opened = Stream::open(EVENTS_PATH, move |signal| match signal {
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
                    self.gate.set(Gate::Failed(error));
                    set_timeout(move || self.connect(), RECONNECT_DELAY);
                }
                _ => set_timeout(move || self.connect(), RECONNECT_DELAY),
            }
        });
    }

    fn lose_session(self) {
        self.stream.set_value(None);
        self.gate.set(Gate::LoginNeeded);
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
                    self.gate.set(Gate::Open);
                    held.into_iter().for_each(|event| self.apply(event));
                    self.load_watched().await;
                }
                Err(ApiError::LoginRequired) => self.lose_session(),
                Err(error) if self.gate.get_untracked() != Gate::Open => {
                    self.gate.set(Gate::Failed(error));
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
        let session = api::session().await?;
        let (overview, devices, modules, deployments) =
            join4(api::overview(), api::devices(), api::modules(), api::deployments()).await;
        let (overview, mut devices) = (overview?, devices?);
        let (mut modules, mut deployments) = (modules?, deployments?);
        fleet::sort_devices(&mut devices);
        fleet::sort_modules(&mut modules);
        fleet::sort_deployments(&mut deployments);
        self.session.set(Some(session));
        self.overview.set(Some(overview));
        self.devices.set(devices);
        self.modules.set(modules);
        self.deployments.set(deployments);
        Ok(())
    }

    async fn load_watched(self) {
        let Some(device) = self.watched.get_untracked() else { return };
        let history = api::history(&device).await;
        let lines = api::log_lines(&device, fleet::LOG_LINES_MAX).await;
        // Another page may have been opened meanwhile.
        if self.watched.get_untracked().as_ref() != Some(&device) {
            return;
        }
        // A failure leaves what the stream brings; the device itself is shown
        // from the list.
        if let Ok(fetched) = history {
            self.history.update(|history| fleet::merge_history(history, fetched));
        }
        if let Ok(fetched) = lines {
            self.log_lines.update(|lines| fleet::merge_logs(lines, fetched));
        }
    }

    fn on_event(self, event: Event) {
        let passed = self.holdback.try_update_value(|holdback| holdback.pass(event)).flatten();
        if let Some(event) = passed {
            self.apply(event);
        }
    }

    fn apply(self, event: Event) {
        if !matches!(event, Event::Log { .. } | Event::Samples { .. } | Event::Published { .. }) {
            self.overview_stale.set_value(true);
        }
        match event {
            Event::Resync => self.load(),
            Event::Device { device } => {
                self.devices.update(|devices| fleet::put_device(devices, *device));
            }
            Event::Samples { device, apps } => {
                if self.is_watched(&device.device) {
                    self.history.update(|all| fleet::append_samples(all, device, apps));
                }
            }
            Event::Module { module } => {
                self.modules.update(|modules| fleet::put_module(modules, module));
            }
            Event::Artifact { artifact } => {
                self.modules.update(|modules| fleet::put_artifact(modules, artifact));
            }
            Event::Deployment { deployment } => {
                self.deployments.update(|all| fleet::put_deployment(all, deployment));
            }
            Event::DeploymentRemoved { id } => {
                self.deployments.update(|all| all.retain(|deployment| deployment.id != id));
            }
            Event::Log { line } => {
                if self.is_watched(&line.device) {
                    self.log_lines.update(|lines| fleet::append_log(lines, line));
                }
            }
            // No page shows single values; the counts are in the device's report.
            Event::Published { .. } => {}
        }
    }

    fn is_watched(self, device: &str) -> bool {
        self.watched.with_untracked(|watched| watched.as_deref() == Some(device))
    }

    fn tick(self) {
        self.now_ms.set(browser::now_ms());
        let wanted = self.overview_shown.get_value() && self.overview_stale.get_value();
        if !wanted || browser::is_hidden() || self.link.get_untracked() != Link::Live {
            return;
        }
        self.overview_stale.set_value(false);
        spawn_local(async move {
            if let Ok(overview) = api::overview().await {
                self.overview.set(Some(overview));
            }
        });
    }
}

fn empty_history() -> History {
    History { device: vec![], apps: vec![] }
}
