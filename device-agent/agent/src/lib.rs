//! The device's agent: it verifies what the gateway says this device shall run,
//! fetches it, keeps it running in worker processes, and reports.
//!
//! | module | does |
//! |---|---|
//! | [`agent`] | one loop over one closed enum of events; the only place with effects and decisions side by side |
//! | [`install`] | desired applications to actions: a pure state machine |
//! | [`fetch`] | which blocks to ask for, and when again: pure |
//! | [`clock`], [`freeze`] | what time it is, and whether newer documents are kept away: pure |
//! | [`store`], [`state`] | files, written so that a power cut leaves the old or the new ones |
//! | [`app_storage`] | what modules store, the same way |
//! | [`hardware`] | sensors and actuators behind files |
//! | [`workers`] | processes of `farrier-runtime`, started through a launcher |
//! | [`mqtt`], [`enrol`] | the two ways to the gateway |
//! | [`membership`], [`tls`] | whom to trust as the broker, and the certificate for it |
//! | [`report`], [`outbox`] | what the gateway hears |
//! | [`log_allowance`] | how much of what strangers cause is logged |
//!
//! The agent holds the device's private key and therefore never links a Wasm
//! runtime: artifacts are native code, and only workers load them. It trusts the
//! root document that it pinned at enrolment, and neither the broker nor its own
//! disk: documents are opened and artifacts hashed again at every start.

pub mod agent;
pub mod app_files;
pub mod app_storage;
pub mod clock;
pub mod config;
pub mod delay;
pub mod enrol;
pub mod fetch;
pub mod freeze;
pub mod hardware;
pub mod install;
pub mod log_allowance;
pub mod membership;
pub mod mqtt;
pub mod outbox;
pub mod refusal;
pub mod report;
#[cfg(test)]
mod samples;
pub mod start;
pub mod state;
pub mod store;
pub mod tls;
pub mod workers;

/// This program and its version.
pub const AGENT: &str = concat!("farrier-agent ", env!("CARGO_PKG_VERSION"));

/// Time since the agent's start. Pure parts get it passed in.
pub type Moment = std::time::Duration;

/// Milliseconds since 1970 by the device's clock, which may be wrong.
pub fn wall_clock_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
