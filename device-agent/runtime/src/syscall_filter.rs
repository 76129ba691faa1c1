//! The system calls that a worker makes once it runs, and an end to the process for
//! any other.
//!
//! The process is killed and no error returned: nothing in a worker makes another call,
//! so whoever does is not the program that was started, and an error would let it try
//! the next. The agent sees signal 31 (SIGSYS), restarts the worker with delays and
//! quarantines the module if it happens again.
//!
//! There are two filters, because one has one answer for all that it names. The first
//! says that `clone3` does not exist: its flags are in memory, where no filter can look,
//! and the C library then makes threads by `clone`. The second holds the list.

use libc::{
    CLONE_THREAD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, PR_SET_NAME, RLIMIT_DATA, STDOUT_FILENO,
    SYS_brk, SYS_clock_getres, SYS_clock_gettime, SYS_clock_nanosleep, SYS_clone, SYS_clone3,
    SYS_close, SYS_exit, SYS_exit_group, SYS_fcntl, SYS_futex, SYS_getpid, SYS_getrandom,
    SYS_gettid, SYS_gettimeofday, SYS_madvise, SYS_mmap, SYS_mprotect, SYS_mremap, SYS_munmap,
    SYS_nanosleep, SYS_ppoll, SYS_prctl, SYS_prlimit64, SYS_pwrite64, SYS_read, SYS_readv,
    SYS_recvfrom, SYS_restart_syscall, SYS_rseq, SYS_rt_sigaction, SYS_rt_sigprocmask,
    SYS_rt_sigreturn, SYS_sched_getaffinity, SYS_sched_yield, SYS_sendto, SYS_set_robust_list,
    SYS_shutdown, SYS_sigaltstack, SYS_tgkill, SYS_write, SYS_writev,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// Names a mapping; the C library does so for its heaps where the kernel can.
const PR_SET_VMA: u64 = 0x5356_4d41;

/// Calls whose arguments do not matter: they reach nothing that the process does not
/// have already.
const ALLOWED: &[i64] = &[
    // Memory.
    SYS_brk,
    SYS_madvise,
    SYS_mmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_munmap,
    // The socket to the starter, and standard error.
    SYS_close,
    SYS_ppoll,
    SYS_read,
    SYS_readv,
    SYS_recvfrom,
    SYS_sendto,
    SYS_shutdown,
    SYS_write,
    SYS_writev,
    // Time and chance.
    SYS_clock_getres,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_getrandom,
    SYS_gettimeofday,
    SYS_nanosleep,
    SYS_restart_syscall,
    // Threads and signals of this process.
    SYS_clone3,
    SYS_exit,
    SYS_exit_group,
    SYS_futex,
    SYS_getpid,
    SYS_gettid,
    SYS_rseq,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sched_getaffinity,
    SYS_sched_yield,
    SYS_set_robust_list,
    SYS_sigaltstack,
    SYS_tgkill,
];

/// Of a worker with directories. What they can reach is Landlock's matter and that of the
/// user; where there is no Landlock, that of `cap-std` and the user.
const OF_FILES: &[i64] = &[
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_readlinkat,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
];

/// Puts both filters in force for this thread and those that it starts. Fails where
/// the kernel has no such filters, and under an emulator.
///
/// `has_directories`: it may do what a program does with files in those that it was given.
pub fn install(has_directories: bool) -> Result<(), Box<dyn std::error::Error>> {
    let no_clone3 = BTreeMap::from([(SYS_clone3, vec![])]);
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    apply_filter(&compile(no_clone3, SeccompAction::Allow, missing)?)?;
    apply_filter(&compile(
        rules(has_directories)?,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
    )?)?;
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    named: SeccompAction,
) -> Result<BpfProgram, Box<dyn std::error::Error>> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, otherwise, named, arch)?.try_into()?)
}

fn rules(has_directories: bool) -> Result<Rules, seccompiler::BackendError> {
    let of_files: &[i64] = if has_directories { OF_FILES } else { &[] };
    let mut rules: Rules = ALLOWED.iter().chain(of_files).map(|call| (*call, vec![])).collect();
    // A thread, and no process.
    let thread = CLONE_THREAD as u64;
    rules.insert(SYS_clone, vec![rule(&[(0, SeccompCmpOp::MaskedEq(thread), thread)])?]);
    let equals = |argument: u8, values: &[u64]| -> Result<Vec<SeccompRule>, _> {
        values.iter().map(|value| rule(&[(argument, SeccompCmpOp::Eq, *value)])).collect()
    };
    rules.insert(SYS_prctl, equals(0, &[PR_SET_NAME as u64, PR_SET_VMA])?);
    let duplicate = [F_GETFD as u64, F_GETFL as u64, F_DUPFD_CLOEXEC as u64];
    rules.insert(SYS_fcntl, equals(1, &duplicate)?);
    // Word of whose call runs, at standard output.
    if !has_directories {
        rules.insert(SYS_pwrite64, vec![rule(&[(0, SeccompCmpOp::Eq, STDOUT_FILENO as u64)])?]);
    }
    // Reading limits of its own, and setting that of its data.
    let own = (0, SeccompCmpOp::Eq, 0);
    let limits = vec![
        rule(&[own.clone(), (2, SeccompCmpOp::Eq, 0)])?,
        rule(&[own, (1, SeccompCmpOp::Eq, u64::from(RLIMIT_DATA))])?,
    ];
    rules.insert(SYS_prlimit64, limits);
    Ok(rules)
}

fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = |(argument, op, value): &(u8, SeccompCmpOp, u64)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Qword, op.clone(), *value)
    };
    SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)
}
