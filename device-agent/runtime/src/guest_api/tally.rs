//! Counts calls of host functions.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use worker_protocol::{GuestCall, HostCallUsage, WasiCall};

/// One counter for each function. The guest thread writes, the main one reads; figures
/// that belong to one call may be seen apart for a moment, which does no harm.
pub struct HostCallTally {
    counters: [Counter; GuestCall::ALL.len()],
    /// Of a program alone: 1 KB that most modules have no use for.
    of_wasi: OnceLock<Box<[Counter; WasiCall::ALL.len()]>>,
}

#[derive(Default)]
struct Counter {
    calls: AtomicU64,
    bytes: AtomicU64,
    time_ns: AtomicU64,
}

impl Default for HostCallTally {
    fn default() -> Self {
        Self { counters: std::array::from_fn(|_| Counter::default()), of_wasi: OnceLock::new() }
    }
}

impl HostCallTally {
    pub fn note(&self, call: GuestCall, bytes: u64, time: Duration) {
        self.counters[usize::from(call.number())].note(bytes, time);
    }

    pub fn note_wasi(&self, call: WasiCall, bytes: u64, time: Duration) {
        let counters =
            self.of_wasi.get_or_init(|| Box::new(std::array::from_fn(|_| Counter::default())));
        counters[call.index()].note(bytes, time);
    }

    /// Of the functions that were called at all.
    pub fn usage(&self) -> Vec<HostCallUsage> {
        let numbers = GuestCall::ALL.iter().map(|call| call.number());
        let of_wasi = self.of_wasi.get().into_iter().flat_map(|counters| counters.iter());
        let of_wasi = WasiCall::ALL.iter().map(|call| call.number()).zip(of_wasi);
        let counted = numbers.zip(&self.counters).chain(of_wasi);
        let usage = counted.map(|(number, counter)| counter.usage(number));
        usage.filter(|usage| usage.calls > 0).collect()
    }
}

impl Counter {
    fn note(&self, bytes: u64, time: Duration) {
        self.calls.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        // 584 years of it.
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.time_ns.fetch_add(time_ns, Relaxed);
    }

    fn usage(&self, number: u8) -> HostCallUsage {
        HostCallUsage {
            number,
            calls: self.calls.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            time_ns: self.time_ns.load(Relaxed),
        }
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
        let published = HostCallUsage { number, calls: 2, bytes: 15, time_ns: 11 };
        assert_eq!(tally.usage(), [published]);
        tally.note_wasi(WasiCall::FdWrite, 9, Duration::from_nanos(1));
        let number = WasiCall::FdWrite.number();
        let written = HostCallUsage { number, calls: 1, bytes: 9, time_ns: 1 };
        assert_eq!(tally.usage(), [published, written]);
    }
}
