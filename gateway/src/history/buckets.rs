//! What is asked for, cut into equal pieces.
//!
//! A value belongs to the bucket that it was reported in, and to those before it back to
//! the value before, so that a device that reports every ten seconds has no gaps in a
//! chart of seconds. A row belongs to all buckets that it reaches into.

use super::row::{Block, Row};
use super::stats::{METRICS, Merged, Stats, Values};
use gateway_api::{HistoryMetric, HistoryRange, HistorySeries};
use std::collections::BTreeMap;
use std::ops::Range;

/// A silence that is longer is a gap: the device counts as offline.
const GAP_MS: u64 = crate::telemetry::OFFLINE_AFTER_MS;

/// What a bucket may be long: so that its bounds are those of minutes, hours and days.
const STEPS_S: [u64; 17] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];

#[derive(Debug, Clone, Default)]
struct Bucket {
    values: Vec<f32>,
    merged: Merged,
}

impl Bucket {
    fn is_empty(&self) -> bool {
        self.values.is_empty() && self.merged.stats().is_none()
    }

    fn stats(mut self) -> Option<Stats> {
        let count = self.values.len();
        if let Some(stats) = Stats::of(&mut self.values) {
            self.merged.add(stats, u16::try_from(count).unwrap_or(u16::MAX));
        }
        self.merged.stats()
    }
}

pub struct Buckets {
    from_ms: u64,
    step_ms: u64,
    count: usize,
    /// By place in [`HistoryMetric::ALL`].
    metrics: Vec<HistoryMetric>,
    app: Option<String>,
    series: BTreeMap<(Option<String>, usize), Vec<Bucket>>,
}

impl Buckets {
    /// At most so many of them. None where the range is longer than there is any history.
    pub fn new(
        range_ms: Range<u64>,
        points_max: u64,
        metrics: Vec<HistoryMetric>,
        app: Option<String>,
    ) -> Option<Self> {
        let fits = |step_ms: &u64| {
            range_ms.end.div_ceil(*step_ms) - range_ms.start / step_ms <= points_max
        };
        let step_ms = STEPS_S.into_iter().map(|step_s| step_s * 1_000).find(fits)?;
        let from_ms = range_ms.start / step_ms * step_ms;
        let count = (range_ms.end - from_ms).div_ceil(step_ms) as usize;
        Some(Self { from_ms, step_ms, count, metrics, app, series: BTreeMap::new() })
    }

    pub fn start_ms(&self) -> u64 {
        self.from_ms
    }

    pub fn end_ms(&self) -> u64 {
        self.from_ms + self.step_ms * self.count as u64
    }

    pub fn step_ms(&self) -> u64 {
        self.step_ms
    }

    /// `app` is none for the device or the fleet as a whole.
    fn wants(&self, app: Option<&str>) -> bool {
        self.app.as_deref().is_none_or(|wanted| app == Some(wanted))
    }

    fn index_of(&self, time_ms: u64) -> Option<usize> {
        let index = (time_ms.checked_sub(self.from_ms)? / self.step_ms) as usize;
        Some(index).filter(|index| *index < self.count)
    }

    /// Values of one line in the order of their times.
    pub fn add_values<'a>(
        &mut self,
        app: Option<&str>,
        points: impl Iterator<Item = (u64, &'a Values)>,
    ) {
        if !self.wants(app) {
            return;
        }
        let mut before_ms = None;
        for (time_ms, values) in points {
            let first_ms = match before_ms {
                Some(before_ms) if time_ms.saturating_sub(before_ms) <= GAP_MS => before_ms + 1,
                _ => time_ms,
            };
            before_ms = Some(time_ms);
            let Some(last) = self.index_of(time_ms) else { continue };
            let first = self.index_of(first_ms).unwrap_or(last);
            for (place, value) in self.measured(values) {
                let line = self.line(app, place);
                line[last].values.push(value);
                for bucket in line[first..last].iter_mut().filter(|bucket| bucket.is_empty()) {
                    bucket.values.push(value);
                }
            }
        }
    }

    fn measured(&self, values: &Values) -> Vec<(usize, f32)> {
        let place_of = |metric: &HistoryMetric| *metric as usize;
        let places = self.metrics.iter().map(place_of);
        places.map(|place| (place, values[place])).filter(|(_, v)| v.is_finite()).collect()
    }

    /// What was measured from `span` on, until its end.
    pub fn add_row(&mut self, span_ms: Range<u64>, row: &Row) {
        let span_ms = span_ms.start.max(self.from_ms)..span_ms.end.min(self.end_ms());
        if span_ms.is_empty() {
            return;
        }
        let Some(first) = self.index_of(span_ms.start) else { return };
        let last = self.index_of(span_ms.end - 1).unwrap_or(first);
        self.add_block(None, first..last + 1, &row.whole, row.values);
        for (app, block) in &row.apps {
            self.add_block(Some(app), first..last + 1, block, row.values);
        }
    }

    fn add_block(&mut self, app: Option<&str>, places: Range<usize>, block: &Block, weight: u16) {
        if !self.wants(app) {
            return;
        }
        for metric in self.metrics.clone() {
            let Some(stats) = block[metric as usize] else { continue };
            for bucket in &mut self.line(app, metric as usize)[places.clone()] {
                bucket.merged.add(stats, weight);
            }
        }
    }

    fn line(&mut self, app: Option<&str>, place: usize) -> &mut Vec<Bucket> {
        let count = self.count;
        let key = (app.map(str::to_owned), place);
        self.series.entry(key).or_insert_with(|| vec![Bucket::default(); count])
    }

    pub fn finish(self) -> HistoryRange {
        let Self { from_ms, step_ms, count, series, .. } = self;
        let series = series.into_iter().map(|((app, place), buckets)| {
            let stats: Vec<Option<Stats>> = buckets.into_iter().map(Bucket::stats).collect();
            let column = |of: fn(&Stats) -> f32| {
                stats.iter().map(|stats| stats.as_ref().map(|stats| to_json(of(stats)))).collect()
            };
            let metric = HistoryMetric::ALL[place.min(METRICS - 1)];
            HistorySeries {
                metric,
                app,
                unit: metric.unit().to_owned(),
                min: column(|stats| stats.min),
                avg: column(|stats| stats.avg),
                max: column(|stats| stats.max),
                p95: column(|stats| stats.p95),
            }
        });
        HistoryRange { from_ms, step_ms, points: count as u32, series: series.collect() }
    }
}

/// In as many digits as tell it from its neighbours of 32 bits: 0.1 and not 0.10000000149.
fn to_json(value: f32) -> f64 {
    // Of whole numbers all digits are its own, and a limit of memory should look like one.
    if value.fract() == 0.0 {
        return value.into();
    }
    value.to_string().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::NOTHING;

    fn values(cpu: f32) -> Values {
        let mut values = NOTHING;
        values[HistoryMetric::CpuPercent as usize] = cpu;
        values
    }

    fn buckets(range_ms: Range<u64>, points_max: u64) -> Buckets {
        Buckets::new(range_ms, points_max, HistoryMetric::ALL.to_vec(), None).unwrap()
    }

    fn avg(range: &HistoryRange) -> &[Option<f64>] {
        assert_eq!(range.series.len(), 1);
        &range.series[0].avg
    }

    #[test]
    fn metrics_are_numbered_in_their_order() {
        for (place, metric) in HistoryMetric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, place);
        }
    }

    #[test]
    fn there_are_never_more_buckets_than_were_asked_for() {
        for (range_ms, points, step_ms, count) in [
            (7_000..907_000, 300, 5_000, 181),
            (0..900_000, 900, 1_000, 900),
            (500..86_400_500, 300, 300_000, 289),
            (0..90 * 86_400_000, 300, 43_200_000, 180),
            (59_999..60_001, 1, 120_000, 1),
        ] {
            let buckets = buckets(range_ms, points);
            assert_eq!((buckets.step_ms, buckets.count), (step_ms, count));
            assert!(buckets.count as u64 <= points);
        }
        assert!(Buckets::new(0..u64::MAX, 300, vec![], None).is_none());
    }

    #[test]
    fn slow_reports_leave_no_gaps_and_silence_does() {
        let mut buckets = buckets(0..60_000, 60);
        let points = [(2_500, 1.0), (6_200, 2.0), (17_000, 3.0)].map(|(t, v)| (t, values(v)));
        buckets.add_values(None, points.iter().map(|(t, v)| (*t, v)));
        let range = buckets.finish();
        let (one, two, three) = (Some(1.0), Some(2.0), Some(3.0));
        // From 2.5 s to 6.2 s it was heard of; before 17 s it was away for too long.
        assert_eq!(avg(&range)[..8], [None, None, one, two, two, two, two, None]);
        assert_eq!(avg(&range)[16..19], [None, three, None]);
    }

    #[test]
    fn values_and_rows_of_one_bucket_are_put_together() {
        let mut buckets = buckets(0..600_000, 10);
        let many: Vec<(u64, Values)> =
            (0..20).map(|n| (60_000 + n * 1_000, values(n as f32))).collect();
        buckets.add_values(None, many.iter().map(|(t, v)| (*t, v)));
        let mut row = Row { values: 20, whole: [None; METRICS], apps: vec![] };
        row.whole[0] = Some(Stats { min: 2.0, avg: 0.5, max: 40.0, p95: 30.0 });
        buckets.add_row(60_000..120_000, &row);
        let range = buckets.finish();
        let series = &range.series[0];
        assert_eq!((series.metric, series.unit.as_str()), (HistoryMetric::CpuPercent, "%"));
        assert_eq!(series.avg[..3], [None, Some(5.0), None]);
        assert_eq!(
            (series.min[1], series.max[1], series.p95[1]),
            (Some(0.0), Some(40.0), Some(30.0))
        );
    }

    #[test]
    fn a_row_fills_the_buckets_that_it_reaches_into_and_no_more() {
        let mut buckets = buckets(90_000..180_000, 90);
        let mut row = Row { values: 60, whole: [None; METRICS], apps: vec![] };
        row.whole[0] = Some(Stats::constant(4.0));
        buckets.add_row(60_000..120_000, &row);
        let range = buckets.finish();
        let found: Vec<usize> =
            avg(&range).iter().enumerate().filter(|(_, v)| v.is_some()).map(|(n, _)| n).collect();
        assert_eq!(found, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn only_the_module_that_was_asked_for_comes() {
        let metrics = vec![HistoryMetric::CpuPercent];
        let mut buckets = Buckets::new(0..10_000, 10, metrics, Some("b".into())).unwrap();
        for app in [None, Some("a"), Some("b")] {
            let mut values = values(1.0);
            values[HistoryMetric::GasPerS as usize] = 5.0;
            buckets.add_values(app, [(1_000, &values)].into_iter());
        }
        let range = buckets.finish();
        assert_eq!(range.series.len(), 1);
        assert_eq!(range.series[0].app.as_deref(), Some("b"));
    }
}
