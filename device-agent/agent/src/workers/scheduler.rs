//! Gives the threads of a worker what its module asks for.
//!
//! From outside: a worker has neither the right to it nor the system calls. The module's
//! thread gets the class; the two that watch it and speak for it go before it, so that they
//! can end it and never keep it waiting behind a neighbour for a lock. What the
//! kernel made of it is read back: another policy than asked for is a refusal, and its figures
//! are reported as they were read. A weight that a control group has is not read back.

use crate::refusal::Refusal;
use ::scheduling::{CPU_WEIGHT_USUAL, InForce, Policy, RealTime, Scheduling, numbers};
use device_protocol::RefusalCode;
use linux_scheduler::{Class, get, set};
use procfs::process::LimitValue;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io;
use worker_protocol::GUEST_THREAD;

/// A worker has three threads, an emulated one a few more.
const THREADS_MAX: usize = 64;

/// How much longer than its limit a call may hold a processor until the kernel ends the
/// process, where neither the worker nor the agent came to it.
const GRACE_US: u64 = 500_000;

/// What a worker is to get.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub scheduling: &'a Scheduling,
    pub interval_ms: u32,
    /// Of the module's limits.
    pub call_ms_max: u32,
}

pub fn gone() -> Refusal {
    Refusal::new(RefusalCode::SchedulingNotGiven, "its worker has just ended")
}

pub fn give(pid: u32, wanted: Wanted<'_>, has_group: bool) -> Result<InForce, Refusal> {
    let threads = threads_of(pid).map_err(|e| refuse("its threads", "read /proc", &e))?;
    let Some(guest) = threads.iter().find(|thread| thread.is_guest) else {
        let detail = "its worker has no thread for the module";
        return Err(Refusal::new(RefusalCode::SchedulingNotGiven, detail));
    };
    let Scheduling { real_time, cpus, cpu_weight } = wanted.scheduling;
    if !cpus.is_empty() {
        let what = format!("processors {}", numbers(cpus));
        threads
            .iter()
            .try_for_each(|thread| pin(thread.id, cpus))
            .map_err(|e| refuse(&what, "sched_setaffinity", &e))?;
    }
    let mut in_force = InForce { cpus: cpus.clone(), ..InForce::default() };
    if let Some(real_time) = real_time {
        let what = wanted.scheduling.words(wanted.interval_ms);
        give_real_time(pid, &threads, real_time, wanted)
            .map_err(|(call, e)| refuse(&what, call, &e))?;
    }
    match cpu_weight {
        Some(weight) if has_group => in_force.cpu_weight = Some(*weight),
        Some(weight) => {
            let nice = nice_of(*weight);
            let what = format!("weight {weight} as nice {nice}");
            let class = Class::Fair { nice };
            threads
                .iter()
                .try_for_each(|thread| set(thread.id, class))
                .map_err(|e| refuse(&what, "sched_setattr", &e))?;
        }
        None => {}
    }
    read_back(guest.id, &mut in_force).map_err(|e| refuse("its class", "sched_getattr", &e))?;
    if in_force.policy != real_time.map(|real_time| real_time.policy) {
        // An emulator may say yes and do nothing.
        let detail = format!("the kernel said yes, and the module's thread has {in_force}");
        return Err(Refusal::new(RefusalCode::SchedulingNotGiven, detail));
    }
    Ok(in_force)
}

/// For how long a thread has run, and has waited for a processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appetite {
    pub ran_ns: u64,
    pub waited_ns: u64,
}

/// Of the module's thread. Kernels without `CONFIG_SCHED_INFO` do not say.
pub fn appetite(pid: u32) -> Option<Appetite> {
    let guest = guest_of(pid).ok()?;
    let text = fs::read_to_string(format!("/proc/{pid}/task/{guest}/schedstat")).ok()?;
    let mut figures = text.split_whitespace().map_while(|word| word.parse::<u64>().ok());
    Some(Appetite { ran_ns: figures.next()?, waited_ns: figures.next()? })
}

/// Lets the module's thread have what others leave, or what all get again. The watchers stay
/// before it.
pub fn lower(pid: u32, is_low: bool) -> io::Result<()> {
    let guest = guest_of(pid)?;
    let class = match (get(guest)?, is_low) {
        (Class::Fair { nice } | Class::Idle { nice }, true) => Class::Idle { nice },
        (Class::Fair { nice } | Class::Idle { nice }, false) => Class::Fair { nice },
        (other, _) => return Err(io::Error::other(format!("its thread has {other:?}"))),
    };
    if is_low && !may_set_classes() {
        // Going down is free, and coming up again is not.
        let what = "without CAP_SYS_NICE it could not be undone";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    set(guest, class)
}

fn guest_of(pid: u32) -> io::Result<u32> {
    let guest = threads_of(pid)?.into_iter().find(|thread| thread.is_guest);
    guest.map(|guest| guest.id).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// From `linux/capability.h`.
const CAP_SYS_NICE: u64 = 1 << 23;

fn may_set_classes() -> bool {
    let status = procfs::process::Process::myself().and_then(|own| own.status());
    status.is_ok_and(|status| status.capeff & CAP_SYS_NICE != 0)
}

fn give_real_time(
    pid: u32,
    threads: &[Thread],
    real_time: &RealTime,
    wanted: Wanted<'_>,
) -> Result<(), (&'static str, io::Error)> {
    let (guest, watching) = match real_time.policy {
        Policy::Fifo => {
            let priority = u32::from(real_time.priority());
            limit_rttime(pid, fifo_us_max(wanted.call_ms_max)).map_err(|e| ("prlimit", e))?;
            (Class::Fifo { priority }, Class::Fifo { priority: priority + 1 })
        }
        Policy::Deadline => {
            let ns = |us: u32| u64::from(us) * 1_000;
            let class = Class::Deadline {
                runtime_ns: ns(real_time.runtime_us),
                deadline_ns: ns(real_time.deadline_us(wanted.interval_ms)),
                period_ns: ns(real_time.period_us(wanted.interval_ms)),
            };
            // Before all that is best-effort; the module goes first, as long as its run
            // time lasts.
            (class, Class::Fifo { priority: 1 })
        }
    };
    // The watchers first: at no time can the module hold them up.
    let (guests, watchers): (Vec<&Thread>, Vec<&Thread>) =
        threads.iter().partition(|thread| thread.is_guest);
    let watchers = watchers.iter().try_for_each(|thread| set(thread.id, watching));
    watchers
        .and_then(|()| guests.iter().try_for_each(|thread| set(thread.id, guest)))
        .map_err(|e| ("sched_setattr", e))
}

/// What such a module is started with, by its limits.
pub fn rttime_us_max(asked: &Scheduling, call_ms_max: u32) -> Option<u64> {
    let policy = asked.real_time.map(|real_time| real_time.policy);
    (policy == Some(Policy::Fifo)).then(|| fifo_us_max(call_ms_max))
}

fn fifo_us_max(call_ms_max: u32) -> u64 {
    u64::from(call_ms_max) * 1_000 + GRACE_US
}

/// Of one thread since it last waited; the hard limit is the end of the process. A worker
/// has given it to itself: from outside the kernel lets nobody do it who has not
/// CAP_SYS_RESOURCE, where the worker is another user.
fn limit_rttime(pid: u32, us: u64) -> io::Result<()> {
    let limit = Rlimit { current: Some(us), maximum: Some(us) };
    prlimit(to_pid(pid)?, Resource::Rttime, limit).map(drop).or_else(|e| {
        let limits = procfs::process::Process::new(pid.cast_signed()).and_then(|of| of.limits());
        let own = limits.map(|limits| limits.max_realtime_timeout.hard_limit);
        let has_it = matches!(own, Ok(LimitValue::Value(own_us)) if own_us <= us);
        if has_it { Ok(()) } else { Err(e.into()) }
    })
}

struct Thread {
    id: u32,
    is_guest: bool,
}

fn threads_of(pid: u32) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))?.take(THREADS_MAX) {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(id) = id else { continue };
        let name = fs::read_to_string(entry.path().join("comm"))?;
        threads.push(Thread { id, is_guest: name.trim_end() == GUEST_THREAD });
    }
    Ok(threads)
}

fn to_pid(id: u32) -> io::Result<Option<Pid>> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    pid.map(Some).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn pin(thread: u32, cpus: &[u16]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(usize::from(*cpu)));
    sched_setaffinity(to_pid(thread)?, &set)?;
    // The kernel leaves out those that do not exist.
    let found = sched_getaffinity(to_pid(thread)?)?;
    match cpus.iter().find(|cpu| !found.is_set(usize::from(**cpu))) {
        Some(lacking) => Err(io::Error::other(format!("there is no processor {lacking}"))),
        None => Ok(()),
    }
}

fn read_back(guest: u32, in_force: &mut InForce) -> io::Result<()> {
    let us = |ns: u64| Some(u32::try_from(ns / 1_000).unwrap_or(u32::MAX));
    match get(guest)? {
        Class::Fair { nice: 0 } | Class::Idle { .. } => {}
        Class::Fair { nice } => in_force.nice = i8::try_from(nice).ok(),
        Class::Fifo { priority } => {
            in_force.policy = Some(Policy::Fifo);
            in_force.priority = u8::try_from(priority).ok();
        }
        Class::Deadline { runtime_ns, deadline_ns, period_ns } => {
            in_force.policy = Some(Policy::Deadline);
            in_force.runtime_us = us(runtime_ns);
            (in_force.deadline_us, in_force.period_us) = (us(deadline_ns), us(period_ns));
        }
    }
    Ok(())
}

/// A step of nice is a quarter more or less of the processor (`sched_prio_to_weight`).
fn nice_of(weight: u16) -> i32 {
    let steps = (f64::from(CPU_WEIGHT_USUAL) / f64::from(weight)).ln() / 1.25_f64.ln();
    // Within 42 of 0, whatever the weight.
    (steps.round() as i32).clamp(-20, 19)
}

fn refuse(what: &str, call: &str, error: &io::Error) -> Refusal {
    let why = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::BUSY) => {
            "EBUSY: the kernel's own admission test has no room for it beside what else has \
             SCHED_DEADLINE"
        }
        Some(rustix::io::Errno::PERM) if call == "prlimit" => {
            "EPERM: the worker has not limited its own processor time, and to limit another user's \
             the agent needs CAP_SYS_RESOURCE, or workers.uid_count = 0"
        }
        Some(rustix::io::Errno::PERM) => {
            "EPERM: the agent needs CAP_SYS_NICE, processors that no cpuset takes from it, and a \
             control group that may have real-time threads"
        }
        Some(rustix::io::Errno::INVAL) => {
            "EINVAL: this kernel takes no such values; see kernel.sched_deadline_period_*_us"
        }
        _ => "",
    };
    let detail = match why {
        "" => format!("{what}: {call}: {error}"),
        why => format!("{what}: {call} says {why}"),
    };
    Refusal::new(RefusalCode::SchedulingNotGiven, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::scheduling::RealTime;
    use std::process::{Child, Command};

    /// A process whose thread is called as a worker's is.
    struct Sleeper {
        child: Child,
        _dir: tempfile::TempDir,
    }

    impl Sleeper {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(GUEST_THREAD);
            fs::copy("/bin/sleep", &path).unwrap();
            // Another test may be between fork and exec with the file open for writing.
            let start = || Command::new(&path).arg("60").spawn();
            let mut child = start();
            for _ in 0..100 {
                if child.is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
                child = start();
            }
            let child = child.unwrap();
            // The kernel gives the name a moment after the parent hears that all is well.
            let has_name = |_| {
                std::thread::sleep(std::time::Duration::from_millis(5));
                threads_of(child.id()).is_ok_and(|threads| threads.iter().any(|t| t.is_guest))
            };
            assert!((0..2_000).any(has_name), "it has the name of its file");
            Self { child, _dir: dir }
        }

        fn give(&self, scheduling: &Scheduling) -> Result<InForce, Refusal> {
            let wanted = Wanted { scheduling, interval_ms: 10, call_ms_max: 100 };
            give(self.child.id(), wanted, false)
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn real_time(policy: Policy, runtime_us: u32) -> Scheduling {
        let (deadline_us, period_us, priority) = (None, None, None);
        let real_time = RealTime { policy, runtime_us, deadline_us, period_us, priority };
        Scheduling { real_time: Some(real_time), ..Scheduling::default() }
    }

    /// Who runs the tests may lack the right (a container, a control group without
    /// real-time threads). What an owner reads then is all that can be tested.
    fn assert_is_told_what_lacks(refusal: &Refusal) {
        assert_eq!(refusal.code, RefusalCode::SchedulingNotGiven);
        assert!(refusal.detail.contains("sched_setattr says EPERM"), "{refusal}");
        assert!(refusal.detail.contains("needs CAP_SYS_NICE"), "{refusal}");
    }

    #[test]
    fn a_worker_has_what_it_was_given_or_a_refusal_says_why_not() {
        let worker = Sleeper::new();
        match worker.give(&real_time(Policy::Fifo, 100)) {
            Ok(in_force) => {
                assert_eq!(in_force.to_string(), "fifo 10");
                let limits = fs::read_to_string(format!("/proc/{}/limits", worker.child.id()));
                let limits = limits.unwrap();
                let of_real_time = limits.lines().find(|line| line.contains("realtime timeout"));
                assert!(of_real_time.unwrap().contains("600000"), "{limits}");
            }
            Err(refusal) => {
                assert_is_told_what_lacks(&refusal);
                assert!(refusal.detail.starts_with("fifo"), "{refusal}");
                assert_eq!(get(worker.child.id()).unwrap(), Class::Fair { nice: 0 });
            }
        }
        let worker = Sleeper::new();
        match worker.give(&real_time(Policy::Deadline, 100)) {
            Ok(in_force) => {
                assert_eq!(in_force.to_string(), "deadline 100 us by 10000 us of 10000 us");
            }
            Err(refusal) => {
                assert_is_told_what_lacks(&refusal);
                assert!(refusal.detail.starts_with("deadline"), "{refusal}");
            }
        }
    }

    #[test]
    fn the_kernels_own_admission_test_is_told_as_such() {
        let processors = std::thread::available_parallelism().unwrap().get();
        // 90 % of a processor each, one more than there are, and the kernel's bound is 95.
        let workers: Vec<Sleeper> = (0..processors + 1).map(|_| Sleeper::new()).collect();
        let asked = real_time(Policy::Deadline, 9_000);
        let given: Vec<_> = workers.iter().map(|worker| worker.give(&asked)).collect();
        let refused: Vec<_> = given.iter().filter_map(|given| given.as_ref().err()).collect();
        assert!(!refused.is_empty(), "{given:?}");
        if refused.len() == given.len() {
            // Nothing of the kind is given here, so there is no sum that could be too high.
            refused.iter().for_each(|refusal| assert_is_told_what_lacks(refusal));
        } else {
            let is_told = |refusal: &&Refusal| refusal.detail.contains("sched_setattr says EBUSY");
            assert!(refused.iter().all(is_told), "{refused:?}");
        }
        assert!(refused[0].detail.contains("deadline, 9000 us by 10000 us of 10000 us"));
    }

    #[test]
    fn processors_and_weights_are_given_without_any_class() {
        let worker = Sleeper::new();
        let own = sched_getaffinity(None).unwrap();
        let first = (0..1_024).find(|cpu| own.is_set(usize::from(*cpu))).unwrap();
        let asked = Scheduling { cpus: vec![first], cpu_weight: Some(50), real_time: None };
        let in_force = worker.give(&asked).unwrap();
        assert_eq!(in_force.to_string(), format!("best-effort, cpus {first}, nice 3"));
        let asked = Scheduling { cpus: vec![first, 1_023], ..Scheduling::default() };
        let refusal = worker.give(&asked).unwrap_err();
        assert!(refusal.detail.contains("there is no processor 1023"), "{refusal}");
        assert!(
            give(u32::MAX, Wanted { scheduling: &asked, interval_ms: 1, call_ms_max: 1 }, true)
                .is_err()
        );
    }

    #[test]
    fn a_thread_is_lowered_and_gets_its_class_back() {
        let worker = Sleeper::new();
        let pid = worker.child.id();
        set(pid, Class::Fair { nice: 3 }).unwrap();
        match lower(pid, true) {
            Ok(()) => {
                assert_eq!(get(pid).unwrap(), Class::Idle { nice: 3 });
                lower(pid, false).unwrap();
            }
            Err(e) => assert!(!may_set_classes(), "{e}"),
        }
        assert_eq!(get(pid).unwrap(), Class::Fair { nice: 3 });
        if worker.give(&real_time(Policy::Fifo, 100)).is_ok() {
            let error = lower(pid, true).unwrap_err().to_string();
            assert!(error.contains("Fifo"), "a real-time module stays one: {error}");
        }
        if fs::exists("/proc/self/schedstat").unwrap() {
            assert!(appetite(pid).unwrap().ran_ns < 60_000_000_000, "it sleeps");
        }
        assert_eq!(appetite(u32::MAX), None);
    }

    #[test]
    fn a_weight_is_as_nice_as_the_kernels_table_says() {
        for (weight, nice) in [(100, 0), (80, 1), (125, -1), (1_000, -10), (1, 19), (10_000, -20)] {
            assert_eq!(nice_of(weight), nice, "{weight}");
        }
    }
}
