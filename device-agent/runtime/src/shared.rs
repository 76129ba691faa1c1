//! What the three threads share: the way out, the counters, the running call.

use crate::guest_api::{HostCallTally, unknown_time};
use crate::inbox::Inboxes;
use module_limits::{Limit, LimitAction};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wamr::Interrupter;
use worker_protocol::{
    Answer, Ask, Asked, Event, LogLevel, LogLine, Outcome, Usage, WallClock, write_frame,
};

/// How long a module waits for its starter.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub struct Shared {
    outbox: Mutex<UnixStream>,
    usage: Mutex<Usage>,
    call: Mutex<Option<RunningCall>>,
    interrupter: Mutex<Option<Interrupter>>,
    /// What the starter told of the time, and when.
    wall_clock: Mutex<(WallClock, Instant)>,
    pub host_calls: HostCallTally,
    question: Mutex<Question>,
    answered: Condvar,
    inboxes: Mutex<Inboxes>,
}

/// What was asked last.
#[derive(Default)]
struct Question {
    id: u32,
    outcome: Option<Outcome>,
}

/// A call into the module that has not returned.
#[derive(Debug, Clone)]
pub struct RunningCall {
    pub export: String,
    pub since: Instant,
    /// Of the time since then, what was spent waiting for the starter.
    waited: Duration,
    waits_since: Option<Instant>,
}

impl RunningCall {
    /// How long the module itself has been running: it is not to blame for a slow disk.
    pub fn elapsed(&self) -> Duration {
        let waits = self.waits_since.map_or(Duration::ZERO, |since| since.elapsed());
        self.since.elapsed().saturating_sub(self.waited + waits)
    }
}

impl Shared {
    pub fn new(socket: UnixStream) -> Self {
        let (usage, call, interrupter, host_calls) = Default::default();
        let wall_clock = Mutex::new(unknown_time());
        let (question, answered, inboxes) = Default::default();
        Self {
            outbox: Mutex::new(socket),
            usage,
            call,
            interrupter,
            wall_clock,
            host_calls,
            question,
            answered,
            inboxes,
        }
    }

    /// Sends one event. If the starter has gone there is nothing left to do, and
    /// this process ends, whatever the module is doing.
    pub fn send(&self, event: &Event) {
        if write_frame(&*lock(&self.outbox), event).is_err() {
            process::exit(0);
        }
    }

    /// A line from the worker itself, in the module's log.
    pub fn send_log(&self, level: LogLevel, text: String) {
        self.send(&Event::Log(LogLine { level, text }));
    }

    pub fn update_usage(&self, update: impl FnOnce(&mut Usage)) {
        update(&mut lock(&self.usage));
    }

    /// The counters, with the present call's time and the calls from the module filled in.
    pub fn usage(&self) -> Usage {
        let running = self.running_call().map(|call| to_ms(call.since.elapsed()));
        let mut usage = Usage { call_running_ms: running, ..lock(&self.usage).clone() };
        let (host_calls, inboxes) = (self.host_calls.usage(), self.inboxes().usage());
        if !host_calls.is_empty() || !inboxes.is_empty() {
            let guest = usage.guest.get_or_insert_default();
            (guest.host_calls, guest.inboxes) = (host_calls, inboxes);
        }
        usage
    }

    /// Of the channels that the module subscribes to.
    pub fn inboxes(&self) -> MutexGuard<'_, Inboxes> {
        lock(&self.inboxes)
    }

    pub fn set_wall_clock(&self, clock: WallClock) {
        *lock(&self.wall_clock) = (clock, Instant::now());
    }

    /// The time as it was told, and when that was.
    pub fn wall_clock(&self) -> (WallClock, Instant) {
        *lock(&self.wall_clock)
    }

    pub fn begin_call(&self, export: &str) {
        let (export, since) = (export.to_owned(), Instant::now());
        let call = RunningCall { export, since, waited: Duration::ZERO, waits_since: None };
        *lock(&self.call) = Some(call);
    }

    pub fn end_call(&self) {
        *lock(&self.call) = None;
    }

    /// Asks the starter, from the guest thread, and waits for the answer. Where none
    /// comes, it may have done it all the same.
    pub fn ask(&self, ask: Ask) -> Outcome {
        let mut question = lock(&self.question);
        question.id = question.id.wrapping_add(1);
        question.outcome = None;
        let id = question.id;
        drop(question);
        let began = Instant::now();
        self.note_wait(Some(began));
        self.send(&Event::Asked(Asked { id, ask }));
        let (mut question, _) = self
            .answered
            .wait_timeout_while(lock(&self.question), ANSWER_WITHIN, |q| q.outcome.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let outcome = question.outcome.take();
        drop(question);
        self.note_wait(None);
        outcome.unwrap_or(Outcome::Unavailable)
    }

    /// One that comes too late is for nobody.
    pub fn take_answer(&self, answer: Answer) {
        let mut question = lock(&self.question);
        if question.id == answer.id {
            question.outcome = Some(answer.outcome);
            self.answered.notify_all();
        }
    }

    fn note_wait(&self, since: Option<Instant>) {
        if let Some(call) = lock(&self.call).as_mut() {
            let waited = call.waits_since.map_or(Duration::ZERO, |since| since.elapsed());
            call.waited += waited;
            call.waits_since = since;
        }
    }

    /// A limit was reached, and this followed.
    pub fn note_hit(&self, limit: Limit, action: LimitAction) {
        self.update_usage(|usage| usage.limits.get_or_insert_default().note(limit, action));
    }

    /// Of the instance that is called now, if its code looks whether it shall stop.
    pub fn set_interrupter(&self, interrupter: Option<Interrupter>) {
        *lock(&self.interrupter) = interrupter;
    }

    /// Asks the code to stop in the call that began then. False if that call is over or
    /// its code does not look.
    pub fn interrupt(&self, since: Instant) -> bool {
        // With the lock the call cannot end and another begin in between.
        let call = lock(&self.call);
        let is_running = call.as_ref().is_some_and(|call| call.since == since);
        is_running && lock(&self.interrupter).as_ref().is_some_and(Interrupter::interrupt)
    }

    pub fn running_call(&self) -> Option<RunningCall> {
        lock(&self.call).clone()
    }
}

/// Milliseconds for the wire; 49 days and more are 49 days.
pub fn to_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// A panic ends the process on a device, and in a debug build every value behind
/// these locks is valid at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
