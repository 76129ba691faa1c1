//! The compile worker: one process, one module, one answer.
//!
//! The gateway starts it, writes a [`Request`] on its standard input and reads a
//! [`Reply`] from its standard output. It first limits itself, so that a module
//! that makes the compiler use all memory or time, or crash, costs this process
//! and nothing else. It reads no files.

use aot_compiler::{CompileError, CompileOptions};
use minicbor::{Decode, Encode};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{stdin, stdout};
use target_spec::Registry;
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
}

#[derive(Debug, PartialEq, Encode, Decode)]
pub enum Reply {
    #[n(0)]
    Compiled {
        #[cbor(n(0), with = "minicbor::bytes")]
        aot: Vec<u8>,
    },
    #[n(1)]
    Refused {
        #[n(0)]
        detail: String,
    },
}

/// The body of `farrier-gateway compile-worker`.
pub fn run_worker(memory_bytes_max: u64, cpu_s_max: u64) -> Result<(), FrameError> {
    limit(Resource::As, memory_bytes_max)?;
    limit(Resource::Cpu, cpu_s_max)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    // The gateway kills us at its time limit; if it dies itself, this does.
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill)).map_err(std::io::Error::from)?;
    let request: Request = read_frame(stdin().lock())?;
    let reply = match compile(&request) {
        Ok(aot) => Reply::Compiled { aot },
        Err(detail) => Reply::Refused { detail },
    };
    write_frame(stdout().lock(), &reply)
}

fn limit(resource: Resource, most: u64) -> std::io::Result<()> {
    let rlimit = Rlimit { current: Some(most), maximum: Some(most) };
    Ok(setrlimit(resource, rlimit)?)
}

fn compile(request: &Request) -> Result<Vec<u8>, String> {
    let target = Registry::built_in().find(&request.target).map_err(|e| e.to_string())?;
    let bounds_checks = request.bounds_checks.parse();
    let bounds_checks =
        bounds_checks.map_err(|e: target_spec::InvalidBoundsChecks| e.to_string())?;
    let options = CompileOptions::new(bounds_checks);
    let artifact = aot_compiler::compile(&request.wasm, target, &options)
        .map_err(|e: CompileError| e.to_string())?;
    Ok(artifact.aot)
}
