//! The file as a list of sections (`create_sections`), and the two questions that a
//! runtime asks before WAMR sees the file.

use crate::cursor::Cursor;
use crate::custom::{self, CustomSection};
use crate::error::ReadError;
use crate::init_data::{self, MemoryInfo};

/// "\0aot", `AOT_MAGIC_NUMBER` in `core/config.h`.
const MAGIC: [u8; 4] = *b"\0aot";
const MAGIC_AND_VERSION_BYTES: usize = 8;

/// `AOTSectionType` (`aot/aot_runtime.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    TargetInfo,
    InitData,
    Text,
    Function,
    Export,
    Relocation,
    Custom,
    Unknown(u32),
}

impl SectionKind {
    pub fn from_id(id: u32) -> Self {
        match id {
            0 => Self::TargetInfo,
            1 => Self::InitData,
            2 => Self::Text,
            3 => Self::Function,
            4 => Self::Export,
            5 => Self::Relocation,
            100 => Self::Custom,
            other => Self::Unknown(other),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::TargetInfo => "target info section",
            Self::InitData => "init data section",
            Self::Text => "text section",
            Self::Function => "function section",
            Self::Export => "export section",
            Self::Relocation => "relocation section",
            Self::Custom => "custom section",
            Self::Unknown(_) => "unknown section",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    pub id: u32,
    /// Of the body, from the start of the file.
    pub offset: usize,
    pub body: &'a [u8],
}

impl Section<'_> {
    pub fn kind(&self) -> SectionKind {
        SectionKind::from_id(self.id)
    }
}

/// A file's outline, borrowed from its bytes.
#[derive(Debug, Clone)]
pub struct AotFile<'a> {
    pub version: u32,
    bytes: &'a [u8],
    sections: Vec<Section<'a>>,
}

impl<'a> AotFile<'a> {
    /// Takes any version and any sections in any order; [`crate::Module`] does not.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ReadError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ReadError::NotAot);
        }
        let mut cursor = Cursor::new(bytes, MAGIC.len(), "header");
        let version = cursor.u32("the version")?;
        let mut sections = Vec::new();
        let mut cursor = Cursor::new(bytes, MAGIC_AND_VERSION_BYTES, "list of sections");
        while !cursor.is_at_end() {
            let id = cursor.u32("a section's id")?;
            let size = cursor.u32("a section's size")?;
            let offset = cursor.offset();
            let body = cursor.take(size as usize, SectionKind::from_id(id).name())?;
            sections.push(Section { id, offset, body });
        }
        Ok(Self { version, bytes, sections })
    }

    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// Bytes of the whole file.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The first section of this kind.
    pub fn section(&self, kind: SectionKind) -> Result<Section<'a>, ReadError> {
        let found = self.sections.iter().find(|section| section.kind() == kind);
        found.copied().ok_or(ReadError::Missing(kind.name()))
    }

    /// The bytes of the first raw custom section of this name. One that cannot be
    /// read has no name.
    pub fn custom_section(&self, name: &str) -> Option<&'a [u8]> {
        let customs = self.sections.iter().filter(|section| section.kind() == SectionKind::Custom);
        let mut customs = customs.filter_map(|section| custom::read(self.cursor(section)).ok());
        customs.find_map(|custom| match custom {
            CustomSection::Raw { name: found, bytes } if found == name => Some(bytes),
            _ => None,
        })
    }

    /// The memories, imported ones included. Every file has one: our compiler
    /// gives a module without memory an empty one, because WAMR needs it.
    pub fn memories(&self) -> Result<Vec<MemoryInfo>, ReadError> {
        let section = self.section(SectionKind::InitData)?;
        init_data::read_memories(&mut self.cursor(&section))
    }

    pub(crate) fn cursor(&self, section: &Section<'a>) -> Cursor<'a> {
        // In range: `parse` took the body from these bytes.
        let end = section.offset + section.body.len();
        Cursor::new(
            self.bytes.get(..end).unwrap_or_default(),
            section.offset,
            section.kind().name(),
        )
    }
}
