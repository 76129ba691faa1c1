//! One application: the wanted version, and the proven one that serves meanwhile.

use super::trial::{Before, Outcome, STARTS_MAX, Trial, is_same_work};
use super::{Action, Ids, Slot, SlotId, Stage, WorkerId};
use crate::Moment;
use crate::refusal::Refusal;
use crate::state::{Attempt, Proven};
use device_protocol::RefusalCode;
use module_package::AppEntry;

pub struct App {
    /// What the manifest says. `None` only between a restart and the first
    /// desired state.
    wanted: Option<Slot>,
    /// The proven version, while the wanted one is another and not yet proven.
    fallback: Option<Slot>,
    pub(super) proven: Option<Proven>,
    /// Of the wanted version, from its begin until it is proven or given up.
    trial: Option<Trial>,
    /// What a restart must not forget of a version that has begun a trial.
    pub(super) attempt: Option<Attempt>,
}

/// What an application needs to know of the rest to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub now: Moment,
    /// No worker of this application is still ending.
    pub is_clear: bool,
    /// The whole set is staged.
    pub may_switch: bool,
}

impl App {
    pub(super) fn new() -> Self {
        Self { wanted: None, fallback: None, proven: None, trial: None, attempt: None }
    }

    pub(super) fn restored(proven: Proven, ids: &mut Ids) -> Self {
        let slot = new_slot(proven.entry.clone(), ids);
        Self { fallback: Some(slot), proven: Some(proven), ..Self::new() }
    }

    /// One that was given up before it had ever proved itself.
    pub(super) fn given_up(attempt: Attempt) -> Self {
        Self { attempt: Some(attempt), ..Self::new() }
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

    /// How the wanted version is proving itself.
    pub fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()
    }

    pub(super) fn outcome(&self, now: Moment) -> Option<Outcome> {
        Some(self.trial.as_ref()?.outcome(self.wanted.as_ref()?, now))
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        let of_slots = self.slots().filter_map(Slot::deadline);
        of_slots.chain(self.trial.as_ref().and_then(Trial::until)).min()
    }

    /// Staged, while another version runs.
    pub(super) fn waits_to_switch(&self) -> bool {
        let is_ready = |slot: &Slot| matches!(slot.stage, Stage::Ready(_));
        self.fallback.is_some() && self.wanted.as_ref().is_some_and(is_ready)
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
        self.trial = None;
        self.attempt.take_if(|attempt| attempt.entry != entry);
        if let Some(before) = self.wanted.take() {
            gone.extend(self.retire(before, &entry, ids));
        }
        let given_up = self.attempt.as_ref().and_then(Attempt::failure);
        let returns = |slot: &Slot| slot.entry == entry && slot.failure().is_none();
        if let Some(failure) = given_up {
            let is_same = |slot: &mut Slot| slot.entry == entry;
            gone.extend(self.fallback.take_if(is_same).as_ref().and_then(Slot::worker));
            let mut slot = new_slot(entry, ids);
            slot.fail(failure);
            // The report then says which version it is.
            actions.push(slot.open());
            self.wanted = Some(slot);
        } else if self.fallback.as_ref().is_some_and(returns) {
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

    /// Does what can be done now. Returns the workers that have to go.
    pub(super) fn settle(
        &mut self,
        turn: Turn,
        ids: &mut Ids,
        actions: &mut Vec<Action>,
    ) -> Vec<WorkerId> {
        let mut gone = Vec::new();
        self.note_start(turn.now, &mut gone);
        if self.fallback.is_some()
            && let Some(wanted) = &mut self.wanted
            && matches!(wanted.stage, Stage::Running { started: false, .. })
        {
            gone.extend(wanted.give_up_init());
        }
        self.hold_fallback(turn, &mut gone);
        for slot in self.slots_mut() {
            slot.start_if_due(turn.now, || WorkerId(ids.next()), actions);
        }
        if turn.is_clear && gone.is_empty() {
            gone.extend(self.begin(turn, actions));
        }
        self.note_faults();
        gone
    }

    /// The fallback rests while the wanted version is up, and wakes when that one
    /// has failed, has made way, or waits for a fetch.
    fn hold_fallback(&mut self, turn: Turn, gone: &mut Vec<WorkerId>) {
        let (Some(wanted), Some(fallback)) = (&self.wanted, &mut self.fallback) else { return };
        let takes_over = matches!(wanted.stage, Stage::Ready(_)) && turn.may_switch;
        let wanted_is_up = takes_over || wanted.is_running();
        let wanted_is_away = match wanted.stage {
            Stage::Failed(_) | Stage::Release | Stage::Artifact => true,
            Stage::Waiting(_) | Stage::Starting(_) | Stage::Ready(_) => wanted.made_way,
            _ => false,
        };
        if wanted_is_up && (fallback.worker().is_some() || fallback.deadline().is_some()) {
            gone.extend(fallback.worker());
            fallback.stage = Stage::Held;
        } else if !wanted_is_up && wanted_is_away && fallback.stage == Stage::Held {
            fallback.stage = Stage::Waiting(turn.now);
        }
    }

    /// A version that has ended by its own fault, and not on trial, is not good any more:
    /// a restart of the agent must neither run it nor go back to it.
    fn note_faults(&mut self) {
        let is_faulty = |slot: &&Slot| slot.failure().is_some_and(is_own_fault);
        if let Some(fallback) = self.fallback.as_ref().filter(is_faulty) {
            self.proven.take_if(|proven| proven.entry == fallback.entry);
        }
        let Some(wanted) = self.wanted.as_ref().filter(|_| self.trial.is_none()) else { return };
        let Some(refusal) = wanted.failure().filter(|refusal| is_own_fault(refusal)) else {
            return;
        };
        self.proven.take_if(|proven| proven.entry == wanted.entry);
        let new = || Attempt::new(wanted.entry.clone());
        let attempt = self.attempt.get_or_insert_with(new);
        if attempt.failure().is_none() {
            attempt.set_failure(refusal);
        }
    }

    /// The wanted version's `init` has returned: its window begins, or, where there
    /// is nothing to go back to, it is the proven one from now on.
    fn note_start(&mut self, now: Moment, gone: &mut Vec<WorkerId>) {
        let Some(wanted) = &self.wanted else { return };
        if !matches!(wanted.stage, Stage::Running { started: true, .. }) {
            return;
        }
        match &mut self.trial {
            Some(trial) => trial.note_start(now),
            None => {
                gone.extend(self.fallback.as_ref().and_then(Slot::worker));
                self.commit();
            }
        }
    }

    /// The wanted version is the proven one from now on.
    pub(super) fn commit(&mut self) {
        let Some(wanted) = &mut self.wanted else { return };
        let Some(release) = &wanted.release else { return };
        wanted.made_way = false;
        if self.proven.as_ref().is_none_or(|proven| proven.entry != wanted.entry) {
            self.proven = Some(Proven {
                entry: wanted.entry.clone(),
                artifact: release.artifact,
                app_version: release.app_version,
            });
        }
        (self.trial, self.attempt, self.fallback) = (None, None, None);
    }

    /// The wanted version has failed on trial and is not tried again, also not after
    /// a restart. Returns the worker that has to go.
    pub(super) fn give_up(&mut self, refusal: Refusal) -> Option<WorkerId> {
        self.trial = None;
        let wanted = self.wanted.as_mut()?;
        let worker = wanted.worker();
        if let Some(attempt) = &mut self.attempt {
            attempt.set_failure(&refusal);
        }
        wanted.fail(refusal);
        worker
    }

    /// Another of the set has failed: the version before runs for a while.
    pub(super) fn make_way(&mut self, until: Moment, why: String) -> Option<WorkerId> {
        (self.trial, self.attempt) = (None, None);
        let wanted = self.wanted.as_mut()?;
        let worker = wanted.worker();
        wanted.make_way(until, why);
        worker
    }

    /// What this slot runs may not run any more.
    pub(super) fn withdraw(&mut self, id: SlotId, refusal: Refusal) -> Option<WorkerId> {
        let slot = self.slots_mut().find(|slot| slot.id == id)?;
        let (worker, entry) = (slot.worker(), slot.entry.clone());
        slot.fail(refusal);
        self.proven.take_if(|proven| proven.entry == entry);
        self.fallback.take_if(|fallback| fallback.id == id);
        if self.wanted.as_ref().is_some_and(|wanted| wanted.id == id) {
            (self.trial, self.attempt) = (None, None);
        }
        worker
    }

    /// At most one of the two is up at a time, see [`App::settle`]. Returns the
    /// worker of a version that has had its last chance.
    fn begin(&mut self, turn: Turn, actions: &mut Vec<Action>) -> Option<WorkerId> {
        if self.serving().is_some() {
            return None;
        }
        if let Some(wanted) = &self.wanted
            && let Stage::Ready(worker) = wanted.stage
            && (turn.may_switch || self.fallback.is_none())
        {
            if let Err(refusal) = self.begin_trial(turn.now) {
                self.give_up(refusal);
                return Some(worker);
            }
            self.wanted.iter_mut().for_each(|slot| slot.begin(turn.now, actions));
        } else if let Some(fallback) = &mut self.fallback {
            fallback.begin(turn.now, actions);
        }
        None
    }

    /// Only what takes another's place is on trial; the last good version, deployed
    /// again, has nothing better to go back to.
    fn begin_trial(&mut self, now: Moment) -> Result<(), Refusal> {
        let (Some(wanted), Some(fallback)) = (&self.wanted, &self.fallback) else { return Ok(()) };
        if self.proven.as_ref().is_none_or(|proven| is_same_work(&proven.entry, &wanted.entry)) {
            return Ok(());
        }
        let attempt = self.attempt.get_or_insert_with(|| Attempt::new(wanted.entry.clone()));
        if self.trial.is_none() {
            attempt.starts += 1;
        }
        if attempt.starts > STARTS_MAX {
            let why = format!("the device went down {STARTS_MAX} times while it was on trial");
            return Err(Refusal::new(RefusalCode::Unhealthy, why));
        }
        if self.trial.is_none() {
            let trial = Trial::new(&wanted.entry, |window| Before::of(fallback, window, now));
            self.trial = Some(trial);
        }
        Ok(())
    }
}

fn new_slot(entry: AppEntry, ids: &mut Ids) -> Slot {
    Slot::new(SlotId(ids.next()), entry, ids.seed)
}

/// Whether the module itself is to blame: trying the same again, because another
/// application was deployed, would do the same harm again. Everything else may
/// have passed since, such as a full disk or a lost connection.
fn is_own_fault(refusal: &Refusal) -> bool {
    matches!(
        refusal.code,
        RefusalCode::TimeLimit
            | RefusalCode::GasLimit
            | RefusalCode::RateLimit
            | RefusalCode::CrashLoop
            | RefusalCode::Unhealthy
    )
}
