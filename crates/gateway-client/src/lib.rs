//! Talks to a Farrier gateway over its public HTTP API.
//!
//! The command line, the test harness and tools of users call [`Client`]; every
//! line of the table in `gateway-api` is one method of it (`endpoints`). What the
//! gateway refuses comes back as the [`Problem`](gateway_api::Problem) it sent,
//! never as text only. [`EventStream`] goes on by itself after a lost connection.
//!
//! It repeats only requests that can be sent twice without harm, decides no policy
//! and prints nothing: what to show is the caller's matter.

mod access;
mod client;
mod endpoints;
mod error;
mod events;
mod exchange;
mod feed;
mod messages;
mod upload;

pub use client::{Client, ClientBuilder};
pub use endpoints::{DeviceQuery, LogQuery, PublishedQuery, PushedModule, Since};
pub use error::{ClientError, Refused};
pub use events::{EventOptions, EventStream};
pub use exchange::Exchange;
pub use upload::Upload;
