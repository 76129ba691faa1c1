//! Which runtime checks what, and the process around one check.

use super::dialog::{self, DialogError};
use crate::app::CheckInput;
use crate::config::{CheckRuntime, CheckSandbox};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use worker_protocol::Hello;

const SAID_MAX: Duration = Duration::from_secs(1);
const STDERR_BYTES_MAX: u64 = 8 * 1024;

/// How `check-sandbox` ends when it cannot confine; no runtime uses this status.
pub const CANNOT_CONFINE_STATUS: u8 = 125;

pub struct CheckBench {
    /// This gateway's own program.
    pub program: PathBuf,
    pub runtimes: Vec<CheckRuntime>,
    pub sandbox: CheckSandbox,
    /// From start to hello; a launcher may be an emulator.
    pub hello_max: Duration,
    /// From start to end.
    pub check_max: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckRefusal {
    #[error(
        "the gateway has no runtime to check artifacts for {target} with {bounds_checks} bounds checks; \
         add a [[check_runtime]] with this target, bounds_checks and the path of its farrier-runtime \
         to the gateway's configuration"
    )]
    NoRuntime { target: String, bounds_checks: String },
    #[error(
        "the check cannot be confined here ({0}); run the gateway where it may use namespaces and \
         Landlock, or set check_sandbox = \"best-effort\" in its configuration"
    )]
    CannotConfine(String),
    #[error("start the runtime for the check: {0}")]
    Start(std::io::Error),
    #[error("the gateway's check failed: {error}{said}")]
    Dialog { error: DialogError, said: String },
}

impl CheckBench {
    /// The number of known-answer steps that held.
    pub fn check(&self, input: CheckInput) -> Result<u32, CheckRefusal> {
        let runtime = self.runtime_for(&input.target, &input.bounds_checks)?;
        self.with_runtime(runtime, self.check_max, |socket, deadline| {
            let hello_deadline = deadline.min(Instant::now() + self.hello_max);
            let hello = dialog::await_hello(socket, hello_deadline)?;
            dialog::check_hello(&hello, runtime)?;
            dialog::run(socket, deadline, input)
        })
    }

    /// What a runtime says of itself.
    pub fn ask(&self, runtime: &CheckRuntime) -> Result<Hello, CheckRefusal> {
        self.with_runtime(runtime, self.hello_max, |socket, deadline| {
            let hello = dialog::await_hello(socket, deadline)?;
            dialog::check_hello(&hello, runtime)?;
            Ok(hello)
        })
    }

    fn runtime_for(
        &self,
        target: &str,
        bounds_checks: &str,
    ) -> Result<&CheckRuntime, CheckRefusal> {
        let is_it = |r: &&CheckRuntime| {
            r.target.as_str() == target && r.bounds_checks.as_str() == bounds_checks
        };
        self.runtimes.iter().find(is_it).ok_or_else(|| CheckRefusal::NoRuntime {
            target: target.to_owned(),
            bounds_checks: bounds_checks.to_owned(),
        })
    }

    /// Starts a runtime, talks to it, and ends it, at the latest after `most`.
    fn with_runtime<T>(
        &self,
        runtime: &CheckRuntime,
        most: Duration,
        talk: impl FnOnce(&UnixStream, Instant) -> Result<T, DialogError>,
    ) -> Result<T, CheckRefusal> {
        let deadline = Instant::now() + most;
        let (ours, theirs) = UnixStream::pair().map_err(CheckRefusal::Start)?;
        let mut child = self.spawn(runtime, theirs).map_err(CheckRefusal::Start)?;
        let stderr = child.stderr.take();
        let (say, said) = mpsc::channel();
        thread::spawn(move || say.send(read_said(stderr)));
        // Compiled code may never return and never read, so the end of the time
        // has to come from outside the conversation.
        let (finished, is_finished) = mpsc::channel::<()>();
        let watch_socket = ours.try_clone().map_err(CheckRefusal::Start)?;
        let watch = thread::spawn(move || {
            let left = deadline.saturating_duration_since(Instant::now());
            if is_finished.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = watch_socket.shutdown(std::net::Shutdown::Both);
            }
        });
        let result = talk(&ours, deadline);
        drop(finished);
        let _ = child.kill();
        let status = child.wait();
        let _ = watch.join();
        // The runtime is gone, so this is there, unless a fault let it leave a
        // process behind that holds its standard error.
        let said = said.recv_timeout(SAID_MAX).unwrap_or_default();
        result.map_err(|error| {
            if status.is_ok_and(|s| s.code() == Some(CANNOT_CONFINE_STATUS.into())) {
                return CheckRefusal::CannotConfine(said);
            }
            if Instant::now() >= deadline {
                let error = DialogError::Deadline { after_s: most.as_secs() };
                return CheckRefusal::Dialog { error, said: String::new() };
            }
            let said = if said.is_empty() { said } else { format!(" (it said: {said})") };
            CheckRefusal::Dialog { error, said }
        })
    }

    fn spawn(&self, runtime: &CheckRuntime, socket: UnixStream) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg("check-sandbox");
        if self.sandbox == CheckSandbox::BestEffort {
            command.arg("--best-effort");
        }
        command
            .arg("--")
            .args(&runtime.launcher)
            .arg(&runtime.path)
            .args(["--target", runtime.target.as_str()])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    }
}

fn read_said(stderr: Option<impl Read>) -> String {
    let mut said = Vec::new();
    if let Some(stderr) = stderr {
        let mut bounded = stderr.take(STDERR_BYTES_MAX);
        let _ = bounded.read_to_end(&mut said);
        // The rest is read and dropped, so that the runtime never waits for us.
        let _ = std::io::copy(&mut bounded.into_inner(), &mut std::io::sink());
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use module_package::ReleaseLimits;
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    /// Longer than a busy machine takes to start a script.
    const PATIENT: Duration = Duration::from_secs(60);

    /// A check whose sandbox and runtime together are a shell script.
    fn check_with(script: &str, hello_max: Duration) -> String {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("sandbox");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).mode(0o700).open(&program).unwrap();
        write!(file, "#!/bin/sh\n{script}\n").unwrap();
        drop(file);
        let bench = CheckBench {
            program,
            runtimes: vec![CheckRuntime {
                target: "x86_64-linux".parse().unwrap(),
                bounds_checks: target_spec::BoundsChecks::Software,
                path: "/usr/bin/farrier-runtime".into(),
                launcher: vec![],
            }],
            sandbox: CheckSandbox::Required,
            hello_max,
            check_max: PATIENT * 2,
        };
        bench.check(input("software")).unwrap_err().to_string()
    }

    fn input(bounds_checks: &str) -> CheckInput {
        CheckInput {
            artifact: vec![],
            app: "a".into(),
            target: "x86_64-linux".into(),
            bounds_checks: bounds_checks.into(),
            limits: ReleaseLimits {
                memory_bytes_max: 1,
                stack_bytes: 1,
                call_ms_max: 1,
                log_lines_per_s_max: 1,
                publishes_per_s_max: 1,
                ..ReleaseLimits::default()
            },
            known_answers: vec![],
            sensors: vec![],
            channels: vec![],
            provisions: module_package::Provisions::default(),
        }
    }

    #[test]
    fn a_runtime_that_crashes_or_is_silent_is_a_refused_artifact() {
        let crashed = check_with("echo 'segmentation fault' >&2; kill -SEGV $$", PATIENT);
        assert!(crashed.contains("ended early") && crashed.contains("said: seg"), "{crashed}");
        let silent = check_with("exec sleep 100", Duration::from_secs(1));
        assert!(silent.contains("said nothing"), "{silent}");
        let talkative = check_with("printf 'AAAAAAAA' >&0; exec sleep 100", PATIENT);
        assert!(talkative.contains("talk to the runtime"), "{talkative}");
    }

    #[test]
    fn where_a_check_cannot_be_confined_the_operator_is_told_what_to_do() {
        let refusal =
            check_with("echo 'no Landlock: the kernel does not offer it' >&2; exit 125", PATIENT);
        assert!(refusal.contains("no Landlock") && refusal.contains("best-effort"), "{refusal}");
    }

    #[test]
    fn a_target_without_a_runtime_is_refused_with_what_to_configure() {
        let bench = CheckBench {
            program: "/bin/false".into(),
            runtimes: vec![],
            sandbox: CheckSandbox::Required,
            hello_max: Duration::from_secs(1),
            check_max: Duration::from_secs(1),
        };
        let refusal = bench.check(input("hardware")).unwrap_err().to_string();
        assert!(
            refusal.contains("[[check_runtime]]") && refusal.contains("x86_64-linux"),
            "{refusal}"
        );
    }
}
