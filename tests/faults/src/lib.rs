//! Faults of many kinds, each seeded, against the real programs and the real code,
//! and what must hold after every one of them.
//!
//! A [`Kind`] opens a [`Rig`], which stays for many seeds because a fleet is dear to
//! start; [`Rig::run`] does what one seed says and then asks its oracle. What the
//! oracle finds is an error, and the seed finds it again: all chance comes from the
//! seed, but real processes on a busy machine do not keep time, so a seed repeats
//! what was done and not the microsecond at which it was.
//!
//! The short run (`tests/short.rs`) is a part of `cargo xtask test`. The long one is
//! `cargo xtask faults`: it remembers each seed's result below `target/faults`, goes
//! on where it stopped, and writes the table of `docs/reliability.md` from them.

mod clock;
mod kinds;
mod mosquitto;
mod network;
mod power;
mod results;
mod runner;
mod table;
mod world;

pub use kinds::{KINDS, find};
pub use results::{Entry, Results};
pub use runner::{Limits, Ran, run};
pub use table::page;

use std::path::PathBuf;

/// One kind of fault.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// What is counted, as "kill -9 of an agent".
    pub fault: &'static str,
    /// What the oracle checks, for people.
    pub oracle: &'static str,
    /// Faults of the long run.
    pub goal: u64,
    /// Faults of the short run.
    pub short_goal: u64,
    /// Why this machine cannot have it, if it cannot.
    pub missing: fn() -> Option<String>,
    pub open: fn(&Workplace) -> anyhow::Result<Box<dyn Rig>>,
}

/// What faults are injected into. It may keep processes alive from seed to seed.
pub trait Rig {
    /// Does what the seed says. A violation is an error whose text says it all.
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome>;
}

/// How many faults a seed made; none of them broke anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub faults: u64,
}

/// Where a rig puts its files. Each rig has a folder of its own.
#[derive(Debug, Clone)]
pub struct Workplace {
    pub folder: PathBuf,
}

/// For kinds that run anywhere.
pub(crate) fn nothing_is_missing() -> Option<String> {
    None
}
