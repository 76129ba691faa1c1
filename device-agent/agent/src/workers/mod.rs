//! Worker processes: `farrier-runtime`, started through the configured launcher.
//!
//! The agent gives orders through [`Workers`] and hears [`WorkerNews`]. One task
//! owns one process ([`process`]): it waits for the hello, passes messages on,
//! watches that the worker answers, and ends and reaps it. A worker's standard
//! input is a socket; when the agent goes, the socket closes and the worker with
//! it.

mod cgroup;
mod ending;
mod frames;
mod launcher;
mod own_uid;
mod process;
mod scheduler;
mod stderr_log;

pub use cgroup::Room;
pub use launcher::{Launcher, RuntimeInfo, info_of, probe};
pub use process::Patience;
pub use scheduler::Wanted;

use crate::agent::Event;
use crate::config::{Config, WorkerConfig};
use crate::install::WorkerId;
use crate::refusal::Refusal;
use ::scheduling::InForce;
use cgroup::Cgroups;
use launcher::Place;
use own_uid::OwnUids;
use process::Order;
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use worker_protocol::{Command, Hello};

/// The agent's side; tests have one without processes.
pub trait Workers {
    /// News follow as events; where it cannot be started, only `NotStarted`.
    fn spawn(&mut self, worker: WorkerId, app: &str, room: Room);
    /// What its starter has put around it, by name. It says itself what it has given up.
    fn surroundings(&self, worker: WorkerId) -> Vec<String>;
    /// Gives a worker that has its module what that asks for, and says what the kernel made
    /// of it. A refusal leaves it as it was, and it is not to begin.
    fn schedule(&mut self, worker: WorkerId, wanted: Wanted<'_>) -> Result<InForce, Refusal>;
    fn send(&mut self, worker: WorkerId, command: Command);
    /// The same, unless it has fallen behind: then this is dropped. For what a neighbour or
    /// the gateway can cause, so that neither gets a worker ended.
    fn offer(&mut self, worker: WorkerId, command: Command);
    /// Ends it after its present call, or a moment later by force.
    fn stop(&mut self, worker: WorkerId);
    fn kill(&mut self, worker: WorkerId);
    /// Forgets a worker that has ended.
    fn forget(&mut self, worker: WorkerId);
    fn pids(&self) -> Vec<(WorkerId, u32)>;
}

#[derive(Debug)]
pub enum WorkerNews {
    Hello(Hello),
    Event(worker_protocol::Event),
    /// No hello came. The process, if there was one, is gone.
    NotStarted(Refusal),
    /// The process is gone, and how it went.
    Ended(String),
}

fn group_of(worker: WorkerId) -> String {
    format!("worker-{worker}")
}

/// Commands that may wait for a worker; one that takes none is not well.
const ORDERS_MAX: usize = 32;

/// Real processes.
pub struct ProcessWorkers {
    launcher: Launcher,
    events: mpsc::Sender<Event>,
    uids: OwnUids,
    cgroups: Cgroups,
    live: BTreeMap<WorkerId, Live>,
}

struct Live {
    /// `None` once it was to be killed: its task then does so.
    orders: Option<mpsc::Sender<Order>>,
    pid: Option<u32>,
    surroundings: Vec<String>,
}

impl ProcessWorkers {
    pub fn new(launcher: Launcher, events: mpsc::Sender<Event>) -> Self {
        let (uids, cgroups) = (OwnUids::none(), Cgroups::none());
        Self { launcher, events, uids, cgroups, live: BTreeMap::new() }
    }

    /// With what the configuration wants around each worker, as far as it can be had.
    pub fn confined(self, config: &Config) -> Self {
        let WorkerConfig { cgroups, cpu_percent_max, .. } = config.workers;
        let cgroups = match cgroups {
            true => Cgroups::new(cpu_percent_max.into(), config.is_emulated()),
            false => Cgroups::none(),
        };
        Self { uids: OwnUids::new(config.workers.uids()), cgroups, ..self }
    }

    fn order(&mut self, worker: WorkerId, order: Order) {
        let Some(orders) = self.live.get(&worker).and_then(|live| live.orders.as_ref()) else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = orders.try_send(order) {
            tracing::warn!(worker.id = worker.0, "the worker takes no orders and is ended");
            self.kill(worker);
        }
    }
}

impl Workers for ProcessWorkers {
    fn spawn(&mut self, worker: WorkerId, app: &str, room: Room) {
        let (orders, orders_rx) = mpsc::channel(ORDERS_MAX);
        let uid = self.uids.give(worker);
        let started = self.launcher.start_in(app, Place { uid, room: Some(room) });
        let pid = started.as_ref().ok().map(|started| started.pid());
        let mut surroundings = Vec::new();
        if let Ok(started) = &started {
            surroundings.extend(started.has_own_uid.then(|| "own-user".to_owned()));
            // It has no module yet and waits for one.
            surroundings.extend(self.cgroups.admit(&group_of(worker), started.pid(), room));
        }
        let news = process::NewsSender { worker, events: self.events.clone() };
        tokio::spawn(process::supervise(started, orders_rx, news));
        self.live.insert(worker, Live { orders: Some(orders), pid, surroundings });
    }

    fn schedule(&mut self, worker: WorkerId, wanted: Wanted<'_>) -> Result<InForce, Refusal> {
        let live = self.live.get(&worker);
        let pid = live.and_then(|live| live.pid).ok_or_else(scheduler::gone)?;
        let has_group =
            live.is_some_and(|live| live.surroundings.iter().any(|name| name.ends_with("-cpu")));
        scheduler::give(pid, wanted, has_group)
    }

    fn send(&mut self, worker: WorkerId, command: Command) {
        self.order(worker, Order::Send(Box::new(command)));
    }

    fn offer(&mut self, worker: WorkerId, command: Command) {
        let live = self.live.get(&worker).and_then(|live| live.orders.as_ref());
        if let Some(orders) = live.filter(|orders| orders.capacity() > ORDERS_MAX / 2) {
            // Full or gone: dropped in either case.
            let _ = orders.try_send(Order::Offer(Box::new(command)));
        }
    }

    fn stop(&mut self, worker: WorkerId) {
        self.order(worker, Order::Stop);
    }

    fn kill(&mut self, worker: WorkerId) {
        if let Some(live) = self.live.get_mut(&worker) {
            live.orders = None;
        }
    }

    fn surroundings(&self, worker: WorkerId) -> Vec<String> {
        self.live.get(&worker).map(|live| live.surroundings.clone()).unwrap_or_default()
    }

    fn forget(&mut self, worker: WorkerId) {
        self.live.remove(&worker);
        self.uids.take_back(worker);
        self.cgroups.remove(&group_of(worker));
    }

    fn pids(&self) -> Vec<(WorkerId, u32)> {
        self.live.iter().filter_map(|(worker, live)| Some((*worker, live.pid?))).collect()
    }
}
