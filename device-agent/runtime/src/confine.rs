//! Gives up what a worker does not need, as far as the system lets it.
//!
//! Called before any artifact is read, in two steps: what needs a process of one thread
//! comes before the self-test, the rest after it. Threads started afterwards inherit all
//! of it. Nothing here is required: an emulator refuses most of it, and the hello says by
//! name what is in force. `docs/confinement.md` lists the names.

use crate::directories::{DirectoryUse, GivenDirectory};
use crate::syscall_filter;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};
use nix::sched::{CloneFlags, unshare};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The newest rules that the crate knows; an older kernel applies those it has.
const LANDLOCK: ABI = ABI::V6;

/// What a program does in a directory that it may write: no devices, pipes or sockets, and
/// nothing to execute.
const FILES_WRITTEN: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSym
        | Refer | Truncate
});

/// Standard input, output, error and a second handle to the first, with room for a
/// library that needs one for a moment.
const OPEN_FILES_MAX: u64 = 16;
/// And beside, what a program may have open, with one more on the way along each path.
const OF_PROGRAM_MAX: u64 = wasi_preview1::DESCRIPTORS_MAX as u64 + 48;

/// What the starter asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Writable memory of the process.
    pub data_bytes_max: Option<u64>,
    /// Processor time without a pause, once it is a real-time process.
    pub rttime_us_max: Option<u64>,
    /// Tasks of the user; only where no other process is that user.
    pub tasks_max: Option<u64>,
}

/// A network of its own in which there is nothing. The kernel wants a process of one
/// thread for that, unless it is root.
pub fn leave_network(in_force: &mut Vec<String>) {
    let alone = unshare(CloneFlags::CLONE_NEWNET)
        .or_else(|_| unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET));
    if alone.is_ok() {
        in_force.push("own-network-namespace".to_owned());
    }
}

pub fn confine(asked: Asked, directories: &[GivenDirectory], in_force: &mut Vec<String>) {
    // The first reading of a clock looks for it in a file where the kernel is older than
    // 6.4, which no worker may open later.
    let _ = clock_gettime(ClockId::ThreadCPUTime);
    if !directories.is_empty() {
        // Another version of the module, under another user id, has to read and change what
        // this one writes. Nobody else gets at the directory at all.
        rustix::process::umask(rustix::fs::Mode::empty());
    }
    // A module's memory stays off the disk even if the worker crashes.
    limit(Resource::Core, Some(0), "no-core-dumps", in_force);
    limit_files(!directories.is_empty(), in_force);
    limit(Resource::Data, asked.data_bytes_max, "data-limit", in_force);
    limit(Resource::Rttime, asked.rttime_us_max, "real-time-limit", in_force);
    limit(Resource::Nproc, asked.tasks_max, "tasks-limit", in_force);
    if rustix::thread::set_no_new_privs(true).is_ok() {
        in_force.push("no-new-privileges".to_owned());
    }
    match restrict_access(directories) {
        Ok(RulesetStatus::FullyEnforced) => in_force.push("landlock".to_owned()),
        Ok(RulesetStatus::PartiallyEnforced) => in_force.push("landlock-partial".to_owned()),
        Ok(RulesetStatus::NotEnforced) | Err(_) => {}
    }
    // Last, because it forbids the calls that the others are made of.
    if syscall_filter::install(!directories.is_empty()).is_ok() {
        in_force.push("syscall-filter".to_owned());
    }
}

pub fn limit_files(has_directories: bool, in_force: &mut Vec<String>) {
    let max = OPEN_FILES_MAX + if has_directories { OF_PROGRAM_MAX } else { 0 };
    limit(Resource::Nofile, Some(max), "open-files-limit", in_force);
}

fn limit(resource: Resource, max: Option<u64>, name: &str, in_force: &mut Vec<String>) {
    if max.is_none() {
        return;
    }
    let limit = Rlimit { current: max, maximum: max };
    // An emulator says yes to some that it then leaves alone.
    if setrlimit(resource, limit).is_ok() && getrlimit(resource).maximum == max {
        in_force.push(name.to_owned());
    }
}

/// No file may be opened but below these directories, no TCP port bound or connected, no abstract socket
/// reached and no process outside signalled. Open descriptors stay usable.
pub fn restrict_access(
    directories: &[GivenDirectory],
) -> Result<RulesetStatus, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?;
    for directory in directories {
        let access = match directory.given_for {
            DirectoryUse::Read => AccessFs::ReadFile | AccessFs::ReadDir,
            DirectoryUse::Write => FILES_WRITTEN,
        };
        // The kernel looks up the directory by the descriptor, wherever it is by now.
        let rule = PathBeneath::new(&directory.descriptor, access);
        ruleset = ruleset.add_rule(rule)?;
    }
    let status = ruleset.restrict_self()?;
    Ok(status.ruleset)
}
