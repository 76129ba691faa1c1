//! One report as a point of charts. Small, because there are 900 of them for each device
//! and each of its modules: what is exact only in its text has 32 bits.

use crate::history::{NOTHING, Values};
use device_protocol::{AppReport, Report};
use gateway_api::HistoryMetric as Metric;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DevicePoint {
    pub time_ms: u64,
    pub memory_used_bytes: u64,
    counter: u32,
    /// Where it is not known, `NaN`.
    cpu_percent: f32,
    memory_total_bytes: f32,
    rss_bytes: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AppPoint {
    pub time_ms: u64,
    pub memory_bytes: u64,
    counter: u32,
    cpu_percent: f32,
    rss_bytes: f32,
    rates: Rates,
    tick_p99_us: f32,
}

/// A second, between this report and the one before of the same worker.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rates {
    gas: f32,
    calls: f32,
    host_calls: f32,
    messages: f32,
    drops: f32,
    tick_misses: f32,
}

impl DevicePoint {
    pub fn of(report: &Report, now_ms: u64, cpu_percent: Option<f64>) -> Self {
        let usage = &report.usage;
        Self {
            time_ms: now_ms,
            memory_used_bytes: usage
                .memory_total_bytes
                .saturating_sub(usage.memory_available_bytes),
            counter: to_counter(report.counter),
            cpu_percent: to_f32(cpu_percent),
            memory_total_bytes: usage.memory_total_bytes as f32,
            rss_bytes: usage.agent_rss_bytes as f32,
        }
    }

    pub fn report_counter(&self) -> u64 {
        self.counter.into()
    }

    pub fn cpu_percent(&self) -> Option<f64> {
        to_percent(self.cpu_percent)
    }

    pub fn values(&self) -> Values {
        let mut values = NOTHING;
        values[Metric::CpuPercent as usize] = self.cpu_percent;
        values[Metric::MemoryBytes as usize] = self.memory_used_bytes as f32;
        values[Metric::MemoryLimitBytes as usize] = self.memory_total_bytes;
        values[Metric::RssBytes as usize] = self.rss_bytes;
        values
    }
}

impl AppPoint {
    /// `earlier` is the report before of the same start of the agent.
    pub fn of(
        earlier: Option<&Report>,
        report: &Report,
        app: &AppReport,
        now_ms: u64,
        cpu_percent: Option<f64>,
    ) -> Self {
        let is_it = |before: &&AppReport| before.app == app.app && before.release == app.release;
        let before = earlier.and_then(|earlier| earlier.apps.iter().find(is_it));
        let elapsed_ms = earlier.and_then(|e| report.uptime_ms.checked_sub(e.uptime_ms));
        let window = app.ticks.as_ref().and_then(|ticks| ticks.last.as_ref());
        let window = window.filter(|window| window.ticks > 0);
        Self {
            time_ms: now_ms,
            memory_bytes: app.memory_bytes,
            counter: to_counter(report.counter),
            cpu_percent: to_f32(cpu_percent),
            rss_bytes: app.worker_rss_bytes as f32,
            rates: Rates::between(before, app, elapsed_ms.unwrap_or(0)),
            tick_p99_us: window.map_or(f32::NAN, |window| window.response.p99_us as f32),
        }
    }

    pub fn report_counter(&self) -> u64 {
        self.counter.into()
    }

    pub fn cpu_percent(&self) -> Option<f64> {
        to_percent(self.cpu_percent)
    }

    /// Without the limit of its memory, which a report does not tell.
    pub fn values(&self) -> Values {
        let Rates { gas, calls, host_calls, messages, drops, tick_misses } = self.rates;
        let mut values = NOTHING;
        for (metric, value) in [
            (Metric::CpuPercent, self.cpu_percent),
            (Metric::MemoryBytes, self.memory_bytes as f32),
            (Metric::RssBytes, self.rss_bytes),
            (Metric::GasPerS, gas),
            (Metric::CallsPerS, calls),
            (Metric::HostCallsPerS, host_calls),
            (Metric::MessagesPerS, messages),
            (Metric::DropsPerS, drops),
            (Metric::TickP99Us, self.tick_p99_us),
            (Metric::TickMissesPerS, tick_misses),
        ] {
            values[metric as usize] = value;
        }
        values
    }
}

impl Rates {
    /// By the device's own clock, as CPU use is. A counter that was set back has no rate.
    fn between(before: Option<&AppReport>, now: &AppReport, elapsed_ms: u64) -> Self {
        let rate = |count: &dyn Fn(&AppReport) -> Option<u64>| {
            let grown = before.and_then(count).zip(count(now));
            let grown = grown.and_then(|(before, now)| now.checked_sub(before));
            match grown {
                Some(grown) if elapsed_ms > 0 => grown as f32 * 1_000.0 / elapsed_ms as f32,
                _ => f32::NAN,
            }
        };
        let host_calls = |app: &AppReport| {
            let guest = app.guest.as_ref()?;
            Some(guest.host_calls.iter().fold(0_u64, |sum, one| sum.saturating_add(one.calls)))
        };
        Self {
            gas: rate(&|app| app.gas_used),
            calls: rate(&|app| Some(app.calls)),
            host_calls: rate(&host_calls),
            messages: rate(&|app| Some(app.published)),
            drops: rate(&|app| Some(app.publishes_dropped.saturating_add(app.log_lines_dropped))),
            tick_misses: rate(&|app| app.ticks.as_ref().map(|ticks| ticks.missed)),
        }
    }
}

/// One a second is 136 years.
fn to_counter(counter: u64) -> u32 {
    u32::try_from(counter).unwrap_or(u32::MAX)
}

fn to_f32(percent: Option<f64>) -> f32 {
    percent.map_or(f32::NAN, |percent| percent as f32)
}

/// With the three digits that it had: see `cpu`.
fn to_percent(percent: f32) -> Option<f64> {
    percent.is_finite().then(|| (f64::from(percent) * 1_000.0).round() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::fleet::{FakeDevice, app_report};
    use device_protocol::{AppState, GuestReport, HostCallReport};
    use module_package::ReleaseId;
    use scheduling::{Spread, TickReport, TickWindow};

    fn report(counter: u64, count: u64) -> Report {
        let mut app = app_report("filter", ReleaseId([1; 32]), AppState::Running);
        (app.calls, app.published, app.log_lines_dropped) = (count, 2 * count, 3 * count);
        app.gas_used = Some(1_000_000 * count);
        let call = |number, calls| HostCallReport { number, calls, bytes: 0, time_ns: 0 };
        let host_calls = vec![call(1, count), call(2, 3 * count)];
        app.guest = Some(GuestReport { host_calls, ..GuestReport::default() });
        let response = Spread { p99_us: 250, ..Spread::default() };
        let last = Some(TickWindow { ticks: 10, response, ..TickWindow::default() });
        app.ticks = Some(TickReport { missed: count / 10, last, ..TickReport::default() });
        FakeDevice::new(1, "x86_64-linux").report(counter, 1, vec![app])
    }

    fn values(earlier: Option<&Report>, later: &Report) -> Values {
        AppPoint::of(earlier, later, &later.apps[0], 0, Some(2.5)).values()
    }

    #[test]
    fn rates_are_of_a_second_of_the_devices_clock() {
        // Two seconds, and twenty of everything.
        let values = values(Some(&report(1, 100)), &report(3, 120));
        let of = |metric: Metric| values[metric as usize];
        assert_eq!((of(Metric::CallsPerS), of(Metric::MessagesPerS)), (10.0, 20.0));
        assert_eq!((of(Metric::DropsPerS), of(Metric::HostCallsPerS)), (30.0, 40.0));
        assert_eq!((of(Metric::GasPerS), of(Metric::TickMissesPerS)), (10_000_000.0, 1.0));
        assert_eq!((of(Metric::TickP99Us), of(Metric::CpuPercent)), (250.0, 2.5));
        assert!(of(Metric::MemoryLimitBytes).is_nan() && of(Metric::DevicesOnline).is_nan());
    }

    #[test]
    fn what_cannot_be_told_is_no_number() {
        let first = values(None, &report(1, 100));
        let back = values(Some(&report(1, 100)), &report(2, 50));
        let at_once = values(Some(&report(1, 100)), &report(1, 120));
        for values in [first, back, at_once] {
            assert!(values[Metric::CallsPerS as usize].is_nan());
            assert!(values[Metric::MemoryBytes as usize].is_finite());
        }
        assert_eq!(size_of::<AppPoint>(), 56);
        assert_eq!(size_of::<DevicePoint>(), 32);
    }
}
