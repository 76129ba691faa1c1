//! An AoT file of WAMR, version 6 → typed structures that borrow from its bytes.
//!
//! ```text
//! bytes ── AotFile::parse ──▶ sections ── Module::read ──▶ target, memories, code, …
//!                                └─ custom_section, memories: all that a runtime asks
//! ```
//!
//! The layout is that of a runtime without the GC switch, the order of reading that
//! of WAMR's `core/iwasm/aot/aot_loader.c`; each file here names the function that it
//! follows. `farrier inspect` and the tests of the compiler read whole modules, the
//! wrapper of WAMR the outline only.
//!
//! The input may be anything: every read is checked against the section's end, no
//! count is believed before its bytes were seen, and nothing recurses. Memory is at
//! most a small multiple of the file. An error says section and byte offset.
//!
//! It does not judge: what WAMR would refuse for a missing symbol or a wrong machine
//! is read all the same.

mod code;
mod cursor;
mod custom;
mod error;
mod export;
mod file;
mod init_data;
mod init_expr;
mod module;
mod relocation;
mod target_info;
mod types;

pub use code::{Function, Text};
pub use custom::CustomSection;
pub use error::{Damage, Problem, ReadError};
pub use export::{Export, ExportKind};
pub use file::{AotFile, Section, SectionKind};
pub use init_data::{
    AuxInfo, DataSegment, ElementMode, ElementSegment, Global, ImportedFunction, ImportedGlobal,
    InitData, MemoryInfo, ObjectDataSection, Table,
};
pub use init_expr::{InitExpr, InitOp};
pub use module::Module;
pub use relocation::{Relocation, RelocationGroup, Relocations, relocation_kind_name};
pub use target_info::TargetInfo;
pub use types::{FunctionType, ValueType};

/// The version that this reads, `AOT_CURRENT_VERSION` in WAMR's `core/config.h`.
pub const AOT_VERSION: u32 = 6;
