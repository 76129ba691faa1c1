//! Time and randomness, passed in so that tests decide both.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 in UTC. Somebody may set it, years ahead or back.
    fn now_ms(&self) -> u64;

    /// Milliseconds since some moment, whatever is done to the calendar: what intervals
    /// within one run are measured by.
    fn steady_ms(&self) -> u64;
}

/// Bytes that nobody can guess.
pub trait Randomness: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// What the rules take from the world around them.
#[derive(Clone)]
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
}

impl Surroundings {
    /// The system's clock and generator.
    pub fn of_the_system() -> Self {
        Self {
            clock: Arc::new(SystemClock { start: Instant::now() }),
            randomness: Arc::new(SystemRandomness),
        }
    }

    pub fn random<const LEN: usize>(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        self.randomness.fill(&mut bytes);
        bytes
    }
}

struct SystemClock {
    start: Instant,
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn steady_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness no key and no token is safe, so there is no going on.
        getrandom::fill(bytes).expect("the system gives random bytes");
    }
}
