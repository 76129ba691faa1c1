//! How long a module that trapped waits for its next instance.

use std::time::{Duration, Instant};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Running this long without a trap counts as cured.
const GOOD_PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    last_trap: Option<Instant>,
}

impl Backoff {
    pub fn new() -> Self {
        Self { next: FIRST_DELAY, last_trap: None }
    }

    /// The delay after a trap at `now`: doubled each time, short again after a
    /// good period.
    pub fn after_trap(&mut self, now: Instant) -> Duration {
        let since = self.last_trap.map(|last| now.saturating_duration_since(last));
        // The wait itself is no running time.
        if since.is_some_and(|since| since >= GOOD_PERIOD + self.next) {
            self.next = FIRST_DELAY;
        }
        self.last_trap = Some(now);
        let delay = self.next;
        self.next = (delay * 2).min(LONGEST_DELAY);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_limit_and_recovers() {
        let mut backoff = Backoff::new();
        let mut now = Instant::now();
        let mut delays = Vec::new();
        for _ in 0..10 {
            delays.push(backoff.after_trap(now).as_millis());
            now += Duration::from_secs(31);
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
        now += Duration::from_secs(120);
        assert_eq!(backoff.after_trap(now).as_millis(), 100);
    }
}
