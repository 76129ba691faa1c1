//! Leaves word of whose call runs, for the case that the process does not survive it.
//!
//! A worker of several modules can be killed by one of them: by a loop that looks at
//! nothing, or through its memory. The starter then has to know which it was, and asks a
//! file that it gave the worker as standard output. It is in memory, so a word costs one
//! system call, and it is written only when another guest's turn begins.

use rustix::io::pwrite;
use std::io::stdout;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use worker_protocol::GuestId;

pub struct BlameNote {
    noted: AtomicU32,
}

impl BlameNote {
    /// Standard output is a file of four bytes.
    pub fn new() -> Self {
        Self { noted: AtomicU32::new(0) }
    }

    pub fn note(&self, guest: GuestId) {
        if self.noted.swap(guest.0, Relaxed) != guest.0 {
            // An error leaves the starter without a culprit, which it can live with.
            let _ = pwrite(stdout(), &guest.0.to_le_bytes(), 0);
        }
    }
}
