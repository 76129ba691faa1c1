//! The strong mode: the module is compiled again in a process that can do nothing else,
//! and the release is signed only if every byte of the artifact is the same.
//!
//! Builds are reproducible whatever the number of threads, so a difference means another
//! compiler, or somebody's artifact that is not this module.

use crate::config::CompileSandbox;
use compile_worker::{CANNOT_CONFINE_STATUS, OPEN_FILES_MAX, Reply, Request};
use module_package::{ArtifactId, BlobId, ModuleId, Release};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use worker_protocol::{read_frame, write_frame};

/// Address space for each thread, as the gateway reckons it.
const MEMORY_BYTES_PER_THREAD: u64 = 256 * 1024 * 1024;
const STDERR_BYTES_MAX: u64 = 4 * 1024;

pub struct Recompiler {
    /// The signer's own program.
    pub program: PathBuf,
    pub wall_s: u32,
    pub memory_bytes: u64,
    pub sandbox: CompileSandbox,
}

/// Why a release is not signed.
#[derive(Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It is not what the module compiles to.
    Refused(String),
    /// It could not be found out.
    Failed(String),
}

impl Recompiler {
    pub fn check(&self, release: &Release, wasm: Vec<u8>) -> Result<(), Mismatch> {
        let refuse = |what: String| Err(Mismatch::Refused(what));
        if ModuleId::of(&wasm) != release.module {
            return refuse("the module that came with it is not the one that it names".into());
        }
        if release.compiler != aot_compiler::COMPILER_ID {
            return refuse(format!(
                "it was made by {}, and the signer has {}; install gateway and signer of the same \
                 version",
                release.compiler,
                aot_compiler::COMPILER_ID
            ));
        }
        let aot = self.compile(release, wasm)?;
        if ArtifactId::of(&aot) != release.artifact || aot.len() as u64 != release.artifact_bytes {
            return refuse(format!(
                "compiled again, the module gives artifact {}, and the release is for {}: the \
                 gateway has an artifact that is not this module",
                ArtifactId::of(&aot),
                release.artifact
            ));
        }
        let blocks = aot.chunks(release.block_bytes as usize).map(BlobId::of);
        if !blocks.eq(release.block_hashes.iter().copied()) {
            return refuse("its block hashes are not those of the artifact".into());
        }
        Ok(())
    }

    fn compile(&self, release: &Release, wasm: Vec<u8>) -> Result<Vec<u8>, Mismatch> {
        let failed = |what: String| Mismatch::Failed(what);
        let cpus = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let threads = (self.memory_bytes / MEMORY_BYTES_PER_THREAD).clamp(1, cpus.max(1));
        let mut child =
            self.spawn(threads).map_err(|e| failed(format!("start a compiler: {e}")))?;
        let request = Request {
            wasm,
            target: release.target.id.clone(),
            bounds_checks: release.target.bounds_checks.clone(),
            threads: threads as u32,
            policy: release.policy.clone(),
        };
        let answer = self.converse(&mut child, request);
        if answer.is_err() {
            // Ended already, or to be ended now; either way it is waited for below.
            let _ = child.kill();
        }
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            let _ = stderr.take(STDERR_BYTES_MAX).read_to_string(&mut said);
        }
        let status = child.wait().map_err(|e| failed(format!("wait for the compiler: {e}")))?;
        match answer {
            Ok(Reply::Compiled { aot, .. }) if status.success() => Ok(aot),
            Ok(Reply::Refused { detail }) => {
                Err(Mismatch::Refused(format!("the module does not compile here: {detail}")))
            }
            _ if status.code() == Some(CANNOT_CONFINE_STATUS.into()) => Err(failed(format!(
                "the compiler cannot be confined here ({}); run the signer where it may use \
                 namespaces and Landlock, or set compile_sandbox = \"best-effort\"",
                said.trim()
            ))),
            Err(why) => Err(failed(format!("{why} ({status}) {}", said.trim()))),
            Ok(_) => Err(failed(format!("the compiler ended badly ({status}) {}", said.trim()))),
        }
    }

    fn spawn(&self, threads: u64) -> std::io::Result<Child> {
        let cpu_s = u64::from(self.wall_s) * threads.max(2);
        let mut command = Command::new(&self.program);
        command
            .arg("compile-worker")
            .arg(format!("--memory-bytes-max={}", self.memory_bytes))
            .arg(format!("--cpu-s-max={cpu_s}"))
            .arg(format!("--open-files-max={OPEN_FILES_MAX}"));
        if self.sandbox == CompileSandbox::BestEffort {
            command.arg("--best-effort");
        }
        command
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// The last reply, within the time. The threads end with the child's pipes.
    fn converse(&self, child: &mut Child, request: Request) -> Result<Reply, String> {
        let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the compiler has no pipes".to_owned());
        };
        std::thread::spawn(move || {
            // A compiler that ended early shows in its answer.
            let _ = write_frame(&mut stdin, &request);
        });
        let (answer, answered) = channel();
        std::thread::spawn(move || {
            let last = loop {
                match read_frame::<Reply>(&mut stdout) {
                    Ok(Reply::Progress { .. }) => {}
                    other => break other,
                }
            };
            // Nobody waits any more after the time limit.
            let _ = answer.send(last);
        });
        match answered.recv_timeout(Duration::from_secs(self.wall_s.into())) {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(format!("the compiler gave no answer: {error}")),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("compiling again took longer than {} s", self.wall_s))
            }
            Err(RecvTimeoutError::Disconnected) => Err("the compiler's answer is lost".to_owned()),
        }
    }
}
