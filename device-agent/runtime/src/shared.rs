//! What the threads share of one guest: its counters, its questions, its messages.

use crate::directories::GivenDirectory;
use crate::guest_api::HostCallTally;
use crate::inbox::Inboxes;
use crate::process::{Process, RunningCall, lock};
use crate::ticks::Ticks;
use module_limits::{Limit, LimitAction};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wamr::Interrupter;
use worker_protocol::{
    Answer, Ask, Asked, Event, GuestId, LogLevel, LogLine, Outcome, Usage, WallClock,
};

/// How long a module waits for its starter.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub struct Shared {
    process: Arc<Process>,
    guest: GuestId,
    /// How long a call may take.
    call_max: Duration,
    usage: Mutex<Usage>,
    pub host_calls: HostCallTally,
    question: Mutex<Question>,
    answered: Condvar,
    inboxes: Mutex<Inboxes>,
    /// Of a module with `tick` that was started.
    ticks: Mutex<Option<Ticks>>,
}

/// What was asked last.
#[derive(Default)]
struct Question {
    id: u32,
    outcome: Option<Outcome>,
}

impl Shared {
    pub fn new(process: Arc<Process>, guest: GuestId, call_max: Duration) -> Self {
        let (usage, host_calls, question) = Default::default();
        let (answered, inboxes, ticks) = Default::default();
        Self { process, guest, call_max, usage, host_calls, question, answered, inboxes, ticks }
    }

    pub fn guest(&self) -> GuestId {
        self.guest
    }

    /// Sends one event of this guest.
    pub fn send(&self, event: &Event) {
        self.process.send(self.guest, event);
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

    /// The same for the starter, with what the ticks were like since it last asked.
    pub fn take_usage(&self) -> Usage {
        let ticks = lock(&self.ticks).as_mut().map(|ticks| Box::new(ticks.take()));
        Usage { ticks, ..self.usage() }
    }

    pub fn begin_ticks(&self, ticks: Ticks) {
        *lock(&self.ticks) = Some(ticks);
    }

    pub fn update_ticks(&self, update: impl FnOnce(&mut Ticks)) {
        if let Some(ticks) = lock(&self.ticks).as_mut() {
            update(ticks);
        }
    }

    /// Of the channels that the module subscribes to.
    pub fn inboxes(&self) -> MutexGuard<'_, Inboxes> {
        lock(&self.inboxes)
    }

    /// The time as it was told, and when that was.
    pub fn wall_clock(&self) -> (WallClock, Instant) {
        self.process.wall_clock()
    }

    /// `interrupter`: of the instance that is called, if its code looks whether it shall stop.
    pub fn begin_call(&self, export: &str, interrupter: Option<Interrupter>) {
        self.process.begin_call(self.guest, export, self.call_max, interrupter);
    }

    pub fn end_call(&self) {
        self.process.end_call();
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
        self.process.note_wait(Some(began));
        self.send(&Event::Asked(Asked { id, ask }));
        let (mut question, _) = self
            .answered
            .wait_timeout_while(lock(&self.question), ANSWER_WITHIN, |q| q.outcome.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let outcome = question.outcome.take();
        drop(question);
        self.process.note_wait(None);
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

    /// A limit was reached, and this followed.
    pub fn note_hit(&self, limit: Limit, action: LimitAction) {
        self.update_usage(|usage| usage.limits.get_or_insert_default().note(limit, action));
    }

    /// See [`Process::take_directories`].
    pub fn take_directories(&self) -> Vec<GivenDirectory> {
        self.process.take_directories()
    }

    pub fn running_call(&self) -> Option<RunningCall> {
        self.process.running_call().filter(|call| call.guest == self.guest)
    }
}

/// Milliseconds for the wire; 49 days and more are 49 days.
pub fn to_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
