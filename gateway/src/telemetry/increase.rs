//! What a report adds to the fleet's counters.
//!
//! A device counts from some start of its own; the gateway's counters must only grow. So
//! each report adds what is new in it since the one before of the same start, and all of
//! it where the device began to count anew. The first report of a device after the
//! gateway's start adds nothing: how much of it is new, nobody knows.

use device_protocol::{AppReport, Report};

/// The most that one report adds to one counter: far above what a device can do in the
/// time, and low enough that none that lies makes a counter run over.
const INCREASE_MAX: u64 = 1 << 44;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Increase {
    pub gas: u64,
    pub calls: u64,
    pub traps: u64,
    pub restarts: u64,
    pub published: u64,
    pub publishes_dropped: u64,
    pub log_lines: u64,
    pub log_lines_dropped: u64,
}

impl Increase {
    pub fn between(earlier: Option<&Report>, later: &Report) -> Self {
        let mut increase = Self::default();
        let Some(earlier) = earlier else { return increase };
        for app in &later.apps {
            let before = match earlier.boot_id == later.boot_id {
                true => earlier.apps.iter().find(|before| before.app == app.app),
                false => None,
            };
            increase.add(before, app);
        }
        increase
    }

    fn add(&mut self, before: Option<&AppReport>, now: &AppReport) {
        let grown = |count: &dyn Fn(&AppReport) -> u64| {
            let (now, before) = (count(now), before.map_or(0, count));
            // A worker that was started again counts from 0.
            let new = if now >= before { now - before } else { now };
            new.min(INCREASE_MAX)
        };
        let sum = |total: &mut u64, count: &dyn Fn(&AppReport) -> u64| {
            *total = total.saturating_add(grown(count));
        };
        sum(&mut self.gas, &|app| app.gas_used.unwrap_or_default());
        sum(&mut self.calls, &|app| app.calls);
        sum(&mut self.traps, &|app| app.traps);
        sum(&mut self.restarts, &|app| app.restarts);
        sum(&mut self.published, &|app| app.published);
        sum(&mut self.publishes_dropped, &|app| app.publishes_dropped);
        sum(&mut self.log_lines, &|app| app.log_lines);
        sum(&mut self.log_lines_dropped, &|app| app.log_lines_dropped);
    }
}
