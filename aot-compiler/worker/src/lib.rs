//! The body of a process that compiles one stranger's module and is given nothing
//! else: no network, no files, no resources without bound.
//!
//! The gateway starts such processes to make artifacts, `farrier-signer` to make one
//! again before it signs. Each starts its own program with a subcommand of its own
//! that calls [`run_worker`]; how the process is fed and bounded from outside is the
//! starter's matter. [`confinement`] also serves the gateway's check of artifacts.

pub mod confinement;
mod job;

pub use job::{
    CANNOT_CONFINE_STATUS, OPEN_FILES_MAX, Reply, Request, WorkerError, WorkerLimits,
    confine_worker, run_worker,
};
