//! Modules that never wait go behind all others.
//!
//! A best-effort module that uses whatever time it can get has the processor whenever a
//! neighbour wakes up, and keeps it for the rest of its slice: the neighbour's tick begins
//! milliseconds later. Where the owner says so, its worker gets what others leave, for as long as
//! it goes on like that. A module that asked for a class or a weight has what it asked
//! for, and a process of several modules is left alone, because the others are in it.

use super::Agent;
use crate::Moment;
use crate::install::WorkerId;
use crate::workers::Appetite;
use std::collections::BTreeMap;
use std::time::Duration;

/// Over less nothing can be said.
const WINDOW_MIN: Duration = Duration::from_secs(1);
/// Of a window, running or waiting for a processor.
const SPINS_PERCENT: u128 = 90;
const RESTS_PERCENT: u128 = 50;
/// Of a window, running: where everybody waits, one that has little to do waits most.
const RUNS_PERCENT: u128 = 25;
/// In a row: one long calculation is no spinning.
const WINDOWS: u32 = 2;

#[derive(Debug, Default)]
pub struct Spinning(BTreeMap<WorkerId, Watched>);

#[derive(Debug)]
struct Watched {
    began: Moment,
    appetite: Appetite,
    windows: u32,
    is_low: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Lower,
    Restore,
}

impl Spinning {
    /// `appetite`: of its module since it began.
    pub fn note(&mut self, worker: WorkerId, appetite: Appetite, now: Moment) -> Option<Turn> {
        let new = Watched { began: now, appetite, windows: 0, is_low: false };
        let watched = self.0.entry(worker).or_insert(new);
        let window = now.saturating_sub(watched.began);
        if window < WINDOW_MIN {
            return None;
        }
        let before = std::mem::replace(&mut watched.appetite, appetite);
        let percent = |ns: u64| u128::from(ns) * 100 / window.as_nanos();
        let ran = percent(appetite.ran_ns.saturating_sub(before.ran_ns));
        let wanted = ran + percent(appetite.waited_ns.saturating_sub(before.waited_ns));
        watched.began = now;
        let spins = wanted >= SPINS_PERCENT && ran >= RUNS_PERCENT;
        watched.windows = if spins { watched.windows.saturating_add(1) } else { 0 };
        let turn = match watched.is_low {
            false if watched.windows >= WINDOWS => Turn::Lower,
            true if wanted < RESTS_PERCENT => Turn::Restore,
            _ => return None,
        };
        watched.is_low = turn == Turn::Lower;
        Some(turn)
    }

    pub fn forget(&mut self, worker: WorkerId) {
        self.0.remove(&worker);
    }
}

impl Agent {
    pub(super) fn lower_spinning(&mut self, now: Moment) {
        if !self.parts.config.workers.lower_spinning {
            return;
        }
        let Some(installer) = &self.installer else { return };
        let is_usual = |worker: &WorkerId| {
            let slot = installer.slot_of(*worker);
            slot.is_some_and(|slot| slot.entry.scheduling.is_none() && slot.entry.sharing.is_none())
        };
        let usual: Vec<WorkerId> = self.begun.keys().copied().filter(is_usual).collect();
        for worker in usual {
            let Some(appetite) = self.parts.workers.appetite(worker) else { continue };
            let Some(turn) = self.spinning.note(worker, appetite, now) else { continue };
            match self.parts.workers.lower(worker, turn == Turn::Lower) {
                Ok(()) if turn == Turn::Lower => {
                    tracing::info!(
                        worker.id = worker.0,
                        "it never waits, so it gets what others leave"
                    );
                    self.in_force.entry(worker).or_default().lowered = Some(true);
                }
                Ok(()) => {
                    tracing::info!(worker.id = worker.0, "it waits again, and gets what all get");
                    self.in_force.remove(&worker);
                }
                Err(e) => tracing::info!(worker.id = worker.0, "{turn:?} a worker that spins: {e}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: WorkerId = WorkerId(1);

    /// After each window of so many milliseconds, of which it wanted so many and ran for so
    /// many in a hundred of these.
    fn turns_of(ran_percent: u64, windows: &[(u64, u64)]) -> Vec<Option<Turn>> {
        let (mut spinning, mut now_ms) = (Spinning::default(), 7);
        let mut appetite = Appetite { ran_ns: 3, waited_ns: 4 };
        let mut note = |window_ms, wants_ms| {
            now_ms += window_ms;
            let ran_ns = wants_ms * 10_000 * ran_percent;
            appetite.ran_ns += ran_ns;
            appetite.waited_ns += wants_ms * 1_000_000 - ran_ns;
            spinning.note(WORKER, appetite, Duration::from_millis(now_ms))
        };
        note(0, 0);
        windows.iter().map(|(window_ms, wants_ms)| note(*window_ms, *wants_ms)).collect()
    }

    fn turns(windows: &[(u64, u64)]) -> Vec<Option<Turn>> {
        turns_of(50, windows)
    }

    #[test]
    fn what_only_waits_for_a_processor_does_not_spin() {
        let crowded = [(5_000, 5_000); 4];
        assert_eq!(turns_of(24, &crowded), [None; 4]);
        assert_eq!(turns_of(26, &crowded)[1], Some(Turn::Lower));
    }

    #[test]
    fn two_windows_in_a_row_make_it_spin_and_one_of_rest_ends_that() {
        let lower = Some(Turn::Lower);
        assert_eq!(turns(&[(5_000, 4_900), (5_000, 4_600)]), [None, lower]);
        assert_eq!(turns(&[(5_000, 4_900), (5_000, 4_400), (5_000, 5_000)]), [None, None, None]);
        let (spins, half, rests) = ((1_000, 950), (1_000, 500), (1_000, 499));
        assert_eq!(
            turns(&[spins, spins, spins, half, rests, rests, spins, spins]),
            [None, lower, None, None, Some(Turn::Restore), None, None, lower]
        );
    }

    #[test]
    fn reports_in_quick_succession_make_one_window() {
        let noted = turns(&[(100, 100); 25]);
        let lowered = noted.iter().position(|turn| *turn == Some(Turn::Lower));
        assert_eq!(lowered, Some(19), "{noted:?}");
        assert_eq!(noted.iter().flatten().count(), 1);
    }
}
