//! The audit log's chain: what a record says of a change, and the check that no
//! record was changed, removed, put in or moved.
//!
//! The gateway's journal keeps each change as a body (what was written) and a
//! [`Head`] (who did what and when, and what was signed). A head names the SHA-256
//! of its body and of the head before it, so heads alone make the chain: the
//! gateway hands them out as bytes, and whoever has them checks them with
//! [`Chain`], trusting nobody's word for it. What was written stays at home.
//!
//! A chain proves that its records belong together, not that nobody wrote another
//! one from the start. For that, remember a head ([`Position`]) and ask later
//! whether the chain still holds it.

mod chain;
mod head;

pub use chain::{Chain, ChainError};
pub use head::{Action, HEAD_BYTES_MAX, Head, HeadError, Position, RECORD_VERSION, Signature};
