//! Gives up what a process must not have while it works on a stranger's module:
//! network, files, signals to others, and resources without bound.
//!
//! `check::sandbox` calls it before it becomes a runtime, and `compile::job` before
//! it reads a module. A namespace without interfaces and Landlock's own rules take
//! the network, Landlock the files, limits of resources the rest. What is taken
//! stays taken, also from threads and programs that are started afterwards.
//!
//! It is called while the process has one thread: a process with more cannot enter
//! a user namespace, and Landlock confines the thread that asks and its children.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::sched::{CloneFlags, unshare};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::path::PathBuf;

#[derive(Debug)]
pub struct Confinement<'a> {
    /// Go on without what the system does not offer, and say so on standard error.
    pub best_effort: bool,
    /// What stays readable and executable: files, or folders with all in them.
    pub readable: &'a [PathBuf],
    pub limits: &'a [(Resource, u64)],
}

#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct CannotConfine {
    what: &'static str,
    why: String,
}

/// What is missing if it fails, and how it is done.
type Step<'a> = (&'static str, &'a dyn Fn() -> Result<(), String>);

/// For good. The limits of resources come last, because the other steps open files.
pub fn confine(confinement: &Confinement<'_>) -> Result<(), CannotConfine> {
    let Confinement { best_effort, readable, limits } = *confinement;
    let steps: [Step<'_>; 4] = [
        ("no namespace without network", &leave_network),
        ("no Landlock", &|| restrict_files(readable)),
        ("no end together with the gateway", &end_with_parent),
        ("no limits of resources", &|| limit_resources(limits)),
    ];
    for (what, step) in steps {
        match step() {
            Ok(()) => {}
            Err(why) if best_effort => eprintln!("going on without confinement: {what}: {why}"),
            Err(why) => return Err(CannotConfine { what, why }),
        }
    }
    Ok(())
}

/// The thread that started us waits for our end, so its end is the gateway's.
fn end_with_parent() -> Result<(), String> {
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill)).map_err(|e| e.to_string())
}

fn limit_resources(limits: &[(Resource, u64)]) -> Result<(), String> {
    for (resource, most) in limits.iter().copied() {
        let rlimit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, rlimit).map_err(|e| format!("{resource:?}: {e}"))?;
    }
    Ok(())
}

/// A user namespace is what lets an ordinary user have a network namespace; where
/// it is forbidden, root can do without.
fn leave_network() -> Result<(), String> {
    let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC;
    let with_user = unshare(flags | CloneFlags::CLONE_NEWUSER);
    with_user.or_else(|_| unshare(flags)).map_err(|e| format!("unshare: {e}"))
}

fn restrict_files(readable: &[PathBuf]) -> Result<(), String> {
    let status = landlock_rules(readable).map_err(|e| e.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel does not offer it".to_owned()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// File rules of the first version are needed; what newer kernels add is taken
/// where it is there.
fn landlock_rules(readable: &[PathBuf]) -> Result<RestrictionStatus, landlock::RulesetError> {
    let newest = ABI::V6;
    let read = AccessFs::from_read(ABI::V1);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))?
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::from_all(newest))?
        .create()?;
    for path in readable {
        // What cannot be opened cannot be read either; who needs it will say so.
        let Ok(fd) = PathFd::new(path) else { continue };
        let allowed = if path.is_dir() { read } else { read & AccessFs::from_file(ABI::V1) };
        rules = rules.add_rule(PathBeneath::new(fd, allowed))?;
    }
    rules.restrict_self()
}
