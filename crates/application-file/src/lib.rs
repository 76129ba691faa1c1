//! The application file: several modules, what each may use and where each runs, as
//! one TOML text that a gateway carries out as a whole.
//!
//! [`read`] turns the text into an [`ApplicationFile`], or says all that is wrong with
//! it: each error with its line and column, what was found there and what to do. The
//! command line reads a file with it before it asks the gateway, and the gateway reads
//! the same text again, so that both say the same. [`json_schema`] is for editors.
//!
//! ```toml
//! format = 1
//! name = "climate"
//! devices = "all"
//!
//! [[module]]
//! name = "filter"
//! file = "filter.wasm"
//! sensors = ["temperature"]
//!
//! [[module.channel]]
//! name = "average"
//! direction = "publish"
//! ```
//!
//! A field that no gateway and no device carries out yet is refused by name and never
//! passed over in silence (`not_yet`). It does not read modules, knows no devices and no
//! gateway: what depends on those is the gateway's to say.

mod channels;
mod check;
mod class;
mod error;
mod model;
mod names;
mod not_yet;
mod shape;
mod steps;
mod text;
mod wasi;

pub use error::{FileError, Place};
pub use model::{
    ApplicationFile, Build, Channel, Devices, Direction, Isolation, Located, Module, Placement,
    Scope, Source, Wasi, WasiDirectory, WasiRestart,
};
pub use names::{is_capability, is_link_name, is_name, nearest};

/// The layout that this build reads.
pub const FORMAT: u32 = 1;

/// Longest text that is read. It goes to the gateway in one request, and is kept there.
pub const FILE_BYTES_MAX: usize = 128 * 1024;

/// Most modules of one application: a device's manifest has room for twice as many.
pub const MODULES_MAX: usize = 32;

/// Most alternatives of one module.
pub const BUILDS_MAX: usize = 8;

/// Most libraries of one module: the linker's, which this crate does not know.
pub const LIBRARIES_MAX: usize = 16;

/// Most errors that are told at once. Whoever made more has another kind of file.
pub const ERRORS_MAX: usize = 50;

/// Reads the text, and tells all that is wrong with it, by place.
pub fn read(text: &str) -> Result<ApplicationFile, Vec<FileError>> {
    let mut errors = error::Errors::new(text);
    let shape = text::parse(text, &mut errors);
    let file = shape.map(|shape| check::check(&shape, &mut errors));
    match (file, errors.into_sorted()) {
        (Some(file), errors) if errors.is_empty() => Ok(file),
        (_, errors) => Err(errors),
    }
}

/// The file's JSON schema, which editors complete and check by.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(shape::File).to_value()
}
