//! How far a compilation is, for whoever waits for it.
//!
//! The compiler counts, another thread looks. Two numbers and no callback, so that
//! looking costs the compiler nothing.

use std::sync::atomic::{AtomicU32, Ordering};

/// Functions to compile, and those that are done. Both zero until the module was
/// validated.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU32,
    total: AtomicU32,
}

impl Progress {
    pub fn new() -> Self {
        Self::default()
    }

    /// Functions done, and functions in all. A moment's value: the compiler goes on.
    pub fn functions(&self) -> (u32, u32) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    pub(crate) fn begin(&self, total: u32) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// What is left needs no work.
    pub(crate) fn finish(&self) {
        self.done.store(self.total.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(crate) fn finish_one(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}
