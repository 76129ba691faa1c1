//! What each application has used since the agent's start.
//!
//! A worker counts from its own start. Here its last figures are kept when it
//! ends, so that a counter of an application never goes back while the agent
//! lives, whichever and however many workers have served it.

use super::{guest, outlets};
use crate::install::WorkerId;
use device_protocol::TrapReport;
use module_limits::{Limit, LimitAction, LimitHits};
use std::collections::BTreeMap;
use worker_protocol::{GuestUsage, Usage};

#[derive(Debug, Default)]
pub struct Counters {
    apps: BTreeMap<String, AppCounters>,
}

#[derive(Debug, Default)]
struct AppCounters {
    /// Of workers that have ended, and what the agent counts itself.
    ended: Usage,
    live: BTreeMap<WorkerId, Usage>,
    last_trap: Option<TrapReport>,
    /// Limits for which a worker was ended. By themselves, because the worker's own last
    /// word comes after this and is older.
    limits: LimitHits,
}

impl Counters {
    pub fn note_usage(&mut self, app: &str, worker: WorkerId, mut usage: Usage) {
        if let Some(of_guest) = &mut usage.guest {
            guest::bound(of_guest);
        }
        if let Some(kinds) = &mut usage.trap_kinds {
            kinds.bound();
        }
        if let Some(outlets) = &mut usage.outlets {
            outlets::bound(outlets);
        }
        let app = self.apps.entry(app.to_owned()).or_default();
        app.live.insert(worker, usage);
    }

    /// A worker that was not told to end has ended, and another will follow.
    pub fn note_restart(&mut self, app: &str) {
        self.apps.entry(app.to_owned()).or_default().ended.restarts += 1;
    }

    /// A value that went nowhere. `channel`: where the application may publish on it.
    pub fn note_dropped(&mut self, app: &str, channel: Option<&str>) {
        let app = self.apps.entry(app.to_owned()).or_default();
        app.ended.publishes_dropped += 1;
        if let Some(channel) = channel {
            outlets::add(app.ended.outlets.get_or_insert_default(), channel, 0, 1);
        }
    }

    pub fn note_trap(&mut self, app: &str, trap: TrapReport) {
        self.apps.entry(app.to_owned()).or_default().last_trap = Some(trap);
    }

    pub fn last_trap(&self, app: &str) -> Option<TrapReport> {
        self.apps.get(app)?.last_trap.clone()
    }

    /// A limit was reached for which a worker is ended, who cannot say so any more.
    pub fn note_limit(&mut self, app: &str, limit: Limit, action: LimitAction) {
        let app = self.apps.entry(app.to_owned()).or_default();
        app.limits.note(limit, action);
    }

    pub fn end_worker(&mut self, worker: WorkerId) {
        for app in self.apps.values_mut() {
            if let Some(usage) = app.live.remove(&worker) {
                add(&mut app.ended, &usage);
            }
        }
    }

    pub fn keep_only(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.apps.retain(|name, app| is_kept(name) || !app.live.is_empty());
    }

    /// Sums of all workers; memory, ticks and the module's metrics of the serving one alone.
    pub fn total(&self, app: &str, serving: Option<WorkerId>) -> Usage {
        let Some(app) = self.apps.get(app) else { return Usage::default() };
        let mut total = app.ended.clone();
        app.live.values().for_each(|usage| add(&mut total, usage));
        if app.limits.last_limit.is_some() {
            // What ended a worker came last, unless a worker has said something since.
            let live = app.live.values().filter_map(|usage| usage.limits).next_back();
            let hits = total.limits.get_or_insert_default();
            hits.add(&app.limits);
            if let Some(live) = live {
                (hits.last_limit, hits.last_action) = (live.last_limit, live.last_action);
            }
        }
        if let Some(usage) = serving.and_then(|worker| app.live.get(&worker)) {
            total.memory_bytes = usage.memory_bytes;
            total.memory_peak_bytes = usage.memory_peak_bytes;
            if let Some(serving) = &usage.guest {
                let host_calls = total.guest.take().unwrap_or_default().host_calls;
                total.guest = Some(GuestUsage { host_calls, ..serving.clone() });
            }
            total.throttled = usage.throttled;
            total.overhead_bytes = usage.overhead_bytes;
            total.ticks = usage.ticks.clone();
            total.program = usage.program;
        }
        total
    }
}

/// Adds what is a count; a worker's figures are not believed to be small.
fn add(total: &mut Usage, usage: &Usage) {
    if let Some(gas) = usage.gas_used {
        total.gas_used = Some(total.gas_used.unwrap_or(0).saturating_add(gas));
    }
    if let Some(of_guest) = &usage.guest {
        guest::add(total.guest.get_or_insert_default(), of_guest);
    }
    if let Some(kinds) = &usage.trap_kinds {
        total.trap_kinds.get_or_insert_default().add(kinds);
    }
    for outlet in usage.outlets.iter().flatten() {
        let outlets = total.outlets.get_or_insert_default();
        outlets::add(outlets, &outlet.channel, outlet.published, outlet.dropped);
    }
    if let Some(limits) = &usage.limits {
        total.limits.get_or_insert_default().add(limits);
    }
    for (sum, more) in [
        (&mut total.cpu_us, usage.cpu_us),
        (&mut total.calls, usage.calls),
        (&mut total.traps, usage.traps),
        (&mut total.restarts, usage.restarts),
        (&mut total.published, usage.published),
        (&mut total.publishes_dropped, usage.publishes_dropped),
        (&mut total.log_lines, usage.log_lines),
        (&mut total.log_lines_dropped, usage.log_lines_dropped),
        (&mut total.checks_passed, usage.checks_passed),
        (&mut total.checks_failed, usage.checks_failed),
    ] {
        *sum = sum.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use module_traps::{TrapCounts, TrapKind};
    use worker_protocol::{HostCallUsage, Metric, OutletUsage};

    #[test]
    fn limits_are_counted_over_workers_and_with_what_ended_them() {
        let mut counters = Counters::default();
        let mut limits = LimitHits::default();
        limits.note(Limit::GasRate, LimitAction::Throttle);
        let throttled = Some(true);
        let usage = Usage { limits: Some(limits), throttled, ..Usage::default() };
        counters.note_usage("a", WorkerId(1), usage.clone());
        assert_eq!(counters.total("a", Some(WorkerId(1))).throttled, Some(true));
        counters.note_limit("a", Limit::CallTime, LimitAction::Stop);
        counters.end_worker(WorkerId(1));
        let total = counters.total("a", None);
        let hits = total.limits.unwrap();
        assert_eq!((hits.gas_rate, hits.call_time, total.throttled), (1, 1, None));
        assert_eq!(hits.last_limit, Some(Limit::CallTime));
        counters.note_usage("a", WorkerId(2), usage);
        let hits = counters.total("a", Some(WorkerId(2))).limits.unwrap();
        assert_eq!((hits.gas_rate, hits.last_limit), (2, Some(Limit::GasRate)));
    }

    #[test]
    fn counters_do_not_go_back_when_a_worker_is_replaced() {
        let mut counters = Counters::default();
        let usage = |calls, memory_bytes| Usage { calls, memory_bytes, ..Usage::default() };
        counters.note_usage("a", WorkerId(1), usage(10, 500));
        counters.note_usage("a", WorkerId(1), usage(12, 600));
        assert_eq!(counters.total("a", Some(WorkerId(1))).calls, 12);
        counters.end_worker(WorkerId(1));
        counters.note_restart("a");
        let total = counters.total("a", None);
        assert_eq!((total.calls, total.memory_bytes, total.restarts), (12, 0, 1));
        counters.note_usage("a", WorkerId(2), usage(3, 700));
        let total = counters.total("a", Some(WorkerId(2)));
        assert_eq!((total.calls, total.memory_bytes), (15, 700));
        counters.end_worker(WorkerId(2));
        counters.keep_only(|_| false);
        assert_eq!(counters.total("a", None), Usage::default());
    }

    #[test]
    fn traps_are_added_by_kind_and_messages_by_channel() {
        let mut counters = Counters::default();
        let outlet =
            |published, dropped| OutletUsage { channel: "speed".into(), published, dropped };
        for worker in [WorkerId(1), WorkerId(2)] {
            let mut kinds = TrapCounts::default();
            kinds.note(TrapKind::DivideByZero);
            let (trap_kinds, overhead_bytes) = (Some(kinds), Some(worker.0 * 1_000));
            let outlets = Some(vec![outlet(10, 2)]);
            let usage = Usage { trap_kinds, overhead_bytes, outlets, ..Usage::default() };
            counters.note_usage("a", worker, usage);
        }
        counters.end_worker(WorkerId(1));
        counters.note_dropped("a", Some("speed"));
        counters.note_dropped("a", None);
        let total = counters.total("a", Some(WorkerId(2)));
        assert_eq!(total.trap_kinds.unwrap().of(TrapKind::DivideByZero), 2);
        assert_eq!((total.overhead_bytes, total.publishes_dropped), (Some(2_000), 2));
        assert_eq!(total.outlets.unwrap(), [outlet(20, 5)]);
        assert_eq!(counters.total("a", None).overhead_bytes, None);
    }

    #[test]
    fn calls_of_all_workers_are_added_and_metrics_are_those_of_the_serving_one() {
        let mut counters = Counters::default();
        let usage = |calls, value| Usage {
            guest: Some(GuestUsage {
                host_calls: vec![HostCallUsage { number: 4, calls, bytes: 8, time_ns: 9 }],
                metrics: vec![Metric { name: "rpm".into(), value }],
                ..GuestUsage::default()
            }),
            ..Usage::default()
        };
        counters.note_usage("a", WorkerId(1), usage(10, 1.0));
        counters.end_worker(WorkerId(1));
        counters.note_usage("a", WorkerId(2), usage(5, 2.0));
        let total = counters.total("a", Some(WorkerId(2))).guest.unwrap();
        assert_eq!((total.host_calls[0].calls, total.host_calls[0].bytes), (15, 16));
        assert_eq!(total.metrics, [Metric { name: "rpm".into(), value: 2.0 }]);
        assert_eq!(counters.total("a", None).guest.unwrap().metrics, []);
    }
}
