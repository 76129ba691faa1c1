//! Runs compiled modules on another machine's WAMR: the tests' side.
//!
//! ```text
//! test ── compile here ──▶ AoT bytes ──▶ Executor ══ pipe ══▶ farrier-executor (WAMR),
//!                                                             native or under qemu-user
//! ```
//!
//! So a test compiles at native speed, and only what it compiled is emulated. The
//! program on the other end is `tests/executor/program`, one binary for each
//! [`Machine`], built by `cargo xtask executors`. This package links neither WAMR nor
//! the compiler.
//!
//! A crash or a hang of the program is an error value with its status and what it
//! wrote to standard error; nothing here panics because of a guest.

mod client;
mod machine;
mod process;
pub mod protocol;

pub use client::{ExecuteError, Executor, Returned};
pub use machine::{Machine, Mode};
pub use protocol::{Description, GuestInput, Refusal, RefusalKind, Value};
