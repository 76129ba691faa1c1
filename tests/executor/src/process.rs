//! The child process: a thread that exchanges frames with it, one that keeps what it
//! writes to standard error, and its end.

use crate::client::ExecuteError;
use crate::machine::Machine;
use crate::protocol::{Answer, Request};
use std::io::{BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use worker_protocol::{FrameError, read_frame, write_frame};

/// As much of a child's complaints as is kept.
const STDERR_BYTES_MAX: usize = 64 * 1024;

type Exchanged = Result<Answer, FrameError>;

pub(crate) struct Process {
    child: Child,
    requests: Sender<Request>,
    answers: Receiver<Exchanged>,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_reader: Option<JoinHandle<()>>,
    /// Why there will be no answers any more.
    ended: Option<String>,
}

impl Process {
    pub fn start(machine: &Machine, stack_bytes: usize) -> Result<Self, ExecuteError> {
        let binary = machine.binary();
        let failed = |why: String| ExecuteError::Start { machine: machine.name, why };
        if !binary.exists() {
            let path = binary.display();
            return Err(failed(format!("{path} is missing: run `cargo xtask executors`")));
        }
        let mut words = machine.launcher();
        words.push(binary.display().to_string());
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .arg(stack_bytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("{}: {error}", words.join(" "))))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(failed("its pipes are missing".to_owned()));
        };
        let (requests, requests_in) = channel();
        let (answers_out, answers) = channel();
        thread::spawn(move || exchange(stdin, stdout, &requests_in, &answers_out));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let stderr_reader = Some(thread::spawn({
            let kept = Arc::clone(&kept);
            move || keep(stderr, &kept)
        }));
        Ok(Self { child, requests, answers, stderr: kept, stderr_reader, ended: None })
    }

    /// Sends a request and waits for its answer; without one in time the child is
    /// killed, because nothing else ends compiled code.
    pub fn ask(&mut self, request: Request, timeout: Duration) -> Result<Answer, ExecuteError> {
        if let Some(why) = &self.ended {
            return Err(ExecuteError::Died { status: why.clone(), stderr: self.stderr() });
        }
        // A thread that has ended has left its reason with the answers.
        let _ = self.requests.send(request);
        match self.answers.recv_timeout(timeout) {
            Ok(Ok(answer)) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                let status = self.end();
                let after_s = timeout.as_secs_f64();
                self.ended = Some(format!("stopped after {after_s} s: {status}"));
                Err(ExecuteError::TimedOut { after_s, stderr: self.stderr() })
            }
            Ok(Err(FrameError::Malformed(why))) => {
                let _ = self.child.kill();
                self.ended = Some(self.end());
                Err(ExecuteError::Protocol(why))
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => {
                let status = self.end();
                self.ended = Some(status.clone());
                Err(ExecuteError::Died { status, stderr: self.stderr() })
            }
        }
    }

    /// Waits for the end, which is near: it was killed, or its output has ended.
    fn end(&mut self) -> String {
        let status = self.child.wait();
        if let Some(reader) = self.stderr_reader.take() {
            // It panics on no input, and it ends with the child.
            let _ = reader.join();
        }
        status.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    fn stderr(&self) -> String {
        let bytes = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It holds nothing that wants to be saved. Errors mean it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange(
    mut stdin: ChildStdin,
    stdout: ChildStdout,
    requests: &Receiver<Request>,
    answers: &Sender<Exchanged>,
) {
    let mut stdout = BufReader::new(stdout);
    while let Ok(request) = requests.recv() {
        let answer = write_frame(&mut stdin, &request).and_then(|()| read_frame(&mut stdout));
        let is_last = answer.is_err();
        if answers.send(answer).is_err() || is_last {
            return;
        }
    }
}

fn keep(mut stderr: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = STDERR_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
}
