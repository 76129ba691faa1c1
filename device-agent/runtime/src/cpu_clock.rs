//! The thread's CPU time, shared out among the guests that it serves.

use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;

/// What is spent between two turns is charged to the second: little more than the choice
/// of whose turn it is.
pub struct CpuClock {
    charged_ns: Cell<u64>,
}

impl CpuClock {
    pub fn new() -> Self {
        Self { charged_ns: Cell::new(now_ns()) }
    }

    /// What has been spent since this was last asked.
    pub fn take_ns(&self) -> u64 {
        let now_ns = now_ns();
        now_ns.saturating_sub(self.charged_ns.replace(now_ns))
    }
}

/// Only this thread can read its clock.
pub fn now_ns() -> u64 {
    let cpu = clock_gettime(ClockId::ThreadCPUTime);
    cpu.tv_sec.cast_unsigned() * 1_000_000_000 + cpu.tv_nsec.cast_unsigned()
}
