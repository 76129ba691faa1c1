//! What all guests of this process share: the way out, the clock, and the one call that
//! runs. One thread calls them all, so there is never more than one.

use crate::blame::BlameNote;
use crate::directories::GivenDirectory;
use crate::guest_api::unknown_time;
use crate::shared::{Shared, to_ms};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use wamr::Interrupter;
use worker_protocol::{Event, GuestId, LogLevel, LogLine, WallClock, write_guest_frame};

pub struct Process {
    outbox: Mutex<UnixStream>,
    call: Mutex<Option<RunningCall>>,
    /// What the starter told of the time, and when.
    wall_clock: Mutex<(WallClock, Instant)>,
    guests: Mutex<BTreeMap<GuestId, Arc<Shared>>>,
    /// The shortest time that a call of any guest so far may take.
    call_ms_min: AtomicU32,
    /// Sleeps for that long at most.
    supervisor: OnceLock<Thread>,
    blame: Option<BlameNote>,
    /// Until the module that they are for is loaded.
    directories: Mutex<Vec<GivenDirectory>>,
}

/// A call into a module that has not returned.
#[derive(Clone)]
pub struct RunningCall {
    pub guest: GuestId,
    pub export: String,
    pub since: Instant,
    /// How long it may take.
    pub max: Duration,
    /// Of the time since then, what was spent waiting for the starter.
    waited: Duration,
    waits_since: Option<Instant>,
    interrupter: Option<Interrupter>,
}

impl RunningCall {
    /// How long the module itself has been running: it is not to blame for a slow disk.
    pub fn elapsed(&self) -> Duration {
        let waits = self.waits_since.map_or(Duration::ZERO, |since| since.elapsed());
        self.since.elapsed().saturating_sub(self.waited + waits)
    }

    pub fn is_same(&self, other: (GuestId, Instant)) -> bool {
        (self.guest, self.since) == other
    }
}

impl Process {
    pub fn new(socket: UnixStream, blame: Option<BlameNote>) -> Self {
        Self {
            outbox: Mutex::new(socket),
            call: Mutex::default(),
            wall_clock: Mutex::new(unknown_time()),
            guests: Mutex::default(),
            call_ms_min: AtomicU32::new(u32::MAX),
            supervisor: OnceLock::new(),
            blame,
            directories: Mutex::default(),
        }
    }

    pub fn set_directories(&self, directories: Vec<GivenDirectory>) {
        *lock(&self.directories) = directories;
    }

    /// They are one module's; another finds none.
    pub fn take_directories(&self) -> Vec<GivenDirectory> {
        std::mem::take(&mut lock(&self.directories))
    }

    /// Sends one event. If the starter has gone there is nothing left to do, and
    /// this process ends, whatever its modules are doing.
    pub fn send(&self, guest: GuestId, event: &Event) {
        if write_guest_frame(&*lock(&self.outbox), guest, event).is_err() {
            process::exit(0);
        }
    }

    /// A line from the worker itself, of no guest in particular.
    pub fn send_log(&self, level: LogLevel, text: String) {
        self.send(GuestId::ONLY, &Event::Log(LogLine { level, text }));
    }

    pub fn set_wall_clock(&self, clock: WallClock) {
        *lock(&self.wall_clock) = (clock, Instant::now());
    }

    /// The time as it was told, and when that was.
    pub fn wall_clock(&self) -> (WallClock, Instant) {
        *lock(&self.wall_clock)
    }

    /// `None` if there is one of this number.
    pub fn add_guest(self: &Arc<Self>, guest: GuestId, call_max: Duration) -> Option<Arc<Shared>> {
        let mut guests = lock(&self.guests);
        if guests.contains_key(&guest) {
            return None;
        }
        let shared = Arc::new(Shared::new(Arc::clone(self), guest, call_max));
        guests.insert(guest, Arc::clone(&shared));
        let call_ms_max = to_ms(call_max);
        if call_ms_max < self.call_ms_min.fetch_min(call_ms_max, Relaxed) {
            self.supervisor.get().inspect(|supervisor| supervisor.unpark());
        }
        Some(shared)
    }

    pub fn guest(&self, guest: GuestId) -> Option<Arc<Shared>> {
        lock(&self.guests).get(&guest).cloned()
    }

    pub fn remove_guest(&self, guest: GuestId) {
        lock(&self.guests).remove(&guest);
    }

    /// Called by the supervisor itself, once.
    pub fn set_supervisor(&self) {
        let _ = self.supervisor.set(thread::current());
    }

    /// No call that has just begun is over time before this has passed.
    pub fn call_max_least(&self) -> Duration {
        Duration::from_millis(self.call_ms_min.load(Relaxed).into())
    }

    pub fn begin_call(
        &self,
        guest: GuestId,
        export: &str,
        max: Duration,
        interrupter: Option<Interrupter>,
    ) {
        if let Some(blame) = &self.blame {
            blame.note(guest);
        }
        let (export, since) = (export.to_owned(), Instant::now());
        let (waited, waits_since) = (Duration::ZERO, None);
        let call = RunningCall { guest, export, since, max, waited, waits_since, interrupter };
        *lock(&self.call) = Some(call);
    }

    pub fn end_call(&self) {
        *lock(&self.call) = None;
    }

    pub fn note_wait(&self, since: Option<Instant>) {
        if let Some(call) = lock(&self.call).as_mut() {
            let waited = call.waits_since.map_or(Duration::ZERO, |since| since.elapsed());
            call.waited += waited;
            call.waits_since = since;
        }
    }

    pub fn running_call(&self) -> Option<RunningCall> {
        lock(&self.call).clone()
    }

    /// Asks the code to stop in this call. False if the call is over or its code does
    /// not look.
    pub fn interrupt(&self, call: (GuestId, Instant)) -> bool {
        // With the lock the call cannot end and another begin in between.
        let running = lock(&self.call);
        let running = running.as_ref().filter(|running| running.is_same(call));
        let interrupter = running.and_then(|running| running.interrupter.as_ref());
        interrupter.is_some_and(Interrupter::interrupt)
    }
}

/// A panic ends the process on a device, and in a debug build every value behind
/// these locks is valid at every moment.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
