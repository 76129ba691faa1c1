//! The gateway's own check of an artifact before anything is published.
//!
//! WAMR trusts AoT files, so a fault of our compiler would be a fault of every
//! device. The artifact is therefore loaded and run first in a `farrier-runtime`
//! of its target: without network, without readable keys, under a time limit
//! (`sandbox`). It must load, hold its known answers and, if it ticks, tick once
//! (`dialog`). Whatever else happens, a crash included, is a refused artifact.

mod bench;
mod dialog;
mod sandbox;

pub use bench::{CANNOT_CONFINE_STATUS, CheckBench, CheckRefusal};
pub use sandbox::{SandboxError, SandboxPlan, enter_and_exec};
