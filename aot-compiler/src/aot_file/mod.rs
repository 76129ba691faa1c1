//! Module, code and note → the bytes of an AoT file, version 6.
//!
//! ```text
//! magic, version
//! 0 target info   1 init data   2 text   3 functions   4 exports   5 relocations
//! 100 custom: our profile note
//! ```
//!
//! The loader takes the sections in exactly this order and wants each of 0, 1, 3
//! and 4 consumed to the last byte (`aot/aot_loader.c`, `create_sections` and
//! `load_from_sections`). Section 5 must be there even when empty: reading it is
//! also what makes the code executable.

mod init_data;
mod relocations;
mod target_info;
mod writer;

use crate::AOT_VERSION;
use crate::error::CompileError;
use crate::intake::{ExportEntry, ModuleInfo, ModuleSurvey};
use crate::link::{self, Text};
use target_spec::Target;
use target_spec::metering::{self, MeteringNote};
use target_spec::profile::{self, AotProfile};
use wasmparser::ExternalKind;
use writer::SectionWriter;

/// `AOT_MAGIC_NUMBER` (`core/config.h`), "\0aot".
const AOT_MAGIC: u32 = 0x746f_6100;

/// `AOTSectionType` (`aot/aot_runtime.h`).
const SECTION_TARGET_INFO: u32 = 0;
const SECTION_INIT_DATA: u32 = 1;
const SECTION_TEXT: u32 = 2;
const SECTION_FUNCTION: u32 = 3;
const SECTION_EXPORT: u32 = 4;
const SECTION_RELOCATION: u32 = 5;
const SECTION_CUSTOM: u32 = 100;

/// `AOT_CUSTOM_SECTION_RAW` (`aot/aot_runtime.h`).
const CUSTOM_RAW: u32 = 0;

/// The loader maps the text section to a page, its 4-byte literal size and the
/// literals first: with 12 bytes of these the code begins at a multiple of 16, which
/// Cranelift's constants inside it need (`aot/aot_loader.c`, `load_text_section`).
pub(crate) const LITERAL_BYTES: u32 = 12;

pub(crate) struct AotParts<'p> {
    pub target: &'p Target,
    pub info: &'p ModuleInfo<'p>,
    pub survey: &'p ModuleSurvey,
    pub text: &'p Text,
    pub profile: &'p AotProfile,
    pub metering: Option<&'p MeteringNote>,
}

pub(crate) fn write(parts: &AotParts<'_>) -> Result<Vec<u8>, CompileError> {
    let relocation = link::relocation_kind(parts.target.arch);
    let mut sections = vec![
        (SECTION_TARGET_INFO, target_info::write(parts.target, parts.survey)?),
        (SECTION_INIT_DATA, init_data::write(parts.info)),
        (SECTION_TEXT, write_text(parts.text)),
        (SECTION_FUNCTION, write_functions(parts.info, parts.text)),
        (SECTION_EXPORT, write_exports(&parts.info.exports)),
        (SECTION_RELOCATION, relocations::write(&parts.text.relocations, &relocation)),
        (SECTION_CUSTOM, write_note(profile::SECTION_NAME, &parts.profile.to_bytes())),
    ];
    if let Some(note) = parts.metering {
        sections.push((SECTION_CUSTOM, write_note(metering::SECTION_NAME, &note.to_bytes())));
    }
    let mut file = SectionWriter::new();
    file.u32(AOT_MAGIC);
    file.u32(AOT_VERSION);
    for (id, section) in sections {
        file.align(4);
        file.u32(id);
        file.u32(section.len());
        file.bytes(&section.into_bytes());
    }
    Ok(file.into_bytes())
}

fn write_text(text: &Text) -> SectionWriter {
    let mut out = SectionWriter::new();
    out.u32(LITERAL_BYTES);
    out.bytes(&[0; LITERAL_BYTES as usize]);
    out.bytes(&text.code);
    // A module whose functions are all imported: `load_text_section` accepts none.
    out
}

/// `load_function_section`: text offset of each function, its type, and the sizes of
/// its interpreter-style frame, which only a runtime with AoT stack frames reads.
fn write_functions(info: &ModuleInfo<'_>, text: &Text) -> SectionWriter {
    let mut out = SectionWriter::new();
    text.entries.iter().for_each(|entry| out.u64(*entry));
    let first = info.imported_function_count();
    for function in first..info.function_types.len() as u32 {
        out.u32(info.canonical_type_of(function));
    }
    for _ in 0..text.entries.len() * 2 {
        out.u32(0);
    }
    out
}

/// `load_exports`; kinds are those of WebAssembly.
fn write_exports(exports: &[ExportEntry<'_>]) -> SectionWriter {
    let mut out = SectionWriter::new();
    out.u32(exports.len() as u32);
    for export in exports {
        out.align(4);
        out.u32(export.index);
        out.u8(match export.kind {
            ExternalKind::Table => 1,
            ExternalKind::Memory => 2,
            ExternalKind::Global => 3,
            _ => 0,
        });
        out.u8(0);
        out.string(export.name);
    }
    out
}

fn write_note(name: &str, note: &[u8]) -> SectionWriter {
    let mut out = SectionWriter::new();
    out.u32(CUSTOM_RAW);
    out.string(name);
    out.bytes(note);
    out
}
