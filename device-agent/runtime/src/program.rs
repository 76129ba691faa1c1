//! A program: what exports `_start` is called once and runs to its end.
//!
//! Its end throws the instance away, as a trap does, so that each run begins with a fresh
//! one. What follows is said by its grants ([`Restart`]); a failure that is followed by
//! another run is told, delayed and counted as a trap is.

use crate::guest::Guest;
use crate::shared::to_ms;
use crate::trap_kind::Sort;
use module_traps::TrapKind;
use std::time::Instant;
use wamr::{CallError, FuncType, Instance, InstantiateError, Module, Trap};
use worker_protocol::{Activity, Event, ProgramUsage, Restart, WASI_INITIALIZE, WASI_START};

/// Whether the module is one.
pub fn is_program(module: &Module<'_>) -> bool {
    has_plain(module, WASI_START)
}

/// Whether it has what a module that is no program wants called before all else.
pub fn has_initialize(module: &Module<'_>) -> bool {
    !is_program(module) && has_plain(module, WASI_INITIALIZE)
}

fn has_plain(module: &Module<'_>, export: &str) -> bool {
    module.function_type(export).is_some_and(|found| *found == FuncType::new([], []))
}

/// As a part of instantiation: nothing of the module may be called before.
pub fn initialize<'m>(mut instance: Instance<'m>) -> Result<Instance<'m>, InstantiateError> {
    match instance.call(WASI_INITIALIZE, &[]) {
        Ok(_) => Ok(instance),
        Err(CallError::Trap(trap)) => Err(InstantiateError::Failed(trap)),
        // Name and type were looked up.
        Err(other) => Err(InstantiateError::Failed(Trap::new(other.to_string()))),
    }
}

impl Guest<'_> {
    pub fn run_program(&mut self) {
        self.update_program(|program| program.runs += 1);
        self.shared.update_usage(|usage| usage.calls += 1);
        let Some(outcome) = self.invoke(WASI_START) else { return };
        self.meters.end_lines();
        match (outcome, self.meters.take_exit_code()) {
            (Ok(_), _) => self.end_program(0),
            (Err(CallError::Trap(_)), Some(code)) => self.end_program(code),
            (Err(CallError::Trap(trap)), None) => self.end_by_trap(WASI_START, &trap),
            (Err(other), _) => {
                self.discard(WASI_START, other.to_string(), Sort::of(TrapKind::Other))
            }
        }
    }

    fn end_program(&mut self, exit_code: u32) {
        self.update_program(|program| program.exit_code = Some(exit_code));
        let restart = self.meters.wasi_grants().restart;
        let detail = format!("ended with exit code {exit_code}");
        match (exit_code, restart) {
            (0, Restart::Always) => self.run_again_later(detail),
            (0, _) | (_, Restart::Never) => {
                self.take_away();
                self.finish(Some(exit_code), detail);
            }
            _ => {
                self.shared.update_usage(|usage| usage.error_returns += 1);
                self.discard(WASI_START, detail, Sort::of(TrapKind::Other));
            }
        }
    }

    fn run_again_later(&mut self, detail: String) {
        self.take_away();
        self.set_activity(Activity::Finished);
        self.meter();
        let interval = self.interval.unwrap_or_default();
        self.resume_at = Instant::now() + interval;
        self.is_rerun = true;
        let again_in_ms = Some(to_ms(interval));
        self.shared.send(&Event::Finished { exit_code: Some(0), detail, again_in_ms });
    }

    /// It is not run again before its next deployment.
    pub fn finish(&mut self, exit_code: Option<u32>, detail: String) {
        self.is_halted = true;
        self.update_program(|program| program.is_finished = true);
        self.set_activity(Activity::Finished);
        self.meter();
        self.shared.send(&Event::Finished { exit_code, detail, again_in_ms: None });
    }

    /// Whether a trap is its last end.
    pub fn is_given_up_by_trap(&self) -> bool {
        self.is_program && self.meters.wasi_grants().restart == Restart::Never
    }

    fn update_program(&self, update: impl FnOnce(&mut ProgramUsage)) {
        self.shared.update_usage(|usage| update(usage.program.get_or_insert_default()));
    }
}
