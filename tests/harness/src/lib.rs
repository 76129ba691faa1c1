//! Starts a whole Farrier on this machine: a gateway and devices of three
//! architectures, each a real process on free loopback ports.
//!
//! The end-to-end tests and `cargo xtask demo` stand on it. It drives the
//! programs as a user would: configuration files, the HTTP API, signals. Every
//! process belongs to a value whose drop ends it, by its pid.
//!
//! It knows nothing of the insides of gateway or agent, and builds nothing: the
//! binaries are those of a [`Kit`].

mod agent;
mod fleet;
mod forwarder;
mod gateway;
mod kit;
mod machine;
mod process;
mod sensor_filter;
mod wait;

pub use agent::{AgentOptions, AgentProcess};
pub use fleet::{DEPLOY_WITHIN, Fleet, SENSOR_SEED};
pub use forwarder::{Forwarder, Route};
pub use gateway::{GatewayOptions, GatewayProcess};
pub use kit::{DeviceClass, Kit};
pub use machine::{anonymous_bytes, commit_and_date, load, machine, resident_bytes};
pub use process::OwnedProcess;
pub use sensor_filter::{FILTER_WINDOW, FILTER_WINDOW_WIDE, expected_average, read_record};
pub use wait::{wait_for, wait_until};
