//! At most so many in a second.

use std::time::{Duration, Instant};

/// Counts within windows of one second, the first starting with the first event.
#[derive(Debug)]
pub struct RateLimit {
    per_s_max: u32,
    window_start: Option<Instant>,
    count: u32,
}

impl RateLimit {
    pub fn new(per_s_max: u32) -> Self {
        Self { per_s_max, window_start: None, count: 0 }
    }

    /// Whether one more is allowed at `now`; if so, it is counted.
    pub fn admits(&mut self, now: Instant) -> bool {
        let is_over =
            |start: Instant| now.saturating_duration_since(start) >= Duration::from_secs(1);
        if self.window_start.is_none_or(is_over) {
            self.window_start = Some(now);
            self.count = 0;
        }
        let is_admitted = self.count < self.per_s_max;
        self.count += u32::from(is_admitted);
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_admits_its_limit_and_the_next_one_again() {
        let mut rate = RateLimit::new(2);
        let start = Instant::now();
        let admitted = |rate: &mut RateLimit, at| (0..5).filter(|_| rate.admits(at)).count();
        assert_eq!(admitted(&mut rate, start), 2);
        assert_eq!(admitted(&mut rate, start + Duration::from_millis(999)), 0);
        assert_eq!(admitted(&mut rate, start + Duration::from_millis(1000)), 2);
        assert!(!RateLimit::new(0).admits(start));
    }
}
