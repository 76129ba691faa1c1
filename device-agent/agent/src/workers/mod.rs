//! Worker processes: `farrier-runtime`, started through the configured launcher.
//!
//! The agent gives orders through [`Workers`] and hears [`WorkerNews`]. To it a worker is
//! what runs one module; that several modules may share a process is known here alone.
//! One task owns one process ([`process`]): it waits for the hello, passes messages on,
//! watches that the worker answers, and ends and reaps it. A worker's standard
//! input is a socket; when the agent goes, the socket closes and the worker with
//! it.

mod cgroup;
mod crew;
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
pub use scheduler::{Appetite, Wanted, rttime_us_max};

use crate::agent::Event;
use crate::app_files::OpenDirectory;
use crate::config::{Config, WorkerConfig};
use crate::install::WorkerId;
use crate::refusal::Refusal;
use ::scheduling::InForce;
use cgroup::Cgroups;
use launcher::Place;
use own_uid::OwnUids;
use process::{Beginning, Order};
use std::collections::BTreeMap;
use std::io;
use tokio::sync::mpsc;
use worker_protocol::{Command, GuestId, Hello};

/// The agent's side; tests have one without processes.
pub trait Workers {
    /// News follow as events; where it cannot be started, only `NotStarted`.
    fn spawn(&mut self, worker: WorkerId, app: &str, room: Room);
    /// For the worker that is started next under this number.
    fn give_directories(&mut self, _worker: WorkerId, _directories: Vec<OpenDirectory>) {}
    /// What its starter has put around it, by name. It says itself what it has given up.
    fn surroundings(&self, worker: WorkerId) -> Vec<String>;
    /// Gives a worker that has its module what that asks for, and says what the kernel made
    /// of it. A refusal leaves it as it was, and it is not to begin.
    fn schedule(&mut self, worker: WorkerId, wanted: Wanted<'_>) -> Result<InForce, Refusal>;
    /// The same for a module that shares a process with others of this group. Tests and
    /// simulations give it a worker of its own.
    fn spawn_in_group(&mut self, worker: WorkerId, app: &str, room: Room, _group: &str) {
        self.spawn(worker, app, room);
    }
    /// Of the thread that calls its module. Unknown where others run in its process, or the
    /// kernel does not say.
    fn appetite(&self, _worker: WorkerId) -> Option<Appetite> {
        None
    }
    /// Lets it have what others leave, or what all get again.
    fn lower(&mut self, _worker: WorkerId, _is_low: bool) -> io::Result<()> {
        Ok(())
    }
    /// The process that it runs in.
    fn seat(&self, _worker: WorkerId) -> Option<Seat> {
        None
    }
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
    /// The process is gone, and how it went; or only the module is.
    Ended(String),
    /// The same, and another module of the process is to blame.
    Displaced {
        by: String,
        how: String,
    },
}

/// The process of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    pub pid: u32,
    /// How many modules it runs, with this one.
    pub modules: usize,
}

fn group_of(worker: WorkerId) -> String {
    format!("worker-{worker}")
}

/// Commands that may wait for a worker; one that takes none is not well.
const ORDERS_MAX: usize = 32;

/// The same for a process of several modules.
const GROUP_ORDERS_MAX: usize = 4_096;

/// Real processes.
pub struct ProcessWorkers {
    launcher: Launcher,
    events: mpsc::Sender<Event>,
    uids: OwnUids,
    cgroups: Cgroups,
    shared_bytes_max: u64,
    /// By the worker that each was started for.
    processes: BTreeMap<WorkerId, LiveProcess>,
    /// Where each worker's module is.
    live: BTreeMap<WorkerId, Live>,
    /// Of those that are about to be started.
    directories: BTreeMap<WorkerId, Vec<OpenDirectory>>,
}

struct LiveProcess {
    orders: mpsc::Sender<Order>,
    pid: Option<u32>,
    surroundings: Vec<String>,
    /// Of modules that share it.
    group: Option<String>,
    /// What is promised to its modules, of so many bytes at most.
    used_bytes: u64,
    bytes_max: u64,
    last_guest: u32,
}

struct Live {
    process: WorkerId,
    guest: GuestId,
    bytes: u64,
    /// It was told to end, so it hears nothing more.
    is_ending: bool,
}

impl ProcessWorkers {
    pub fn new(launcher: Launcher, events: mpsc::Sender<Event>) -> Self {
        let (uids, cgroups) = (OwnUids::none(), Cgroups::none());
        let shared_bytes_max = WorkerConfig::default().shared_bytes_max();
        let (processes, live, directories) = Default::default();
        Self { launcher, events, uids, cgroups, shared_bytes_max, processes, live, directories }
    }

    /// With what the configuration wants around each worker, as far as it can be had.
    pub fn confined(self, config: &Config) -> Self {
        let WorkerConfig { cgroups, cpu_percent_max, .. } = config.workers;
        let cgroups = match cgroups {
            true => Cgroups::new(cpu_percent_max.into(), config.is_emulated()),
            false => Cgroups::none(),
        };
        let shared_bytes_max = config.workers.shared_bytes_max();
        Self { uids: OwnUids::new(config.workers.uids()), cgroups, shared_bytes_max, ..self }
    }

    fn start(&mut self, worker: WorkerId, app: &str, room: Room, group: Option<&str>) {
        let orders_max = if group.is_some() { GROUP_ORDERS_MAX } else { ORDERS_MAX };
        let (orders, orders_rx) = mpsc::channel(orders_max);
        let uid = self.uids.give(worker);
        // A process that others join has room for them from the beginning: nobody can give
        // it more later.
        let bytes_max = match group {
            Some(_) => self.shared_bytes_max.max(room.data_bytes_max()),
            None => room.data_bytes_max(),
        };
        let label = group.unwrap_or(app);
        let (data_bytes_max, rttime_us_max) = (Some(bytes_max), room.rttime_us_max);
        let place = Place { uid, data_bytes_max, rttime_us_max, is_shared: group.is_some() };
        let directories = self.directories.remove(&worker).unwrap_or_default();
        let started = self.launcher.start_with(label, place, &directories);
        let pid = started.as_ref().ok().map(|started| started.pid());
        let mut surroundings = Vec::new();
        if let Ok(started) = &started {
            surroundings.extend(started.has_own_uid.then(|| "own-user".to_owned()));
            // It has no module yet and waits for one.
            let in_force = self.cgroups.admit(&group_of(worker), started.pid(), room, bytes_max);
            surroundings.extend(in_force);
        }
        let guest = if group.is_some() { GuestId(1) } else { GuestId::ONLY };
        let news = process::NewsSender(self.events.clone());
        let first = (guest, worker, app.to_owned());
        let beginning = Beginning { started, orders: orders_rx, news, first };
        tokio::spawn(process::supervise(beginning));
        let process = LiveProcess {
            orders,
            pid,
            surroundings,
            group: group.map(str::to_owned),
            used_bytes: room.data_bytes_max(),
            bytes_max,
            last_guest: guest.0,
        };
        self.processes.insert(worker, process);
        let bytes = room.module_bytes();
        self.live.insert(worker, Live { process: worker, guest, bytes, is_ending: false });
    }

    /// A process of this group that goes on and has room for one more.
    fn find_company(&self, group: &str, bytes: u64) -> Option<WorkerId> {
        let fits = |process: &LiveProcess| {
            process.group.as_deref() == Some(group)
                && process.pid.is_some()
                && !process.orders.is_closed()
                && process.used_bytes.saturating_add(bytes) <= process.bytes_max
        };
        let stays =
            |id: WorkerId| self.live.values().any(|live| live.process == id && !live.is_ending);
        let mut candidates = self.processes.iter();
        candidates.find(|(id, process)| fits(process) && stays(**id)).map(|(id, _)| *id)
    }

    fn order(&mut self, worker: WorkerId, order: impl FnOnce(GuestId) -> Order) {
        let Some(live) = self.live.get(&worker).filter(|live| !live.is_ending) else { return };
        let Some(process) = self.processes.get(&live.process) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = process.orders.try_send(order(live.guest))
        {
            tracing::warn!(worker.id = worker.0, "the worker takes no orders and is ended");
            self.end_process(live.process);
        }
    }

    /// Its task ends it once nobody can give orders any more.
    fn end_process(&mut self, process: WorkerId) {
        if let Some(process) = self.processes.get_mut(&process) {
            process.orders = mpsc::channel(1).0;
        }
    }
}

impl Workers for ProcessWorkers {
    fn spawn(&mut self, worker: WorkerId, app: &str, room: Room) {
        self.start(worker, app, room, None);
    }

    fn spawn_in_group(&mut self, worker: WorkerId, app: &str, room: Room, group: &str) {
        let bytes = room.module_bytes();
        let Some(id) = self.find_company(group, bytes) else {
            return self.start(worker, app, room, Some(group));
        };
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.last_guest += 1;
        process.used_bytes += bytes;
        let guest = GuestId(process.last_guest);
        self.live.insert(worker, Live { process: id, guest, bytes, is_ending: false });
        self.order(worker, |guest| Order::Join(guest, worker, app.to_owned()));
    }

    fn schedule(&mut self, worker: WorkerId, wanted: Wanted<'_>) -> Result<InForce, Refusal> {
        let seat = self.seat(worker).ok_or_else(scheduler::gone)?;
        let has_group = self.surroundings(worker).iter().any(|name| name.ends_with("-cpu"));
        scheduler::give(seat.pid, wanted, has_group)
    }

    fn give_directories(&mut self, worker: WorkerId, directories: Vec<OpenDirectory>) {
        self.directories.insert(worker, directories);
    }

    fn appetite(&self, worker: WorkerId) -> Option<Appetite> {
        let process = self.processes.get(&self.live.get(&worker)?.process)?;
        let is_alone = process.group.is_none();
        is_alone.then(|| scheduler::appetite(process.pid?)).flatten()
    }

    fn lower(&mut self, worker: WorkerId, is_low: bool) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let seat = self.seat(worker).ok_or_else(gone)?;
        // Its group decides against other groups, whatever its threads are in it.
        if self.surroundings(worker).iter().any(|name| name.ends_with("-cpu")) {
            let process = self.live.get(&worker).ok_or_else(gone)?.process;
            return self.cgroups.lower(&group_of(process), is_low);
        }
        scheduler::lower(seat.pid, is_low)
    }

    fn send(&mut self, worker: WorkerId, command: Command) {
        // The time is told to a process, by its first module.
        if let (Command::SetClock(_), Some(live)) = (&command, self.live.get(&worker)) {
            let (id, guest) = (live.process, live.guest);
            if self.live.values().any(|other| other.process == id && other.guest < guest) {
                return;
            }
        }
        self.order(worker, |guest| Order::Send(guest, Box::new(command)));
    }

    fn offer(&mut self, worker: WorkerId, command: Command) {
        let Some(live) = self.live.get(&worker).filter(|live| !live.is_ending) else { return };
        let Some(process) = self.processes.get(&live.process) else { return };
        if process.orders.capacity() > process.orders.max_capacity() / 2 {
            // Full or gone: dropped in either case.
            let _ = process.orders.try_send(Order::Offer(live.guest, Box::new(command)));
        }
    }

    fn stop(&mut self, worker: WorkerId) {
        self.order(worker, Order::Stop);
        if let Some(live) = self.live.get_mut(&worker) {
            live.is_ending = live.guest != GuestId::ONLY;
        }
    }

    fn kill(&mut self, worker: WorkerId) {
        let Some(live) = self.live.get_mut(&worker) else { return };
        if live.guest == GuestId::ONLY {
            let process = live.process;
            return self.end_process(process);
        }
        live.is_ending = false;
        self.order(worker, Order::Kill);
        if let Some(live) = self.live.get_mut(&worker) {
            live.is_ending = true;
        }
    }

    fn surroundings(&self, worker: WorkerId) -> Vec<String> {
        let process = self.live.get(&worker).and_then(|live| self.processes.get(&live.process));
        process.map(|process| process.surroundings.clone()).unwrap_or_default()
    }

    fn forget(&mut self, worker: WorkerId) {
        let Some(live) = self.live.remove(&worker) else { return };
        if let Some(process) = self.processes.get_mut(&live.process) {
            process.used_bytes = process.used_bytes.saturating_sub(live.bytes);
        }
        if !self.live.values().any(|other| other.process == live.process) {
            self.processes.remove(&live.process);
            self.uids.take_back(live.process);
            self.cgroups.remove(&group_of(live.process));
        }
    }

    fn seat(&self, worker: WorkerId) -> Option<Seat> {
        let of = self.live.get(&worker)?.process;
        let pid = self.processes.get(&of)?.pid?;
        let modules = self.live.values().filter(|live| live.process == of).count();
        Some(Seat { pid, modules })
    }

    fn pids(&self) -> Vec<(WorkerId, u32)> {
        let pid_of = |live: &Live| self.processes.get(&live.process)?.pid;
        self.live.iter().filter_map(|(worker, live)| Some((*worker, pid_of(live)?))).collect()
    }
}
