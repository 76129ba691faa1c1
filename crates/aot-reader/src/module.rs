//! All sections of a file (`load_from_sections`).

use crate::AOT_VERSION;
use crate::code::{self, Function, Text};
use crate::custom::{self, CustomSection};
use crate::error::{Damage, Problem, ReadError};
use crate::export::Export;
use crate::file::{AotFile, Section, SectionKind};
use crate::init_data::InitData;
use crate::relocation::Relocations;
use crate::target_info::TargetInfo;

/// Sections 0 to 5, which every file has in this order.
const REQUIRED: [SectionKind; 6] = [
    SectionKind::TargetInfo,
    SectionKind::InitData,
    SectionKind::Text,
    SectionKind::Function,
    SectionKind::Export,
    SectionKind::Relocation,
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module<'a> {
    pub target: TargetInfo<'a>,
    pub init: InitData<'a>,
    pub text: Text<'a>,
    /// Own functions, without the imported ones.
    pub functions: Vec<Function>,
    pub exports: Vec<Export<'a>>,
    pub relocations: Relocations<'a>,
    pub customs: Vec<CustomSection<'a>>,
}

impl<'a> Module<'a> {
    pub fn read(file: &AotFile<'a>) -> Result<Self, ReadError> {
        if file.version != AOT_VERSION {
            return Err(ReadError::Version(file.version));
        }
        check_order(file.sections())?;
        let cursor = |kind| file.section(kind).map(|section| file.cursor(&section));
        let target = TargetInfo::read(&mut cursor(SectionKind::TargetInfo)?)?;
        let init = InitData::read(&mut cursor(SectionKind::InitData)?)?;
        let text = Text::read(&mut cursor(SectionKind::Text)?)?;
        let is_64_bit = target.is_64_bit();
        let mut functions = cursor(SectionKind::Function)?;
        let functions = code::read_functions(&mut functions, &init, &text, is_64_bit)?;
        let mut exports_cursor = cursor(SectionKind::Export)?;
        let exports = exports_cursor.list("the exports", Export::read)?;
        exports_cursor.finish()?;
        let relocations = Relocations::read(&mut cursor(SectionKind::Relocation)?, is_64_bit)?;
        let customs = file.sections().iter().filter(|s| s.kind() == SectionKind::Custom);
        let customs = customs.map(|section| custom::read(file.cursor(section)));
        let customs = customs.collect::<Result<_, _>>()?;
        Ok(Self { target, init, text, functions, exports, relocations, customs })
    }

    /// The signature of a function, imported or own.
    pub fn function_type(&self, index: u32) -> Option<&crate::FunctionType> {
        let imports = &self.init.imported_functions;
        let type_index = match imports.get(index as usize) {
            Some(import) => usize::from(import.type_index),
            None => {
                let own_index = (index as usize).checked_sub(imports.len())?;
                self.functions.get(own_index)?.type_index as usize
            }
        };
        self.init.types.get(type_index)
    }
}

fn check_order(sections: &[Section<'_>]) -> Result<(), ReadError> {
    for (index, kind) in REQUIRED.iter().enumerate() {
        match sections.get(index) {
            Some(section) if section.kind() == *kind => {}
            Some(section) => return Err(out_of_order(section)),
            None => return Err(ReadError::Missing(kind.name())),
        }
    }
    let mut after = sections.iter().skip(REQUIRED.len());
    match after.find(|section| section.kind() != SectionKind::Custom) {
        Some(section) => Err(out_of_order(section)),
        None => Ok(()),
    }
}

fn out_of_order(section: &Section<'_>) -> ReadError {
    let (section, offset) = (section.kind().name(), section.offset);
    Damage { section, offset, problem: Problem::Order }.into()
}
