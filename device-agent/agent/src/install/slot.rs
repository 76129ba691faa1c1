//! One attempt to run one entry of a manifest: from its release's id to a worker
//! that is restarted when it dies.

use super::{Action, Figures, SlotId, WorkerId, WorkerInput};
use crate::Moment;
use crate::delay::Delays;
use crate::refusal::Refusal;
use device_protocol::RefusalCode;
use module_package::{AppEntry, BlobId, Release};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

const RESTART_DELAY_MIN: Duration = Duration::from_millis(100);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);

/// Traps of `init` after which a version that replaces a proven one is given up.
const EARLY_TRAPS_MAX: u32 = 3;

/// So many deaths, or traps, in such a time are a crash loop. A module that traps in
/// each call gets there in about 13 seconds, because its runtime waits longer each time.
const DEATHS_MAX: usize = 5;
const TRAPS_MAX: usize = 8;
const CRASHES_WITHIN: Duration = Duration::from_secs(60);

pub struct Slot {
    pub id: SlotId,
    pub entry: AppEntry,
    pub release: Option<Rc<Release>>,
    pub stage: Stage,
    /// Why it is not running although it will be tried again.
    pub trouble: Option<Refusal>,
    /// The last death or trap, for people.
    pub detail: String,
    /// What its worker last said of itself.
    pub figures: Figures,
    /// A program that is not run again: how it ended.
    pub end: Option<ProgramEnd>,
    /// When its module was first called.
    pub(super) begun: Option<Moment>,
    /// Traps and deaths since then.
    pub(super) traps: u64,
    pub(super) restarts: u32,
    /// How often it was started again for another module's fault.
    pub displaced: u32,
    /// By which application the last time.
    pub displaced_by: Option<String>,
    /// It ran, and made way because another of its set failed.
    pub(super) made_way: bool,
    /// Traps before `init` has ever returned.
    early_traps: u32,
    deaths: VecDeque<Moment>,
    recent_traps: VecDeque<Moment>,
    delays: Delays,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramEnd {
    pub is_good: bool,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The release is looked for or on its way.
    Release,
    /// The artifact is looked for or on its way.
    Artifact,
    /// All is there and nothing shall run: stopped, or held back for the other slot.
    Held,
    /// A worker is to be started at this time.
    Waiting(Moment),
    /// A worker is loading and checking.
    Starting(WorkerId),
    /// It has passed its checks and waits for the other version to end.
    Ready(WorkerId),
    Running {
        worker: WorkerId,
        started: bool,
        trapped: bool,
    },
    /// Not tried again until the next manifest, or, where the module is to blame,
    /// until its next deployment.
    Failed(Refusal),
}

impl Slot {
    pub(super) fn new(id: SlotId, entry: AppEntry, seed: u64) -> Self {
        Self {
            id,
            entry,
            release: None,
            stage: Stage::Release,
            trouble: None,
            detail: String::new(),
            figures: Figures::default(),
            end: None,
            begun: None,
            traps: 0,
            restarts: 0,
            displaced: 0,
            displaced_by: None,
            made_way: false,
            early_traps: 0,
            deaths: VecDeque::new(),
            recent_traps: VecDeque::new(),
            delays: Delays::between(RESTART_DELAY_MIN, RESTART_DELAY_MAX, seed ^ id.0),
        }
    }

    pub fn worker(&self) -> Option<WorkerId> {
        match self.stage {
            Stage::Starting(worker) | Stage::Ready(worker) | Stage::Running { worker, .. } => {
                Some(worker)
            }
            _ => None,
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running { .. })
    }

    /// Still on its way to a worker that has passed its checks.
    pub(super) fn is_staging(&self) -> bool {
        let on_the_way = matches!(
            self.stage,
            Stage::Release | Stage::Artifact | Stage::Waiting(_) | Stage::Starting(_)
        );
        on_the_way && self.entry.run && self.begun.is_none() && self.trouble.is_none()
    }

    pub fn failure(&self) -> Option<&Refusal> {
        match &self.stage {
            Stage::Failed(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        match self.stage {
            Stage::Waiting(until) => Some(until),
            _ => None,
        }
    }

    /// What the first stage asks for.
    pub(super) fn open(&self) -> Action {
        Action::OpenRelease { slot: self.id, entry: Box::new(self.entry.clone()) }
    }

    pub(super) fn set_release(
        &mut self,
        opened: Result<Rc<Release>, Refusal>,
        actions: &mut Vec<Action>,
    ) {
        if let (Stage::Failed(_), None, Ok(release)) = (&self.stage, &self.release, &opened) {
            // For people only: it shall not run.
            self.release = Some(release.clone());
            actions.push(Action::Report);
            return;
        }
        if self.stage != Stage::Release {
            return;
        }
        match opened {
            Ok(release) => {
                self.release = Some(release);
                self.stage = Stage::Artifact;
                actions.push(Action::ObtainArtifact { slot: self.id });
            }
            Err(refusal) => self.fail(refusal),
        }
        actions.push(Action::Report);
    }

    pub(super) fn set_artifact(
        &mut self,
        obtained: Result<(), Refusal>,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        if self.stage != Stage::Artifact {
            return;
        }
        match obtained {
            Ok(()) if self.entry.run => self.stage = Stage::Waiting(now),
            Ok(()) => self.stage = Stage::Held,
            Err(refusal) => self.fail(refusal),
        }
        self.trouble = None;
        actions.push(Action::Report);
    }

    pub(super) fn note_arrival(&self, blob: &BlobId, actions: &mut Vec<Action>) {
        let artifact = self.release.as_ref().map(|release| BlobId::from(release.artifact));
        match self.stage {
            Stage::Release if BlobId::from(self.entry.release) == *blob => {
                actions.push(self.open());
            }
            Stage::Artifact if artifact == Some(*blob) => {
                actions.push(Action::ObtainArtifact { slot: self.id });
            }
            _ => {}
        }
    }

    /// Starts the worker when its time has come.
    pub(super) fn start_if_due(
        &mut self,
        now: Moment,
        next_worker: impl FnOnce() -> WorkerId,
        actions: &mut Vec<Action>,
    ) {
        if matches!(self.stage, Stage::Waiting(until) if until <= now) {
            let worker = next_worker();
            self.stage = Stage::Starting(worker);
            actions.push(Action::Spawn { worker, slot: self.id });
        }
    }

    /// Calls the module from now on, where a worker is ready.
    pub(super) fn begin(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let Stage::Ready(worker) = self.stage else { return };
        self.begun.get_or_insert(now);
        self.end = None;
        self.stage = Stage::Running { worker, started: false, trapped: false };
        let interval_ms = self.entry.interval_ms;
        actions.extend([Action::Begin { worker, interval_ms }, Action::Report]);
    }

    /// News of this slot's worker. Where the slot has no worker afterwards, the
    /// worker has ended or was told to.
    pub(super) fn handle_worker(
        &mut self,
        input: WorkerInput,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let Some(worker) = self.worker() else { return };
        match (input, &mut self.stage) {
            (WorkerInput::Passed, Stage::Starting(_)) => {
                self.stage = Stage::Ready(worker);
                self.trouble = None;
            }
            (WorkerInput::Started, Stage::Running { started, .. }) => *started = true,
            (WorkerInput::Trapped(detail), Stage::Running { trapped, started, .. }) => {
                *trapped = true;
                self.early_traps += u32::from(!*started);
                self.traps += 1;
                self.detail = detail;
                if count_recent(&mut self.recent_traps, now) >= TRAPS_MAX {
                    let detail = format!("{TRAPS_MAX} traps within a minute: {}", self.detail);
                    self.fail(Refusal::new(RefusalCode::CrashLoop, detail));
                    actions.push(Action::Kill(worker));
                }
            }
            (
                WorkerInput::Finished { is_good, is_last, detail },
                Stage::Running { trapped, .. },
            ) => {
                // Whatever it was before, it has come to its end.
                *trapped = false;
                self.end = is_last.then_some(ProgramEnd { is_good, detail });
            }
            (WorkerInput::Measured(figures), stage) => {
                self.figures = figures;
                match stage {
                    Stage::Running { trapped: trapped @ true, .. } if figures.is_running => {
                        *trapped = false;
                    }
                    _ => return,
                }
            }
            (WorkerInput::Refused(refusal), _) => {
                self.fail(refusal);
                actions.push(Action::Stop(worker));
            }
            (WorkerInput::Overran(refusal), _) => {
                self.fail(refusal);
                actions.push(Action::Kill(worker));
            }
            (WorkerInput::Damaged(refusal), _) => {
                self.stage = Stage::Artifact;
                self.trouble = Some(refusal);
                actions.push(Action::Stop(worker));
                actions.push(Action::ObtainArtifact { slot: self.id });
            }
            (WorkerInput::NotStarted(refusal), _) => {
                self.stage = Stage::Waiting(now + self.delays.next_delay());
                self.trouble = Some(refusal);
            }
            (WorkerInput::Ended(detail), _) => self.note_death(detail, now),
            (WorkerInput::Displaced { by }, _) => {
                // No death of its own: neither counted nor waited for.
                self.displaced += 1;
                self.stage = Stage::Waiting(now);
                self.detail = format!("started again with its worker, which {by} brought down");
                self.displaced_by = Some(by);
            }
            (WorkerInput::Passed | WorkerInput::Started, _)
            | (WorkerInput::Trapped(_) | WorkerInput::Finished { .. }, _) => return,
        }
        actions.push(Action::Report);
    }

    /// For a slot that has something to fall back to: gives up when `init` traps
    /// again and again, and returns the worker that has to go.
    pub(super) fn give_up_init(&mut self) -> Option<WorkerId> {
        if self.early_traps < EARLY_TRAPS_MAX {
            return None;
        }
        let worker = self.worker();
        let detail =
            format!("trapped {} times before init returned: {}", self.early_traps, self.detail);
        self.fail(Refusal::new(RefusalCode::CrashLoop, detail));
        worker
    }

    fn note_death(&mut self, detail: String, now: Moment) {
        self.restarts += u32::from(self.begun.is_some());
        let times = count_recent(&mut self.deaths, now);
        if times == 1 {
            self.delays.reset();
        }
        if times >= DEATHS_MAX {
            let refusal = format!("{times} times within a minute, at last: {detail}");
            self.fail(Refusal::new(RefusalCode::CrashLoop, refusal));
        } else {
            self.stage = Stage::Waiting(now + self.delays.next_delay());
            self.detail = format!("the worker died: {detail}");
        }
    }

    /// Makes way for the version before and is tried again later, as if it had not run.
    pub(super) fn make_way(&mut self, until: Moment, why: String) {
        self.stage = Stage::Waiting(until);
        self.detail = why;
        self.made_way = true;
        (self.begun, self.traps, self.restarts, self.early_traps) = (None, 0, 0, 0);
    }

    pub(super) fn fail(&mut self, refusal: Refusal) {
        self.trouble = None;
        self.stage = Stage::Failed(refusal);
    }
}

/// Takes in one more; how many of the last minute there are with it.
fn count_recent(crashes: &mut VecDeque<Moment>, now: Moment) -> usize {
    while crashes.front().is_some_and(|at| now.saturating_sub(*at) > CRASHES_WITHIN) {
        crashes.pop_front();
    }
    crashes.push_back(now);
    crashes.len()
}
