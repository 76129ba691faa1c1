//! Keeps what strangers can make the agent say from filling its log.
//!
//! Whoever reaches the device's topics can send refused documents as fast as the wire
//! carries them. Reports count them all; the log has the first ones, and then one now
//! and then that says how many were left out.

use crate::Moment;
use std::time::Duration;

/// Lines in a row.
const BURST: u32 = 20;
/// Time that earns another one: some megabytes a month in the worst case.
const LINE_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct LogAllowance {
    lines: u32,
    earned_at: Moment,
    left_out: u64,
}

impl Default for LogAllowance {
    fn default() -> Self {
        Self { lines: BURST, earned_at: Moment::ZERO, left_out: 0 }
    }
}

impl LogAllowance {
    /// Whether a line may be written now, and how many were not since the last one.
    pub fn take(&mut self, now: Moment) -> Option<u64> {
        let earned = now.saturating_sub(self.earned_at).as_secs() / LINE_EVERY.as_secs();
        if earned > 0 {
            self.earned_at = now;
            let earned = u32::try_from(earned).unwrap_or(BURST);
            self.lines = self.lines.saturating_add(earned).min(BURST);
        }
        if self.lines == 0 {
            self.left_out += 1;
            return None;
        }
        self.lines -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_its_first_lines_and_then_one_in_ten_seconds() {
        let mut allowance = LogAllowance::default();
        let mut written = Vec::new();
        for ms in 0..60_000 {
            written.extend(allowance.take(Duration::from_millis(ms)));
        }
        assert_eq!(written.len(), 20 + 5);
        assert_eq!(written[..20], [0; 20]);
        assert_eq!(written[20..], [10_000 - 20, 9_999, 9_999, 9_999, 9_999]);
        assert_eq!(allowance.take(Duration::from_secs(3_600)), Some(9_999));
        assert_eq!(allowance.take(Duration::from_secs(3_600)), Some(0));
    }
}
