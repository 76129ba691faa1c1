//! How punctual the module's ticks are, in counters and two histograms that never grow.
//!
//! The guest thread notes each tick, the main thread takes what there is since it took it
//! the last time. `docs/real-time.md` says what the figures mean.

use hdrhistogram::Histogram;
use scheduling::{RealTime, Spread, TickReport, TickWindow};
use std::time::{Duration, Instant};

/// A minute: what is later than this is told as this.
const LATE_US_MAX: u64 = 60_000_000;

/// Figures are right to 6 %; 736 bytes for each histogram.
const DIGITS: u8 = 1;

/// One tick that has returned.
#[derive(Debug, Clone, Copy)]
pub struct Tick {
    pub due: Instant,
    pub began: Instant,
    pub ended: Instant,
    /// Of this thread, where there is a limit to compare it with.
    pub cpu: Duration,
}

#[derive(Debug)]
pub struct Ticks {
    total: TickReport,
    /// Of a real-time module.
    runtime_us: Option<u32>,
    start: Lateness,
    response: Lateness,
    missed: u32,
    start_before_us: Option<u32>,
    jitter_us: u32,
}

impl Ticks {
    pub fn new(interval: Duration, real_time: Option<&RealTime>) -> Self {
        let period_us = to_us(interval);
        let deadline_us = real_time.map(|asked| asked.deadline_us(period_us / 1_000));
        let deadline_us = deadline_us.unwrap_or(period_us);
        Self {
            total: TickReport { period_us, deadline_us, ..TickReport::default() },
            runtime_us: real_time.map(|asked| asked.runtime_us),
            start: Lateness::new(),
            response: Lateness::new(),
            missed: 0,
            start_before_us: None,
            jitter_us: 0,
        }
    }

    pub fn note(&mut self, tick: &Tick) {
        let start_us = to_us(tick.began.saturating_duration_since(tick.due));
        let response_us = to_us(tick.ended.saturating_duration_since(tick.due));
        self.start.note(start_us);
        self.response.note(response_us);
        self.total.ticks += 1;
        if response_us > self.total.deadline_us {
            self.total.missed += 1;
            self.missed = self.missed.saturating_add(1);
        }
        if self.runtime_us.is_some_and(|max_us| to_us(tick.cpu) > max_us) {
            self.total.overran += 1;
        }
        self.total.response_max_us = self.total.response_max_us.max(response_us);
        if let Some(before_us) = self.start_before_us.replace(start_us) {
            self.jitter_us = self.jitter_us.max(start_us.abs_diff(before_us));
        }
    }

    /// Ticks that are left out because an earlier one was not over.
    pub fn note_skipped(&mut self, count: u64) {
        self.total.skipped += count;
    }

    /// The next tick is the first after a pause: between them there is no jitter.
    pub fn note_pause(&mut self) {
        self.start_before_us = None;
    }

    /// What there is; what it says of the last interval begins anew.
    pub fn take(&mut self) -> TickReport {
        let last = (self.start.count() > 0).then(|| TickWindow {
            ticks: self.start.count(),
            missed: self.missed,
            start: self.start.take(),
            response: self.response.take(),
            jitter_us: self.jitter_us,
        });
        (self.missed, self.jitter_us) = (0, 0);
        TickReport { last, ..self.total.clone() }
    }
}

#[derive(Debug)]
struct Lateness {
    counts: Histogram<u16>,
    sum_us: u64,
    /// As they are: the bounds of the histogram's buckets are beside them.
    min_us: u32,
    max_us: u32,
}

impl Lateness {
    fn new() -> Self {
        // Both are constants within the crate's bounds.
        let counts = Histogram::new_with_max(LATE_US_MAX, DIGITS)
            .unwrap_or_else(|e| unreachable!("a histogram of constants: {e}"));
        Self { counts, sum_us: 0, min_us: u32::MAX, max_us: 0 }
    }

    fn note(&mut self, us: u32) {
        let us = us.min(LATE_US_MAX as u32);
        self.counts.saturating_record(us.into());
        self.sum_us = self.sum_us.saturating_add(us.into());
        self.min_us = self.min_us.min(us);
        self.max_us = self.max_us.max(us);
    }

    fn count(&self) -> u32 {
        u32::try_from(self.counts.len()).unwrap_or(u32::MAX)
    }

    fn take(&mut self) -> Spread {
        let counts = &self.counts;
        let narrow = |us: u64| u32::try_from(us).unwrap_or(u32::MAX);
        let (min_us, max_us) = (self.min_us.min(self.max_us), self.max_us);
        let spread = Spread {
            min_us,
            mean_us: narrow(self.sum_us / counts.len().max(1)),
            p99_us: narrow(counts.value_at_quantile(0.99)).clamp(min_us, max_us),
            max_us,
        };
        self.counts.reset();
        (self.sum_us, self.min_us, self.max_us) = (0, u32::MAX, 0);
        spread
    }
}

fn to_us(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scheduling::Policy;

    fn tick(due: Instant, start_us: u64, response_us: u64) -> Tick {
        let at = |us| due + Duration::from_micros(us);
        Tick { due, began: at(start_us), ended: at(response_us), cpu: Duration::ZERO }
    }

    #[test]
    fn a_hundred_ticks_are_told_in_ten_figures() {
        let mut ticks = Ticks::new(Duration::from_millis(10), None);
        let due = Instant::now();
        assert!(ticks.take().last.is_none());
        for number in 0..100 {
            // All alike, but for the last, which is over too late.
            let response_us = if number == 99 { 10_001 } else { 800 };
            ticks.note(&tick(due, 100 + number % 2, response_us));
        }
        ticks.note_skipped(3);
        let report = ticks.take();
        assert_eq!((report.period_us, report.deadline_us), (10_000, 10_000));
        assert_eq!((report.ticks, report.missed, report.skipped), (100, 1, 3));
        assert_eq!((report.overran, report.response_max_us), (0, 10_001));
        let last = report.last.unwrap();
        assert_eq!((last.ticks, last.missed, last.jitter_us), (100, 1, 1));
        assert_eq!(last.response.mean_us, 892);
        assert!((750..=850).contains(&last.response.p99_us), "{last:?}");
        let Spread { min_us, max_us, .. } = last.start;
        assert_eq!((min_us, max_us, last.response.max_us), (100, 101, 10_001));
        let report = ticks.take();
        assert_eq!((report.last, report.ticks), (None, 100), "the sums stay");
    }

    #[test]
    fn a_real_time_module_has_a_deadline_and_a_run_time_of_its_own() {
        let asked = RealTime {
            policy: Policy::Fifo,
            runtime_us: 500,
            deadline_us: Some(2_000),
            period_us: None,
            priority: None,
        };
        let mut ticks = Ticks::new(Duration::from_millis(10), Some(&asked));
        let due = Instant::now();
        for cpu_us in [500, 501] {
            let cpu = Duration::from_micros(cpu_us);
            ticks.note(&Tick { cpu, ..tick(due, 0, 2_001) });
        }
        ticks.note(&tick(due, 0, 2_000));
        let report = ticks.take();
        assert_eq!((report.deadline_us, report.missed, report.overran), (2_000, 2, 1));
    }

    #[test]
    fn what_is_very_late_is_told_as_a_minute() {
        let mut ticks = Ticks::new(Duration::from_secs(1), None);
        ticks.note(&tick(Instant::now(), 0, 7_200_000_000));
        let last = ticks.take().last.unwrap();
        assert_eq!((last.response.min_us, last.response.max_us), (60_000_000, 60_000_000));
    }
}
