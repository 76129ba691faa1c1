//! An MQTT broker inside the gateway's process, for fleets that bring none.
//!
//! The gateway says who may log in and what they may reach ([`AccessControl`]);
//! everything else is the library `rmqtt`, and nothing of it shows here. To the
//! rest of the gateway this is a broker like any other: it talks to it as an MQTT
//! client.
//!
//! Nothing is kept on disk. Retained messages and sessions end with the process,
//! and the gateway publishes the desired state again when it starts.
//!
//! Start with `broker.rs` for how it runs and stops, `door.rs` for how a client is
//! connected, `gate.rs` for who gets in, `retained.rs` for what a late subscriber finds,
//! `sessions.rs` for one who comes back.

#![forbid(unsafe_code)]

mod access;
mod broker;
mod door;
mod gate;
mod limits;
mod retained;
mod sessions;

pub use access::{AccessControl, Login, LoginFuture, Who};
pub use broker::{Broker, BrokerConfig, BrokerError};
pub use limits::{Limits, PACKET_BYTES_MAX};
