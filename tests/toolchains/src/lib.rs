//! Compilers of other languages, as packages of pinned versions (Zig, which compiles C
//! too, Go, AssemblyScript) or with Rust, for modules that tests and examples need.

mod compilers;
mod fetch;
pub mod firmware;

pub use compilers::Toolchains;
pub use fetch::{Registry, run, unpacked};
