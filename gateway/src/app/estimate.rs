//! How long compile jobs will take, from how long others took. Pure.
//!
//! What is known is the compile records: for a target and bounds mode, the median
//! over the newest of them of bytes of module compiled in a millisecond. Where there
//! is none, nothing is known and nothing is said. A job's time includes that of the
//! jobs before it, shared among the workers.

use super::State;
use super::builds::{CompileJob, JobState};
use crate::store::record::{ArtifactKey, CompileRecord};

/// Newest records that the median is taken over.
const RECORDS_LOOKED_AT: usize = 15;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// Jobs that a worker takes up earlier.
    pub jobs_before: u32,
    /// Until the artifact is compiled; `None` where nothing is known.
    pub left_ms: Option<u64>,
}

pub fn outlook(state: &State, job: &CompileJob, workers: usize, now_ms: u64) -> Outlook {
    if job.state != JobState::Queued {
        return Outlook { jobs_before: 0, left_ms: left_ms(state, job, now_ms) };
    }
    let is_before = |other: &&CompileJob| match other.state {
        JobState::InWork => true,
        JobState::Queued => other.place() < job.place(),
        JobState::Refused(_) => false,
    };
    let queued = |other: &&CompileJob| other.state == JobState::Queued;
    let before: Vec<_> = state.jobs.compiles.values().filter(is_before).collect();
    let jobs_before = before.iter().copied().filter(queued).count() as u32;
    let own_ms = left_ms(state, job, now_ms);
    let left_ms = match before.len() < workers {
        true => own_ms,
        false => sum_ms(state, &before, now_ms)
            .zip(own_ms)
            .map(|(before_ms, own_ms)| before_ms / workers.max(1) as u64 + own_ms),
    };
    Outlook { jobs_before, left_ms }
}

/// Until every job of the queue is compiled.
pub fn until_all_done_ms(state: &State, workers: usize, now_ms: u64) -> Option<u64> {
    let is_open = |job: &&CompileJob| !matches!(job.state, JobState::Refused(_));
    let open: Vec<_> = state.jobs.compiles.values().filter(is_open).collect();
    Some(sum_ms(state, &open, now_ms)? / workers.max(1) as u64)
}

fn sum_ms(state: &State, jobs: &[&CompileJob], now_ms: u64) -> Option<u64> {
    jobs.iter().map(|job| left_ms(state, job, now_ms)).sum()
}

/// Without what is before it.
fn left_ms(state: &State, job: &CompileJob, now_ms: u64) -> Option<u64> {
    let elapsed_ms = match job.state {
        JobState::Queued => return whole_ms(state, job),
        JobState::InWork => now_ms.saturating_sub(job.started_at_ms),
        JobState::Refused(_) => return None,
    };
    // Once it has come some way, it is its own best measure.
    let (done, total) = (u64::from(job.functions.0), u64::from(job.functions.1));
    if done * 10 >= total && done > 0 {
        return Some(elapsed_ms.saturating_mul(total.saturating_sub(done)) / done);
    }
    Some(whole_ms(state, job)?.saturating_sub(elapsed_ms))
}

fn whole_ms(state: &State, job: &CompileJob) -> Option<u64> {
    let records = state.model.compile_records();
    let bytes_per_s = bytes_per_s(records, &job.key)?;
    Some(job.module_bytes.saturating_mul(1_000) / bytes_per_s)
}

/// At least 1.
fn bytes_per_s<'a>(
    records: impl Iterator<Item = &'a CompileRecord>,
    key: &ArtifactKey,
) -> Option<u64> {
    let is_like = |record: &&CompileRecord| {
        record.refusal.is_none()
            && record.key.target == key.target
            && record.key.bounds_checks == key.bounds_checks
            && record.key.policy == key.policy
    };
    let mut like: Vec<&CompileRecord> = records.filter(is_like).collect();
    like.sort_by_key(|record| std::cmp::Reverse(record.started_at_ms));
    like.truncate(RECORDS_LOOKED_AT);
    let rate = |r: &&CompileRecord| r.module_bytes.saturating_mul(1_000) / r.compile_ms.max(1);
    let mut rates: Vec<u64> = like.iter().map(rate).collect();
    rates.sort_unstable();
    rates.get(rates.len() / 2).map(|rate| (*rate).max(1))
}
