//! The body of `farrier-gateway check-sandbox`: gives up what a check must not
//! have, then becomes the runtime.
//!
//! An artifact is code of ours made from a stranger's module. If the compiler has
//! a fault, it may do anything that this process may: so no network (a namespace
//! without interfaces, and Landlock's own rules), no file but the launcher, its
//! sysroot, the runtime and the system's libraries, no signals to others, and
//! bounds on CPU, memory and files. The keys lie in the data directory, which is
//! none of those places.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::sched::{CloneFlags, unshare};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What every Linux program needs to start.
const SYSTEM_PATHS: [&str; 7] =
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/dev/null"];

/// Most of these are far above what a check needs; they bound a run-away.
const CPU_S_MAX: u64 = 60;
const DATA_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
const OPEN_FILES_MAX: u64 = 128;

/// Landlock leaves no file to write to; but qemu-user grows one in memory when
/// it loads code, and a limit of 0 ends it there by SIGXFSZ.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

#[derive(Debug)]
pub struct SandboxPlan {
    /// Go on without what the system does not offer.
    pub best_effort: bool,
    /// Launcher, its arguments, and the runtime.
    pub command: Vec<OsString>,
}

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("there is no command")]
    NoCommand,
    #[error("{program:?} is in none of the usual places")]
    NotFound { program: OsString },
    #[error("{what}: {why}")]
    CannotConfine { what: &'static str, why: String },
    #[error("start {program:?}: {source}")]
    Exec { program: PathBuf, source: std::io::Error },
}

/// Does not return if it succeeds: this process is then the runtime.
pub fn enter_and_exec(plan: &SandboxPlan) -> Result<Infallible, SandboxError> {
    let (program, args) = plan.command.split_first().ok_or(SandboxError::NoCommand)?;
    let program = find_program(program)?;
    let mut readable = vec![program.clone()];
    // The runtime, and the sysroot that is an argument of the launcher.
    readable
        .extend(args.iter().map(PathBuf::from).filter(|path| path.is_absolute() && path.exists()));
    let steps: [(&'static str, Result<(), String>); 3] = [
        ("no limits of resources", limit_resources()),
        ("no namespace without network", leave_network()),
        ("no Landlock", restrict_files(&readable)),
    ];
    for (what, result) in steps {
        match result {
            Ok(()) => {}
            Err(why) if plan.best_effort => {
                eprintln!("farrier-gateway check-sandbox: going on without: {what}: {why}");
            }
            Err(why) => return Err(SandboxError::CannotConfine { what, why }),
        }
    }
    let source = Command::new(&program).args(args).exec();
    Err(SandboxError::Exec { program, source })
}

fn find_program(name: &OsString) -> Result<PathBuf, SandboxError> {
    let path = Path::new(name);
    if path.components().count() > 1 {
        return Ok(path.to_owned());
    }
    let places = ["/usr/local/bin", "/usr/bin", "/bin"];
    let found = places.iter().map(|dir| Path::new(dir).join(path)).find(|path| path.exists());
    found.ok_or_else(|| SandboxError::NotFound { program: name.clone() })
}

fn limit_resources() -> Result<(), String> {
    let limits = [
        (Resource::Cpu, CPU_S_MAX),
        (Resource::Data, DATA_BYTES_MAX),
        (Resource::Nofile, OPEN_FILES_MAX),
        (Resource::Fsize, FILE_BYTES_MAX),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        let rlimit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, rlimit).map_err(|e| format!("{resource:?}: {e}"))?;
    }
    // The thread that started us waits for our end, so this is the gateway's end.
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill)).map_err(|e| e.to_string())
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
    let system = SYSTEM_PATHS.iter().map(PathBuf::from).filter(|path| path.exists());
    for path in readable.iter().cloned().chain(system) {
        // What cannot be opened cannot be read either; the runtime will say so.
        let Ok(fd) = PathFd::new(&path) else { continue };
        let allowed = if path.is_dir() { read } else { read & AccessFs::from_file(ABI::V1) };
        rules = rules.add_rule(PathBeneath::new(fd, allowed))?;
    }
    rules.restrict_self()
}
