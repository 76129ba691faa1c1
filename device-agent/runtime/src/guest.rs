//! One guest: a module, and the instance of it that runs.
//!
//! An instance that trapped is never called again. It is thrown away at once, and
//! a fresh one is made from the loaded module after a growing delay.

use crate::backoff::Backoff;
use crate::checks;
use crate::cpu_clock::{self, CpuClock};
use crate::gas_keeper::GasKeeper;
use crate::guest_api::{GuestState, Meters};
use crate::guests::Request;
use crate::library::Library;
use crate::program;
use crate::shared::{Shared, to_ms};
use crate::ticks::{Tick, Ticks};
use crate::trap_kind::{Sort, sort_of};
use known_answer::Step;
use module_limits::{Limit, LimitAction, LimitActions};
use scheduling::RealTime;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wamr::{
    CallError, FuncType, Instance, InstanceConfig, InstantiateError, LoadError, Module, Trap,
    TrapKind, Value, ValueType,
};
use worker_protocol::{Activity, Event, Grants, Load, LoadFailure, LogLevel, StoredValue, Usage};

/// The name under which a module's start function appears in events.
const START_FUNCTION: &str = "(start)";

const NO_INSTANCE: &str = "the module trapped and has no instance at the moment";

/// Asked after each tick how the module is.
const HEALTH_EXPORT: &str = "farrier_health";

impl<'r> Guest<'r> {
    /// Loads the module and makes its first instance.
    pub fn load(
        library: &mut Library<'r>,
        shared: &Arc<Shared>,
        clock: &Rc<CpuClock>,
        load: Load,
    ) -> Result<Self, (LoadFailure, String)> {
        let module = load_module(library, shared, &load)?;
        let Load { limits, grants, artifact, app, priority, real_time, .. } = load;
        // The module has its own copy.
        drop(artifact);
        let has_gas_limit = limits.gas_per_call_max.is_some() || limits.gas_per_s_max.is_some();
        if has_gas_limit && module.metering().is_none() {
            let detail = "its gas is limited, but the artifact counts none: deploy it again";
            return Err((LoadFailure::OverLimit, detail.to_owned()));
        }
        let meters = Meters::new(Arc::clone(shared), &app, &limits, &grants);
        meters.check_directories().map_err(|detail| (LoadFailure::Instantiation, detail))?;
        let is_program = program::is_program(&module);
        // A program has one entry, whatever else it exports.
        let has = |export| !is_program && is_entry(&module, export, &meters);
        let (has_init, has_tick, has_health) = (has("init"), has("tick"), has(HEALTH_EXPORT));
        let mut guest = Guest {
            shared: Arc::clone(shared),
            clock: Rc::clone(clock),
            cpu_ns: 0,
            priority: priority.unwrap_or(0),
            gas: GasKeeper::new(&limits, Instant::now()),
            actions: limits.actions(),
            memory_bytes_max: limits.memory_bytes_max,
            meters,
            grants,
            module,
            instance: None,
            is_halted: false,
            warned_at: None,
            gas_before: None,
            has_init,
            has_tick,
            has_health,
            is_program,
            is_rerun: false,
            steps: vec![],
            backoff: Backoff::new(),
            resume_at: Instant::now(),
            interval: None,
            real_time,
            is_initialised: false,
            has_started: false,
        };
        match guest.new_instance() {
            Ok(instance) => guest.instance = Some(instance),
            Err(error) => return Err((reason_of(&error), error.to_string())),
        }
        guest.set_activity(Activity::Loaded);
        guest.meter();
        shared.send(&Event::Loaded { has_init, has_tick });
        Ok(guest)
    }

    fn new_instance(&mut self) -> Result<Instance<'r>, InstantiateError> {
        let gas = self.gas.limits(Instant::now());
        let state = GuestState::new(&self.grants, self.meters.clone());
        let memory_bytes_max = Some(self.memory_bytes_max);
        self.shared.begin_call(START_FUNCTION, None);
        let config = InstanceConfig { memory_bytes_max, gas, state: Box::new(state) };
        let instance = Instance::of_shared(Rc::clone(&self.module), config);
        let instance = match program::has_initialize(&self.module) {
            true => instance.and_then(program::initialize),
            false => instance,
        };
        self.shared.end_call();
        // What a host function had against a start function is in the error.
        self.meters.take_ended_by();
        instance
    }
}

fn reason_of(error: &InstantiateError) -> LoadFailure {
    match error {
        InstantiateError::OverLimit { .. }
        | InstantiateError::OutOfGas { .. }
        | InstantiateError::Failed(Trap { kind: TrapKind::OutOfGas, .. }) => LoadFailure::OverLimit,
        InstantiateError::Failed(_) | InstantiateError::NotMetered => LoadFailure::Instantiation,
    }
}

fn load_module<'r>(
    library: &mut Library<'r>,
    shared: &Shared,
    load: &Load,
) -> Result<Rc<Module<'r>>, (LoadFailure, String)> {
    shared.begin_call(START_FUNCTION, None);
    let module = library.load(&load.artifact);
    shared.end_call();
    module.map_err(|error| {
        let reason = match &error {
            LoadError::Profile(_) => LoadFailure::WrongProfile,
            // Only builds for tests interpret.
            LoadError::Malformed(_) | LoadError::NotWasm => LoadFailure::Malformed,
            LoadError::UnknownImports { .. } | LoadError::ImportType { .. } => {
                LoadFailure::UnknownImport
            }
        };
        (reason, error.to_string())
    })
}

/// Whether the module exports this entry point. One of another type is somebody
/// else's function of that name; the developer is told why it is not called.
fn is_entry(module: &Module<'_>, export: &str, meters: &Meters) -> bool {
    let wanted = FuncType::new([], [ValueType::I32]);
    match module.function_type(export) {
        None => false,
        Some(found) if *found == wanted => true,
        Some(found) => {
            let text =
                format!("export {export} has the type {found}, not {wanted}, so it is not called");
            meters.log(LogLevel::Warn, text);
            false
        }
    }
}

pub struct Guest<'r> {
    pub shared: Arc<Shared>,
    clock: Rc<CpuClock>,
    /// What the thread has spent on this guest.
    cpu_ns: u64,
    priority: u8,
    pub meters: Meters,
    gas: GasKeeper,
    actions: LimitActions,
    memory_bytes_max: u64,
    grants: Grants,
    module: Rc<Module<'r>>,
    /// None between a trap and the fresh instance.
    instance: Option<Instance<'r>>,
    /// It reached a limit that stops it, and is not called again.
    pub is_halted: bool,
    /// When there was last a warning of a limit of gas.
    warned_at: Option<Instant>,
    /// What the instances before used, of a metered module.
    gas_before: Option<u64>,
    has_init: bool,
    has_tick: bool,
    has_health: bool,
    /// It is called by `_start` alone.
    pub is_program: bool,
    /// The next instance is for another run of a program that ended well.
    pub is_rerun: bool,
    /// The last steps given, which a module without `tick` repeats.
    steps: Vec<Step>,
    backoff: Backoff,
    /// When there is next something to do: a tick or a fresh instance.
    pub resume_at: Instant,
    /// Set by `Start`.
    pub interval: Option<Duration>,
    /// What its ticks are measured by; best-effort where it is not given.
    real_time: Option<RealTime>,
    /// Whether the present instance's `init` has returned, or it has none.
    is_initialised: bool,
    /// Whether `Started` was sent.
    has_started: bool,
}

impl Guest<'_> {
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// When it has something to do by itself: a tick, or a fresh instance.
    pub fn wakes_at(&self) -> Option<Instant> {
        let has_work = !self.is_halted && (self.interval.is_some() || self.instance.is_none());
        has_work.then_some(self.resume_at)
    }

    /// Does what its starter asks.
    pub fn obey(&mut self, request: Request) {
        match request {
            Request::RunChecks(steps) => self.run_asked_checks(steps),
            Request::Start { interval, stored } => self.start(interval, stored),
            Request::RunTicks(ticks) => self.run_ticks(ticks),
        }
        self.meter();
        self.meters.tell_dropped_lines(Instant::now());
    }

    /// Does what is due.
    pub fn take_turn(&mut self) {
        self.resume();
        self.meter();
        self.meters.tell_dropped_lines(Instant::now());
    }

    fn run_asked_checks(&mut self, steps: Vec<Step>) {
        self.steps = steps;
        let Some((passed, failed)) = self.run_checks() else {
            return self.shared.send(&Event::Rejected { detail: NO_INSTANCE.to_owned() });
        };
        self.shared.send(&Event::ChecksDone { passed, failed });
    }

    fn run_ticks(&mut self, ticks: u32) {
        let refusal = match (self.instance.is_some(), self.interval.is_some(), self.has_tick) {
            (_, true, _) => "the module ticks by itself, since it has been started",
            (_, _, false) => "the module has no tick",
            (false, ..) => NO_INSTANCE,
            _ => {
                self.meters.begin_replay();
                if !self.is_initialised {
                    self.initialise();
                }
                let mut done = 0;
                while done < ticks && self.is_initialised && self.call_entry("tick") {
                    done += 1;
                    if self.has_health {
                        self.ask_health();
                    }
                }
                self.meter();
                return self.shared.send(&Event::TicksDone { ticks: done });
            }
        };
        self.shared.send(&Event::Rejected { detail: refusal.to_owned() });
    }

    fn start(&mut self, interval: Duration, stored: Option<Vec<StoredValue>>) {
        if self.interval.is_some() {
            let detail = "the module has been started".to_owned();
            return self.shared.send(&Event::Rejected { detail });
        }
        if let Some(stored) = stored {
            self.meters.storage().begin(stored);
        }
        self.meters.show_storage();
        self.interval = Some(interval);
        if self.has_tick {
            self.shared.begin_ticks(Ticks::new(interval, self.real_time.as_ref()));
        }
        if self.instance.is_some() {
            self.initialise();
        }
    }

    /// The time has come for a tick or for a fresh instance.
    fn resume(&mut self) {
        if self.instance.is_none() {
            return self.restart();
        }
        let due = self.resume_at;
        let now = Instant::now();
        if let Some(wait) = self.gas.wait(now) {
            self.shared.update_ticks(Ticks::note_pause);
            // Where a clock cannot hold it, a day is as good.
            let later = now.checked_add(wait);
            self.resume_at = later.unwrap_or(now + Duration::from_secs(24 * 60 * 60));
            return;
        }
        self.show_throttled(false);
        // Whole intervals only, so that a late tick does not shift the next ones
        // and a long pause is not made up for.
        let mut passed: u64 = 0;
        if let Some(interval) = self.interval {
            let now = Instant::now();
            while self.resume_at <= now {
                let missed = now.saturating_duration_since(self.resume_at).as_nanos();
                let intervals = missed / interval.as_nanos().max(1) + 1;
                passed = passed.saturating_add(u64::try_from(intervals).unwrap_or(u64::MAX));
                self.resume_at += interval * u32::try_from(intervals).unwrap_or(u32::MAX);
            }
        }
        if self.has_tick {
            self.tick(due, passed.saturating_sub(1));
        } else if !self.steps.is_empty() {
            self.repeat_checks();
        }
        if self.has_health && self.instance.is_some() {
            self.ask_health();
        }
    }

    /// `skipped`: ticks that were due since this one was.
    fn tick(&mut self, due: Instant, skipped: u64) {
        let is_limited = self.real_time.is_some();
        let cpu_before = if is_limited { cpu_clock::now_ns() } else { 0 };
        let began = Instant::now();
        let has_returned = self.call_entry("tick");
        let ended = Instant::now();
        let cpu_ns = if is_limited { cpu_clock::now_ns().saturating_sub(cpu_before) } else { 0 };
        self.shared.update_ticks(|ticks| {
            ticks.note_skipped(skipped);
            match has_returned {
                true => ticks.note(&Tick { due, began, ended, cpu: Duration::from_nanos(cpu_ns) }),
                false => ticks.note_pause(),
            }
        });
    }

    /// The module's own word on how it is. A trap in it is a trap like any other.
    fn ask_health(&mut self) {
        let Some(last) = self.call(HEALTH_EXPORT) else { return };
        self.shared.update_usage(|usage| {
            let health = usage.health.get_or_insert_default();
            health.last = last;
            health.sick += u64::from(last != 0);
        });
    }

    fn restart(&mut self) {
        match self.new_instance() {
            Ok(instance) => {
                self.instance = Some(instance);
                let is_rerun = std::mem::take(&mut self.is_rerun);
                self.shared.update_usage(|usage| usage.restarts += u64::from(!is_rerun));
                self.set_activity(Activity::Loaded);
                if self.interval.is_some() {
                    self.initialise();
                }
            }
            Err(error) => {
                let sort = match &error {
                    InstantiateError::Failed(trap) => sort_of(trap),
                    InstantiateError::OutOfGas { .. } => Sort::of(module_traps::TrapKind::OutOfGas),
                    _ => Sort::of(module_traps::TrapKind::Other),
                };
                self.report_trap(START_FUNCTION, error.to_string(), sort);
            }
        }
    }

    /// Calls `init` where there is one. Ticks begin once it has returned.
    fn initialise(&mut self) {
        if self.has_init && !self.call_entry("init") {
            return;
        }
        self.is_initialised = true;
        // Its first tick is due now, however long it took until here.
        self.resume_at = Instant::now();
        self.set_activity(Activity::Running);
        if !self.has_started {
            self.has_started = true;
            self.shared.send(&Event::Started);
        }
        if self.is_program {
            self.run_program();
        }
    }

    /// Calls `init` or `tick`. False after a trap.
    fn call_entry(&mut self, export: &str) -> bool {
        self.shared.update_usage(|usage| usage.calls += 1);
        match self.call(export) {
            Some(0) => true,
            Some(code) => {
                self.shared.update_usage(|usage| usage.error_returns += 1);
                self.meters.log(LogLevel::Warn, format!("{export} returned {code}"));
                true
            }
            None => false,
        }
    }

    /// Calls an export of type `() -> i32`. `None` after a trap.
    fn call(&mut self, export: &str) -> Option<i32> {
        match self.invoke(export)?.as_deref() {
            Ok([Value::I32(code)]) => return Some(*code),
            Err(CallError::Trap(trap)) => self.end_by_trap(export, trap),
            // Name and type were checked when the module was loaded.
            other => {
                self.discard(
                    export,
                    format!("call {export}: {other:?}"),
                    Sort::of(module_traps::TrapKind::Other),
                );
            }
        }
        None
    }

    /// Calls an export without parameters, within its gas. `None` without an instance.
    pub fn invoke(&mut self, export: &str) -> Option<Result<Vec<Value>, CallError>> {
        let gas_before = self.allow_gas();
        let instance = self.instance.as_mut()?;
        self.shared.begin_call(export, instance.interrupter());
        let outcome = instance.call(export, &[]);
        self.shared.end_call();
        self.settle_gas(gas_before);
        Some(outcome)
    }

    /// Sets what the next call may use. What the instance has used so far.
    fn allow_gas(&mut self) -> u64 {
        let Some(instance) = &mut self.instance else { return 0 };
        let Some(used) = instance.gas_used() else { return 0 };
        instance.set_gas_limits(self.gas.limits(Instant::now()));
        used
    }

    /// Takes what has been used since, and does what follows.
    fn settle_gas(&mut self, gas_before: u64) {
        let Some(used) = self.instance.as_ref().and_then(Instance::gas_used) else { return };
        let used = used.saturating_sub(gas_before);
        let now = Instant::now();
        for (limit, action) in self.gas.settle(used, now) {
            self.shared.note_hit(limit, action);
            let has_waited = self.warned_at.is_none_or(|at| now - at >= Duration::from_secs(1));
            if action == LimitAction::Warn && has_waited {
                self.warned_at = Some(now);
                self.meters.warn(format!("{limit}: the last call used {used} gas"));
            }
        }
        if self.gas.wait(now).is_some() {
            self.show_throttled(true);
        }
    }

    fn show_throttled(&self, is_throttled: bool) {
        self.shared.update_usage(|usage| {
            // Nothing is said of a module that never was.
            if is_throttled || usage.throttled.is_some() {
                usage.throttled = Some(is_throttled);
            }
        });
    }

    /// A call has ended in a trap: its own, or because a limit was reached.
    pub fn end_by_trap(&mut self, export: &str, trap: &Trap) {
        let by_host = self.meters.take_ended_by();
        let sort = sort_of(trap);
        let (limit, detail) = match (trap.kind, by_host) {
            (TrapKind::OutOfGas, _) => {
                let limit = self.gas.reached();
                (limit, self.gas.words(limit))
            }
            (TrapKind::Interrupted, _) => {
                (Limit::CallTime, "ran longer than its time and was interrupted".to_owned())
            }
            (TrapKind::Guest, Some(limit)) => (limit, trap.reason.clone()),
            (TrapKind::Guest, None) => return self.discard(export, trap.reason.clone(), sort),
        };
        match self.actions.at(limit) {
            LimitAction::Stop => self.halt(limit, format!("{export}: {detail}")),
            _ => {
                self.shared.note_hit(limit, LimitAction::Restart);
                self.discard(export, detail, sort);
            }
        }
    }

    /// Never calls the module again; the starter counts it and ends the process.
    fn halt(&mut self, limit: Limit, detail: String) {
        self.take_away();
        self.is_halted = true;
        self.set_activity(Activity::Idle);
        self.shared.send(&Event::LimitStop { limit, detail });
    }

    fn repeat_checks(&mut self) {
        if let Some((_, Some(failed))) = self.run_checks() {
            let text = format!("known-answer step {}: {}", failed.number, failed.detail);
            self.meters.log(LogLevel::Error, text);
        }
    }

    fn run_checks(&mut self) -> Option<(u32, Option<worker_protocol::FailedStep>)> {
        let gas_before = self.allow_gas();
        let instance = self.instance.as_mut()?;
        let outcome = checks::run(instance, &self.steps, &self.shared);
        self.settle_gas(gas_before);
        self.shared.update_usage(|usage| match outcome.failed {
            None => usage.checks_passed += 1,
            Some(_) => usage.checks_failed += 1,
        });
        if let Some((export, trap)) = outcome.trap {
            self.end_by_trap(&export, &trap);
        }
        Some((outcome.passed, outcome.failed))
    }

    /// Throws the instance away after a trap.
    pub fn discard(&mut self, export: &str, detail: String, sort: Sort) {
        self.take_away();
        if self.is_given_up_by_trap() {
            self.count_trap(sort.kind);
            return self.finish(None, format!("trapped: {detail}"));
        }
        self.report_trap(export, detail, sort);
    }

    pub fn take_away(&mut self) {
        self.meter();
        self.gas_before = self.shared.usage().gas_used;
        self.instance = None;
        self.is_initialised = false;
    }

    fn report_trap(&mut self, export: &str, detail: String, sort: Sort) {
        let now = Instant::now();
        let delay = self.backoff.after_trap(now);
        self.resume_at = now + delay;
        self.count_trap(sort.kind);
        self.set_activity(Activity::BackingOff);
        let (export, restart_in_ms) = (export.to_owned(), to_ms(delay));
        let (kind, place) = (Some(sort.kind), sort.place);
        self.shared.send(&Event::Trapped { export, detail, restart_in_ms, kind, place });
    }

    fn count_trap(&self, kind: module_traps::TrapKind) {
        self.shared.update_usage(|usage| {
            usage.traps += 1;
            usage.trap_kinds.get_or_insert_default().note(kind);
        });
    }

    pub fn set_activity(&self, activity: Activity) {
        self.shared.update_usage(|usage| usage.activity = activity);
    }

    /// Brings CPU time and memory up to date. Only this thread can read its clock,
    /// so while a call runs they are those of the last one.
    pub fn meter(&mut self) {
        self.cpu_ns += self.clock.take_ns();
        let cpu_us = self.cpu_ns / 1_000;
        let gas_now = self.instance.as_ref().and_then(Instance::gas_used);
        let gas_used = gas_now
            .or(self.gas_before)
            .map(|_| self.gas_before.unwrap_or(0).saturating_add(gas_now.unwrap_or(0)));
        let memory_bytes = self.instance.as_ref().map_or(0, |i| i.memory_bytes() as u64);
        let overhead_bytes = self.instance.as_ref().map(|i| i.overhead_bytes() as u64);
        self.shared.update_usage(|usage: &mut Usage| {
            usage.overhead_bytes = overhead_bytes;
            usage.cpu_us = cpu_us;
            usage.memory_bytes = memory_bytes;
            usage.gas_used = gas_used;
            usage.memory_peak_bytes = usage.memory_peak_bytes.max(memory_bytes);
        });
    }
}
