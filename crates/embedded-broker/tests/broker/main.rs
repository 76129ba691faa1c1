//! The broker seen by real clients over TCP, one file a subject. Every trap of the
//! library that this crate closes has a test of its own name here.

mod client;
mod fleet;
mod lifecycle;
mod limits;
mod login;
mod mqtt5;
mod retained;
mod rights;
mod sessions;
mod tls;
