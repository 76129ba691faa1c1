//! Charts of devices and the fleet, from reports to buckets.

use super::fleet::{FakeDevice, Fleet, app_report, plain_wasm, refusal};
use device_protocol::AppState;
use gateway_api::{HistoryMetric, HistoryQuery, HistoryRange, HistorySeries, ProblemCode};
use std::sync::mpsc;
use std::time::Duration;

const MINUTE_MS: u64 = 60_000;

struct Charted {
    fleet: Fleet,
    device: FakeDevice,
    counter: u64,
}

impl Charted {
    /// At the beginning of an hour.
    fn new() -> Self {
        let fleet = Fleet::new();
        fleet.clock.set(500_000 * 3_600_000);
        let device = FakeDevice::new(1, "x86_64-linux");
        fleet.enrol(&device);
        fleet.upload("filter", &plain_wasm(1));
        fleet.deploy("filter");
        fleet.work_well();
        // The minute that the gateway was started in is another.
        fleet.app.keep_history();
        Self { fleet, device, counter: 0 }
    }

    /// Ten calls a second, and five dropped messages.
    fn report_for(&mut self, seconds: u64) {
        let manifest = self.fleet.manifest(&self.device).unwrap();
        for _ in 0..seconds {
            self.counter += 1;
            let mut app = app_report("filter", manifest.apps[0].release, AppState::Running);
            (app.calls, app.publishes_dropped) = (10 * self.counter, 5 * self.counter);
            app.memory_bytes = 65_536;
            let mut report = self.device.report(self.counter, manifest.seq, vec![app]);
            report.usage.memory_total_bytes = 1 << 30;
            self.fleet.report(&self.device, &report);
            self.pass(1);
        }
    }

    /// What happens each second.
    fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.fleet.pass_ms(1_000);
            self.fleet.app.keep_history();
        }
    }

    fn now_ms(&self) -> u64 {
        self.fleet.app.now_ms()
    }

    fn asked(&self, metric: HistoryMetric, minutes: u64) -> HistoryRange {
        let from_ms = Some(self.now_ms() - minutes * MINUTE_MS);
        let query = HistoryQuery { metrics: vec![metric], from_ms, ..HistoryQuery::default() };
        self.fleet.app.device_history("device-1", &query).unwrap()
    }
}

fn one(range: &HistoryRange) -> &HistorySeries {
    assert_eq!(range.series.len(), 1, "{range:?}");
    assert!(range.points <= 300);
    let series = &range.series[0];
    for column in [&series.min, &series.avg, &series.max, &series.p95] {
        assert_eq!(column.len(), range.points as usize);
    }
    series
}

/// The values of the buckets that have one, and how many have none.
fn found(column: &[Option<f64>]) -> (Vec<f64>, usize) {
    let known: Vec<f64> = column.iter().copied().flatten().collect();
    let gaps = column.len() - known.len();
    (known, gaps)
}

#[test]
fn reports_become_seconds_then_minutes_then_hours_and_silence_is_a_gap() {
    let mut charted = Charted::new();
    charted.report_for(120);
    charted.pass(60);
    charted.report_for(120);
    let range = charted.asked(HistoryMetric::CallsPerS, 5);
    assert_eq!(range.step_ms, 2_000);
    let series = one(&range);
    assert_eq!((series.app.as_deref(), series.unit.as_str()), (Some("filter"), "/s"));
    let (rates, gaps) = found(&series.avg);
    assert!(rates.iter().all(|rate| *rate == 10.0), "{rates:?}");
    // The minute, and the second that begins.
    assert!((30..=32).contains(&gaps), "{gaps} of {}", range.points);

    // An hour later, of a gateway that was started again in between: by minutes.
    charted.pass(3_600);
    charted.fleet.app.telemetry().forget(&charted.device.id);
    let range = charted.asked(HistoryMetric::CallsPerS, 120);
    assert_eq!(range.step_ms, 30_000);
    let (rates, gaps) = found(&one(&range).avg);
    assert_eq!(rates.len(), 8, "four minutes");
    assert!(rates.iter().all(|rate| (rate - 10.0).abs() < 0.01), "{rates:?}");
    assert_eq!(gaps, range.points as usize - 8);

    // Days later only the hour is there, and it says the same.
    charted.fleet.pass_ms(3 * 24 * 60 * MINUTE_MS);
    charted.pass(180);
    let range = charted.asked(HistoryMetric::CallsPerS, 4 * 24 * 60);
    let (rates, _) = found(&one(&range).avg);
    assert!(!rates.is_empty() && rates.len() <= 4, "{rates:?}");
    assert!((rates[0] - 10.0).abs() < 0.01, "{rates:?}");
}

#[test]
fn a_modules_memory_has_its_limit_and_the_device_its_own() {
    let mut charted = Charted::new();
    charted.report_for(5);
    let query = HistoryQuery { points: Some(1), ..HistoryQuery::default() };
    let range = charted.fleet.app.device_history("device-1", &query).unwrap();
    let of = |app: Option<&str>, metric| {
        let series = range.series.iter().find(|s| s.app.as_deref() == app && s.metric == metric);
        series.and_then(|series| found(&series.max).0.first().copied())
    };
    let limit = charted.fleet.app.deployments()[0].memory_bytes_max as f64;
    assert_eq!(of(Some("filter"), HistoryMetric::MemoryLimitBytes), Some(limit));
    assert_eq!(of(Some("filter"), HistoryMetric::MemoryBytes), Some(65_536.0));
    assert_eq!(of(None, HistoryMetric::MemoryLimitBytes), Some((1_u64 << 30) as f64));
    assert_eq!(of(Some("filter"), HistoryMetric::DropsPerS), Some(5.0));
    assert_eq!(of(Some("filter"), HistoryMetric::GasPerS), None, "it is not metered");
    assert_eq!(of(None, HistoryMetric::CallsPerS), None);
}

#[test]
fn the_fleet_is_all_devices_together() {
    let mut charted = Charted::new();
    charted.report_for(180);
    let metrics = vec![HistoryMetric::DevicesOnline, HistoryMetric::CallsPerS];
    let query = HistoryQuery { metrics, points: Some(30), ..HistoryQuery::default() };
    let range = charted.fleet.app.fleet_history(&query).unwrap();
    let lines: Vec<(Option<&str>, HistoryMetric)> =
        range.series.iter().map(|s| (s.app.as_deref(), s.metric)).collect();
    let both = |app| [(app, HistoryMetric::CallsPerS), (app, HistoryMetric::DevicesOnline)];
    assert_eq!(lines, [both(None), both(Some("filter"))].concat());
    for series in &range.series {
        let wanted = if series.metric == HistoryMetric::CallsPerS { 10.0 } else { 1.0 };
        let last = found(&series.max).0.pop().unwrap();
        assert_eq!(last, wanted, "{series:?}");
    }
    // A device that is away counts no more, and is no gap of the fleet.
    charted.pass(120);
    let query = HistoryQuery {
        metrics: vec![HistoryMetric::DevicesOnline],
        from_ms: Some(charted.now_ms() - MINUTE_MS),
        ..HistoryQuery::default()
    };
    let range = charted.fleet.app.fleet_history(&query).unwrap();
    let (online, gaps) = found(&one(&range).avg);
    assert!(online.iter().all(|count| *count == 0.0), "{online:?}");
    assert!(gaps <= 5, "{gaps}");
}

#[test]
fn charts_are_answered_while_a_minute_is_being_written() {
    let mut charted = Charted::new();
    charted.report_for(30);
    let app = charted.fleet.app.clone();
    let disk = app.rooms.history.hold_writes();
    charted.fleet.pass_ms(MINUTE_MS);
    let (answered, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| app.keep_history());
        while app.history_turn.try_lock().is_ok() {
            assert!(!writing.is_finished(), "the minute was over");
            std::thread::yield_now();
        }
        scope.spawn(|| {
            let query = HistoryQuery::default();
            let fleet = app.fleet_history(&query).unwrap();
            let device = app.device_history("device-1", &query).unwrap();
            answered.send((fleet, device)).unwrap();
        });
        let came = answers.recv_timeout(Duration::from_secs(20));
        drop(disk);
        let (fleet, device) = came.expect("charts wait for the disk");
        assert!(!fleet.series.is_empty() && !device.series.is_empty());
    });
}

#[test]
fn a_gateway_that_ends_keeps_the_minute_that_goes_on() {
    let mut charted = Charted::new();
    charted.report_for(20);
    charted.fleet.app.end_history();
    charted.fleet.app.telemetry().forget(&charted.device.id);
    let range = charted.asked(HistoryMetric::MemoryBytes, 60);
    let (bytes, _) = found(&range.series.iter().find(|s| s.app.is_some()).unwrap().avg);
    assert!(!bytes.is_empty() && bytes.iter().all(|b| (b - 65_536.0).abs() < 40.0), "{bytes:?}");
}

#[test]
fn a_range_that_makes_no_sense_is_refused_with_what_would() {
    let charted = Charted::new();
    let refused = |query: HistoryQuery| {
        let (code, detail) = refusal(charted.fleet.app.fleet_history(&query));
        assert_eq!(code, ProblemCode::BadRequest);
        detail
    };
    let now_ms = charted.now_ms();
    let range = |from_ms, to_ms| HistoryQuery { from_ms, to_ms, ..HistoryQuery::default() };
    assert!(refused(range(Some(5), Some(5))).contains("should be earlier"));
    assert!(refused(range(Some(now_ms + MINUTE_MS), None)).contains("should be earlier"));
    assert!(refused(range(Some(0), None)).contains("92 days"));
    for points in [0, 301, u32::MAX] {
        let query = HistoryQuery { points: Some(points), ..HistoryQuery::default() };
        assert!(refused(query).contains("1 to 300"));
    }
    let long = HistoryQuery { points: Some(1), ..range(Some(now_ms - 9 * 86_400_000), None) };
    assert!(refused(long).contains("more points"));
    let none = charted.fleet.app.device_history("nobody", &HistoryQuery::default());
    assert_eq!(refusal(none).0, ProblemCode::NotFound);
}
