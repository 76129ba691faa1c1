//! At most so many in a second.

use std::time::{Duration, Instant};

/// Counts within windows of one second, the first starting with the first event.
#[derive(Debug)]
pub struct RateLimit {
    per_s_max: u32,
    window_start: Option<Instant>,
    count: u32,
    has_refused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// The first in its second that is too much.
    FirstRefused,
    Refused,
}

impl RateLimit {
    pub fn new(per_s_max: u32) -> Self {
        Self { per_s_max, window_start: None, count: 0, has_refused: false }
    }

    pub fn admits(&mut self, now: Instant) -> bool {
        self.admit(now) == Admission::Admitted
    }

    /// Whether the second in which something was last asked for has ended.
    pub fn is_over(&self, now: Instant) -> bool {
        let is_over =
            |start: Instant| now.saturating_duration_since(start) >= Duration::from_secs(1);
        self.window_start.is_none_or(is_over)
    }

    /// Whether one more is allowed at `now`; if so, it is counted.
    pub fn admit(&mut self, now: Instant) -> Admission {
        if self.is_over(now) {
            self.window_start = Some(now);
            (self.count, self.has_refused) = (0, false);
        }
        if self.count < self.per_s_max {
            self.count += 1;
            return Admission::Admitted;
        }
        match std::mem::replace(&mut self.has_refused, true) {
            false => Admission::FirstRefused,
            true => Admission::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_admits_its_limit_and_the_next_one_again() {
        let mut rate = RateLimit::new(2);
        let start = Instant::now();
        let admitted = |rate: &mut RateLimit, at| {
            (0..5).filter(|_| rate.admit(at) == Admission::Admitted).count()
        };
        assert_eq!(admitted(&mut rate, start), 2);
        assert_eq!(admitted(&mut rate, start + Duration::from_millis(999)), 0);
        assert_eq!(admitted(&mut rate, start + Duration::from_millis(1000)), 2);
        let mut none = RateLimit::new(0);
        assert_eq!(none.admit(start), Admission::FirstRefused);
        assert_eq!(none.admit(start), Admission::Refused);
        assert_eq!(none.admit(start + Duration::from_secs(1)), Admission::FirstRefused);
    }
}
