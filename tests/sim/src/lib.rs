//! Many devices in one process, for whom everything is real but the Wasm runtime:
//! the agent's own library enrols over HTTP with claim tokens, logs in to the broker,
//! verifies every document and every block, and reports. Only the workers pretend
//! ([`workers`]), and the disk is memory in which equal blocks are one ([`disk`]).
//!
//! [`fleet`] runs the devices and counts what each receives, [`attack`] is what some of
//! them do instead, [`bench`] is `cargo xtask bench delivery`, [`raw`] what that is
//! compared with, and [`page`] writes it down.

pub mod attack;
pub mod bench;
pub mod device;
pub mod disk;
pub mod fleet;
pub mod module;
pub mod page;
pub mod raw;
pub mod workers;
