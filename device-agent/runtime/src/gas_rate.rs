//! Gas on the average of a second: a bucket that calls empty and time fills.
//!
//! It holds one second's worth, so a module may use a second's gas at once and has to
//! wait for more. What a call uses beyond it is owed.

use std::time::{Duration, Instant};

const NS_PER_S: u128 = 1_000_000_000;

#[derive(Debug)]
pub struct GasRate {
    per_s_max: u64,
    /// Used and not yet paid by time; more than a second's worth is a debt.
    used: u64,
    at: Instant,
}

impl GasRate {
    pub fn new(per_s_max: u64, now: Instant) -> Self {
        Self { per_s_max: per_s_max.max(1), used: 0, at: now }
    }

    /// Takes what a call has used. Whether that is more than there was.
    pub fn take(&mut self, gas: u64, now: Instant) -> bool {
        self.fill(now);
        self.used = self.used.saturating_add(gas);
        self.used > self.per_s_max
    }

    /// What a call may use that begins now.
    pub fn left(&mut self, now: Instant) -> u64 {
        self.fill(now);
        self.per_s_max.saturating_sub(self.used)
    }

    /// How long until the debt is paid; `None` if there is none.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.fill(now);
        let debt = self.used.checked_sub(self.per_s_max).filter(|debt| *debt > 0)?;
        let wait_ns = (u128::from(debt) * NS_PER_S).div_ceil(u128::from(self.per_s_max));
        Some(Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(u64::MAX)))
    }

    /// Lets a debt be.
    pub fn forgive(&mut self) {
        self.used = self.used.min(self.per_s_max);
    }

    fn fill(&mut self, now: Instant) {
        let elapsed_ns = now.saturating_duration_since(self.at).as_nanos();
        let paid = u64::try_from(elapsed_ns.saturating_mul(self.per_s_max.into()) / NS_PER_S)
            .unwrap_or(u64::MAX);
        if paid > 0 {
            // Only for what was paid: else asking often would fill nothing at a low rate.
            let paid_ns = u128::from(paid) * NS_PER_S / u128::from(self.per_s_max);
            self.at += Duration::from_nanos(u64::try_from(paid_ns).unwrap_or(u64::MAX));
            self.used = self.used.saturating_sub(paid);
        }
        if self.used == 0 {
            self.at = self.at.max(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_second_admits_its_gas_and_a_debt_is_paid_by_time() {
        let start = Instant::now();
        let mut rate = GasRate::new(1_000, start);
        assert_eq!(rate.left(start), 1_000);
        assert!(!rate.take(1_000, start));
        assert_eq!((rate.left(start), rate.wait(start)), (0, None));
        assert!(rate.take(500, start));
        assert_eq!(rate.wait(start), Some(MS(500)));
        assert_eq!(rate.wait(start + MS(500)), None);
        assert_eq!(rate.left(start + MS(1_000)), 500);
        // It never holds more than a second's worth.
        assert_eq!(rate.left(start + MS(60_000)), 1_000);
    }

    #[test]
    fn a_low_rate_fills_however_often_it_is_asked() {
        let start = Instant::now();
        let mut rate = GasRate::new(2, start);
        rate.take(4, start);
        for ms in 0..=1_000 {
            rate.wait(start + MS(ms));
        }
        assert_eq!(rate.wait(start + MS(1_000)), None);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let start = Instant::now();
        let mut rate = GasRate::new(1, start);
        assert!(rate.take(u64::MAX, start));
        assert!(rate.take(u64::MAX, start));
        assert!(rate.wait(start).unwrap() > Duration::from_secs(1 << 30));
        let mut rate = GasRate::new(i64::MAX as u64, start);
        assert!(!rate.take(i64::MAX as u64, start));
        assert_eq!(rate.left(start + MS(10_000)), i64::MAX as u64);
    }
}
