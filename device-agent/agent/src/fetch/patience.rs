//! When a fetch is too slow to go on with.
//!
//! Whoever sends nothing and whoever sends a block now and then do the same harm: an
//! update that never comes, and one place fewer in the queue. So each stretch of
//! connected time has to bring a number of bytes, and a fetch that falls behind is
//! given up. What it has brought stays on the disk, and the next deployment goes on
//! from there.

use crate::Moment;
use std::time::Duration;

/// The least that is put up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub stretch: Duration,
    pub bytes_per_s_min: u64,
}

impl Default for Patience {
    /// A megabyte in an hour: less than what the device's own reports take.
    fn default() -> Self {
        Self { stretch: Duration::from_secs(600), bytes_per_s_min: 256 }
    }
}

/// What the present stretch has brought so far.
#[derive(Debug)]
pub(super) struct Stretch {
    patience: Patience,
    /// Where it began on this connection.
    began: Moment,
    /// How much of it went by on earlier connections.
    spent: Duration,
    bytes: u64,
}

impl Stretch {
    pub(super) fn new(patience: Patience, now: Moment) -> Self {
        Self { patience, began: now, spent: Duration::ZERO, bytes: 0 }
    }

    pub(super) fn connect(&mut self, now: Moment) {
        self.began = now;
    }

    pub(super) fn disconnect(&mut self, now: Moment) {
        self.spent += now.saturating_sub(self.began);
    }

    pub(super) fn add(&mut self, bytes: usize, now: Moment) {
        self.bytes += bytes as u64;
        let Patience { stretch, bytes_per_s_min } = self.patience;
        if self.bytes >= bytes_per_s_min.saturating_mul(stretch.as_secs()) {
            *self = Self::new(self.patience, now);
        }
    }

    /// When it is over and has brought too little, unless more comes.
    pub(super) fn ends(&self) -> Moment {
        self.began + self.patience.stretch.saturating_sub(self.spent)
    }

    /// Why the fetch is given up, for people.
    pub(super) fn explain(&self) -> String {
        let Patience { stretch, bytes_per_s_min } = self.patience;
        let seconds = stretch.as_secs();
        match self.bytes {
            0 => format!("nothing came for {seconds} s"),
            bytes => format!(
                "only {bytes} bytes came in {seconds} s, which is less than {bytes_per_s_min} a second"
            ),
        }
    }
}
