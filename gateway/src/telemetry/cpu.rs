//! CPU use between two reports of one start of the agent.
//!
//! Time is the device's own (`uptime_ms`), not that of arrival: a message that
//! waited in the broker would otherwise show as a burst.

use device_protocol::{AppReport, Report};

/// Percent of one CPU that the application used, or `None` where its counter was
/// set back because another worker runs it.
pub fn of_app(earlier: &Report, later: &Report, app: &AppReport) -> Option<f64> {
    let before = earlier.apps.iter().find(|a| a.app == app.app && a.release == app.release)?;
    let elapsed_us = later.uptime_ms.checked_sub(earlier.uptime_ms)? as f64 * 1_000.0;
    let used_us = app.cpu_us.checked_sub(before.cpu_us)? as f64;
    (elapsed_us > 0.0).then(|| round(used_us / elapsed_us * 100.0))
}

/// Percent of all CPUs of the device, 0 to 100.
pub fn of_device(earlier: &Report, later: &Report) -> Option<f64> {
    let total =
        later.usage.system_cpu_total_ms.checked_sub(earlier.usage.system_cpu_total_ms)? as f64;
    let busy = later.usage.system_cpu_busy_ms.checked_sub(earlier.usage.system_cpu_busy_ms)? as f64;
    (total > 0.0).then(|| round((busy / total * 100.0).min(100.0)))
}

/// Three digits behind the point: finer than the clocks, and equal as text
/// wherever it is shown.
fn round(percent: f64) -> f64 {
    (percent * 1_000.0).round() / 1_000.0
}
