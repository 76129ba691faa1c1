//! One application: the wanted version, and the proven one that serves meanwhile.

use super::{Action, Ids, Slot, SlotId, Stage, WorkerId};
use crate::Moment;
use crate::refusal::Refusal;
use crate::state::Proven;
use device_protocol::RefusalCode;
use module_package::AppEntry;

pub struct App {
    /// What the manifest says. `None` only between a restart and the first
    /// desired state.
    wanted: Option<Slot>,
    /// The proven version, while the wanted one is another and not yet proven.
    fallback: Option<Slot>,
    pub(super) proven: Option<Proven>,
}

impl App {
    pub(super) fn new() -> Self {
        Self { wanted: None, fallback: None, proven: None }
    }

    pub(super) fn restored(proven: Proven, ids: &mut Ids) -> Self {
        let slot = new_slot(proven.entry.clone(), ids);
        Self { wanted: None, fallback: Some(slot), proven: Some(proven) }
    }

    pub(super) fn name(&self) -> &str {
        self.slots().next().map_or("", |slot| &slot.entry.app)
    }

    pub fn wanted(&self) -> Option<&Slot> {
        self.wanted.as_ref()
    }

    pub fn fallback(&self) -> Option<&Slot> {
        self.fallback.as_ref()
    }

    /// The version number that last proved itself.
    pub fn proven_version(&self) -> Option<u32> {
        self.proven.as_ref().map(|proven| proven.app_version)
    }

    /// The slot whose module is being called now.
    pub fn serving(&self) -> Option<&Slot> {
        self.slots().find(|slot| slot.is_running())
    }

    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.wanted.iter().chain(&self.fallback)
    }

    pub(super) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.wanted.iter_mut().chain(&mut self.fallback)
    }

    /// Takes over the manifest's entry. Returns the workers that have to go.
    pub(super) fn want(
        &mut self,
        entry: AppEntry,
        ids: &mut Ids,
        now: Moment,
        actions: &mut Vec<Action>,
    ) -> Vec<WorkerId> {
        if let Some(wanted) = &self.wanted
            && wanted.entry == entry
            && wanted.failure().is_none_or(is_own_fault)
        {
            return Vec::new();
        }
        let mut gone = Vec::new();
        if let Some(before) = self.wanted.take() {
            gone.extend(self.retire(before, &entry, ids));
        }
        let returns = |slot: &Slot| slot.entry == entry && slot.failure().is_none();
        if self.fallback.as_ref().is_some_and(returns) {
            self.wanted = self.fallback.take();
            if let Some(slot) = &mut self.wanted
                && slot.stage == Stage::Held
                && slot.entry.run
            {
                slot.stage = Stage::Waiting(now);
            }
        } else {
            self.wanted = Some(new_slot(entry, ids));
        }
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.entry.run) {
            gone.extend(self.fallback.take().as_ref().and_then(Slot::worker));
        }
        // Slots that a restart has brought back were not opened yet.
        let unopened = |slot: &&Slot| slot.stage == Stage::Release;
        actions.extend(self.slots().filter(unopened).map(Slot::open));
        gone
    }

    /// Decides what serves until the new entry is proven: the version wanted so
    /// far if it was proven, else the fallback that there is already, else the
    /// proven version from before a stop. One that has failed is not tried again.
    fn retire(&mut self, before: Slot, entry: &AppEntry, ids: &mut Ids) -> Option<WorkerId> {
        let is_proven = self.proven.as_ref().is_some_and(|proven| proven.entry == before.entry);
        if is_proven {
            self.fallback = before.failure().is_none().then_some(before);
            return None;
        }
        if let (None, Some(proven)) = (&self.fallback, &self.proven)
            && proven.entry != *entry
        {
            self.fallback = Some(new_slot(proven.entry.clone(), ids));
        }
        before.worker()
    }

    /// Does what can be done now. `is_clear`: no worker of this application is
    /// still ending. Returns the workers that have to go.
    pub(super) fn settle(
        &mut self,
        is_clear: bool,
        now: Moment,
        ids: &mut Ids,
        actions: &mut Vec<Action>,
    ) -> Vec<WorkerId> {
        let mut gone = Vec::new();
        self.note_proof(&mut gone);
        if self.fallback.is_some()
            && let Some(wanted) = &mut self.wanted
            && matches!(wanted.stage, Stage::Running { started: false, .. })
        {
            gone.extend(wanted.give_up_init());
        }
        self.hold_fallback(now, &mut gone);
        for slot in self.slots_mut() {
            slot.start_if_due(now, || WorkerId(ids.next()), actions);
        }
        if is_clear && gone.is_empty() {
            self.begin(actions);
        }
        gone
    }

    /// The fallback rests while the wanted version is up, and wakes when that one
    /// has failed or waits for a fetch.
    fn hold_fallback(&mut self, now: Moment, gone: &mut Vec<WorkerId>) {
        let (Some(wanted), Some(fallback)) = (&self.wanted, &mut self.fallback) else { return };
        let wanted_is_up = matches!(wanted.stage, Stage::Ready(_)) || wanted.is_running();
        if wanted_is_up && (fallback.worker().is_some() || fallback.deadline().is_some()) {
            gone.extend(fallback.worker());
            fallback.stage = Stage::Held;
        } else if matches!(wanted.stage, Stage::Failed(_) | Stage::Release | Stage::Artifact)
            && fallback.stage == Stage::Held
        {
            fallback.stage = Stage::Waiting(now);
        }
    }

    /// A wanted version whose `init` has returned is the proven one from now on.
    fn note_proof(&mut self, gone: &mut Vec<WorkerId>) {
        let Some(wanted) = &self.wanted else { return };
        let (Stage::Running { started: true, .. }, Some(release)) =
            (&wanted.stage, &wanted.release)
        else {
            return;
        };
        if self.proven.as_ref().is_none_or(|proven| proven.entry != wanted.entry) {
            self.proven = Some(Proven {
                entry: wanted.entry.clone(),
                artifact: release.artifact,
                app_version: release.app_version,
            });
        }
        gone.extend(self.fallback.take().as_ref().and_then(Slot::worker));
    }

    /// At most one of the two is up at a time, see [`App::settle`].
    fn begin(&mut self, actions: &mut Vec<Action>) {
        if self.serving().is_some() {
            return;
        }
        if let Some(slot) = self.slots_mut().find(|slot| matches!(slot.stage, Stage::Ready(_)))
            && let Stage::Ready(worker) = slot.stage
        {
            slot.stage = Stage::Running { worker, started: false, trapped: false };
            let interval_ms = slot.entry.interval_ms;
            actions.extend([Action::Begin { worker, interval_ms }, Action::Report]);
        }
    }
}

fn new_slot(entry: AppEntry, ids: &mut Ids) -> Slot {
    Slot::new(SlotId(ids.next()), entry, ids.seed)
}

/// Whether the module itself is to blame: trying the same again, because another
/// application was deployed, would do the same harm again. Everything else may
/// have passed since, such as a full disk or a lost connection.
fn is_own_fault(refusal: &Refusal) -> bool {
    matches!(refusal.code, RefusalCode::TimeLimit | RefusalCode::CrashLoop)
}
