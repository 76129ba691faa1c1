//! From desired applications to actions: a pure state machine.
//!
//! It is told what happened ([`Input`]) and answers with what to do ([`Action`]);
//! it touches no disk, clock, network or process, so that tests can run through
//! any order of events and power cuts.
//!
//! The rules that it keeps:
//! - What cannot be staged is left out: the refusal of one application holds up no
//!   other.
//! - The version that runs goes on until the wanted one has been fetched, loaded
//!   and has passed its known-answer steps beside it. Only then is the old one
//!   stopped, and only when it has ended does the new one begin, so that never
//!   two versions tick.
//! - All that a manifest changes is a *set*: no version takes another's place before
//!   all of the set are staged, refused, or late ([`STAGING_MAX`]). Each is then on
//!   trial ([`trial`]); when all trials are over and well, the set is committed by
//!   one [`Action::Persist`]. When one fails, all of the set go back to the last good
//!   one, and those that are not to blame are tried again without it.
//! - An application that is new on the device takes nobody's place and has nothing
//!   to go back to: it begins when it is ready, and counts as good once its `init`
//!   has returned.
//! - What is proven, and what was given up, is persisted by [`Action::Persist`] before
//!   anything is done that follows from it; blobs that nothing names are removed by
//!   [`Action::Collect`], which always comes after it.

mod app;
mod slot;
mod trial;

pub use app::App;
pub use slot::{ProgramEnd, Slot, Stage};
pub use trial::{Figures, Trial};

use crate::Moment;
use crate::refusal::Refusal;
use crate::state::{Attempt, Proven};
use module_package::{AppEntry, BlobId, Release};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use trial::Outcome;

/// How long what is staged waits for the rest of its set.
pub const STAGING_MAX: Duration = Duration::from_secs(60);
/// When those are tried again that made way for another's fault.
const SET_RETRY: Duration = Duration::from_secs(10);

/// One attempt to run one entry of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u64);

/// One worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone)]
pub enum Input {
    /// A newer manifest was accepted and persisted, or the agent has started.
    Desired(Vec<AppEntry>),
    /// The answer to [`Action::OpenRelease`], once there is one: it is genuine
    /// and fits this device, or it does not.
    Release(SlotId, Result<Rc<Release>, Refusal>),
    /// The answer to [`Action::ObtainArtifact`], once there is one.
    Artifact(SlotId, Result<(), Refusal>),
    /// A fetched blob is whole.
    Arrived(BlobId),
    /// What was genuine is not any more: its key is revoked, or it is below a floor.
    Withdrawn(SlotId, Refusal),
    Worker(WorkerId, WorkerInput),
    Clock,
}

#[derive(Debug, Clone)]
pub enum WorkerInput {
    /// The module is instantiated and its known-answer steps held.
    Passed,
    /// The module cannot be loaded, or a step did not hold.
    Refused(Refusal),
    /// The artifact on the disk is not what it was; it is fetched again.
    Damaged(Refusal),
    /// `init` returned.
    Started,
    /// A call trapped, and a fresh instance follows.
    Trapped(String),
    /// What it has used, and how it is.
    Measured(Figures),
    /// A program has ended by itself; the last time, or it is run again.
    Finished { is_good: bool, is_last: bool, detail: String },
    /// A call ran too long, and the worker is being ended.
    Overran(Refusal),
    /// It never became a worker: the runtime or the launcher is at fault.
    NotStarted(Refusal),
    /// The process has ended, whether it was told to or not.
    Ended(String),
    /// The process has ended by the fault of another module that shared it.
    Displaced { by: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Find the release in the store and open it, or begin to fetch it.
    OpenRelease {
        slot: SlotId,
        entry: Box<AppEntry>,
    },
    /// Find the artifact in the store, or begin to fetch it.
    ObtainArtifact {
        slot: SlotId,
    },
    /// Start a process, load the artifact into it and run the steps.
    Spawn {
        worker: WorkerId,
        slot: SlotId,
    },
    /// Let it run.
    Begin {
        worker: WorkerId,
        interval_ms: u32,
    },
    /// End it after its present call, or now.
    Stop(WorkerId),
    Kill(WorkerId),
    Persist(Persisted),
    /// Stop fetching, and remove from the store, what [`Installer::needed`] does not name.
    Collect,
    /// Something that people see has changed.
    Report,
}

/// What survives a restart, written as one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Persisted {
    /// The last good set.
    pub proven: Vec<Proven>,
    /// What has not proved itself: how often it was tried, and why it was given up.
    pub attempts: Vec<Attempt>,
}

pub struct Installer {
    apps: BTreeMap<String, App>,
    /// When the set does not wait for its late members any longer.
    staged_by: Moment,
    handled_at: Moment,
    /// Told to end, and not yet gone; by the application whose they were.
    leaving: BTreeMap<WorkerId, String>,
    ids: Ids,
}

/// Numbers for slots and workers, and seeds for delays.
struct Ids {
    last: u64,
    seed: u64,
}

impl Ids {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Installer {
    /// After a start of the agent: what had proved itself before. The desired
    /// state follows as the first [`Input::Desired`].
    pub fn new(persisted: Persisted, seed: u64) -> Self {
        let mut ids = Ids { last: 0, seed };
        let Persisted { proven, attempts } = persisted;
        let app = |proven: Proven| {
            let name = proven.entry.app.clone();
            (name, App::restored(proven, &mut ids))
        };
        let mut apps: BTreeMap<String, App> = proven.into_iter().map(app).collect();
        for attempt in attempts {
            match apps.get_mut(&attempt.entry.app) {
                Some(app) => app.attempt = Some(attempt),
                None => {
                    apps.insert(attempt.entry.app.clone(), App::given_up(attempt));
                }
            }
        }
        let (staged_by, handled_at) = (Moment::ZERO, Moment::ZERO);
        Self { apps, staged_by, handled_at, leaving: BTreeMap::new(), ids }
    }

    pub fn handle(&mut self, input: Input, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        self.handled_at = now;
        match input {
            Input::Desired(entries) => self.set_desired(entries, now, &mut actions),
            Input::Release(slot, opened) => {
                if let Some(slot) = self.find_slot(slot) {
                    slot.set_release(opened, &mut actions);
                }
            }
            Input::Artifact(slot, obtained) => {
                if let Some(slot) = self.find_slot(slot) {
                    slot.set_artifact(obtained, now, &mut actions);
                }
            }
            Input::Arrived(blob) => {
                let slots = self.apps.values_mut().flat_map(App::slots_mut);
                slots.for_each(|slot| slot.note_arrival(&blob, &mut actions));
            }
            Input::Withdrawn(slot, refusal) => self.withdraw(slot, refusal, &mut actions),
            Input::Worker(worker, input) => self.handle_worker(worker, input, now, &mut actions),
            Input::Clock => {}
        }
        self.settle(now, &mut actions);
        actions
    }

    /// When [`Input::Clock`] is next needed.
    pub fn deadline(&self) -> Option<Moment> {
        let of_apps = self.apps.values().filter_map(App::deadline);
        let waits = self.apps.values().any(App::waits_to_switch) && self.is_staging();
        let deadlines = of_apps.chain(waits.then_some(self.staged_by));
        // One that has passed was dealt with; what is still open waits for news.
        deadlines.filter(|at| *at > self.handled_at).min()
    }

    pub fn apps(&self) -> impl Iterator<Item = (&str, &App)> {
        self.apps.iter().map(|(name, app)| (name.as_str(), app))
    }

    pub fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots().find(|slot| slot.id == id)
    }

    /// The slot in which this worker runs, unless it is already leaving.
    pub fn slot_of(&self, worker: WorkerId) -> Option<&Slot> {
        self.slots().find(|slot| slot.worker() == Some(worker))
    }

    /// Workers that are not gone yet.
    pub fn workers(&self) -> Vec<WorkerId> {
        self.slots().filter_map(Slot::worker).chain(self.leaving.keys().copied()).collect()
    }

    /// Every blob that anything here or in the persisted set names.
    pub fn needed(&self) -> BTreeSet<BlobId> {
        let of_slots = self.slots().flat_map(|slot| {
            let artifact = slot.release.as_ref().map(|release| release.artifact.into());
            [Some(BlobId::from(slot.entry.release)), artifact]
        });
        let proven = self.apps.values().filter_map(|app| app.proven.as_ref());
        let of_proven = proven.flat_map(|proven| {
            [Some(proven.entry.release.into()), Some(BlobId::from(proven.artifact))]
        });
        of_slots.chain(of_proven).flatten().collect()
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.apps.values().flat_map(App::slots)
    }

    fn find_slot(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.apps.values_mut().flat_map(App::slots_mut).find(|slot| slot.id == id)
    }

    fn set_desired(&mut self, entries: Vec<AppEntry>, now: Moment, actions: &mut Vec<Action>) {
        let before = self.persisted();
        self.staged_by = now + STAGING_MAX;
        let Self { apps, leaving, ids, .. } = self;
        apps.retain(|name, app| {
            let stays = entries.iter().any(|entry| entry.app == *name);
            if !stays {
                for worker in app.slots().filter_map(Slot::worker) {
                    leaving.insert(worker, name.clone());
                    actions.push(Action::Stop(worker));
                }
            }
            stays
        });
        for entry in entries {
            let app = apps.entry(entry.app.clone()).or_insert_with(App::new);
            for worker in app.want(entry, ids, now, actions) {
                leaving.insert(worker, app.name().into());
                actions.push(Action::Stop(worker));
            }
        }
        if self.persisted() != before {
            actions.push(Action::Persist(self.persisted()));
        }
        actions.extend([Action::Collect, Action::Report]);
    }

    fn withdraw(&mut self, slot: SlotId, refusal: Refusal, actions: &mut Vec<Action>) {
        let before = self.persisted();
        let mut of_slot = self.apps.iter_mut();
        let found = of_slot.find(|(_, app)| app.slots().any(|found| found.id == slot));
        let Some((name, app)) = found else { return };
        let (name, gone) = (name.clone(), app.withdraw(slot, refusal));
        if self.persisted() != before {
            actions.push(Action::Persist(self.persisted()));
        }
        if let Some(worker) = gone {
            self.leaving.insert(worker, name);
            actions.push(Action::Stop(worker));
        }
        actions.push(Action::Report);
    }

    fn handle_worker(
        &mut self,
        worker: WorkerId,
        input: WorkerInput,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let has_ended = matches!(
            input,
            WorkerInput::Ended(_) | WorkerInput::Displaced { .. } | WorkerInput::NotStarted(_)
        );
        if self.leaving.contains_key(&worker) {
            if has_ended {
                self.leaving.remove(&worker);
            }
            return;
        }
        let of_worker = |slot: &&mut Slot| slot.worker() == Some(worker);
        let Some(slot) = self.apps.values_mut().flat_map(App::slots_mut).find(of_worker) else {
            return;
        };
        slot.handle_worker(input, now, actions);
        if !has_ended && slot.worker().is_none() {
            let app = slot.entry.app.clone();
            self.leaving.insert(worker, app);
        }
    }

    /// Carries every application on as far as it goes without further news.
    fn settle(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let before = self.persisted();
        let mut follows = Vec::new();
        self.judge_trials(now, &mut follows);
        let may_switch = now >= self.staged_by || !self.is_staging();
        for (name, app) in &mut self.apps {
            let is_clear = !self.leaving.values().any(|of| of == name);
            let turn = app::Turn { now, is_clear, may_switch };
            for worker in app.settle(turn, &mut self.ids, &mut follows) {
                self.leaving.insert(worker, name.clone());
                follows.push(Action::Stop(worker));
            }
        }
        let has_changed = self.persisted() != before;
        if has_changed {
            actions.push(Action::Persist(self.persisted()));
        }
        actions.append(&mut follows);
        if has_changed {
            actions.extend([Action::Collect, Action::Report]);
        }
    }

    /// Commits the set when all its trials are over and well, or leads it back.
    fn judge_trials(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let outcome = |(name, app): (&String, &App)| Some((name.clone(), app.outcome(now)?));
        let outcomes: Vec<(String, Outcome)> = self.apps.iter().filter_map(outcome).collect();
        let failed = outcomes.iter().find_map(|(name, outcome)| match outcome {
            Outcome::Failed(refusal) => Some((name.clone(), refusal.clone())),
            _ => None,
        });
        if let Some((culprit, why)) = failed {
            let detail = format!("went back with {culprit}: {}", why.detail);
            for (name, outcome) in outcomes {
                let Some(app) = self.apps.get_mut(&name) else { continue };
                let gone = match outcome {
                    Outcome::Failed(refusal) => app.give_up(refusal),
                    _ => app.make_way(now + SET_RETRY, detail.clone()),
                };
                if let Some(worker) = gone {
                    self.leaving.insert(worker, name);
                    actions.push(Action::Stop(worker));
                }
            }
            actions.push(Action::Report);
            return;
        }
        let all_passed = outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Passed);
        if all_passed && !self.apps.values().any(App::waits_to_switch) {
            for (name, _) in outcomes {
                if let Some(app) = self.apps.get_mut(&name) {
                    app.commit();
                }
            }
        }
    }

    fn is_staging(&self) -> bool {
        self.apps.values().filter_map(App::wanted).any(Slot::is_staging)
    }

    fn persisted(&self) -> Persisted {
        let apps = || self.apps.values();
        Persisted {
            proven: apps().filter_map(|app| app.proven.clone()).collect(),
            attempts: apps().filter_map(|app| app.attempt.clone()).collect(),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
