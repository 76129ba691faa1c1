//! The lines of a device page's charts, picked out of its history.

use super::geometry::{Point, Series, Summary};
use crate::model::{AppSample, History, HistoryRange, HistorySeries};

/// CPU of each module, in percent of one CPU.
pub fn app_cpu(history: &History) -> Vec<Series> {
    by_app(history, |sample| sample.cpu_percent)
}

/// Linear memory of each module, in bytes.
pub fn app_memory(history: &History) -> Vec<Series> {
    by_app(history, |sample| Some(sample.memory_bytes as f64))
}

/// More lines than that nobody tells apart.
const LINES_MAX: usize = 8;

/// Of whom the lines of a chart are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Of the device, or of the fleet.
    Whole,
    Modules,
    Both,
}

/// One metric of a history over time.
pub fn of_range(range: &HistoryRange, metric: &str, lines: Lines) -> Vec<Series> {
    let is_wanted = |series: &&HistorySeries| {
        let fits = match lines {
            Lines::Whole => series.app.is_none(),
            Lines::Modules => series.app.is_some(),
            Lines::Both => true,
        };
        fits && series.metric == metric
    };
    let wanted = range.series.iter().filter(is_wanted).take(LINES_MAX);
    wanted.map(|series| bucket_line(range, series)).collect()
}

/// The mean of each bucket in which something was measured, in its middle. Buckets can be
/// shorter than the time between two reports, so an empty one alone is no gap: that is
/// seen from the times.
fn bucket_line(range: &HistoryRange, series: &HistorySeries) -> Series {
    let measured = series.avg.iter().enumerate().filter(|(_, value)| value.is_some());
    let points = measured.map(|(index, value)| Point {
        time_ms: range.from_ms + index as u64 * range.step_ms + range.step_ms / 2,
        report_counter: index as u64,
        value: *value,
    });
    let name = series.app.clone().unwrap_or_else(|| "all".to_owned());
    Series { name, points: points.collect(), whole: whole(series) }
}

/// Over all buckets; of their p95 the largest, so never too small.
fn whole(series: &HistorySeries) -> Option<Summary> {
    let known = |column: &[Option<f64>]| column.iter().flatten().copied().collect::<Vec<f64>>();
    let means = known(&series.avg);
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    let least = known(&series.min).into_iter().reduce(f64::min)?;
    let p95 = known(&series.p95).into_iter().reduce(f64::max)?;
    let largest = known(&series.max).into_iter().reduce(f64::max)?;
    Some(Summary { least, mean, p95, largest })
}

/// CPU of the whole device, 0 to 100.
pub fn device_cpu(history: &History) -> Vec<Series> {
    let points = history.device.iter().map(|sample| Point {
        time_ms: sample.time_ms,
        report_counter: sample.report_counter,
        value: sample.cpu_percent,
    });
    vec![Series { name: "device".to_owned(), points: points.collect(), whole: None }]
}

/// Memory in use on the whole device, in bytes.
pub fn device_memory(history: &History) -> Vec<Series> {
    let points = history.device.iter().map(|sample| Point {
        time_ms: sample.time_ms,
        report_counter: sample.report_counter,
        value: Some(sample.memory_used_bytes as f64),
    });
    vec![Series { name: "device".to_owned(), points: points.collect(), whole: None }]
}

/// Lines stand in the order of the applications' names, so that each keeps its
/// colour and dashes while others come and go behind it.
fn by_app(history: &History, figure: impl Fn(&AppSample) -> Option<f64>) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for sample in &history.apps {
        let point = Point {
            time_ms: sample.time_ms,
            report_counter: sample.report_counter,
            value: figure(sample),
        };
        match series.binary_search_by(|known| known.name.cmp(&sample.app)) {
            Ok(index) => series[index].points.push(point),
            Err(index) => {
                let (name, points) = (sample.app.clone(), vec![point]);
                series.insert(index, Series { name, points, whole: None });
            }
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_a_point_unless_it_is_empty() {
        let column = |values: [f64; 2]| vec![Some(values[0]), None, Some(values[1])];
        let series = HistorySeries {
            metric: "gas_per_s".into(),
            app: None,
            min: column([1.0, 3.0]),
            avg: column([2.0, 4.0]),
            max: column([9.0, 5.0]),
            p95: column([8.0, 5.0]),
        };
        let range = HistoryRange { from_ms: 1_000, step_ms: 100, series: vec![series] };
        let lines = of_range(&range, "gas_per_s", Lines::Both);
        let points: Vec<_> = lines[0].points.iter().map(|p| (p.time_ms, p.value)).collect();
        assert_eq!(points, [(1_050, Some(2.0)), (1_250, Some(4.0))]);
        let expected = Summary { least: 1.0, mean: 3.0, p95: 8.0, largest: 9.0 };
        assert_eq!(lines[0].whole, Some(expected));
        assert!(of_range(&range, "cpu_percent", Lines::Both).is_empty());
        assert!(of_range(&range, "gas_per_s", Lines::Modules).is_empty());
        assert_eq!(of_range(&range, "gas_per_s", Lines::Whole).len(), 1);
    }

    #[test]
    fn each_application_has_its_line() {
        let sample = |app: &str, time_ms| AppSample {
            app: app.into(),
            time_ms,
            report_counter: time_ms,
            cpu_percent: None,
            memory_bytes: 64,
        };
        let history = History {
            device: vec![],
            apps: vec![sample("b", 1), sample("a", 1), sample("b", 2), sample("a", 2)],
        };
        let lines = app_memory(&history);
        let shape: Vec<_> = lines.iter().map(|s| (s.name.as_str(), s.points.len())).collect();
        assert_eq!(shape, [("a", 2), ("b", 2)]);
        assert_eq!(lines[0].last_value(), Some(64.0));
        assert_eq!(app_cpu(&history)[0].last_value(), None);
    }
}
