//! The gateway: takes modules in, compiles and checks them for the devices that
//! they are deployed to, signs them, and delivers them.
//!
//! | room | does |
//! |---|---|
//! | [`http`] | the public API and the dashboard's files; calls `app` for everything |
//! | [`app`] | the rules; names no HTTP, MQTT or database type |
//! | [`compile`] | the job queue and the compile worker processes |
//! | [`confinement`] | (of `compile-worker`) what both take from their processes: network, files, resources |
//! | [`check`] | runs an artifact in a sandboxed runtime before it is published |
//! | [`signing`] | the keys that are here, and the way to the one that may be elsewhere |
//! | [`signing_desk`] | offers releases to a signer in another process |
//! | [`authority`] | the certificates of TLS |
//! | [`metrics`] | what is counted, for `/metrics` |
//! | [`mqtt`] | the gateway as a client of its broker |
//! | [`store`] | records and blobs that survive a power cut |
//! | [`webhooks`] | tells other systems what happens |
//! | [`telemetry`] | what devices reported, bounded and in memory |
//!
//! [`startup`] puts them together. The binary is thin: it reads the command line.

pub mod app;
pub mod authority;
pub mod check;
pub mod compile;
pub mod config;
mod history;
pub mod http;
pub mod metrics;
pub mod mqtt;
mod origin;
pub mod signing;
pub mod signing_desk;
pub mod startup;
pub mod store;
pub mod surroundings;
pub mod telemetry;
pub mod traces;
pub mod webhooks;

pub use compile_worker::confinement;
