//! The health window: how a version that has taken another's place proves itself.
//!
//! A trial begins when the version does. It ends badly as soon as one of the rules
//! below is broken, and well when the window after `init` is over and none was. The
//! rules compare with the version before, as far as the agent has seen that run;
//! the limits are fixed, and what is asked for with a deployment is the length of
//! the window.

use super::{Slot, Stage};
use crate::Moment;
use crate::refusal::Refusal;
use device_protocol::RefusalCode;
use module_package::AppEntry;
use std::time::Duration;

/// The window where the manifest names none.
pub const WINDOW_DEFAULT: Duration = Duration::from_secs(30);
/// A longer one is cut to this: nothing stays on trial for ever.
pub const WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// More traps than the version before in a time as long.
pub const TRAPS_MORE_MAX: u64 = 2;
/// Deaths of the worker.
pub const RESTARTS_MAX: u32 = 1;
/// Answers of the module's own health export other than 0. The last one of the
/// window has to be 0 as well.
pub const SICK_ANSWERS_MAX: u64 = 2;
/// How many times the gas for each call, and the memory, of the version before.
pub const GROWTH_MAX: u64 = 4;
/// Below these nobody is hurt by growth.
const GAS_PER_CALL_FREE: u64 = 100_000;
const MEMORY_FREE_BYTES: u64 = 1 << 20;

/// Starts of one version's trial, counted over starts of the agent: a version under
/// which the whole device goes down again and again is given up.
pub const STARTS_MAX: u32 = 3;

/// What a worker last said of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub calls: u64,
    pub gas_used: Option<u64>,
    pub memory_peak_bytes: u64,
    /// The last answer of the module's health export, and how many were not 0.
    pub health: Option<(i32, u64)>,
    /// It is called at its interval: no trap, or a fresh instance after one.
    pub is_running: bool,
}

/// The version before, as it was when it was stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Before {
    gas_per_call: Option<u64>,
    memory_peak_bytes: Option<u64>,
    /// In a window of the new version's length.
    traps: u64,
}

#[derive(Debug)]
pub struct Trial {
    window: Duration,
    before: Before,
    /// When `init` had returned.
    started: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Pending,
    Passed,
    Failed(Refusal),
}

impl Before {
    pub(super) fn of(slot: &Slot, window: Duration, now: Moment) -> Self {
        let Figures { calls, gas_used, memory_peak_bytes, .. } = slot.figures;
        let ran_ms = slot.begun.map_or(0, |begun| now.saturating_sub(begun).as_millis());
        let traps = u128::from(slot.traps) * window.as_millis() / ran_ms.max(1);
        Self {
            gas_per_call: gas_used.and_then(|gas| gas.checked_div(calls)),
            memory_peak_bytes: (calls > 0).then_some(memory_peak_bytes),
            traps: u64::try_from(traps).unwrap_or(u64::MAX).min(slot.traps),
        }
    }
}

impl Trial {
    pub(super) fn new(entry: &AppEntry, before: impl FnOnce(Duration) -> Before) -> Self {
        let window = window_of(entry);
        Self { window, before: before(window), started: None }
    }

    /// `init` has returned; the first time counts.
    pub(super) fn note_start(&mut self, now: Moment) {
        self.started.get_or_insert(now);
    }

    pub(super) fn until(&self) -> Option<Moment> {
        self.started.map(|started| started + self.window)
    }

    /// What is left of the window, for people.
    pub fn left(&self, now: Moment) -> Duration {
        self.until().map_or(self.window, |until| until.saturating_sub(now))
    }

    pub(super) fn outcome(&self, slot: &Slot, now: Moment) -> Outcome {
        if let Stage::Failed(refusal) = &slot.stage {
            return Outcome::Failed(refusal.clone());
        }
        let judged = self.judge(slot).and_then(|()| {
            // A program that has come to a good end has nothing left to show.
            let has_ended = slot.end.is_some() && slot.is_running();
            if !has_ended && self.until().is_none_or(|until| now < until) {
                return Ok(Outcome::Pending);
            }
            self.judge_end(slot).map(|()| Outcome::Passed)
        });
        let fail = |why| Outcome::Failed(Refusal::new(RefusalCode::Unhealthy, why));
        judged.unwrap_or_else(fail)
    }

    /// What must hold at every moment.
    fn judge(&self, slot: &Slot) -> Result<(), String> {
        let Slot { figures, traps, restarts, end, .. } = slot;
        if let Some(end) = end.as_ref().filter(|end| !end.is_good) {
            return Err(format!("it {}", end.detail));
        }
        let traps_max = self.before.traps.saturating_add(TRAPS_MORE_MAX);
        if *traps > traps_max {
            return Err(format!("{traps} traps in its health window: {}", slot.detail));
        }
        if *restarts > RESTARTS_MAX {
            return Err(format!("its worker died {restarts} times: {}", slot.detail));
        }
        if let Some((last, sick)) = figures.health.filter(|(_, sick)| *sick > SICK_ANSWERS_MAX) {
            return Err(format!(
                "its health export answered other than 0 {sick} times, {last} at last"
            ));
        }
        if let (Some(gas), Some(before)) = (figures.gas_used, self.before.gas_per_call)
            && let Some(per_call) = gas.checked_div(figures.calls)
            && per_call > before.saturating_mul(GROWTH_MAX).max(GAS_PER_CALL_FREE)
        {
            return Err(format!("{per_call} gas for each call, the version before used {before}"));
        }
        let peak = figures.memory_peak_bytes;
        if let Some(before) = self.before.memory_peak_bytes
            && peak > before.saturating_mul(GROWTH_MAX).max(MEMORY_FREE_BYTES)
        {
            return Err(format!("{peak} bytes of memory, the version before used {before}"));
        }
        Ok(())
    }

    fn judge_end(&self, slot: &Slot) -> Result<(), String> {
        if !matches!(slot.stage, Stage::Running { started: true, trapped: false, .. }) {
            return Err(format!("it did not run at the end of its health window: {}", slot.detail));
        }
        match slot.figures.health {
            Some((last, _)) if last != 0 => {
                Err(format!("its health export answered {last} at the end of its health window"))
            }
            _ => Ok(()),
        }
    }
}

/// The same code with the same settings, whichever deployment asked for it.
pub(super) fn is_same_work(proven: &AppEntry, wanted: &AppEntry) -> bool {
    let AppEntry { deployment, health_window_ms, .. } = *wanted;
    AppEntry { deployment, health_window_ms, ..proven.clone() } == *wanted
}

fn window_of(entry: &AppEntry) -> Duration {
    let asked = entry.health_window_ms.map(|ms| Duration::from_millis(ms.into()));
    asked.unwrap_or(WINDOW_DEFAULT).min(WINDOW_MAX)
}
