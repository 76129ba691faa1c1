//! So many bytes a second, with a second's worth at a time.
//!
//! A block for a thousand devices is more than a second's worth of a small link, and
//! cannot be cut. So one may be sent while anything is left and the rest is owed:
//! over a minute it is the same. `governor`, which limits messages elsewhere, refuses
//! for ever what is more than its burst, so it does not fit here.

#[derive(Debug, Clone)]
pub struct Allowance {
    bytes_per_s: u64,
    /// Negative: owed.
    left_bytes: i64,
    /// What has not yet become a whole byte.
    left_thousandths: u64,
    filled_ms: u64,
}

impl Allowance {
    pub fn new(bytes_per_s: u64, now_ms: u64) -> Self {
        let left_bytes = i64::try_from(bytes_per_s).unwrap_or(i64::MAX);
        Self { bytes_per_s, left_bytes, left_thousandths: 0, filled_ms: now_ms }
    }

    /// 0 if something may be sent now, else the milliseconds until then.
    pub fn wait_ms(&mut self, now_ms: u64) -> u64 {
        self.fill(now_ms);
        match self.left_bytes {
            1.. => 0,
            // Cannot overflow: what is owed is a few seconds' worth of one block.
            owed => (owed.unsigned_abs() + 1).saturating_mul(1_000) / self.bytes_per_s.max(1) + 1,
        }
    }

    pub fn spend(&mut self, bytes: u64) {
        self.left_bytes = self.left_bytes.saturating_sub_unsigned(bytes);
    }

    fn fill(&mut self, now_ms: u64) {
        // The wall clock can go back; then nothing is gained until it has caught up.
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        let gained = passed_ms.saturating_mul(self.bytes_per_s) + self.left_thousandths;
        self.left_thousandths = gained % 1_000;
        let full = i64::try_from(self.bytes_per_s).unwrap_or(i64::MAX);
        self.left_bytes = self.left_bytes.saturating_add_unsigned(gained / 1_000).min(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_time_no_more_is_sent_than_allowed_whatever_the_size_of_one() {
        for one in [10, 900, 50_000] {
            let mut allowance = Allowance::new(1_000, 0);
            let mut sent = 0;
            let mut now_ms = 0;
            while now_ms < 600_000 {
                match allowance.wait_ms(now_ms) {
                    0 => {
                        allowance.spend(one);
                        sent += one;
                    }
                    wait_ms => now_ms += wait_ms,
                }
            }
            assert!((600_000 - one..=601_000 + one).contains(&sent), "{sent} in pieces of {one}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut allowance = Allowance::new(1_000, 50_000);
        allowance.spend(2_000);
        assert!(allowance.wait_ms(10) > 900);
        assert!(allowance.wait_ms(10) > 900);
        assert_eq!(allowance.wait_ms(1_100), 0);
    }
}
