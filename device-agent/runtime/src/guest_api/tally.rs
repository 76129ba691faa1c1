//! Counts calls of host functions.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use worker_protocol::{GuestCall, HostCallUsage};

/// One counter for each function. The guest thread writes, the main one reads; figures
/// that belong to one call may be seen apart for a moment, which does no harm.
#[derive(Default)]
pub struct HostCallTally {
    counters: [Counter; GuestCall::ALL.len()],
}

#[derive(Default)]
struct Counter {
    calls: AtomicU64,
    bytes: AtomicU64,
    time_ns: AtomicU64,
}

impl HostCallTally {
    pub fn note(&self, call: GuestCall, bytes: u64, time: Duration) {
        let counter = &self.counters[usize::from(call.number())];
        counter.calls.fetch_add(1, Relaxed);
        counter.bytes.fetch_add(bytes, Relaxed);
        // 584 years of it.
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        counter.time_ns.fetch_add(time_ns, Relaxed);
    }

    /// Of the functions that were called at all.
    pub fn usage(&self) -> Vec<HostCallUsage> {
        let with_calls =
            GuestCall::ALL.iter().zip(&self.counters).map(|(call, counter)| HostCallUsage {
                number: call.number(),
                calls: counter.calls.load(Relaxed),
                bytes: counter.bytes.load(Relaxed),
                time_ns: counter.time_ns.load(Relaxed),
            });
        with_calls.filter(|usage| usage.calls > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_called_is_left_out() {
        let tally = HostCallTally::default();
        assert_eq!(tally.usage(), []);
        tally.note(GuestCall::Publish, 7, Duration::from_nanos(5));
        tally.note(GuestCall::Publish, 8, Duration::from_nanos(6));
        let number = GuestCall::Publish.number();
        assert_eq!(tally.usage(), [HostCallUsage { number, calls: 2, bytes: 15, time_ns: 11 }]);
    }
}
