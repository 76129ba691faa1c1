//! What `farrier-agent` and `farrier-runtime` say to each other.
//!
//! The starter (the agent on a device, the gateway when it checks an artifact)
//! makes a socket pair and gives the worker one end as standard input. The
//! worker speaks first, with [`Event::Hello`]; until that came it does not count
//! as started, because under an emulator a failed exec looks like a success.
//! One worker hosts one module or several, each a guest with a [`GuestId`];
//! `docs/decisions/several-modules-in-one-worker.md` says when it is which.
//!
//! A frame is a little-endian u32 length and that many bytes of CBOR: one
//! [`Command`] towards the worker or one [`Event`] from it, and the guest's number.
//! Lengths are checked before anything is allocated. The two ends are installed
//! together, so the protocol has one version and no negotiation: a worker of another
//! [`PROTOCOL_VERSION`] is refused at its hello, which all versions can read.
//!
//! The artifact travels inside [`Load`]: the worker's copy is private to it
//! from the moment its hash was checked.

mod ask;
mod call_table;
mod descriptors;
mod frame;
mod guest_api;
mod guest_usage;
mod message;
mod wasi;
mod wasi_calls;

pub use ask::*;
pub use descriptors::{DIRECTORIES_MAX, receive_directories, send_directories};
pub use frame::{
    FRAME_BYTES_MAX, FrameError, GuestId, decode_body, read_frame, read_guest_frame, write_frame,
    write_guest_frame,
};
pub use guest_api::{GUEST_API_MODULE, GUEST_API_VERSION, GuestCall, GuestType};
pub use guest_usage::*;
pub use message::*;
pub use wasi::*;
pub use wasi_calls::{WASI_INITIALIZE, WASI_MODULE, WASI_START, WasiCall, WasiCapability};

/// Raised with every change that one end must not miss; a figure that a worker may
/// leave out is none.
pub const PROTOCOL_VERSION: u32 = 3;

/// What a worker calls the thread that calls its modules, for who schedules it from outside.
pub const GUEST_THREAD: &str = "guest";
