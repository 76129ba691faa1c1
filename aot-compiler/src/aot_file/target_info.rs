//! Section 0: what the file was made for (`aot/aot_loader.c`,
//! `load_target_info_section`; struct `AOTTargetInfo` in `aot/aot_runtime.h`).

use super::writer::SectionWriter;
use crate::error::CompileError;
use crate::intake::ModuleSurvey;
use target_spec::Target;

/// `AOT_ELF64L_BIN`: 64-bit, little-endian.
const BIN_TYPE_ELF64_LITTLE: u16 = 2;
/// `E_TYPE_REL`.
const E_TYPE_RELOCATABLE: u16 = 1;
/// `E_VERSION_CURRENT`.
const E_VERSION: u32 = 1;

/// `WASM_FEATURE_*` (`aot/aot_runtime.h`). Each bit that is set demands a switch of
/// the runtime, so only what the module uses is set.
const FEATURE_SIMD: u64 = 1 << 0;
const FEATURE_BULK_MEMORY: u64 = 1 << 1;
const FEATURE_REF_TYPES: u64 = 1 << 3;

/// `char arch[16]`, the last byte always NUL.
const ARCH_BYTES: usize = 16;

pub(super) fn write(target: &Target, survey: &ModuleSurvey) -> Result<SectionWriter, CompileError> {
    let arch = target.aot.arch.as_bytes();
    if arch.len() >= ARCH_BYTES {
        let why = format!("its file has an aot.arch of more than {} bytes", ARCH_BYTES - 1);
        return Err(CompileError::TargetCannot { target: target.id.to_string(), why });
    }
    let mut features = 0;
    if survey.uses_simd {
        features |= FEATURE_SIMD;
    }
    if survey.uses_bulk_memory {
        features |= FEATURE_BULK_MEMORY;
    }
    if survey.uses_reference_types {
        features |= FEATURE_REF_TYPES;
    }
    let mut out = SectionWriter::new();
    out.u16(BIN_TYPE_ELF64_LITTLE);
    out.u16(0); // abi_type, which is not checked
    out.u16(E_TYPE_RELOCATABLE);
    out.u16(target.aot.e_machine);
    out.u32(E_VERSION);
    out.u32(target.aot.e_flags);
    out.u64(features);
    out.u64(0); // reserved
    let mut padded = [0; ARCH_BYTES];
    padded[..arch.len()].copy_from_slice(arch);
    out.bytes(&padded);
    Ok(out)
}
