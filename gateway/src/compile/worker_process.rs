//! The gateway's side of a compile worker: start, feed, bound, and judge its end.

use super::job::{Reply, Request};
use crate::app::CompileInput;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use worker_protocol::{FRAME_BYTES_MAX, read_frame};

/// What a worker says on standard error is kept up to this, for the log.
const STDERR_BYTES_MAX: u64 = 8 * 1024;

#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    pub wall_s: u32,
    pub memory_bytes: u64,
}

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct CompileProcess {
    /// This gateway's own program.
    pub program: PathBuf,
    pub limits: CompileLimits,
}

impl CompileProcess {
    /// The AoT file, or the reason why there is none: of the module, or of what
    /// became of the process.
    pub async fn compile(&self, input: CompileInput) -> Result<Vec<u8>, String> {
        let CompileInput { wasm, target, bounds_checks } = input;
        let mut frame = Vec::new();
        worker_protocol::write_frame(&mut frame, &Request { wasm, target, bounds_checks })
            .map_err(|e| format!("the compile job cannot be handed over: {e}"))?;
        let mut child =
            self.spawn().map_err(|e| format!("the compile worker does not start: {e}"))?;
        let limit = Duration::from_secs(self.limits.wall_s.into());
        match tokio::time::timeout(limit, converse(&mut child, frame)).await {
            Ok(result) => result,
            // Dropping the child kills it.
            Err(_) => Err(format!(
                "compiling took longer than {} s and was ended; make the module smaller, or raise compile_s_max",
                self.limits.wall_s
            )),
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        // CPU time ends a worker whose gateway is gone or stopped. Several threads
        // can use it up faster than the wall clock, so it is twice as much.
        let cpu_s = u64::from(self.limits.wall_s) * 2;
        Command::new(&self.program)
            .arg("compile-worker")
            .arg(format!("--memory-bytes-max={}", self.limits.memory_bytes))
            .arg(format!("--cpu-s-max={cpu_s}"))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

async fn converse(child: &mut Child, frame: Vec<u8>) -> Result<Vec<u8>, String> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err("the compile worker has no pipes".to_owned());
    };
    let mut answer = Vec::new();
    let mut said = Vec::new();
    let feed = async move {
        // A worker that ended early shows in its answer, not here.
        let _ = stdin.write_all(&frame).await;
    };
    let mut stdout = stdout.take(FRAME_BYTES_MAX as u64 + 4);
    let mut stderr = stderr.take(STDERR_BYTES_MAX);
    let (_, read, _) =
        tokio::join!(feed, stdout.read_to_end(&mut answer), stderr.read_to_end(&mut said));
    let status = child.wait().await.map_err(|e| format!("wait for the compile worker: {e}"))?;
    read.map_err(|e| format!("read the compile worker's answer: {e}"))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        tracing::warn!(%status, said = said.trim(), "a compile worker failed");
        return Err(describe_end(status, said.trim()));
    }
    match read_frame(answer.as_slice()) {
        Ok(Reply::Compiled { aot }) => Ok(aot),
        Ok(Reply::Refused { detail }) => Err(detail),
        Err(e) => Err(format!("we have a bug: the compile worker's answer cannot be read ({e})")),
    }
}

fn describe_end(status: ExitStatus, said: &str) -> String {
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    let what = match status.signal() {
        _ if said.contains("memory allocation of") || said.contains("out of memory") => {
            "the compiler needed more memory than compile_memory_bytes_max allows; make the module \
             smaller, or raise the limit"
        }
        Some(SIGXCPU) => {
            "the compiler used up its CPU time; make the module smaller, or raise compile_s_max"
        }
        Some(SIGKILL) => {
            "the compile worker was killed, perhaps because the machine has no memory left"
        }
        Some(SIGABRT) => "the compiler aborted; please report it together with the module",
        _ => "the compiler crashed; please report it together with the module",
    };
    format!("{what} ({status})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    /// A worker that is a shell script.
    async fn compile_with(script: &str, wall_s: u32) -> Result<Vec<u8>, String> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("worker");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).mode(0o700).open(&program).unwrap();
        write!(file, "#!/bin/sh\n{script}\n").unwrap();
        drop(file);
        let limits = CompileLimits { wall_s, memory_bytes: 1 << 30 };
        let input = CompileInput {
            wasm: vec![0; 200_000],
            target: "x86_64-linux".into(),
            bounds_checks: "software".into(),
        };
        CompileProcess { program, limits }.compile(input).await
    }

    #[tokio::test]
    async fn a_worker_that_crashes_is_a_refused_compile() {
        let refusal = compile_with("kill -SEGV $$", 10).await.unwrap_err();
        assert!(refusal.contains("crashed") && refusal.contains("SIGSEGV"), "{refusal}");
        let refusal = compile_with("kill -ABRT $$", 10).await.unwrap_err();
        assert!(refusal.contains("aborted"), "{refusal}");
        let out_of_memory = "echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$";
        let refusal = compile_with(out_of_memory, 10).await.unwrap_err();
        assert!(refusal.contains("more memory"), "{refusal}");
    }

    #[tokio::test]
    async fn a_worker_that_hangs_is_ended_at_the_time_limit() {
        let started = std::time::Instant::now();
        let refusal = compile_with("exec sleep 100", 1).await.unwrap_err();
        assert!(refusal.contains("longer than 1 s"), "{refusal}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_worker_that_answers_nonsense_is_a_refused_compile() {
        let refusal = compile_with("echo hello", 10).await.unwrap_err();
        assert!(refusal.contains("cannot be read"), "{refusal}");
        let refusal = compile_with("exit 0", 10).await.unwrap_err();
        assert!(refusal.contains("cannot be read"), "{refusal}");
    }
}
