//! The compile queue: which job is next, what became of it, and its record.
//!
//! The order is decided when a worker asks, not when a job is asked for: what a
//! person's deployment waits for comes before what the gateway makes again by
//! itself, small modules before large ones, and then the first come. No more than
//! `compile_queue_max` jobs wait. A deployment that needs more is refused before
//! anything of it is kept; what the gateway wants by itself is taken up again when
//! there is room.

use super::builds::{CompileInput, CompileJob, JobState, Jobs, Urgency};
use super::desired::{Build, build_for, module_for};
use super::estimate;
use super::{App, AppError, State};
use crate::metrics::JobEnd;
use crate::store::record::{ArtifactKey, ArtifactRecord, CompileRecord, DeploymentRecord, KeyHash};
use crate::store::{Change, StoreError};
use module_package::{ARTIFACT_BYTES_MAX, ArtifactId, BlobId, ModuleId};

/// Records kept of one module; the oldest go.
const COMPILE_RECORDS_MAX: usize = 32;

const LOG_BYTES_MAX: usize = 4 * 1024;

/// What to say to somebody who is refused and for whom nothing better is known.
const RETRY_AFTER_S_DEFAULT: u64 = 30;
const RETRY_AFTER_S_MAX: u64 = 600;

/// What a worker made, and what it took.
#[derive(Debug)]
pub struct CompileOutcome {
    /// The inner text says why there is none.
    pub result: Result<Compiled, String>,
    /// What the worker said beside it.
    pub log: String,
    pub compile_ms: u64,
    pub threads: u32,
}

#[derive(Debug)]
pub struct Compiled {
    pub aot: Vec<u8>,
    /// Machine code in it.
    pub code_bytes: u64,
    pub function_count: u32,
    /// Native stack of the deepest chain of calls, if that has an end.
    pub stack_bytes: Option<u64>,
}

impl Jobs {
    pub fn queued_count(&self) -> usize {
        self.compiles.values().filter(|job| job.state == JobState::Queued).count()
    }

    pub fn in_work_count(&self) -> usize {
        self.compiles.values().filter(|job| job.state == JobState::InWork).count()
    }

    /// Puts a job at the end of its class.
    pub fn queue_compile(&mut self, key: ArtifactKey, module_bytes: u64) {
        let urgency = match self.asked_for.contains(&key.module) {
            true => Urgency::AskedFor,
            false => Urgency::Background,
        };
        self.last_number += 1;
        let number = self.last_number;
        let hash = key.hash();
        let job = CompileJob {
            key,
            state: JobState::Queued,
            urgency,
            module_bytes,
            number,
            started_at_ms: 0,
            functions: (0, 0),
            compile_ms: None,
        };
        self.compiles.insert(hash, job);
    }

    /// From now on a person waits for this module.
    pub fn ask_for(&mut self, module: ModuleId) {
        self.asked_for.insert(module);
        let of_module = self.compiles.values_mut().filter(|job| job.key.module == module);
        of_module.for_each(|job| job.urgency = Urgency::AskedFor);
    }

    fn next_compile(&self) -> Option<KeyHash> {
        let waiting = self.compiles.iter().filter(|(_, job)| job.state == JobState::Queued);
        waiting.min_by_key(|(_, job)| job.place()).map(|(hash, _)| *hash)
    }
}

impl App {
    /// The builds that a new deployment needs compiled, if there is room for all.
    pub(super) fn admit(
        &self,
        state: &State,
        deployments: &[&DeploymentRecord],
    ) -> Result<Vec<Build>, AppError> {
        let mut needed: Vec<Build> = Vec::new();
        let pairs = deployments.iter().flat_map(|deployment| {
            let selected = state.model.served_devices().filter(|d| deployment.selects(d));
            selected.map(move |device| (*deployment, device))
        });
        for (deployment, device) in pairs {
            let Some(module) = module_for(&state.model, deployment, device) else { continue };
            let Ok(build) = build_for(module, deployment, device) else { continue };
            let hash = build.key.hash();
            let is_under_way = |job: &CompileJob| !matches!(job.state, JobState::Refused(_));
            if !state.model.artifacts.contains_key(&hash)
                && !state.jobs.compiles.get(&hash).is_some_and(is_under_way)
                && !needed.iter().any(|other| other.key == build.key)
            {
                needed.push(build);
            }
        }
        let (queued, most) = (state.jobs.queued_count(), self.rooms.compiling.queue_max);
        if !needed.is_empty() && queued + needed.len() > most {
            return Err(AppError::QueueFull {
                detail: format!(
                    "{queued} compile jobs wait, this deployment needs {} more, and {most} are the most that \
                     may wait (compile_queue_max). Nothing was changed: deploy again later, or raise the limit.",
                    needed.len()
                ),
                retry_after_s: self.retry_after_s(state),
            });
        }
        Ok(needed)
    }

    /// When about half of the queue should be gone.
    pub(super) fn retry_after_s(&self, state: &State) -> u64 {
        let workers = self.rooms.compiling.workers;
        let all_ms = estimate::until_all_done_ms(state, workers, self.now_ms());
        let seconds = all_ms.map_or(RETRY_AFTER_S_DEFAULT, |ms| ms / 2_000);
        seconds.clamp(1, RETRY_AFTER_S_MAX)
    }

    pub(super) fn has_queue_room(&self, state: &State) -> bool {
        state.jobs.queued_count() < self.rooms.compiling.queue_max
    }

    /// Called by a worker that is free: the job that is next, and what it needs.
    pub fn take_compile(&self) -> Option<(KeyHash, Result<CompileInput, StoreError>)> {
        let mut state = self.state();
        let (hash, key) = loop {
            let hash = state.jobs.next_compile()?;
            let key = state.jobs.compiles.get(&hash)?.key.clone();
            if state.is_wanted(|build| build.key == key) {
                break (hash, key);
            }
            state.jobs.compiles.remove(&hash);
        };
        let now_ms = self.now_ms();
        if let Some(job) = state.jobs.compiles.get_mut(&hash) {
            job.state = JobState::InWork;
            job.started_at_ms = now_ms;
        }
        // One alone has all processors, several share them. What is shared is not
        // given back: a job keeps what it started with.
        let threads = (self.rooms.compiling.cpus / state.jobs.in_work_count().max(1)).max(1);
        self.show_artifact(&state, &key);
        drop(state);
        let input = self.rooms.blobs.get(BlobId(key.module.0)).map(|wasm| CompileInput {
            wasm,
            target: key.target,
            bounds_checks: key.bounds_checks,
            policy: key.policy,
            threads: threads as u32,
        });
        Some((hash, input))
    }

    /// A worker tells how far it is: functions done, and in all.
    pub fn note_compile_progress(&self, job: KeyHash, functions_done: u32, functions_total: u32) {
        let mut state = self.state();
        let Some(entry) = state.jobs.compiles.get_mut(&job) else { return };
        entry.functions = (functions_done, functions_total);
        let key = entry.key.clone();
        self.show_artifact(&state, &key);
    }

    /// Takes the AoT file, or the reason why there is none.
    pub fn finish_compile(&self, job: KeyHash, outcome: CompileOutcome) -> Result<(), StoreError> {
        let outcome = CompileOutcome { result: check_size(outcome.result), ..outcome };
        let artifact = match &outcome.result {
            Ok(compiled) => Some(ArtifactId(self.put_blob(&compiled.aot)?.0)),
            Err(_) => None,
        };
        let mut state = self.state();
        let Some(entry) = state.jobs.compiles.get(&job) else { return Ok(()) };
        let key = entry.key.clone();
        let compile_ms = outcome.compile_ms;
        let record = to_record(entry, &outcome);
        let mut changes = state.model.add_compile(record.clone(), COMPILE_RECORDS_MAX);
        if let (Ok(compiled), Some(artifact)) = (&outcome.result, artifact) {
            let bytes = compiled.aot.len() as u64;
            let stack_bytes = compiled.stack_bytes;
            let key = key.clone();
            let artifact = ArtifactRecord { key, artifact, bytes, compile_ms, stack_bytes };
            changes.extend(self.to_provenance(&state, &artifact, &record)?);
            changes.push(Change::Artifact(artifact));
        }
        self.commit(&mut state, changes)?;
        let end = if outcome.result.is_ok() { JobEnd::Compiled } else { JobEnd::Refused };
        self.metrics.note_compile(&key.target, end, compile_ms);
        match outcome.result {
            Ok(compiled) => {
                state.jobs.compiles.remove(&job);
                let bytes = compiled.aot.len();
                tracing::info!(module.id = %key.module, target = key.target, bytes, compile_ms, "compiled");
            }
            Err(detail) => {
                tracing::warn!(module.id = %key.module, target = key.target, detail, "compile refused");
                if let Some(entry) = state.jobs.compiles.get_mut(&job) {
                    entry.state = JobState::Refused(detail);
                    entry.compile_ms = Some(compile_ms);
                }
            }
        }
        self.show_artifact(&state, &key);
        self.reconcile_all(&mut state)
    }

    /// There was no room for the result: it is compiled again when there is.
    pub fn defer_compile(&self, job: KeyHash) {
        let mut state = self.state();
        state.waits_for_space = true;
        if let Some(job) = state.jobs.compiles.remove(&job) {
            self.show_artifact(&state, &job.key);
        }
    }

    /// A fault of ours stopped the job; it must not stay in progress.
    pub fn abandon_compile(&self, job: KeyHash, detail: String) {
        let mut state = self.state();
        let Some(entry) = state.jobs.compiles.get_mut(&job) else { return };
        entry.state = JobState::Refused(detail);
        let key = entry.key.clone();
        self.metrics.note_compile(&key.target, JobEnd::Fault, 0);
        self.show_artifact(&state, &key);
    }

    /// Takes up what had no room in the queue.
    pub(super) fn take_up_deferred(&self) {
        let mut state = self.state();
        if !state.jobs.has_deferred || !self.has_queue_room(&state) {
            return;
        }
        state.jobs.has_deferred = false;
        if let Err(error) = self.reconcile_all(&mut state) {
            state.jobs.has_deferred = true;
            tracing::error!(%error, "compile jobs that had no room wait longer");
        }
    }
}

fn check_size(result: Result<Compiled, String>) -> Result<Compiled, String> {
    let compiled = result?;
    match compiled.aot.len() as u64 {
        0 => Err("we have a bug: the compiler gave an empty file".to_owned()),
        bytes if bytes > ARTIFACT_BYTES_MAX => Err(format!(
            "the artifact has {bytes} bytes, and {ARTIFACT_BYTES_MAX} is the most that a device takes"
        )),
        _ => Ok(compiled),
    }
}

fn to_record(job: &CompileJob, outcome: &CompileOutcome) -> CompileRecord {
    let compiled = outcome.result.as_ref().ok();
    CompileRecord {
        number: 0,
        key: job.key.clone(),
        module_bytes: job.module_bytes,
        started_at_ms: job.started_at_ms,
        compile_ms: outcome.compile_ms,
        threads: outcome.threads,
        function_count: compiled.map(|c| c.function_count),
        code_bytes: compiled.map(|c| c.code_bytes),
        aot_bytes: compiled.map(|c| c.aot.len() as u64),
        stack_bytes: compiled.and_then(|c| c.stack_bytes),
        refusal: outcome.result.as_ref().err().cloned(),
        log: cut(&outcome.log, LOG_BYTES_MAX),
    }
}

/// At most so many bytes, cut between two characters.
fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}
