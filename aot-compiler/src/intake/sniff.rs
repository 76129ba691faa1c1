//! Says what bytes look like that are not a WebAssembly module.
//!
//! People upload the wrong file of the right folder; the answer should name it.

use crate::error::ModuleError;

/// Magic number of a module and a component alike (core specification, 5.5.16).
const WASM_MAGIC: &[u8] = b"\0asm";

/// Version and layer fields after the magic number: version 1 of a module, and
/// layer 1 of a component (component model, Binary.md).
const MODULE_VERSION: [u8; 4] = [1, 0, 0, 0];
const COMPONENT_LAYER: [u8; 2] = [1, 0];

/// Accepts bytes that begin as a module does, and names what the others are.
pub(crate) fn check_is_module(bytes: &[u8]) -> Result<(), ModuleError> {
    if bytes.starts_with(WASM_MAGIC) {
        return check_version(&bytes[WASM_MAGIC.len()..]);
    }
    if !bytes.is_empty() && WASM_MAGIC.starts_with(bytes) {
        return Err(ModuleError::Truncated { offset: bytes.len() as u64 });
    }
    let (looks_like, advice) = name_other_file(bytes);
    Err(ModuleError::NotWasm { looks_like, advice })
}

/// Whether the last section should go on behind the end of the bytes.
///
/// The validator reports such a section at its own place, as if it were at fault.
pub(crate) fn is_cut_short(wasm: &[u8]) -> bool {
    let mut rest = wasm.get(WASM_MAGIC.len() + MODULE_VERSION.len()..).unwrap_or_default();
    while !rest.is_empty() {
        // A section is an id, its size as LEB128 and that many bytes (5.5.2).
        let Some((size, size_bytes)) = read_leb128(&rest[1..]) else { return true };
        match rest.get(1 + size_bytes + size..) {
            Some(behind) => rest = behind,
            None => return true,
        }
    }
    false
}

/// An unsigned number of at most 32 bits and its length; None if it does not end.
fn read_leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    // Too long is malformed and not cut short: nothing follows that could matter.
    (bytes.len() >= 5).then_some((0, 5))
}

fn check_version(rest: &[u8]) -> Result<(), ModuleError> {
    let Some(version) = rest.get(..MODULE_VERSION.len()) else {
        return Err(ModuleError::Truncated { offset: (WASM_MAGIC.len() + rest.len()) as u64 });
    };
    if version == MODULE_VERSION {
        return Ok(());
    }
    let (looks_like, advice) = if version[2..] == COMPONENT_LAYER {
        ("a WebAssembly component", "build a core module, or take the module out of the component")
    } else {
        ("a WebAssembly file of an unknown version", "build it as version 1")
    };
    Err(ModuleError::NotWasm { looks_like, advice })
}

fn name_other_file(bytes: &[u8]) -> (&'static str, &'static str) {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    match () {
        () if bytes.is_empty() => ("an empty file", "check that the build wrote it"),
        () if starts(b"\0aot") => {
            ("a WAMR AoT file, which is compiled already", "give the module that it was made from")
        }
        () if starts(b"\x7fELF") => {
            ("an ELF file", "build for a WebAssembly target, such as wasm32-unknown-unknown")
        }
        () if starts(b"MZ") => ("a Windows program", "build for a WebAssembly target"),
        () if starts(b"\xcf\xfa\xed\xfe") || starts(b"\xca\xfe\xba\xbe") => {
            ("a macOS program or a Java class", "build for a WebAssembly target")
        }
        () if starts(b"!<arch>\n") => ("a static library", "link it into a module first"),
        () if starts(b"BC\xc0\xde") => ("LLVM bitcode", "link it into a module first"),
        () if starts(b"\x1f\x8b") => ("gzip data", "unpack it first"),
        () if starts(b"PK\x03\x04") => ("a zip archive", "unpack it first"),
        () if is_wat(bytes) => {
            ("WebAssembly text", "translate it with wat2wasm or `wasm-tools parse`")
        }
        () if std::str::from_utf8(bytes).is_ok() => ("a text file", "give a .wasm file"),
        () => ("unknown binary data", "give a .wasm file"),
    }
}

fn is_wat(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    text.starts_with(b"(module") || text.starts_with(b"(;") || text.starts_with(b";;")
}
