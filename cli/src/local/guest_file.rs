//! A module from a file, binary or text.

use crate::commands::compile;
use crate::failure::{Exit, Failure};
use aot_compiler::limits;
use std::path::Path;

/// Reads `.wat` as WebAssembly's text format and everything else as binary.
pub fn read_guest(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = compile::read_module(path)?;
    if path.extension().is_none_or(|extension| extension != "wat") {
        return Ok(bytes);
    }
    if bytes.len() > limits::MODULE_BYTES_MAX {
        let message = format!(
            "{} is longer than the {} bytes that a module may have",
            path.display(),
            limits::MODULE_BYTES_MAX
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    let parsed = wat::Parser::new().parse_bytes(Some(path), &bytes).map(|wasm| wasm.into_owned());
    // The error names the file, line and column, and shows the line.
    parsed.map_err(|error| Failure::new(Exit::Failed, error))
}
