//! Wasm bytes and a target → an AoT file that WAMR loads.
//!
//! ```text
//! bytes ── intake ──▶ ModuleInfo ── translate ──▶ CLIF ── codegen ──▶ machine code
//!            │ refuses                                        link ──▶ text section
//!            ▼                                            aot_file ──▶ AoT version 6
//!          census
//! ```
//!
//! Pure: no disk, clock, network or environment, and no panic on any input. The same
//! module, target and options give the same bytes. What WAMR wants of a file stands
//! in `abi` (calls and structures) and `aot_file` (sections), each constant with the
//! place in WAMR's sources that it comes from.

mod abi;
mod aot_file;
mod census;
mod codegen;
mod compile;
mod entered_imports;
mod error;
mod guest_stack;
mod instrument;
mod intake;
pub mod limits;
mod link;
mod object_file;
mod progress;
mod reachable;
mod stack_depth;
mod target_isa;
mod translate;
pub mod trap_place;

pub use census::{Census, Export, ExternKind, Import, MemoryNeeds, TableNeeds, census};
pub use compile::{
    Artifact, CompileOptions, Metering, ObjectFile, compile, compile_object, compile_observed,
};
pub use error::{CompileError, ModuleError};
pub use instrument::{COST_TABLE_VERSION, MeteredModule, meter};
pub use intake::SUPPORTED;
pub use progress::Progress;

/// Name and versions of everything that decides the bytes of an artifact.
///
/// A test compares Cranelift's version with the one that is linked. The number behind `r`
/// rises with each change of what is written for the same module; artifacts of before are
/// then compiled again and never taken for these.
pub const COMPILER_ID: &str =
    concat!("aot-compiler ", env!("CARGO_PKG_VERSION"), " r2", " cranelift ", "0.135.8");

/// The version of the AoT format, `AOT_CURRENT_VERSION` in WAMR's `core/config.h`.
/// A runtime loads files of its own version only.
pub const AOT_VERSION: u32 = 6;
