//! The guest thread: WAMR, and every guest of this worker.
//!
//! One thread serves them all, in the order of [`Agenda`]. A thread for each would cost
//! more than the guest itself, because its stack becomes resident
//! (`docs/decisions/several-modules-in-one-worker.md` has the figures). So a call of one
//! guest delays the others by as much as its limits let it run, which is why the isolation
//! of modules in one worker is the weaker one.

use crate::agenda::Agenda;
use crate::alarm;
use crate::cpu_clock::CpuClock;
use crate::guest::Guest;
use crate::guest_api;
use crate::library::Library;
use crate::process::Process;
use crate::shared::Shared;
use known_answer::Step;
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wamr::{Runtime, RuntimeError};
use worker_protocol::{Event, GUEST_THREAD, GuestId, Load, LoadFailure, LogLevel, StoredValue};

/// Room for host functions and WAMR below what the modules may use themselves.
const HOST_STACK_BYTES: usize = 128 * 1024;

/// What a manifest may ask for. Below, WAMR's own guard leaves nothing; above, a
/// typing mistake takes all of a small device's memory.
const STACK_BYTES: RangeInclusive<usize> = 16 * 1024..=16 * 1024 * 1024;

/// What the guest thread is asked to do, in order.
pub enum Order {
    Load(Arc<Shared>, Box<Load>),
    Of(GuestId, Request),
    Unload(GuestId),
    /// Ends the process.
    Stop,
}

/// What is asked of one guest.
pub enum Request {
    RunChecks(Vec<Step>),
    Start { interval: Duration, stored: Option<Vec<StoredValue>> },
    RunTicks(u32),
}

/// What is left of the thread when WAMR could not be initialised. Otherwise it
/// ends with the process.
pub type GuestThread = JoinHandle<Result<(), RuntimeError>>;

/// The thread has the stack that its first module may use.
pub fn spawn(
    process: Arc<Process>,
    stack_bytes: u32,
    orders: Receiver<Order>,
) -> io::Result<GuestThread> {
    let stack_bytes = clamped(stack_bytes);
    Runtime::spawn(GUEST_THREAD, stack_bytes + HOST_STACK_BYTES, move |runtime| {
        match guest_api::register(runtime) {
            Ok(()) => Guests::new(runtime, &process, stack_bytes).serve(&orders),
            Err(error) => process.send_log(LogLevel::Error, error.to_string()),
        }
        // Reached by `Stop` and by the starter's end; nothing to wait for.
        process::exit(0);
    })
}

/// An order, or `Timeout` when it is time to do something. `None`: look again.
fn listen_until(at: Instant, orders: &Receiver<Order>) -> Option<Result<Order, RecvTimeoutError>> {
    let wait = at.saturating_duration_since(Instant::now());
    if wait > alarm::LAST_STRETCH {
        let heard = orders.recv_timeout(wait - alarm::LAST_STRETCH);
        let is_time = matches!(heard, Err(RecvTimeoutError::Timeout));
        return (!is_time).then_some(heard);
    }
    match orders.try_recv() {
        Ok(order) => Some(Ok(order)),
        Err(TryRecvError::Disconnected) => Some(Err(RecvTimeoutError::Disconnected)),
        Err(TryRecvError::Empty) => {
            alarm::sleep_until(at);
            Some(Err(RecvTimeoutError::Timeout))
        }
    }
}

fn clamped(stack_bytes: u32) -> usize {
    let asked = usize::try_from(stack_bytes).unwrap_or(usize::MAX);
    asked.clamp(*STACK_BYTES.start(), *STACK_BYTES.end())
}

struct Guests<'r> {
    library: Library<'r>,
    process: &'r Process,
    stack_bytes: usize,
    clock: Rc<CpuClock>,
    guests: BTreeMap<GuestId, Guest<'r>>,
    agenda: Agenda,
}

impl<'r> Guests<'r> {
    fn new(runtime: &'r Runtime, process: &'r Process, stack_bytes: usize) -> Self {
        let (clock, guests, agenda) =
            (Rc::new(CpuClock::new()), BTreeMap::new(), Agenda::default());
        let library = Library::new(runtime);
        Self { library, process, stack_bytes, clock, guests, agenda }
    }

    /// Works until `Stop` or the end of the main thread.
    fn serve(&mut self, orders: &Receiver<Order>) {
        loop {
            let now = Instant::now();
            // Orders first: a guest that is always due can be unloaded.
            let order = match self.agenda.next_at(now) {
                Some(at) => match listen_until(at, orders) {
                    Some(order) => order,
                    None => continue,
                },
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Order::Load(shared, load)) => self.load(&shared, *load),
                Ok(Order::Of(guest, request)) => self.obey(guest, request),
                Ok(Order::Unload(guest)) => self.unload(guest),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(guest) = self.agenda.take_due(Instant::now()) {
                        self.with(guest, Guest::take_turn);
                    }
                }
            }
        }
    }

    fn load(&mut self, shared: &Arc<Shared>, load: Load) {
        if clamped(load.limits.stack_bytes) > self.stack_bytes {
            let (has, wants) = (self.stack_bytes, load.limits.stack_bytes);
            let detail = format!(
                "the modules of this worker have {has} bytes of stack, and this one wants {wants}: \
                 give it a worker of its own"
            );
            let reason = LoadFailure::OverLimit;
            return shared.send(&Event::LoadFailed { reason, detail });
        }
        match Guest::load(&mut self.library, shared, &self.clock, load) {
            Ok(guest) => {
                self.guests.insert(shared.guest(), guest);
            }
            Err((reason, detail)) => shared.send(&Event::LoadFailed { reason, detail }),
        }
    }

    fn obey(&mut self, guest: GuestId, request: Request) {
        if !self.with(guest, |guest| guest.obey(request)) {
            let detail = "no module is loaded".to_owned();
            self.process.send(guest, &Event::Rejected { detail });
        }
    }

    fn unload(&mut self, guest: GuestId) {
        self.agenda.set(guest, 0, None);
        // One that could not be loaded has a number all the same.
        drop(self.guests.remove(&guest));
        self.process.remove_guest(guest);
        self.process.send(guest, &Event::Unloaded);
    }

    /// False if there is no such guest.
    fn with(&mut self, id: GuestId, act: impl FnOnce(&mut Guest<'r>)) -> bool {
        let Some(guest) = self.guests.get_mut(&id) else { return false };
        act(guest);
        // From when its turn ended, or one with a short interval would always have waited
        // the longest.
        let at = guest.wakes_at().map(|at| at.max(Instant::now()));
        self.agenda.set(id, guest.priority(), at);
        true
    }
}
