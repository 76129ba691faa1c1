//! Section 4 (`load_exports`).

use crate::cursor::Cursor;
use crate::error::{Problem, ReadError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportKind {
    Function,
    Table,
    Memory,
    Global,
}

impl ExportKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Table => "table",
            Self::Memory => "memory",
            Self::Global => "global",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Export<'a> {
    pub name: &'a str,
    pub kind: ExportKind,
    pub index: u32,
}

const WHAT: &str = "an export";

impl<'a> Export<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, ReadError> {
        let index = cursor.u32(WHAT)?;
        let at = cursor.offset();
        let kind = match cursor.u8(WHAT)? {
            0 => ExportKind::Function,
            1 => ExportKind::Table,
            2 => ExportKind::Memory,
            3 => ExportKind::Global,
            other => {
                let what = "kind of export";
                return Err(cursor.damaged_at(at, Problem::Value { what, found: other.into() }));
            }
        };
        cursor.u8(WHAT)?; // padding
        Ok(Self { name: cursor.string(WHAT)?, kind, index })
    }
}
