//! Bytes from outside → a validated module, or a refusal that names the reason.
//!
//! `sniff` looks at the first bytes, `validate` runs the complete validation and
//! names missing proposals, `module_info` reads the sections into what the rest of
//! the compiler works with, `constants` evaluates what is constant, `survey` walks
//! all instructions once and counts, and `tail_calls` holds who makes and takes these.

mod constants;
mod module_info;
mod operator_groups;
mod sniff;
mod survey;
mod tail_calls;
mod validate;

use crate::error::{ModuleError, check_limit};
use crate::limits;

pub(crate) use constants::ConstValue;
pub(crate) use module_info::{
    DataSegment, ElementMode, ExportEntry, GlobalInfo, ImportEntry, ImportedFunction, ModuleInfo,
    RefKind, TableInfo, WASM_PAGE_BYTES, to_invalid,
};
pub(crate) use survey::{Effort, FunctionSurvey, ModuleSurvey};
pub use validate::SUPPORTED;
pub(crate) use validate::{FirstUse, first_use_of_simd};

/// A module that is valid, supported and within the limits.
pub(crate) struct ReadModule<'a> {
    pub info: ModuleInfo<'a>,
    pub survey: ModuleSurvey,
}

pub(crate) fn read_module(wasm: &[u8]) -> Result<ReadModule<'_>, ModuleError> {
    check_limit("bytes of module", wasm.len() as u64, limits::MODULE_BYTES_MAX as u64)?;
    sniff::check_is_module(wasm)?;
    validate::validate(wasm)?;
    let mut info = ModuleInfo::read(wasm)?;
    let survey = survey::survey(&info)?;
    info.apply_survey(&survey);
    Ok(ReadModule { info, survey })
}
