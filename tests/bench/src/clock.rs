//! The time that this thread spent on a processor.
//!
//! Not the wall clock: other programs run on the same machine. What a thread waits
//! for (page faults that read a disk) is therefore missing, and nothing here waits.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of CPU time since the thread began.
fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither part is negative on this clock (clock_gettime(2)).
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What a function returns, and the CPU time it took in nanoseconds.
pub fn cpu_time<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = now_ns();
    let result = work();
    (result, (now_ns() - start) as f64)
}
