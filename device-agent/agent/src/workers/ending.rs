//! Ending a process, and how it went.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;
use tokio::time::sleep;

/// Checks, some milliseconds apart, that a worker gets to exit by itself.
const EXIT_CHECKS: u64 = 20;

/// On all architectures that have workers.
const SIGSYS: i32 = 31;

/// How a process went.
pub struct Ending(Option<ExitStatus>);

impl Ending {
    /// Ends the process if it still runs, and reaps it. One that closed its socket
    /// is about to exit by itself, and its own status says more than our signal.
    pub async fn kill(mut child: Child, closed_by_worker: bool) -> Self {
        let kill_at = if closed_by_worker { EXIT_CHECKS } else { 0 };
        // It is asked again and again: waiting would block the agent's only thread.
        for check in 0..200 {
            if let Ok(Some(status)) = child.try_wait() {
                return Self(Some(status));
            }
            if check == kill_at {
                // An error means that it is gone already.
                let _ = child.kill();
            }
            sleep(Duration::from_millis(2 + check / 2)).await;
        }
        tracing::error!(pid = child.id(), "a worker does not end although it was killed");
        Self(None)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => write!(f, "ended with status {code}"),
            // What the worker's filter of system calls does.
            Some((None, Some(SIGSYS))) => write!(
                f,
                "was ended by signal {SIGSYS}: it made a system call that no worker makes"
            ),
            Some((None, Some(signal))) => write!(f, "was ended by signal {signal}"),
            Some((None, None)) | None => f.write_str("did not end"),
        }
    }
}
