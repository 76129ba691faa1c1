//! The time that this thread, or this process, spent on a processor.
//!
//! Not the wall clock: other programs run on the same machine. What a thread waits
//! for (page faults that read a disk) is therefore missing, and nothing here waits.

use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// Nanoseconds of a clock since it began.
fn now_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither part is negative on a clock of CPU time (clock_gettime(2)).
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What a function returns, and the CPU time it took in nanoseconds.
pub fn thread_cpu_time<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = now_ns(ClockId::ThreadCPUTime);
    let result = work();
    (result, (now_ns(ClockId::ThreadCPUTime) - start) as f64)
}

/// The same with the time of all threads, then wall time. For compilers, which may
/// start threads; all others of this process sleep meanwhile.
pub fn process_cpu_time<T>(work: impl FnOnce() -> T) -> (T, f64, f64) {
    let (start, wall_start) = (now_ns(ClockId::ProcessCPUTime), Instant::now());
    let result = work();
    let wall_ns = wall_start.elapsed().as_nanos() as f64;
    (result, (now_ns(ClockId::ProcessCPUTime) - start) as f64, wall_ns)
}
