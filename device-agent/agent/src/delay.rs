//! Growing delays between attempts, with jitter so that a fleet does not come
//! back all at once.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// Doubles from `min` to `max`; each delay is then lengthened by up to its own
/// length, at random.
#[derive(Debug)]
pub struct Delays {
    builder: ExponentialBuilder,
    next: ExponentialBackoff,
}

impl Delays {
    /// Equal seeds give equal delays, for tests.
    pub fn between(min: Duration, max: Duration, seed: u64) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(min)
            .with_max_delay(max)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(seed);
        Self { builder, next: builder.build() }
    }

    /// With a seed of its own.
    pub fn random(min: Duration, max: Duration) -> Self {
        Self::between(min, max, random_seed())
    }

    pub fn next_delay(&mut self) -> Duration {
        // An unlimited backoff has always a next one; the longest, should it not.
        self.next.next().unwrap_or(Duration::from_secs(60))
    }

    pub fn reset(&mut self) {
        self.next = self.builder.build();
    }
}

/// Not for keys: without a source of randomness it is the time.
pub fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => crate::wall_clock_ms(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_start_again() {
        let ms = Duration::from_millis;
        let mut delays = Delays::between(ms(100), ms(1_000), 7);
        for expected in [100, 200, 400, 800, 1_000, 1_000] {
            let delay = delays.next_delay();
            assert!(delay >= ms(expected) && delay <= ms(2 * expected), "{delay:?}");
        }
        delays.reset();
        assert!(delays.next_delay() <= ms(200));
    }
}
