//! What the agent and its workers use of the device, from `/proc`.
//!
//! An agent that is itself emulated sees the real files of its children, but a
//! made-up `/proc/self/stat`; so its own CPU time comes from the process's clock.

use crate::install::WorkerId;
use device_protocol::DeviceUsage;
use procfs::{Current, CurrentSI};
use std::collections::BTreeMap;

/// Keeps what ended workers had used.
#[derive(Debug, Default)]
pub struct DeviceMeter {
    ended_cpu_us: u64,
    live: BTreeMap<WorkerId, WorkerSample>,
}

#[derive(Debug, Clone, Copy, Default)]
struct WorkerSample {
    pid: u32,
    cpu_us: u64,
    rss_bytes: u64,
}

impl DeviceMeter {
    /// Reads everything; what cannot be read counts as it did before, or as 0.
    pub fn measure(&mut self, workers: &[(WorkerId, u32)], store_bytes: u64) -> DeviceUsage {
        // Several workers can be one process, which is looked at once.
        let mut seen = BTreeMap::new();
        for (worker, pid) in workers {
            if let Some(sample) = *seen.entry(*pid).or_insert_with(|| sample_process(*pid)) {
                self.live.insert(*worker, sample);
            }
        }
        let by_pid: BTreeMap<u32, u64> =
            self.live.values().map(|sample| (sample.pid, sample.cpu_us)).collect();
        let workers_cpu_us: u64 = by_pid.values().sum();
        let (system_cpu_busy_ms, system_cpu_total_ms) = system_cpu_ms().unwrap_or_default();
        let (memory_total_bytes, memory_available_bytes) = memory_bytes().unwrap_or_default();
        DeviceUsage {
            cpu_us: own_cpu_us() + workers_cpu_us + self.ended_cpu_us,
            system_cpu_busy_ms,
            system_cpu_total_ms,
            memory_total_bytes,
            memory_available_bytes,
            agent_rss_bytes: resident_bytes(std::process::id()).unwrap_or(0),
            store_bytes,
        }
    }

    pub fn end_worker(&mut self, worker: WorkerId) {
        let Some(sample) = self.live.remove(&worker) else { return };
        if !self.live.values().any(|other| other.pid == sample.pid) {
            self.ended_cpu_us += sample.cpu_us;
        }
    }

    /// As of the last measurement.
    pub fn worker_cpu_us(&self, worker: WorkerId) -> Option<u64> {
        self.live.get(&worker).map(|sample| sample.cpu_us)
    }

    /// As of the last measurement.
    pub fn worker_rss_bytes(&self, worker: WorkerId) -> u64 {
        self.live.get(&worker).map_or(0, |sample| sample.rss_bytes)
    }
}

fn own_cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // Neither is negative: it is the time since the process's start.
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

fn sample_process(pid: u32) -> Option<WorkerSample> {
    let stat = process(pid)?.stat().ok()?;
    let ticks = stat.utime.saturating_add(stat.stime);
    let cpu_us = ticks.saturating_mul(1_000_000) / procfs::ticks_per_second().max(1);
    Some(WorkerSample { pid, cpu_us, rss_bytes: resident_bytes(pid)? })
}

fn resident_bytes(pid: u32) -> Option<u64> {
    Some(process(pid)?.statm().ok()?.resident.saturating_mul(procfs::page_size()))
}

fn process(pid: u32) -> Option<procfs::process::Process> {
    procfs::process::Process::new(i32::try_from(pid).ok()?).ok()
}

fn system_cpu_ms() -> Option<(u64, u64)> {
    let cpu = procfs::KernelStats::current().ok()?.total;
    let idle = cpu.idle_ms() + cpu.iowait_ms().unwrap_or(0);
    let busy = cpu.user_ms()
        + cpu.nice_ms()
        + cpu.system_ms()
        + cpu.irq_ms().unwrap_or(0)
        + cpu.softirq_ms().unwrap_or(0)
        + cpu.steal_ms().unwrap_or(0);
    Some((busy, busy + idle))
}

fn memory_bytes() -> Option<(u64, u64)> {
    let memory = procfs::Meminfo::current().ok()?;
    Some((memory.mem_total, memory.mem_available.unwrap_or(memory.mem_free)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_measured() {
        let usage = DeviceMeter::default().measure(&[(WorkerId(1), std::process::id())], 5);
        assert!(usage.system_cpu_total_ms > usage.system_cpu_busy_ms);
        assert!(usage.memory_total_bytes > usage.memory_available_bytes);
        assert!(usage.memory_available_bytes > 0);
        assert!(usage.agent_rss_bytes > 100_000);
        assert!(usage.cpu_us > 0 && usage.store_bytes == 5);
    }

    #[test]
    fn what_an_ended_worker_used_still_counts() {
        let mut meter = DeviceMeter::default();
        meter.live.insert(WorkerId(1), WorkerSample { pid: 5, cpu_us: 1 << 50, rss_bytes: 9 });
        meter.end_worker(WorkerId(1));
        assert!(meter.measure(&[], 0).cpu_us >= 1 << 50);
        assert_eq!(meter.worker_rss_bytes(WorkerId(1)), 0);
    }

    #[test]
    fn a_process_of_several_modules_counts_once() {
        let mut meter = DeviceMeter::default();
        for worker in 1..=3 {
            let sample = WorkerSample { pid: 5, cpu_us: 1 << 50, rss_bytes: 9 };
            meter.live.insert(WorkerId(worker), sample);
        }
        let counted = |meter: &mut DeviceMeter| meter.measure(&[], 0).cpu_us >> 50;
        assert_eq!(counted(&mut meter), 1);
        (1..=3).for_each(|worker| meter.end_worker(WorkerId(worker)));
        assert_eq!((counted(&mut meter), meter.ended_cpu_us), (1, 1 << 50));
    }
}
