//! What the gateway hears about this device: one report is everything at one
//! moment. [`Pace`] says when, [`app_report`] puts one application into words.

mod abridge;
pub mod build;
mod counters;
mod device_usage;
mod guest;
mod outlets;
pub mod system;

pub use abridge::Abridger;
pub use counters::Counters;
pub use device_usage::DeviceMeter;
pub use outlets::to_report as outlets_report;

use crate::Moment;
use crate::fetch::Fetch;
use crate::install::{App, Slot, Stage};
use crate::refusal::Refusal;
use device_protocol::{AppReport, AppState, ProgramReport, RefusalCode};
use module_package::AppEntry;
use std::time::Duration;
use worker_protocol::Usage;

/// At most ten reports in a second.
const REPORT_SPACING: Duration = Duration::from_millis(100);
/// How long workers get to say what they used before a report goes without.
const USAGE_WITHIN: Duration = Duration::from_millis(400);

/// When to ask workers for their usage, and when to report.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    next_round: Moment,
    /// A report is owed since a change, or by the end of a round.
    owed_by: Option<Moment>,
    reported_at: Option<Moment>,
}

impl Pace {
    pub fn new(interval: Duration) -> Self {
        Self { interval, next_round: Moment::ZERO, owed_by: None, reported_at: None }
    }

    /// Something changed that people see.
    pub fn note_change(&mut self, now: Moment) {
        let spaced = self.reported_at.map_or(now, |at| now.max(at + REPORT_SPACING));
        self.owe_by(spaced);
    }

    /// A round begins: workers are to be asked, and the report waits for them.
    pub fn begin_round(&mut self, now: Moment) -> bool {
        if now < self.next_round {
            return false;
        }
        self.next_round = now + self.interval;
        self.owe_by(now + USAGE_WITHIN.min(self.interval / 2));
        true
    }

    pub fn take_due(&mut self, now: Moment) -> bool {
        let due = self.owed_by.is_some_and(|by| by <= now);
        if due {
            (self.owed_by, self.reported_at) = (None, Some(now));
        }
        due
    }

    pub fn deadline(&self) -> Moment {
        self.owed_by.map_or(self.next_round, |by| by.min(self.next_round))
    }

    fn owe_by(&mut self, by: Moment) {
        self.owed_by = Some(self.owed_by.map_or(by, |earlier| earlier.min(by)));
    }
}

/// Before there is a runtime that could run it.
pub fn waiting_app_report(entry: &AppEntry, trouble: Option<&Refusal>) -> AppReport {
    let mut report = empty_report(entry);
    report.state = if trouble.is_some() { AppState::Refused } else { AppState::Starting };
    explain(&mut report, trouble);
    report
}

/// `fetch`: of the blob that the wanted version waits for, if it does.
pub fn app_report(
    app: &App,
    wanted: &Slot,
    fetch: Option<&Fetch>,
    usage: &Usage,
    worker_rss_bytes: u64,
    now: Moment,
) -> AppReport {
    let mut report = empty_report(&wanted.entry);
    if let Some(release) = &wanted.release {
        report.module = Some(release.module);
        report.artifact = Some(release.artifact);
        report.app_version = release.app_version;
        report.fetch_total_bytes = release.artifact_bytes;
    }
    let failure = wanted.failure();
    let old_runs = app.fallback().is_some_and(Slot::is_running);
    report.state = state_of(wanted, old_runs);
    match (&wanted.stage, fetch) {
        (Stage::Release | Stage::Artifact, fetch) => {
            explain(&mut report, wanted.trouble.as_ref());
            if let Some(fetch) = fetch {
                (report.fetched_bytes, report.fetch_total_bytes) = fetch.progress_bytes();
                if let Some(detail) = fetch.wrong_block() {
                    let wrong = Refusal::new(RefusalCode::WrongHash, detail);
                    explain(&mut report, Some(&wrong));
                }
                if fetch.is_stalled(now) {
                    let detail = format!("blocks of {} do not arrive", fetch.blob);
                    let stalled = Refusal::new(RefusalCode::FetchTimeout, detail);
                    explain(&mut report, Some(&stalled));
                }
            }
        }
        _ => {
            report.fetched_bytes = report.fetch_total_bytes;
            explain(&mut report, failure.or(wanted.trouble.as_ref()));
            if report.refusal.is_none() && report.state == AppState::BackingOff {
                report.detail = wanted.detail.clone();
            }
        }
    }
    report.fallback = old_runs && report.refusal.is_some();
    if report.fallback
        && let Some(version) = app.proven_version()
    {
        report.detail.push_str(&format!("; version {version} goes on running"));
    }
    fill_usage(&mut report, usage);
    if let Some(trial) = app.trial() {
        let left_ms = u32::try_from(trial.left(now).as_millis()).unwrap_or(u32::MAX);
        report.trial_left_ms = Some(left_ms);
    }
    let serving = app.serving().or(Some(wanted));
    report.health = serving.and_then(|slot| slot.figures.health).map(|(last, _)| last);
    report.worker_rss_bytes = worker_rss_bytes;
    report
}

fn state_of(slot: &Slot, old_runs: bool) -> AppState {
    match &slot.stage {
        Stage::Release | Stage::Artifact => AppState::Fetching,
        Stage::Held => AppState::Stopped,
        Stage::Waiting(_) if slot.trouble.is_some() => AppState::Refused,
        Stage::Waiting(_) if !slot.detail.is_empty() => AppState::BackingOff,
        Stage::Waiting(_) | Stage::Starting(_) | Stage::Ready(_) => AppState::Starting,
        Stage::Running { trapped: true, .. } => AppState::BackingOff,
        Stage::Running { .. } => AppState::Running,
        Stage::Failed(refusal) if refusal.code == RefusalCode::TimeLimit && !old_runs => {
            AppState::StoppedTimeLimit
        }
        Stage::Failed(_) => AppState::Refused,
    }
}

fn explain(report: &mut AppReport, refusal: Option<&Refusal>) {
    if let Some(refusal) = refusal {
        report.refusal = Some(refusal.code);
        report.detail = refusal.detail.clone();
    }
}

fn fill_usage(report: &mut AppReport, usage: &Usage) {
    report.cpu_us = usage.cpu_us;
    report.memory_bytes = usage.memory_bytes;
    report.memory_peak_bytes = usage.memory_peak_bytes;
    report.calls = usage.calls;
    report.traps = usage.traps;
    report.restarts = usage.restarts;
    report.published = usage.published;
    report.publishes_dropped = usage.publishes_dropped;
    report.log_lines = usage.log_lines;
    report.log_lines_dropped = usage.log_lines_dropped;
    report.checks_passed = usage.checks_passed;
    report.checks_failed = usage.checks_failed;
    report.gas_used = usage.gas_used;
    report.guest = usage.guest.as_ref().map(guest::to_report);
    report.limits = usage.limits;
    report.throttled = usage.throttled;
    report.trap_kinds = usage.trap_kinds.clone();
    report.overhead_bytes = usage.overhead_bytes;
    report.ticks = usage.ticks.as_deref().cloned();
    report.program = usage.program.map(|program| ProgramReport {
        runs: program.runs,
        exit_code: program.exit_code,
        is_finished: program.is_finished,
    });
}

fn empty_report(entry: &AppEntry) -> AppReport {
    AppReport {
        app: entry.app.clone(),
        release: entry.release,
        module: None,
        artifact: None,
        app_version: 0,
        state: AppState::Starting,
        refusal: None,
        detail: String::new(),
        fetched_bytes: 0,
        fetch_total_bytes: 0,
        cpu_us: 0,
        memory_bytes: 0,
        memory_peak_bytes: 0,
        calls: 0,
        traps: 0,
        restarts: 0,
        published: 0,
        publishes_dropped: 0,
        log_lines: 0,
        log_lines_dropped: 0,
        checks_passed: 0,
        checks_failed: 0,
        worker_rss_bytes: 0,
        fallback: false,
        gas_used: None,
        trial_left_ms: None,
        health: None,
        guest: None,
        limits: None,
        throttled: None,
        ticks: None,
        scheduling: None,
        confinement: None,
        trap_kinds: None,
        overhead_bytes: None,
        company: None,
        worker_cpu_us: None,
        outlets: None,
        program: None,
        last_trap: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Moment = Duration::from_millis;

    #[test]
    fn changes_are_reported_at_once_but_not_more_than_ten_times_a_second() {
        let mut pace = Pace::new(MS(5_000));
        let mut reports = 0;
        for now in 0..1_000 {
            pace.note_change(MS(now));
            reports += u32::from(pace.take_due(MS(now)));
        }
        assert_eq!(reports, 10);
    }

    #[test]
    fn a_round_gives_the_workers_a_moment_to_answer() {
        let mut pace = Pace::new(MS(1_000));
        assert!(pace.begin_round(MS(0)));
        assert!(!pace.begin_round(MS(1)) && !pace.take_due(MS(399)));
        assert_eq!(pace.deadline(), MS(400));
        assert!(pace.take_due(MS(400)));
        assert_eq!(pace.deadline(), MS(1_000));
    }
}
