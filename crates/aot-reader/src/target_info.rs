//! Section 0: what the file was made for (`load_target_info_section`; struct
//! `AOTTargetInfo` in `aot/aot_runtime.h`).

use crate::cursor::Cursor;
use crate::error::{Problem, ReadError};

const ARCH_BYTES: usize = 16;
const WHAT: &str = "the target";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetInfo<'a> {
    /// Bit 0: big-endian; bit 1: 64-bit; bit 2: COFF.
    pub bin_type: u16,
    pub abi_type: u16,
    /// 1 relocatable, 4 position-independent (XIP).
    pub e_type: u16,
    /// As in ELF: 62 x86-64, 183 AArch64, 243 RISC-V.
    pub e_machine: u16,
    pub e_version: u32,
    pub e_flags: u32,
    pub feature_flags: u64,
    pub reserved: u64,
    /// "x86_64"
    pub arch: &'a str,
}

/// `WASM_FEATURE_*` (`aot/aot_runtime.h`), by bit.
const FEATURES: [&str; 14] = [
    "simd",
    "bulk-memory",
    "threads",
    "reference-types",
    "gc",
    "exception-handling",
    "tiny-stack-frame",
    "multi-memory",
    "dynamic-linking",
    "component-model",
    "relaxed-simd",
    "flexible-vectors",
    "frame-per-function",
    "frame-no-function-index",
];

impl<'a> TargetInfo<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, ReadError> {
        let start = cursor.offset();
        let bin_type = cursor.u16(WHAT)?;
        if bin_type & 1 != 0 {
            let what = "support here for a big-endian file, type";
            return Err(cursor.damaged_at(start, Problem::Value { what, found: bin_type.into() }));
        }
        let info = Self {
            bin_type,
            abi_type: cursor.u16(WHAT)?,
            e_type: cursor.u16(WHAT)?,
            e_machine: cursor.u16(WHAT)?,
            e_version: cursor.u32(WHAT)?,
            e_flags: cursor.u32(WHAT)?,
            feature_flags: cursor.u64(WHAT)?,
            reserved: cursor.u64(WHAT)?,
            arch: read_arch(cursor)?,
        };
        cursor.finish()?;
        Ok(info)
    }

    pub fn is_64_bit(&self) -> bool {
        self.bin_type & 2 != 0
    }

    /// What the runtime must have been built with, by name; a bit without one as "bit 40".
    pub fn features(&self) -> Vec<String> {
        let is_set = |bit: &u32| self.feature_flags >> bit & 1 == 1;
        let name = |bit: u32| match FEATURES.get(bit as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("bit {bit}"),
        };
        (0..u64::BITS).filter(is_set).map(name).collect()
    }
}

/// `char arch[16]`, filled up with NUL, the last always one.
fn read_arch<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, ReadError> {
    let at = cursor.offset();
    let bytes = cursor.take(ARCH_BYTES, WHAT)?;
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() < ARCH_BYTES);
    name.ok_or_else(|| cursor.damaged_at(at, Problem::Name))
}
