//! What workers write to standard error: into the agent's log, in bounds.

use crate::refusal::shorten;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep};

/// Passes the process's standard error on to the agent's log, in bounds.
#[derive(Clone, Default)]
pub struct StderrLog {
    last: Arc<Mutex<String>>,
}

const STDERR_LINE_BYTES_MAX: usize = 512;
/// Lines passed on in a second; more are dropped.
const STDERR_LINES_PER_S_MAX: u32 = 20;

impl StderrLog {
    pub fn follow(stderr: Option<OwnedFd>, app: &str) -> Self {
        let log = Self::default();
        if let Some(pipe) = stderr.and_then(|fd| pipe::Receiver::from_owned_fd(fd).ok()) {
            tokio::spawn(log.clone().pass_on(pipe, app.to_owned()));
        }
        log
    }

    /// Waits a moment for what is still in the pipe.
    pub async fn last_line(&self) -> String {
        sleep(Duration::from_millis(20)).await;
        self.last.lock().map(|last| last.clone()).unwrap_or_default()
    }

    async fn pass_on(self, mut pipe: pipe::Receiver, app: String) {
        let mut buffer = [0; STDERR_LINE_BYTES_MAX];
        let mut line = Vec::new();
        let (mut second, mut lines) = (Instant::now(), 0);
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            for byte in &buffer[..count] {
                if *byte != b'\n' && line.len() < STDERR_LINE_BYTES_MAX {
                    line.push(*byte);
                } else if *byte == b'\n' {
                    if second.elapsed() >= Duration::from_secs(1) {
                        (second, lines) = (Instant::now(), 0);
                    }
                    lines += 1;
                    self.note(&app, &line, lines <= STDERR_LINES_PER_S_MAX);
                    line.clear();
                }
            }
        }
    }

    fn note(&self, app: &str, line: &[u8], shown: bool) {
        let text: String = String::from_utf8_lossy(line)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if shown {
            tracing::info!(app, "worker: {text}");
        }
        if let Ok(mut last) = self.last.lock() {
            *last = shorten(text, 200);
        }
    }
}
