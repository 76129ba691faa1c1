//! The compile worker: one process, one module, one answer.
//!
//! The gateway starts it, writes a [`Request`] on its standard input and reads
//! [`Reply`]s from its standard output: how far it is, as often as that changes, and
//! at last the artifact or why there is none. Before it reads anything it gives up
//! network, files and memory without bound, so that a module that makes the compiler
//! use all memory or time, crash, or do what a stranger wants, costs this process
//! and nothing else.

use crate::confinement::{CannotConfine, Confinement, confine};
use aot_compiler::{Artifact, CompileError, CompileOptions, Metering, Progress};
use minicbor::{Decode, Encode};
use module_package::{ARTIFACT_BYTES_MAX, CompilePolicy, METERING_GAS, NAN_CANONICAL, NO_POLICY};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use rustix::process::Resource;
use std::io::{stdin, stdout};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use target_spec::Registry;
use target_spec::profile::NanRule;
use worker_protocol::{FrameError, read_frame, write_frame};

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct Request {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub wasm: Vec<u8>,
    #[n(1)]
    pub target: String,
    #[n(2)]
    pub bounds_checks: String,
    #[n(3)]
    pub threads: u32,
    #[n(4)]
    pub policy: CompilePolicy,
}

#[derive(Debug, PartialEq, Encode, Decode)]
pub enum Reply {
    #[n(0)]
    Compiled {
        #[cbor(n(0), with = "minicbor::bytes")]
        aot: Vec<u8>,
        #[n(1)]
        code_bytes: u64,
        #[n(2)]
        function_count: u32,
        /// What the process used, for the record.
        #[n(3)]
        log: String,
        #[n(4)]
        stack_bytes: Option<u64>,
    },
    #[n(1)]
    Refused {
        #[n(0)]
        detail: String,
    },
    /// Another answer follows.
    #[n(2)]
    Progress {
        #[n(0)]
        functions_done: u32,
        #[n(1)]
        functions_total: u32,
    },
}

/// How `compile-worker` ends when it cannot confine itself.
pub const CANNOT_CONFINE_STATUS: u8 = 125;

/// Standard input, output and error. Without another descriptor there is no socket
/// and no file, whatever else the system would allow.
pub const OPEN_FILES_MAX: u64 = 3;

/// Several times a second is as often as people look.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy)]
pub struct WorkerLimits {
    pub memory_bytes: u64,
    pub cpu_s: u64,
    pub open_files: u64,
    /// Go on without what the system does not offer.
    pub best_effort: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    CannotConfine(#[from] CannotConfine),
    #[error("talk to the gateway")]
    Frame(#[from] FrameError),
}

/// Nothing can be read, and nothing written but what is open already.
pub fn confine_worker(limits: &WorkerLimits) -> Result<(), CannotConfine> {
    let WorkerLimits { memory_bytes, cpu_s, open_files, best_effort } = *limits;
    let limits = [
        (Resource::As, memory_bytes),
        (Resource::Cpu, cpu_s),
        (Resource::Nofile, open_files),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ];
    confine(&Confinement { best_effort, readable: &[], limits: &limits })
}

/// The body of `farrier-gateway compile-worker`.
pub fn run_worker(limits: &WorkerLimits) -> Result<(), WorkerError> {
    confine_worker(limits)?;
    let before = getrusage(UsageWho::RUSAGE_SELF).ok();
    let request: Request = read_frame(stdin().lock())?;
    let progress = Progress::new();
    let reply = std::thread::scope(|scope| {
        let (finished, is_finished) = channel::<()>();
        let progress = &progress;
        scope.spawn(move || tell_progress(progress, &is_finished));
        let reply = match compile(&request, progress) {
            Ok(artifact) => to_reply(artifact, usage_in_words(before)),
            Err(detail) => Reply::Refused { detail },
        };
        drop(finished);
        reply
    });
    Ok(write_frame(stdout().lock(), &reply)?)
}

/// Until the other end of `is_finished` is gone.
fn tell_progress(progress: &Progress, is_finished: &Receiver<()>) {
    let mut told = (0, 0);
    while is_finished.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let functions = progress.functions();
        if functions == told {
            continue;
        }
        told = functions;
        let (functions_done, functions_total) = functions;
        let reply = Reply::Progress { functions_done, functions_total };
        if write_frame(stdout().lock(), &reply).is_err() {
            return;
        }
    }
}

fn compile(request: &Request, progress: &Progress) -> Result<Artifact, String> {
    let target = Registry::built_in().find(&request.target).map_err(|e| e.to_string())?;
    let bounds_checks = request.bounds_checks.parse();
    let bounds_checks =
        bounds_checks.map_err(|e: target_spec::InvalidBoundsChecks| e.to_string())?;
    let mut options = CompileOptions::new(bounds_checks);
    options.threads = NonZeroUsize::new(request.threads as usize).unwrap_or(NonZeroUsize::MIN);
    options.metering = match request.policy.metering.as_str() {
        METERING_GAS => Metering::Gas,
        NO_POLICY => Metering::None,
        other => return Err(unknown_policy("metering", other)),
    };
    options.nan_rule = match request.policy.nan_canonicalization.as_str() {
        NAN_CANONICAL => NanRule::Canonical,
        NO_POLICY => NanRule::AsComputed,
        other => return Err(unknown_policy("NaN", other)),
    };
    aot_compiler::compile_observed(&request.wasm, target, &options, progress)
        .map_err(|e: CompileError| e.to_string())
}

fn unknown_policy(what: &str, policy: &str) -> String {
    format!("we have a bug: the {what} policy {policy:?} is none that this compiler knows")
}

fn to_reply(artifact: Artifact, log: String) -> Reply {
    let Artifact { aot, code_bytes, function_count, stack_bytes } = artifact;
    // More would not fit a frame, and the worker would end without a word.
    if aot.len() as u64 > ARTIFACT_BYTES_MAX {
        return Reply::Refused { detail: artifact_too_large(aot.len() as u64) };
    }
    Reply::Compiled { aot, code_bytes, function_count, log, stack_bytes }
}

fn artifact_too_large(bytes: u64) -> String {
    format!(
        "the artifact has {bytes} bytes, and {ARTIFACT_BYTES_MAX} is the most that a device takes; \
         make the module smaller"
    )
}

/// `before`: what the system said of this process before it compiled.
fn usage_in_words(before: Option<Usage>) -> String {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return String::new() };
    let cpu = usage.user_time() + usage.system_time();
    let cpu_ms = cpu.tv_sec() * 1_000 + cpu.tv_usec() / 1_000;
    let mut words = format!("{cpu_ms} ms of CPU time");
    // Linux counts in KiB, and begins with what the process that started this one
    // had: only a larger number is ours.
    if before.is_none_or(|before| usage.max_rss() > before.max_rss()) {
        words += &format!(", at most {} KiB of memory", usage.max_rss());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_that_fits_no_frame_is_a_refusal_in_words() {
        let artifact = |bytes: u64| Artifact {
            aot: vec![0; bytes as usize],
            code_bytes: 0,
            function_count: 0,
            stack_bytes: None,
        };
        let reply = to_reply(artifact(ARTIFACT_BYTES_MAX + 1), String::new());
        let Reply::Refused { detail } = reply else { panic!("it was sent") };
        assert!(detail.contains("the most that a device takes"), "{detail}");
        let reply = to_reply(artifact(ARTIFACT_BYTES_MAX), String::new());
        assert!(write_frame(std::io::sink(), &reply).is_ok());
    }
}
