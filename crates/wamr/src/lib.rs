//! A safe face for WAMR, the WebAssembly Micro Runtime, as Farrier uses it:
//! files compiled ahead of time and nothing else. Only the tests have another
//! build, which interprets ([`MODE`]).
//!
//! `farrier-runtime` and the tests' `farrier-executor` call it. This is the only
//! package that contains `unsafe`; each block names the promise of the C side
//! that it relies on. Paths in those comments are relative to the WAMR sources
//! in the crate `wamrx-sys`, mostly `core/iwasm/include/wasm_export.h`.
//!
//! Three rules hold throughout:
//!
//! * One thread. [`Runtime::spawn`] starts a thread with a stack of a chosen
//!   size, and everything of WAMR lives and dies on it. WAMR touches the whole
//!   stack of the thread that initialises it, so that thread should be small.
//! * One profile. A file made for other bounds checks or another processor runs
//!   without a diagnosis and without protection, so [`Module::load`] refuses it
//!   by the note our compiler leaves in it (`target_spec::profile`).
//! * A compiled file is native code. The loader checks its form, nobody can check
//!   its code, and a crafted one can do anything. Whoever calls [`Module::load`]
//!   vouches for where the bytes came from.
//!
//! It does not know MQTT, manifests or devices.

#[cfg(feature = "bare")]
pub mod bare;
mod gas;
mod heap;
mod host;
mod instance;
mod module;
mod profile;
mod runtime;
mod value;
mod wasm_file;

pub use aot_reader::{MemoryInfo, ReadError};
pub use gas::{GasLimits, Interrupter};
pub use host::{Caller, HostFunction, RegisterError};
pub use instance::{
    CallError, Instance, InstanceConfig, InstantiateError, OutOfBounds, Trap, TrapKind,
};
pub use module::{Export, ExternType, Import, LoadError, Module};
pub use profile::{MODE, Mode, Profile, ProfileMismatch, TargetRefused};
pub use runtime::{Runtime, RuntimeError};
pub use value::{FuncType, Value, ValueType};
