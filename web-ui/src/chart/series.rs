//! The lines of a device page's charts, picked out of its history.

use super::geometry::{Point, Series};
use gateway_api::{AppSample, History};

/// CPU of each module, in percent of one CPU.
pub fn app_cpu(history: &History) -> Vec<Series> {
    by_app(history, |sample| sample.cpu_percent)
}

/// Linear memory of each module, in bytes.
pub fn app_memory(history: &History) -> Vec<Series> {
    by_app(history, |sample| Some(sample.memory_bytes as f64))
}

/// CPU of the whole device, 0 to 100.
pub fn device_cpu(history: &History) -> Vec<Series> {
    let points = history.device.iter().map(|sample| Point {
        time_ms: sample.time_ms,
        report_counter: sample.report_counter,
        value: sample.cpu_percent,
    });
    vec![Series { name: "device".to_owned(), points: points.collect() }]
}

/// Memory in use on the whole device, in bytes.
pub fn device_memory(history: &History) -> Vec<Series> {
    let points = history.device.iter().map(|sample| Point {
        time_ms: sample.time_ms,
        report_counter: sample.report_counter,
        value: Some(sample.memory_used_bytes as f64),
    });
    vec![Series { name: "device".to_owned(), points: points.collect() }]
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
                series.insert(index, Series { name: sample.app.clone(), points: vec![point] });
            }
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_application_has_its_line() {
        let sample = |app: &str, time_ms| AppSample {
            device: "d".into(),
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
