//! Work in progress: compile jobs and checks, and from a compiled artifact to a
//! signed release. `compiling` is what lies before that.
//!
//! A job is named by the hash of all that decides its result, so there is one for
//! each distinct module, target and policy however many devices want it. Only
//! successes are kept in the store. A refusal lives until the module is deployed
//! again or the gateway restarts, because its reason may be outside the module.

use super::desired::{Build, build_for, module_for, wanted_by};
use super::model::Model;
use super::releases::SignerState;
use super::{App, State};
use crate::store::record::{ArtifactKey, KeyHash, ReleaseRecord};
use crate::store::{Change, StoreError};
use known_answer::Step;
use module_package::{BlobId, CompilePolicy, ModuleId, Provisions, ReleaseLimits};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

#[derive(Default)]
pub struct Jobs {
    pub compiles: HashMap<KeyHash, CompileJob>,
    pub checks: HashMap<KeyHash, CheckJob>,
    /// Modules that somebody deployed since the start.
    pub asked_for: HashSet<ModuleId>,
    /// Something is to be compiled and had no room in the queue.
    pub has_deferred: bool,
    /// Counts compile jobs.
    pub last_number: u64,
    /// Of a signer in another process, if that is who signs.
    pub signer: Option<SignerState>,
    /// Builds whose release that signer will not sign, and why.
    pub signing_refusals: HashMap<KeyHash, String>,
}

pub struct CompileJob {
    pub key: ArtifactKey,
    pub state: JobState,
    pub urgency: Urgency,
    pub module_bytes: u64,
    /// Later ones have larger numbers.
    pub number: u64,
    /// Once it is in work.
    pub started_at_ms: u64,
    /// Done, and in all; both 0 until the worker has said so.
    pub functions: (u32, u32),
    /// Once it is refused.
    pub compile_ms: Option<u64>,
}

impl CompileJob {
    /// Its place in the queue; the smallest is next.
    pub fn place(&self) -> (Urgency, u64, u64) {
        (self.urgency, self.module_bytes, self.number)
    }
}

/// In the order of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody deployed the module and waits.
    AskedFor,
    /// What a restart, another compiler or a new device makes necessary.
    Background,
}

pub struct CheckJob {
    pub build: Build,
    pub state: JobState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    Queued,
    InWork,
    Refused(String),
}

/// How far a build has come.
#[derive(Debug, Clone, PartialEq)]
pub enum BuildStatus {
    /// Nobody has asked for it.
    Absent,
    Queued,
    Compiling,
    Checking,
    /// Checked; the text says what the signature waits for.
    AwaitingSignature(String),
    Ready(ReleaseRecord),
    Refused(String),
}

/// What a compile job needs.
pub struct CompileInput {
    pub wasm: Vec<u8>,
    pub target: String,
    pub bounds_checks: String,
    pub policy: CompilePolicy,
    /// Threads that it may use at most.
    pub threads: u32,
}

/// What a check needs.
pub struct CheckInput {
    pub artifact: Vec<u8>,
    pub app: String,
    pub target: String,
    pub bounds_checks: String,
    pub limits: ReleaseLimits,
    pub known_answers: Vec<Step>,
    pub sensors: Vec<String>,
    pub channels: Vec<String>,
    pub provisions: Provisions,
}

impl State {
    pub(super) fn build_status(&self, build: &Build) -> BuildStatus {
        let hash = build.hash();
        if let Some(release) = self.model.releases.get(&hash) {
            return BuildStatus::Ready(release.clone());
        }
        if let Some(status) = self.signature_status(hash) {
            return status;
        }
        if let Some(check) = self.jobs.checks.get(&hash) {
            return match &check.state {
                JobState::Refused(detail) => BuildStatus::Refused(detail.clone()),
                JobState::Queued | JobState::InWork => BuildStatus::Checking,
            };
        }
        match self.jobs.compiles.get(&build.key.hash()).map(|job| &job.state) {
            Some(JobState::Queued) => BuildStatus::Queued,
            Some(JobState::InWork) => BuildStatus::Compiling,
            Some(JobState::Refused(detail)) => BuildStatus::Refused(detail.clone()),
            None => BuildStatus::Absent,
        }
    }

    /// Whether any device still needs this artifact.
    pub(super) fn is_wanted(&self, needs: impl Fn(&Build) -> bool) -> bool {
        let builds = self.model.served_devices().flat_map(|device| {
            let wanted = wanted_by(&self.model, device).into_values();
            wanted.filter_map(|deployment| {
                let module = module_for(&self.model, deployment, device)?;
                build_for(module, deployment, device).ok()
            })
        });
        builds.into_iter().any(|build| needs(&build))
    }
}

impl Jobs {
    /// Forgets refusals of a module, so that they are tried again.
    pub fn forget_refusals_of(&mut self, module: ModuleId) {
        let is_refusal = |state: &JobState| matches!(state, JobState::Refused(_));
        self.compiles.retain(|_, job| job.key.module != module || !is_refusal(&job.state));
        self.checks.retain(|_, job| job.build.key.module != module || !is_refusal(&job.state));
        // They name no module, and asking again costs a question.
        self.signing_refusals.clear();
    }
}

impl App {
    /// Asks for the next step of a build that is not ready.
    pub(super) fn pursue(&self, state: &mut State, build: &Build) {
        if state.build_status(build) != BuildStatus::Absent {
            return;
        }
        let key_hash = build.key.hash();
        if state.model.artifacts.contains_key(&key_hash) {
            let hash = build.hash();
            let job = CheckJob { build: build.clone(), state: JobState::Queued };
            state.jobs.checks.insert(hash, job);
            self.rooms.workshop.check(hash);
            self.metrics.note_cache_lookup(true);
        } else if self.has_queue_room(state) {
            let bytes = state.model.modules.get(&build.key.module).map_or(0, |m| m.bytes);
            state.jobs.queue_compile(build.key.clone(), bytes);
            self.rooms.workshop.compile();
            self.metrics.note_cache_lookup(false);
        } else {
            state.jobs.has_deferred = true;
            return;
        }
        self.show_artifact(state, &build.key);
    }

    pub fn begin_check(&self, job: KeyHash) -> Result<Option<CheckInput>, StoreError> {
        let mut state = self.state();
        let Some(build) = state.jobs.checks.get(&job).map(|job| job.build.clone()) else {
            return Ok(None);
        };
        if !state.is_wanted(|other| *other == build) {
            state.jobs.checks.remove(&job);
            return Ok(None);
        }
        if let Some(job) = state.jobs.checks.get_mut(&job) {
            job.state = JobState::InWork;
        }
        let artifact = state.model.artifacts.get(&build.key.hash()).map(|a| a.artifact);
        self.show_artifact(&state, &build.key);
        drop(state);
        let Some(artifact) = artifact else { return Ok(None) };
        let artifact = self.rooms.blobs.get(artifact.into())?;
        let Build { key, app, limits, known_answers, sensors, channels, provisions, .. } = build;
        let ArtifactKey { target, bounds_checks, .. } = key;
        Ok(Some(CheckInput {
            artifact,
            app,
            target,
            bounds_checks,
            limits,
            known_answers,
            sensors,
            channels,
            provisions: provisions.unwrap_or_default(),
        }))
    }

    /// Takes the number of known-answer steps that held, or why the artifact must
    /// not be published; signs the release, or has it wait for its signature.
    pub fn finish_check(
        &self,
        job: KeyHash,
        result: Result<u32, String>,
    ) -> Result<(), StoreError> {
        let build = self.state().jobs.checks.get(&job).map(|job| job.build.clone());
        let Some(build) = build else { return Ok(()) };
        let drafted = match result {
            Ok(checks_passed) => self.draft_release(&build, checks_passed)?,
            Err(detail) => Err(detail),
        };
        let mut state = self.state();
        match drafted {
            Ok(unsigned) => {
                let module = build.key.module;
                let change = self.signed_or_waiting(&state, unsigned)?;
                let is_signed = matches!(change, Change::Release(_));
                self.commit(&mut state, vec![change])?;
                state.jobs.checks.remove(&job);
                tracing::info!(module.id = %module, target = build.key.target, is_signed, "checked");
                self.signing_wanted.notify_one();
            }
            Err(detail) => {
                let (module, target) = (build.key.module, &build.key.target);
                tracing::warn!(module.id = %module, target, detail, "check refused");
                if let Some(job) = state.jobs.checks.get_mut(&job) {
                    job.state = JobState::Refused(detail);
                }
            }
        }
        self.show_artifact(&state, &build.key);
        self.reconcile_all(&mut state)
    }

    /// There was no room for the release: it is checked again when there is.
    pub fn defer_check(&self, job: KeyHash) {
        let mut state = self.state();
        state.waits_for_space = true;
        if let Some(job) = state.jobs.checks.remove(&job) {
            self.show_artifact(&state, &job.build.key);
        }
    }

    /// A fault of ours stopped the job; it must not stay in progress.
    pub fn abandon_check(&self, job: KeyHash, detail: String) {
        let mut state = self.state();
        let Some(entry) = state.jobs.checks.get_mut(&job) else { return };
        entry.state = JobState::Refused(detail);
        let key = entry.build.key.clone();
        self.show_artifact(&state, &key);
    }

    /// Artifacts and releases whose files are lost can be made again, so their
    /// records go; a lost module cannot.
    pub(super) fn forget_lost_blobs(&self, state: &mut State) -> Result<(), StoreError> {
        let lost = lost_blobs(&state.model, |blob| self.rooms.blobs.size(blob));
        for change in &lost {
            tracing::warn!(?change, "a derived file is missing; it is made again");
        }
        let modules = state.model.modules.values();
        for module in modules.filter(|m| self.rooms.blobs.size(BlobId(m.module.0)) != Some(m.bytes))
        {
            tracing::error!(module.id = %module.module, "the module's file is missing; upload it again");
        }
        self.commit(state, lost)
    }

    pub(super) fn show_artifact(&self, state: &State, key: &ArtifactKey) {
        let artifact = super::views::artifact(state, key, &self.viewpoint());
        self.events.send(gateway_api::Event::Artifact { artifact });
        self.deployments_changed.store(true, Ordering::Release);
    }
}

fn lost_blobs(model: &Model, size: impl Fn(BlobId) -> Option<u64>) -> Vec<Change> {
    let is_lost = |blob: BlobId, bytes: u64| size(blob) != Some(bytes);
    let artifacts = model.artifacts.iter().filter(|(_, a)| is_lost(a.artifact.into(), a.bytes));
    let releases = model.releases.iter().filter(|(_, r)| {
        is_lost(r.release.into(), r.release_bytes) || is_lost(r.artifact.into(), r.artifact_bytes)
    });
    let unsigned =
        model.unsigned.iter().filter(|(_, u)| is_lost(u.artifact.into(), u.artifact_bytes));
    (artifacts.map(|(hash, _)| Change::DeleteArtifact(*hash)))
        .chain(unsigned.map(|(build, _)| Change::DeleteUnsigned(*build)))
        .chain(releases.map(|(hash, _)| Change::DeleteRelease(*hash)))
        .collect()
}
