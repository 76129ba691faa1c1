//! One device: its last report, what follows from the last two, and its past.

use super::point::{AppPoint, DevicePoint};
use super::{LOG_LINES_KEPT, OFFLINE_AFTER_MS, POINTS_MAX, PUBLISHED_KEPT, Ring, TrapPlaces, cpu};
use device_protocol::{BuildReport, GuestReport, Report};
use module_package::{MANIFEST_APPS_MAX, SUBSCRIPTIONS_MAX};
use std::collections::HashMap;
use worker_protocol::METRICS_MAX;

/// Starts of the agent that are remembered, so that their reports are not
/// replayed as new ones.
const EARLIER_BOOTS_KEPT: usize = 16;

/// So many new reports of an earlier start are no late messages.
const CLONE_REPORTS_MIN: u64 = 3;
/// An alarm stays up for so long after its last sign.
const ALARM_KEPT_MS: u64 = 10 * 60 * 1_000;

/// Longest text of a report that is kept; a device may send more.
const DETAIL_BYTES_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 64;
/// A newer runtime may have more functions than this gateway knows.
const HOST_CALLS_MAX: usize = 64;
const OUTLETS_MAX: usize = 32;
const CONFINEMENT_NAMES_MAX: usize = 32;

pub struct DeviceTelemetry {
    last: Option<Report>,
    last_seen_ms: Option<u64>,
    /// With the last counter that was heard of each.
    earlier_boots: Ring<([u8; 16], u64)>,
    pub reports_refused: u64,
    /// New reports of earlier starts: how many, and the time of the last.
    alternations: (u64, u64),
    forged: (u64, u64),
    /// Whether the last thing told to the outside was "online".
    pub shown_online: bool,
    pub cpu_percent: Option<f64>,
    app_cpu_percent: HashMap<String, Option<f64>>,
    points: Ring<DevicePoint>,
    app_points: HashMap<String, Ring<AppPoint>>,
    pub trap_places: TrapPlaces,
    pub logs: Ring<StoredLog>,
    pub published: Ring<StoredPublished>,
}

pub struct AppFigures<'a> {
    pub report: &'a device_protocol::AppReport,
    pub cpu_percent: Option<f64>,
}

#[derive(Debug, Clone)]
pub struct StoredLog {
    pub arrival: u64,
    pub time_ms: u64,
    pub app: String,
    pub level: String,
    pub text: String,
}

#[derive(Debug, Clone)]
pub struct StoredPublished {
    pub arrival: u64,
    pub time_ms: u64,
    pub app: String,
    pub channel: String,
    pub seq: u64,
    pub payload: Vec<u8>,
}

/// Why a genuine report is not taken: it says nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefusal {
    #[error("report {counter} is not after report {last}")]
    Late { counter: u64, last: u64 },
    #[error("the report is from an earlier start of the agent")]
    EarlierBoot,
}

impl Default for DeviceTelemetry {
    fn default() -> Self {
        Self {
            last: None,
            last_seen_ms: None,
            earlier_boots: Ring::new(EARLIER_BOOTS_KEPT),
            reports_refused: 0,
            alternations: (0, 0),
            forged: (0, 0),
            shown_online: false,
            cpu_percent: None,
            app_cpu_percent: HashMap::new(),
            points: Ring::new(POINTS_MAX),
            app_points: HashMap::new(),
            trap_places: TrapPlaces::default(),
            logs: Ring::new(LOG_LINES_KEPT),
            published: Ring::new(PUBLISHED_KEPT),
        }
    }
}

impl DeviceTelemetry {
    /// Takes a verified report in, unless it is late or replayed.
    pub fn fold(&mut self, mut report: Report, now_ms: u64) -> Result<(), ReportRefusal> {
        if let Some(last) = &self.last {
            let (boot, counter) = (last.boot_id, last.counter);
            if let Err(refusal) = self.check_order(last, &report) {
                self.note_refused(&report, now_ms);
                return Err(refusal);
            }
            if boot != report.boot_id {
                self.earlier_boots.push((boot, counter));
            }
        }
        bound(&mut report);
        let earlier = self.last.as_ref().filter(|last| last.boot_id == report.boot_id);
        if let Some(earlier) = earlier {
            report.fill_in(earlier);
        }
        self.cpu_percent = earlier.and_then(|earlier| cpu::of_device(earlier, &report));
        self.app_cpu_percent = report
            .apps
            .iter()
            .map(|app| {
                let percent = earlier.and_then(|earlier| cpu::of_app(earlier, &report, app));
                (app.app.clone(), percent)
            })
            .collect();
        self.add_points(&report, now_ms);
        self.last = Some(report);
        self.last_seen_ms = Some(now_ms);
        Ok(())
    }

    fn check_order(&self, last: &Report, report: &Report) -> Result<(), ReportRefusal> {
        if last.boot_id == report.boot_id && report.counter <= last.counter {
            return Err(ReportRefusal::Late { counter: report.counter, last: last.counter });
        }
        if self.earlier_boots.iter().any(|(boot, _)| *boot == report.boot_id) {
            return Err(ReportRefusal::EarlierBoot);
        }
        Ok(())
    }

    /// A start that ended says nothing new: whoever speaks for it, with a counter that
    /// was not heard before, runs beside the present one.
    fn note_refused(&mut self, report: &Report, now_ms: u64) {
        self.reports_refused += 1;
        let earlier = self.earlier_boots.iter_mut().find(|(boot, _)| *boot == report.boot_id);
        if let Some((_, counter)) = earlier
            && report.counter > *counter
        {
            *counter = report.counter;
            count(&mut self.alternations, now_ms);
        }
    }

    pub fn note_forged(&mut self, now_ms: u64) {
        self.reports_refused += 1;
        count(&mut self.forged, now_ms);
    }

    /// A report that was only late may look like one of a clone; several do not.
    pub fn is_cloned(&self, now_ms: u64) -> bool {
        let (count, last_ms) = self.alternations;
        count >= CLONE_REPORTS_MIN && now_ms.abs_diff(last_ms) <= ALARM_KEPT_MS
    }

    /// How many reports in its name were not its own, if there were any lately.
    pub fn forged(&self, now_ms: u64) -> Option<u64> {
        let (count, last_ms) = self.forged;
        (count > 0 && now_ms.abs_diff(last_ms) <= ALARM_KEPT_MS).then_some(count)
    }

    fn add_points(&mut self, report: &Report, now_ms: u64) {
        self.points.push(DevicePoint::of(report, now_ms, self.cpu_percent));
        // Not of this report yet: the caller keeps it after its points.
        let earlier = self.last.as_ref().filter(|last| last.boot_id == report.boot_id);
        for app in &report.apps {
            let cpu_percent = self.app_cpu_percent.get(&app.app).copied().flatten();
            let point = AppPoint::of(earlier, report, app, now_ms, cpu_percent);
            let points =
                self.app_points.entry(app.app.clone()).or_insert_with(|| Ring::new(POINTS_MAX));
            points.push(point);
        }
        // An application that has left keeps its line until the chart has scrolled
        // past it; beyond the most that a device can run, the longest gone goes.
        while self.app_points.len() > MANIFEST_APPS_MAX {
            let oldest = self
                .app_points
                .iter()
                .min_by_key(|(_, points)| points.last().map_or(0, |point| point.time_ms));
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { break };
            self.app_points.remove(&name);
        }
    }

    pub fn report(&self) -> Option<&Report> {
        self.last.as_ref()
    }

    pub fn last_seen_ms(&self) -> Option<u64> {
        self.last_seen_ms
    }

    pub fn is_online(&self, now_ms: u64) -> bool {
        self.last_seen_ms.is_some_and(|seen| now_ms.abs_diff(seen) <= OFFLINE_AFTER_MS)
    }

    /// The applications of the last report.
    pub fn apps(&self) -> impl Iterator<Item = AppFigures<'_>> {
        let apps = self.last.iter().flat_map(|report| &report.apps);
        apps.map(|report| AppFigures {
            report,
            cpu_percent: self.app_cpu_percent.get(&report.app).copied().flatten(),
        })
    }

    pub fn points(&self) -> impl Iterator<Item = &DevicePoint> {
        self.points.iter()
    }

    pub fn last_point(&self) -> Option<&DevicePoint> {
        self.points.last()
    }

    pub fn app_points(&self) -> impl Iterator<Item = (&str, &Ring<AppPoint>)> {
        self.app_points.iter().map(|(app, points)| (app.as_str(), points))
    }
}

/// Counts what belongs together; after a long pause, from the start.
fn count((count, last_ms): &mut (u64, u64), now_ms: u64) {
    if now_ms.abs_diff(*last_ms) > ALARM_KEPT_MS {
        *count = 0;
    }
    *count += 1;
    *last_ms = now_ms;
}

/// Cuts what a device says to what is kept of it.
fn bound(report: &mut Report) {
    report.apps.truncate(MANIFEST_APPS_MAX);
    for app in &mut report.apps {
        cut(&mut app.app, NAME_BYTES_MAX);
        cut(&mut app.detail, DETAIL_BYTES_MAX);
        if let Some(guest) = &mut app.guest {
            bound_guest(guest);
        }
        if let Some(kinds) = &mut app.trap_kinds {
            kinds.bound();
        }
        if let Some(outlets) = &mut app.outlets {
            outlets.truncate(OUTLETS_MAX);
            outlets.iter_mut().for_each(|outlet| cut(&mut outlet.channel, NAME_BYTES_MAX));
        }
        if let Some(by) = app.company.as_mut().and_then(|company| company.displaced_by.as_mut()) {
            cut(by, NAME_BYTES_MAX);
        }
        if let Some(trap) = &mut app.last_trap {
            cut(&mut trap.export, NAME_BYTES_MAX);
            cut(&mut trap.detail, DETAIL_BYTES_MAX);
        }
        if let Some(confinement) = &mut app.confinement {
            confinement.truncate(CONFINEMENT_NAMES_MAX);
            confinement.iter_mut().for_each(|name| cut(name, NAME_BYTES_MAX));
        }
    }
    if let Some(refused) = &mut report.refused {
        cut(&mut refused.detail, DETAIL_BYTES_MAX);
    }
    if let Some(builds) = &mut report.builds {
        let BuildReport { agent, runtime, wamr_version, target, bounds_checks, .. } = builds;
        let texts = [&mut agent.version, &mut runtime.version, wamr_version, target, bounds_checks];
        texts.into_iter().for_each(|text| cut(text, NAME_BYTES_MAX));
    }
}

/// JSON has no number that is not finite.
fn bound_guest(guest: &mut GuestReport) {
    guest.host_calls.truncate(HOST_CALLS_MAX);
    guest.metrics.retain(|metric| metric.value.is_finite());
    guest.metrics.truncate(METRICS_MAX);
    guest.inboxes.truncate(SUBSCRIPTIONS_MAX);
    guest.inboxes.iter_mut().for_each(|inbox| cut(&mut inbox.channel, NAME_BYTES_MAX));
    guest.metrics.iter_mut().for_each(|metric| cut(&mut metric.name, NAME_BYTES_MAX));
}

/// Shortens text to at most so many bytes, at the end of a character.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::fleet::{FakeDevice, app_report};
    use device_protocol::{AppState, DeviceUsage, HostCallReport};
    use module_package::{ModuleId, ReleaseId};

    fn report(boot: u8, counter: u64, cpu_us: u64) -> Report {
        let mut app = app_report("filter", ReleaseId([1; 32]), AppState::Running);
        app.cpu_us = cpu_us;
        Report {
            boot_id: [boot; 16],
            usage: DeviceUsage {
                system_cpu_busy_ms: counter * 200,
                system_cpu_total_ms: counter * 2_000,
                ..DeviceUsage::default()
            },
            ..FakeDevice::new(1, "x86_64-linux").report(counter, 1, vec![app])
        }
    }

    fn app_percent(telemetry: &DeviceTelemetry) -> Option<f64> {
        telemetry.apps().next().unwrap().cpu_percent
    }

    #[test]
    fn cpu_use_is_measured_by_the_devices_own_clock() {
        let mut telemetry = DeviceTelemetry::default();
        telemetry.fold(report(1, 1, 10_000), 0).unwrap();
        assert_eq!(app_percent(&telemetry), None);
        // Arrives 9 seconds late, and nine reports were lost.
        telemetry.fold(report(1, 11, 110_000), 19_000).unwrap();
        assert_eq!(app_percent(&telemetry), Some(1.0));
        assert_eq!(telemetry.cpu_percent, Some(10.0));
    }

    #[test]
    fn a_brief_report_keeps_what_the_full_one_said_of_the_same_release() {
        let mut telemetry = DeviceTelemetry::default();
        let call = |number, calls| HostCallReport { number, calls, bytes: 0, time_ns: 0 };
        let guest = |host_calls| Some(GuestReport { host_calls, ..GuestReport::default() });
        let mut full = report(1, 1, 0);
        full.apps[0].module = Some(ModuleId([5; 32]));
        full.apps[0].confinement = Some(vec!["landlock".into()]);
        full.apps[0].guest = guest(vec![call(1, 10), call(4, 20)]);
        telemetry.fold(full, 0).unwrap();
        let brief = |counter| Report { brief: Some(true), ..report(1, counter, 0) };
        let mut second = brief(2);
        second.apps[0].guest = guest(vec![call(4, 21)]);
        telemetry.fold(second, 1).unwrap();
        // What was filled in is there for the next one.
        let mut third = brief(3);
        third.apps[0].guest = guest(vec![]);
        telemetry.fold(third, 2).unwrap();
        let app = &telemetry.report().unwrap().apps[0];
        assert_eq!(app.module, Some(ModuleId([5; 32])));
        assert_eq!(app.confinement, Some(vec!["landlock".to_owned()]));
        assert_eq!(app.guest.as_ref().unwrap().host_calls, [call(1, 10), call(4, 21)]);
        let mut other = brief(4);
        other.apps[0].release = ReleaseId([9; 32]);
        telemetry.fold(other, 3).unwrap();
        assert_eq!(telemetry.report().unwrap().apps[0].module, None, "another release");
        telemetry.fold(report(1, 5, 0), 4).unwrap();
        assert_eq!(telemetry.report().unwrap().apps[0].confinement, None, "a full one says none");
    }

    #[test]
    fn a_counter_that_was_set_back_gives_no_percentage() {
        let mut telemetry = DeviceTelemetry::default();
        telemetry.fold(report(1, 1, 10_000), 0).unwrap();
        telemetry.fold(report(1, 2, 500), 1_000).unwrap();
        assert_eq!(app_percent(&telemetry), None);
        telemetry.fold(report(2, 1, 10_000), 2_000).unwrap();
        assert_eq!(app_percent(&telemetry), None, "another start of the agent");
    }

    #[test]
    fn late_repeated_and_replayed_reports_are_dropped() {
        let mut telemetry = DeviceTelemetry::default();
        telemetry.fold(report(1, 5, 0), 0).unwrap();
        let late = ReportRefusal::Late { counter: 5, last: 5 };
        assert_eq!(telemetry.fold(report(1, 5, 0), 1), Err(late));
        telemetry.fold(report(2, 1, 0), 2).unwrap();
        assert_eq!(telemetry.fold(report(1, 9, 0), 3), Err(ReportRefusal::EarlierBoot));
        assert_eq!(telemetry.last_seen_ms(), Some(2));
    }

    #[test]
    fn two_starts_that_report_in_turn_are_a_clone_and_one_late_report_is_none() {
        let mut telemetry = DeviceTelemetry::default();
        telemetry.fold(report(1, 1, 0), 0).unwrap();
        telemetry.fold(report(2, 1, 0), 1).unwrap();
        for repeat in 0..9 {
            assert!(telemetry.fold(report(1, 1, 0), 2 + repeat).is_err(), "a replay");
        }
        assert!(telemetry.fold(report(1, 2, 0), 20).is_err());
        assert!(!telemetry.is_cloned(20));
        for counter in 3..5 {
            telemetry.fold(report(2, counter, 0), 21).unwrap();
            assert!(telemetry.fold(report(1, counter, 0), 22).is_err());
        }
        assert!(telemetry.is_cloned(22));
        assert_eq!(telemetry.reports_refused, 12);
        assert!(!telemetry.is_cloned(22 + ALARM_KEPT_MS + 1));
    }

    #[test]
    fn what_a_device_can_make_us_hold_is_bounded() {
        let mut telemetry = DeviceTelemetry::default();
        for counter in 1..=2_000 {
            let mut report = report(1, counter, 0);
            report.apps[0].app = format!("app-{counter}");
            report.apps[0].detail = "é".repeat(2_000);
            telemetry.fold(report, counter).unwrap();
        }
        assert_eq!(telemetry.points().count(), POINTS_MAX);
        assert_eq!(telemetry.app_points().count(), MANIFEST_APPS_MAX);
        assert_eq!(telemetry.report().unwrap().apps[0].detail.len(), DETAIL_BYTES_MAX);
    }

    #[test]
    fn a_device_is_offline_after_ten_seconds_without_a_report() {
        let mut telemetry = DeviceTelemetry::default();
        assert!(!telemetry.is_online(0));
        telemetry.fold(report(1, 1, 0), 1_000).unwrap();
        assert!(telemetry.is_online(11_000));
        assert!(!telemetry.is_online(11_001));
    }
}
