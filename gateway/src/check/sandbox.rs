//! The body of `farrier-gateway check-sandbox`: gives up what a check must not
//! have, then becomes the runtime.
//!
//! An artifact is code of ours made from a stranger's module. If the compiler has
//! a fault, it may do anything that this process may: so no network, no file but
//! the launcher, its sysroot, the runtime and the system's libraries, no signals to
//! others, and bounds on CPU, memory and files (`confinement`). The keys lie in the
//! data directory, which is none of those places.

use crate::confinement::{CannotConfine, Confinement, confine};
use rustix::process::Resource;
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
    #[error(transparent)]
    CannotConfine(#[from] CannotConfine),
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
    readable.extend(SYSTEM_PATHS.iter().map(PathBuf::from).filter(|path| path.exists()));
    let limits = [
        (Resource::Cpu, CPU_S_MAX),
        (Resource::Data, DATA_BYTES_MAX),
        (Resource::Nofile, OPEN_FILES_MAX),
        (Resource::Fsize, FILE_BYTES_MAX),
        (Resource::Core, 0),
    ];
    let best_effort = plan.best_effort;
    confine(&Confinement { best_effort, readable: &readable, limits: &limits })?;
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
