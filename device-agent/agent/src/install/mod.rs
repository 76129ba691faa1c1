//! From desired applications to actions: a pure state machine.
//!
//! It is told what happened ([`Input`]) and answers with what to do ([`Action`]);
//! it touches no disk, clock, network or process, so that tests can run through
//! any order of events and power cuts.
//!
//! The rules that it keeps:
//! - Each application is on its own: the refusal of one changes no other.
//! - The version that runs goes on until the wanted one has been fetched, loaded
//!   and has passed its known-answer steps beside it. Only then is the old one
//!   stopped, and only when it has ended does the new one begin, so that never
//!   two versions tick.
//! - The wanted version is *proven* once its `init` has returned. Until then any
//!   refusal of it leads back to the last proven one.
//! - What is proven is persisted by [`Action::Persist`]; blobs that nothing names
//!   are removed by [`Action::Collect`], which always comes after it.

mod app;
mod slot;

pub use app::App;
pub use slot::{Slot, Stage};

use crate::Moment;
use crate::refusal::Refusal;
use crate::state::Proven;
use module_package::{AppEntry, BlobId, Release};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

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
    /// A call trapped, and a fresh instance follows; or that one runs.
    Trapped(String),
    Recovered,
    /// A call ran too long, and the worker is being ended.
    Overran(Refusal),
    /// It never became a worker: the runtime or the launcher is at fault.
    NotStarted(Refusal),
    /// The process has ended, whether it was told to or not.
    Ended(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Find the release in the store and open it, or begin to fetch it.
    OpenRelease {
        slot: SlotId,
        entry: AppEntry,
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
    Persist(Vec<Proven>),
    /// Stop fetching, and remove from the store, what [`Installer::needed`] does not name.
    Collect,
    /// Something that people see has changed.
    Report,
}

pub struct Installer {
    apps: BTreeMap<String, App>,
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
    pub fn new(proven: Vec<Proven>, seed: u64) -> Self {
        let mut ids = Ids { last: 0, seed };
        let app = |proven: Proven| {
            let name = proven.entry.app.clone();
            (name, App::restored(proven, &mut ids))
        };
        let apps = proven.into_iter().map(app).collect();
        Self { apps, leaving: BTreeMap::new(), ids }
    }

    pub fn handle(&mut self, input: Input, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
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
            Input::Worker(worker, input) => self.handle_worker(worker, input, now, &mut actions),
            Input::Clock => {}
        }
        self.settle(now, &mut actions);
        actions
    }

    /// When [`Input::Clock`] is next needed.
    pub fn deadline(&self) -> Option<Moment> {
        self.slots().filter_map(Slot::deadline).min()
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
        let before = self.proven();
        let Self { apps, leaving, ids } = self;
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
        if self.proven() != before {
            actions.push(Action::Persist(self.proven()));
        }
        actions.extend([Action::Collect, Action::Report]);
    }

    fn handle_worker(
        &mut self,
        worker: WorkerId,
        input: WorkerInput,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let has_ended = matches!(input, WorkerInput::Ended(_) | WorkerInput::NotStarted(_));
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
        let before = self.proven();
        for (name, app) in &mut self.apps {
            let is_clear = !self.leaving.values().any(|of| of == name);
            for worker in app.settle(is_clear, now, &mut self.ids, actions) {
                self.leaving.insert(worker, name.clone());
                actions.push(Action::Stop(worker));
            }
        }
        if self.proven() != before {
            actions.extend([Action::Persist(self.proven()), Action::Collect, Action::Report]);
        }
    }

    fn proven(&self) -> Vec<Proven> {
        self.apps.values().filter_map(|app| app.proven.clone()).collect()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
