//! A process that ends with the value that started it.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// Lines of a log that a failure shows.
const LOG_TAIL_LINES: usize = 40;

#[derive(Debug)]
pub struct OwnedProcess {
    name: String,
    child: Child,
    log: PathBuf,
}

/// The same command behind another program that runs it in its own place.
pub(crate) fn wrapped(wrapper: &[String], command: &Command) -> Command {
    let mut words = wrapper.iter();
    let mut outer = Command::new(words.next().map_or("", String::as_str));
    outer.args(words).arg(command.get_program()).args(command.get_args());
    outer
}

impl OwnedProcess {
    /// Starts a program with its standard error appended to a log file, and gives
    /// its standard output back.
    pub fn start(
        name: &str,
        command: &mut Command,
        log: &Path,
    ) -> anyhow::Result<(Self, ChildStdout)> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open the log {}", log.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {name}: {}", command.get_program().display()))?;
        let stdout = child.stdout.take().context("a piped output is there")?;
        Ok((Self { name: name.to_owned(), child, log: log.to_owned() }, stdout))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of the log, for a failure's text.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
        format!("--- {} ({}) ---\n{tail}\n", self.name, self.log.display())
    }

    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().context("ask for the process's state")? {
            None => Ok(()),
            Some(status) => bail!("{} has ended with {status}\n{}", self.name, self.log_tail()),
        }
    }

    /// As if the power were cut: the process runs no more code.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        self.child.wait().with_context(|| format!("wait for {}", self.name))?;
        Ok(())
    }

    /// Asks it to end, and kills it if it does not.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        // A pid from a child that was not yet waited for cannot be another's.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).with_context(|| format!("end {}", self.name))?;
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill()?;
        bail!("{} did not end within {GRACE:?} of SIGTERM\n{}", self.name, self.log_tail())
    }
}

impl Drop for OwnedProcess {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{error:#}");
        }
    }
}
