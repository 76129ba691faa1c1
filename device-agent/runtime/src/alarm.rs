//! Waiting for a moment on the monotonic clock.
//!
//! The kernel gets the moment itself and no distance from now: a thread that loses its
//! processor between looking at the clock and going to sleep wakes no later for it.

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};

/// So long before the moment a thread that also listens to something stops listening.
pub const LAST_STRETCH: Duration = Duration::from_millis(5);

pub fn sleep_until(moment: Instant) {
    loop {
        // In this order: if time passes between the two, the wait is too short by it, and
        // the loop goes round once more.
        let clock = clock_gettime(ClockId::Monotonic);
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // A signal ends the sleep early; then the loop goes round as well.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &after(clock, left));
    }
}

fn after(clock: Timespec, left: Duration) -> Timespec {
    let nanoseconds = i128::from(clock.tv_nsec) + i128::from(left.subsec_nanos());
    let seconds = clock.tv_sec.saturating_add_unsigned(left.as_secs());
    Timespec {
        tv_sec: seconds.saturating_add(i64::from(nanoseconds >= 1_000_000_000)),
        // Below 10^9, so every type that a system has for it holds it.
        tv_nsec: (nanoseconds % 1_000_000_000) as _,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_wakes_before_the_moment() {
        for ms in [0, 1, 3] {
            let moment = Instant::now() + Duration::from_millis(ms);
            sleep_until(moment);
            assert!(Instant::now() >= moment);
        }
        let before = Timespec { tv_sec: 1, tv_nsec: 999_999_999 };
        let later = after(before, Duration::from_nanos(2));
        assert_eq!((later.tv_sec, later.tv_nsec), (2, 1));
    }
}
