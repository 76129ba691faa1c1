//! All devices together at one moment.

use super::DeviceTelemetry;
use crate::history::{APPS_MAX, NOTHING, Values};
use gateway_api::HistoryMetric as Metric;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub struct FleetPoint {
    pub time_ms: u64,
    pub whole: Values,
    /// Of each module on all devices that run it; the first [`APPS_MAX`] by name, so that
    /// they are the same ones from one moment to the next.
    pub apps: Vec<(String, Values)>,
}

impl FleetPoint {
    /// Of the devices that are online.
    pub fn of<'a>(devices: impl Iterator<Item = &'a DeviceTelemetry>, now_ms: u64) -> Self {
        let mut whole = NOTHING;
        whole[Metric::DevicesOnline as usize] = 0.0;
        let mut percents = (0.0_f64, 0.0_f64);
        let mut apps = BTreeMap::<&str, Values>::new();
        for device in devices.filter(|device| device.is_online(now_ms)) {
            let Some(point) = device.last_point() else { continue };
            whole[Metric::DevicesOnline as usize] += 1.0;
            if let Some(percent) = point.cpu_percent() {
                percents = (percents.0 + percent, percents.1 + 1.0);
            }
            let mut values = point.values();
            values[Metric::CpuPercent as usize] = f32::NAN;
            add(&mut whole, &values);
            let last = |points: &super::Ring<_>| points.last().copied();
            for (app, point) in device.app_points().filter_map(|(app, p)| Some((app, last(p)?))) {
                if point.time_ms != device.last_point().map_or(0, |point| point.time_ms) {
                    continue;
                }
                let mut values = point.values();
                values[Metric::DevicesOnline as usize] = 1.0;
                add(apps.entry(app).or_insert(NOTHING), &values);
                // One that makes room for so many before it never comes back.
                if apps.len() > APPS_MAX {
                    apps.pop_last();
                }
                // A device's memory and CPU are not its modules' sum.
                for metric in [Metric::CpuPercent, Metric::MemoryBytes, Metric::RssBytes] {
                    values[metric as usize] = f32::NAN;
                }
                values[Metric::DevicesOnline as usize] = f32::NAN;
                add(&mut whole, &values);
            }
        }
        if percents.1 > 0.0 {
            whole[Metric::CpuPercent as usize] = (percents.0 / percents.1) as f32;
        }
        let apps = apps.into_iter().map(|(app, values)| (app.to_owned(), values)).collect();
        Self { time_ms: now_ms, whole, apps }
    }
}

/// Sums, and of the latency of ticks the worst. What is nowhere known stays so.
fn add(sums: &mut Values, values: &Values) {
    let worst = Metric::TickP99Us as usize;
    for (place, (sum, value)) in sums.iter_mut().zip(values).enumerate() {
        *sum = match (sum.is_nan(), value.is_nan()) {
            (true, _) => *value,
            (false, true) => *sum,
            (false, false) if place == worst => sum.max(*value),
            (false, false) => *sum + value,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::fleet::{FakeDevice, app_report};
    use device_protocol::AppState;
    use module_package::ReleaseId;

    #[test]
    fn a_fleet_is_the_sum_of_the_devices_that_are_online() {
        let mut devices: Vec<DeviceTelemetry> = Vec::new();
        for number in 1..=3_u64 {
            let mut telemetry = DeviceTelemetry::default();
            let device = FakeDevice::new(number as u8, "x86_64-linux");
            for counter in 1..=2 {
                let mut app = app_report("filter", ReleaseId([1; 32]), AppState::Running);
                (app.calls, app.memory_bytes) = (counter * 10 * number, 1_000 * number);
                app.cpu_us = counter * 10_000 * number;
                let mut report = device.report(counter, 1, vec![app]);
                report.usage.memory_total_bytes = 1 << 20;
                report.usage.system_cpu_total_ms = counter * 1_000;
                report.usage.system_cpu_busy_ms = counter * 100 * number;
                // The third was heard of long ago.
                let time_ms = if number == 3 { counter * 1_000 } else { 60_000 + counter * 1_000 };
                telemetry.fold(report, time_ms).unwrap();
            }
            devices.push(telemetry);
        }
        let point = FleetPoint::of(devices.iter(), 63_000);
        let again = FleetPoint::of(devices.iter().rev(), 63_000);
        assert_eq!(format!("{:?}", point.apps), format!("{:?}", again.apps));
        let of = |values: &Values, metric: Metric| values[metric as usize];
        assert_eq!(of(&point.whole, Metric::DevicesOnline), 2.0);
        assert_eq!(of(&point.whole, Metric::CpuPercent), 15.0, "the mean");
        assert_eq!(of(&point.whole, Metric::CallsPerS), 30.0);
        assert_eq!(of(&point.whole, Metric::MemoryBytes), (2 << 20) as f32);
        assert!(of(&point.whole, Metric::GasPerS).is_nan());
        let (app, values) = &point.apps[0];
        assert_eq!(app, "filter");
        assert_eq!(
            (of(values, Metric::CpuPercent), of(values, Metric::MemoryBytes)),
            (3.0, 3_000.0)
        );
        assert_eq!(of(values, Metric::DevicesOnline), 2.0);
    }
}
