//! Clocks that a test sets, for one process each, by Debian's `libfaketime`.
//!
//! The library stands between a program and the C library's calendar time, and reads
//! how wrong it shall be from a file, at every call; so a clock jumps while the program
//! runs. The time since the start, by which programs wait, is left alone, as it is when
//! somebody sets a clock. Processes that a program starts have the right time: agent
//! and gateway start theirs with an empty environment.

use anyhow::Context;
use std::path::{Path, PathBuf};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Its shared memory would stay behind when a process is killed, so each process has a
/// `/dev/shm` of its own.
const SCRIPT: &str = "mount -t tmpfs none /dev/shm && exec \"$0\" \"$@\"";

/// Why clocks cannot be set here, if they cannot.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it gives each process a /dev/shm of its own, which only root may".into());
    }
    (!Path::new(LIBRARY).exists()).then(|| format!("there is no {LIBRARY} (libfaketime)"))
}

/// The clock of one process.
pub struct Clock {
    file: PathBuf,
    days: i32,
}

impl Clock {
    /// One that is right so far.
    pub fn start(file: PathBuf) -> anyhow::Result<Self> {
        let mut clock = Self { file, days: 0 };
        clock.set(0)?;
        Ok(clock)
    }

    /// Off by so many days from now on. Whether that is a jump.
    pub fn set(&mut self, days: i32) -> anyhow::Result<bool> {
        let is_jump = self.days != days;
        let written = self.file.with_extension("new");
        std::fs::write(&written, format!("{days:+}d\n"))?;
        // The program reads it whole at any time.
        std::fs::rename(&written, &self.file).context("set a clock")?;
        self.days = days;
        Ok(is_jump)
    }

    pub fn days(&self) -> i32 {
        self.days
    }

    /// What is put before a command line to run it with this clock.
    pub fn wrapper(&self) -> Vec<String> {
        let words = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            SCRIPT,
            "env",
            &format!("LD_PRELOAD={LIBRARY}"),
            &format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display()),
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ];
        words.map(str::to_owned).into()
    }
}
