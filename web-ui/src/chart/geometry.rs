//! From points in time to an SVG path.
//!
//! The plot is a box of [`WIDTH`] by [`HEIGHT`] units that the page stretches to
//! any size; lines keep their width by `vector-effect`, and labels are not in
//! it. A missing sample leaves a gap: a line must not claim what nobody measured.

use std::fmt::Write;

pub const WIDTH: f64 = 1000.0;
pub const HEIGHT: f64 = 200.0;

/// Longest and shortest stretch of time that a chart shows.
const WINDOW_MS_MAX: u64 = 300_000;
const WINDOW_MS_MIN: u64 = 60_000;

/// A pause of more than this many usual intervals is a gap.
const GAP_INTERVALS: f64 = 2.5;
/// Reports come each second or slower, with some scatter.
const GAP_MS_MIN: u64 = 2_500;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub time_ms: u64,
    /// Counts reports since the agent's start.
    pub report_counter: u64,
    /// None where the report had no figure.
    pub value: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    /// In the order of time.
    pub points: Vec<Point>,
    /// Of all that was measured, where the points are means of it.
    pub whole: Option<Summary>,
}

impl Series {
    pub fn last_value(&self) -> Option<f64> {
        self.points.last().and_then(|point| point.value)
    }
}

/// What the box's edges stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    pub from_ms: u64,
    pub to_ms: u64,
    /// The value at the upper edge; the lower one is 0.
    pub top: f64,
}

impl Scale {
    pub fn x(&self, time_ms: u64) -> f64 {
        let span_ms = self.to_ms.saturating_sub(self.from_ms).max(1) as f64;
        time_ms.saturating_sub(self.from_ms) as f64 / span_ms * WIDTH
    }

    pub fn y(&self, value: f64) -> f64 {
        HEIGHT - (value / self.top).clamp(0.0, 1.0) * HEIGHT
    }

    /// The time at a share (0 to 1) of the width.
    pub fn time_ms_at(&self, share: f64) -> u64 {
        let span_ms = self.to_ms.saturating_sub(self.from_ms) as f64;
        self.from_ms + (share.clamp(0.0, 1.0) * span_ms) as u64
    }
}

/// The stretch of time to show: up to the newest point, as far back as there
/// are points, within limits.
pub fn window(series: &[Series]) -> Option<(u64, u64)> {
    let times = || series.iter().flat_map(|one| one.points.iter().map(|point| point.time_ms));
    let (oldest, newest) = (times().min()?, times().max()?);
    let span_ms = (newest - oldest).clamp(WINDOW_MS_MIN, WINDOW_MS_MAX);
    Some((newest.saturating_sub(span_ms), newest))
}

/// What a line was over the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    pub least: f64,
    pub mean: f64,
    pub p95: f64,
    pub largest: f64,
}

/// None where nothing was measured.
pub fn summary(series: &Series, from_ms: u64) -> Option<Summary> {
    if series.whole.is_some() {
        return series.whole;
    }
    let shown = series.points.iter().filter(|point| point.time_ms >= from_ms);
    // Figures are not negative, so they stand in the order of their bits: one sort is in
    // the download, that of numbers.
    let mut bits: Vec<u64> =
        shown.filter_map(|point| point.value).map(|value| value.max(0.0).to_bits()).collect();
    bits.sort_unstable();
    let values: Vec<f64> = bits.into_iter().map(f64::from_bits).collect();
    let (least, largest) = (*values.first()?, *values.last()?);
    // The smallest value that 95 of 100 do not exceed.
    let rank = (values.len() * 95).div_ceil(100).saturating_sub(1);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    Some(Summary { least, mean, p95: values[rank], largest })
}

/// The largest value within the window, 0 if there is none.
pub fn largest(series: &[Series], from_ms: u64) -> f64 {
    let values = series.iter().flat_map(|one| &one.points);
    values
        .filter(|point| point.time_ms >= from_ms)
        .filter_map(|point| point.value)
        .fold(0.0, f64::max)
}

/// The `d` of a series: one stroke for each run of points without a gap.
pub fn path(series: &Series, scale: &Scale) -> String {
    let mut d = String::new();
    for run in runs(series, scale.from_ms) {
        for (index, (time_ms, value)) in run.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(d, "{command}{:.1} {:.1}", scale.x(*time_ms), scale.y(*value));
        }
        if run.len() == 1 {
            // A stroke without length shows as a dot, by its round ends.
            d.push_str("h0");
        }
    }
    d
}

fn runs(series: &Series, from_ms: u64) -> Vec<Vec<(u64, f64)>> {
    let gap_ms = gap_ms(series);
    let mut runs: Vec<Vec<(u64, f64)>> = Vec::new();
    let mut last: Option<&Point> = None;
    for point in series.points.iter().filter(|point| point.time_ms >= from_ms) {
        if let Some(value) = point.value {
            let joined = last.is_some_and(|last| {
                last.value.is_some()
                    && point.time_ms.saturating_sub(last.time_ms) <= gap_ms
                    // A smaller number means that the agent was restarted.
                    && point.report_counter > last.report_counter
            });
            match runs.last_mut() {
                Some(run) if joined => run.push((point.time_ms, value)),
                _ => runs.push(vec![(point.time_ms, value)]),
            }
        }
        last = Some(point);
    }
    runs
}

/// The longest pause over which a line is drawn, from the usual interval.
fn gap_ms(series: &Series) -> u64 {
    let times = series.points.iter().map(|point| point.time_ms);
    let mut steps: Vec<u64> =
        times.clone().zip(times.skip(1)).map(|(a, b)| b.saturating_sub(a)).collect();
    steps.sort_unstable();
    let usual = steps.get(steps.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    GAP_MS_MIN.max((usual as f64 * GAP_INTERVALS) as u64)
}

/// The point that is nearest in time.
pub fn nearest(series: &Series, time_ms: u64) -> Option<&Point> {
    series.points.iter().min_by_key(|point| point.time_ms.abs_diff(time_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(u64, u64, Option<f64>)]) -> Series {
        let point = |&(time_ms, report_counter, value)| Point { time_ms, report_counter, value };
        Series { name: "s".into(), points: points.iter().map(point).collect(), whole: None }
    }

    const SCALE: Scale = Scale { from_ms: 0, to_ms: 10_000, top: 10.0 };

    #[test]
    fn points_become_one_stroke() {
        let line = series(&[(0, 1, Some(0.0)), (1_000, 2, Some(5.0)), (2_000, 3, Some(10.0))]);
        assert_eq!(path(&line, &SCALE), "M0.0 200.0L100.0 100.0L200.0 0.0");
    }

    #[test]
    fn a_missing_report_a_missing_figure_and_a_restart_leave_gaps() {
        let late = series(&[(0, 1, Some(1.0)), (1_000, 2, Some(1.0)), (9_000, 9, Some(1.0))]);
        assert_eq!(path(&late, &SCALE), "M0.0 180.0L100.0 180.0M900.0 180.0h0");
        let empty = series(&[(0, 1, Some(1.0)), (1_000, 2, None), (2_000, 3, Some(1.0))]);
        assert_eq!(path(&empty, &SCALE).matches('M').count(), 2);
        let restarted = series(&[(0, 80, Some(1.0)), (1_000, 1, Some(1.0))]);
        assert_eq!(path(&restarted, &SCALE).matches('M').count(), 2);
    }

    #[test]
    fn a_slow_device_has_no_gaps_between_its_usual_reports() {
        let slow = series(&[(0, 1, Some(1.0)), (30_000, 2, Some(1.0)), (60_000, 3, Some(1.0))]);
        assert_eq!(path(&slow, &SCALE).matches('M').count(), 1);
    }

    #[test]
    fn the_window_grows_with_the_history_up_to_its_limit() {
        assert_eq!(window(&[]), None);
        assert_eq!(window(&[series(&[(500_000, 1, None)])]), Some((440_000, 500_000)));
        let long = series(&[(0, 1, None), (900_000, 2, None)]);
        assert_eq!(window(&[long]), Some((600_000, 900_000)));
    }

    #[test]
    fn points_before_the_window_are_left_out() {
        let line = series(&[(1_000, 1, Some(9.0)), (2_000, 2, Some(2.0))]);
        assert_eq!(largest(std::slice::from_ref(&line), 1_500), 2.0);
        let scale = Scale { from_ms: 1_500, ..SCALE };
        assert_eq!(path(&line, &scale).matches('M').count(), 1);
    }

    #[test]
    fn a_line_is_summed_up_over_the_window() {
        let values: Vec<_> = (0..100).map(|n| (n * 1_000, n, Some(n as f64))).collect();
        let line = series(&values);
        let expected = Summary { least: 0.0, mean: 49.5, p95: 94.0, largest: 99.0 };
        assert_eq!(summary(&line, 0), Some(expected));
        assert_eq!(summary(&line, 99_000).map(|s| (s.least, s.p95)), Some((99.0, 99.0)));
        assert_eq!(summary(&line, 100_000), None);
        assert_eq!(summary(&series(&[(0, 1, None)]), 0), None);
    }

    #[test]
    fn values_outside_the_scale_stay_in_the_box() {
        assert_eq!(SCALE.y(99.0), 0.0);
        assert_eq!(SCALE.y(-1.0), HEIGHT);
        assert_eq!(SCALE.time_ms_at(2.0), 10_000);
    }

    #[test]
    fn the_nearest_point_answers_the_pointer() {
        let line = series(&[(1_000, 1, Some(9.0)), (2_000, 2, Some(2.0))]);
        assert_eq!(nearest(&line, 1_600).map(|p| p.time_ms), Some(2_000));
    }
}
