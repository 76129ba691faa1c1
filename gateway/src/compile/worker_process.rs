//! The gateway's side of a compile worker: start, feed, bound, and judge its end.

use crate::app::{CompileInput, CompileOutcome, Compiled};
use crate::config::CompileSandbox;
use compile_worker::{CANNOT_CONFINE_STATUS, OPEN_FILES_MAX, Reply, Request};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use worker_protocol::FRAME_BYTES_MAX;

/// What a worker says on standard error is kept up to this, for the log.
const STDERR_BYTES_MAX: u64 = 8 * 1024;

/// Told at most this often, whatever a worker does.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Address space for each compile thread: glibc reserves 64 MiB of it for the
/// thread's arena, its stack takes 8 MiB, and the rest is to work in.
const MEMORY_BYTES_PER_THREAD: u64 = 256 * 1024 * 1024;

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
    pub sandbox: CompileSandbox,
}

impl CompileProcess {
    /// The AoT file, or the reason why there is none: of the module, or of what
    /// became of the process. `on_progress` is told functions done and in all.
    pub async fn compile(
        &self,
        input: CompileInput,
        on_progress: impl FnMut(u32, u32),
    ) -> CompileOutcome {
        let started = Instant::now();
        let threads_max = (self.limits.memory_bytes / MEMORY_BYTES_PER_THREAD).max(1);
        let threads = u32::try_from(threads_max).unwrap_or(u32::MAX).min(input.threads);
        let (result, log) = self.run(input, threads, on_progress).await;
        let compile_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        CompileOutcome { result, log, compile_ms, threads }
    }

    async fn run(
        &self,
        input: CompileInput,
        threads: u32,
        on_progress: impl FnMut(u32, u32),
    ) -> (Result<Compiled, String>, String) {
        let CompileInput { wasm, target, bounds_checks, policy, .. } = input;
        let mut frame = Vec::new();
        let request = Request { wasm, target, bounds_checks, threads, policy };
        if let Err(error) = worker_protocol::write_frame(&mut frame, &request) {
            let refusal = format!("the compile job cannot be handed over: {error}");
            return (Err(refusal), String::new());
        }
        let mut child = match self.spawn(threads) {
            Ok(child) => child,
            Err(error) => {
                let refusal = format!("the compile worker does not start: {error}");
                return (Err(refusal), String::new());
            }
        };
        let limit = Duration::from_secs(self.limits.wall_s.into());
        match tokio::time::timeout(limit, converse(&mut child, frame, on_progress)).await {
            Ok(ended) => ended,
            // Dropping the child kills it.
            Err(_) => {
                let refusal = format!(
                    "compiling took longer than {} s and was ended; make the module smaller, or raise compile_s_max",
                    self.limits.wall_s
                );
                (Err(refusal), String::new())
            }
        }
    }

    fn spawn(&self, threads: u32) -> std::io::Result<Child> {
        // CPU time ends a worker whose gateway is gone or stopped. Several threads
        // use it up faster than the wall clock.
        let cpu_s = u64::from(self.limits.wall_s) * u64::from(threads.max(2));
        let mut command = Command::new(&self.program);
        command
            .arg("compile-worker")
            .arg(format!("--memory-bytes-max={}", self.limits.memory_bytes))
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
            .kill_on_drop(true)
            .spawn()
    }
}

/// The result, and what the worker said beside it.
async fn converse(
    child: &mut Child,
    frame: Vec<u8>,
    on_progress: impl FnMut(u32, u32),
) -> (Result<Compiled, String>, String) {
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return (Err("the compile worker has no pipes".to_owned()), String::new());
    };
    let feed = async move {
        // A worker that ended early shows in its answer, not here.
        let _ = stdin.write_all(&frame).await;
    };
    let mut said = Vec::new();
    let mut stderr = stderr.take(STDERR_BYTES_MAX);
    let (_, answer, _) =
        tokio::join!(feed, read_answer(stdout, on_progress), stderr.read_to_end(&mut said));
    let status = child.wait().await;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let status = match status {
        Ok(status) => status,
        Err(error) => return (Err(format!("wait for the compile worker: {error}")), said),
    };
    if !status.success() {
        tracing::warn!(%status, said, "a compile worker failed");
        return (Err(describe_end(status, &said)), said);
    }
    match answer {
        Ok(Reply::Compiled { aot, code_bytes, function_count, log, stack_bytes }) => {
            let log = if said.is_empty() { log } else { format!("{said}\n{log}") };
            (Ok(Compiled { aot, code_bytes, function_count, stack_bytes }), log)
        }
        Ok(Reply::Refused { detail }) => (Err(detail), said),
        Ok(Reply::Progress { .. }) => (Err("we have a bug: progress is no answer".into()), said),
        Err(error) => {
            let bug =
                format!("we have a bug: the compile worker's answer cannot be read ({error})");
            (Err(bug), said)
        }
    }
}

/// The last reply; those before tell how far the worker is.
async fn read_answer(
    mut from: impl AsyncRead + Unpin,
    mut on_progress: impl FnMut(u32, u32),
) -> Result<Reply, String> {
    let mut told: Option<Instant> = None;
    loop {
        match read_reply(&mut from).await? {
            Reply::Progress { functions_done, functions_total } => {
                if told.is_none_or(|told| told.elapsed() >= PROGRESS_INTERVAL) {
                    told = Some(Instant::now());
                    on_progress(functions_done, functions_total);
                }
            }
            answer => return Ok(answer),
        }
    }
}

/// As `worker_protocol::read_frame`, from a pipe that is not waited for.
async fn read_reply(from: &mut (impl AsyncRead + Unpin)) -> Result<Reply, String> {
    let len = from.read_u32_le().await.map_err(|e| e.to_string())? as usize;
    if len > FRAME_BYTES_MAX {
        return Err(format!("a frame of {len} bytes"));
    }
    // Grows with what arrives.
    let mut body = Vec::new();
    from.take(len as u64).read_to_end(&mut body).await.map_err(|e| e.to_string())?;
    minicbor::decode(&body).map_err(|e| e.to_string())
}

fn describe_end(status: ExitStatus, said: &str) -> String {
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    if status.code() == Some(CANNOT_CONFINE_STATUS.into()) {
        return format!(
            "the compile worker cannot be confined here ({said}); run the gateway where it may use \
             namespaces and Landlock, or set compile_sandbox = \"best-effort\" in its configuration"
        );
    }
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
    use module_package::CompilePolicy;
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    /// A worker that is a shell script.
    async fn run_script(script: &str, wall_s: u32) -> (CompileOutcome, Vec<(u32, u32)>) {
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
            threads: 64,
            policy: CompilePolicy::default(),
        };
        let sandbox = CompileSandbox::Required;
        let mut told = Vec::new();
        let process = CompileProcess { program, limits, sandbox };
        let outcome = process.compile(input, |done, total| told.push((done, total))).await;
        (outcome, told)
    }

    async fn compile_with(script: &str, wall_s: u32) -> String {
        run_script(script, wall_s).await.0.result.unwrap_err()
    }

    #[tokio::test]
    async fn a_worker_that_crashes_is_a_refused_compile() {
        let refusal = compile_with("kill -SEGV $$", 10).await;
        assert!(refusal.contains("crashed") && refusal.contains("SIGSEGV"), "{refusal}");
        let refusal = compile_with("kill -ABRT $$", 10).await;
        assert!(refusal.contains("aborted"), "{refusal}");
        let out_of_memory = "echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$";
        let refusal = compile_with(out_of_memory, 10).await;
        assert!(refusal.contains("more memory"), "{refusal}");
    }

    #[tokio::test]
    async fn a_worker_that_cannot_be_confined_compiles_nothing_and_says_what_to_do() {
        let refusal = compile_with("echo 'no Landlock: not there' >&2; exit 125", 10).await;
        assert!(
            refusal.contains("no Landlock") && refusal.contains("compile_sandbox"),
            "{refusal}"
        );
    }

    #[tokio::test]
    async fn a_worker_that_hangs_is_ended_at_the_time_limit() {
        let started = std::time::Instant::now();
        let refusal = compile_with("exec sleep 100", 1).await;
        assert!(refusal.contains("longer than 1 s"), "{refusal}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_worker_that_answers_nonsense_is_a_refused_compile() {
        let refusal = compile_with("echo hello", 10).await;
        assert!(refusal.contains("cannot be read"), "{refusal}");
        let refusal = compile_with("exit 0", 10).await;
        assert!(refusal.contains("cannot be read"), "{refusal}");
    }

    #[tokio::test]
    async fn progress_is_told_and_not_faster_than_people_look() {
        // [2, [3, 9]] and [1, ["no"]] in CBOR, each behind its length.
        let progress = r"printf '\005\000\000\000\202\002\202\003\011'";
        let refused = r"printf '\006\000\000\000\202\001\201\142no'";
        let (outcome, told) = run_script(&format!("{progress}; {progress}; {refused}"), 10).await;
        assert_eq!(outcome.result.unwrap_err(), "no");
        assert_eq!(told, [(3, 9)], "the second came at once");
        assert_eq!(outcome.threads, 4, "as many as there is memory for");
    }
}
