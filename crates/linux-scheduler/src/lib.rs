//! Which scheduler of Linux serves a thread: `sched_setattr` and `sched_getattr`.
//!
//! Neither `rustix` nor `nix` offers them, libc has no functions for them, and the crates
//! that do speak of the calling thread alone. Two calls, one structure of 48 bytes, no
//! pointers that outlive a call; whoever needs more should look for a crate again.

use std::io;

/// What a thread gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// SCHED_OTHER, and what else the kernel shares out fairly.
    Fair { nice: i32 },
    /// SCHED_IDLE: what all others leave. The nice value is for when it is `Fair` again.
    Idle { nice: i32 },
    /// SCHED_FIFO, 1 to 99.
    Fifo { priority: u32 },
    /// SCHED_DEADLINE.
    Deadline { runtime_ns: u64, deadline_ns: u64, period_ns: u64 },
}

/// From `linux/sched.h`; libc knows it for glibc only.
const SCHED_DEADLINE: u32 = 6;

/// Threads and processes that it starts get the usual class; SCHED_DEADLINE could start
/// none at all without it.
const RESET_ON_FORK: u64 = 1;

/// Of this thread of any process; 0 is the calling one.
pub fn set(thread: u32, class: Class) -> io::Result<()> {
    let mut attr = attr_of(class);
    // SAFETY: sched_setattr(2) reads `size` bytes from the pointer, which `attr` has, and
    // writes at most its field `size` there (E2BIG). It keeps no pointer.
    let result = unsafe {
        libc::syscall(libc::SYS_sched_setattr, to_pid(thread)?, &raw mut attr, 0 as libc::c_uint)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub fn get(thread: u32) -> io::Result<Class> {
    let mut attr = attr_of(Class::Fair { nice: 0 });
    // SAFETY: sched_getattr(2) writes at most as many bytes as it is told there is room
    // for, which `attr` has; all bit patterns are values of its fields.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_getattr,
            to_pid(thread)?,
            &raw mut attr,
            attr.size as libc::c_uint,
            0 as libc::c_uint,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(match attr.sched_policy {
        SCHED_DEADLINE => Class::Deadline {
            runtime_ns: attr.sched_runtime,
            deadline_ns: attr.sched_deadline,
            period_ns: attr.sched_period,
        },
        // Round robin is FIFO with turns; nobody here asks for it.
        policy if policy == libc::SCHED_FIFO as u32 || policy == libc::SCHED_RR as u32 => {
            Class::Fifo { priority: attr.sched_priority }
        }
        policy if policy == libc::SCHED_IDLE as u32 => Class::Idle { nice: attr.sched_nice },
        _ => Class::Fair { nice: attr.sched_nice },
    })
}

fn to_pid(thread: u32) -> io::Result<libc::pid_t> {
    libc::pid_t::try_from(thread).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// `struct sched_attr` as it first was (`SCHED_ATTR_SIZE_VER0`), which every kernel takes.
#[repr(C)]
struct SchedAttr {
    size: u32,
    sched_policy: u32,
    sched_flags: u64,
    sched_nice: i32,
    sched_priority: u32,
    sched_runtime: u64,
    sched_deadline: u64,
    sched_period: u64,
}

fn attr_of(class: Class) -> SchedAttr {
    let mut attr = SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    match class {
        Class::Fair { nice } => attr.sched_nice = nice,
        Class::Idle { nice } => {
            attr.sched_policy = libc::SCHED_IDLE as u32;
            attr.sched_nice = nice;
        }
        Class::Fifo { priority } => {
            attr.sched_policy = libc::SCHED_FIFO as u32;
            attr.sched_flags = RESET_ON_FORK;
            attr.sched_priority = priority;
        }
        Class::Deadline { runtime_ns, deadline_ns, period_ns } => {
            attr.sched_policy = SCHED_DEADLINE;
            attr.sched_flags = RESET_ON_FORK;
            (attr.sched_runtime, attr.sched_deadline, attr.sched_period) =
                (runtime_ns, deadline_ns, period_ns);
        }
    }
    attr
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    const EPERM: Option<i32> = Some(libc::EPERM);

    /// What a thread has after it was asked for, as the kernel says in two ways: by the
    /// call, and by the policy in `/proc`. Without the right, the reported refusal.
    fn check(class: Class, policy_in_proc: &'static str) {
        thread::spawn(move || {
            if let Err(error) = set(0, class) {
                assert_eq!(error.raw_os_error(), EPERM, "{class:?}: {error}");
                assert_eq!(get(0).unwrap(), Class::Fair { nice: 0 });
                return;
            }
            assert_eq!(get(0).unwrap(), class);
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // Field 41, and the name, which is field 2, can hold spaces.
            let fields = stat.rsplit(')').next().unwrap();
            assert_eq!(fields.split_whitespace().nth(38), Some(policy_in_proc), "{stat}");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_thread_has_what_it_was_given_or_the_kernel_says_that_it_may_not() {
        check(Class::Fair { nice: 5 }, "0");
        check(Class::Fifo { priority: 7 }, "1");
        let (runtime_ns, deadline_ns, period_ns) = (200_000, 900_000, 1_000_000);
        check(Class::Deadline { runtime_ns, deadline_ns, period_ns }, "6");
    }

    #[test]
    fn another_thread_can_be_meant_and_one_that_is_not_there_is_an_error() {
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            let link = std::fs::read_link("/proc/thread-self").unwrap();
            let number: u32 = link.file_name().unwrap().to_str().unwrap().parse().unwrap();
            tell.send(number).unwrap();
            let _ = ended.recv();
        });
        let thread = told.recv().unwrap();
        set(thread, Class::Fair { nice: 3 }).unwrap();
        assert_eq!(get(thread).unwrap(), Class::Fair { nice: 3 });
        assert_eq!(get(0).unwrap(), Class::Fair { nice: 0 });
        drop(end);
        other.join().unwrap();
        assert!(get(u32::MAX).is_err() && get(i32::MAX as u32).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_kernel() {
        let senseless = Class::Deadline { runtime_ns: 2, deadline_ns: 1, period_ns: 1 };
        let error = set(0, senseless).unwrap_err().raw_os_error();
        assert!([Some(libc::EINVAL), EPERM].contains(&error), "{error:?}");
    }
}
