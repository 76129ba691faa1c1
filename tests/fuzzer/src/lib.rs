//! A plain fuzzer that needs no nightly compiler, for functions of any bytes.
//!
//! A function panics if it found something, and otherwise gives an [`Outcome`]: the
//! fuzzer keeps an input whose outcome is new and goes on from there. That is far
//! less than branch coverage and costs nothing.
//!
//! Most functions are in `fuzz-targets`. Those that read what the gateway and the agent
//! have on their disks are tests of these two, because what reads it is private there.

mod mutate;
mod outcome;
mod random;
mod runner;

pub use mutate::INPUT_BYTES_MAX;
pub use outcome::Outcome;
pub use random::Random;
pub use runner::{Finding, Limits, Ran, run};

use std::time::Duration;

/// A function with what the fuzzer needs to know of it.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub check: fn(&[u8]) -> Outcome,
    /// Where inputs begin.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Of the time that is shared by all, in parts.
    pub share: u32,
}

/// `FARRIER_FUZZ_SECONDS`, or so many.
pub fn seconds_or(usual: u32) -> Duration {
    let given = std::env::var("FARRIER_FUZZ_SECONDS").ok();
    let given = given.map(|text| text.parse().expect("FARRIER_FUZZ_SECONDS is a whole number"));
    Duration::from_secs(u64::from(given.unwrap_or(usual)))
}

/// The body of a test: the function for a while, on the same inputs each time, so that
/// a change that breaks it has caused it, not chance. Another seed is taken from
/// `FARRIER_FUZZ_SEED`.
#[track_caller]
pub fn check_for(time: Duration, target: Target) {
    let seed = std::env::var("FARRIER_FUZZ_SEED").ok();
    let limits = Limits {
        time,
        seed: seed.map_or(1, |text| text.parse().expect("FARRIER_FUZZ_SEED is a number")),
        findings: std::env::temp_dir().join("farrier-fuzz-findings"),
    };
    match run(target, &limits) {
        Ok(ran) => {
            println!("{ran:?}");
            assert!(ran.executions >= 10, "{ran:?}: too slow to have tried anything");
            assert!(ran.outcomes >= 3, "{ran:?}: the inputs never got anywhere");
        }
        Err(error) => panic!("{error:#}"),
    }
}
