//! Value types and function types (`load_types`).

use crate::cursor::Cursor;
use crate::error::{Problem, ReadError};
use std::fmt;

/// `VALUE_TYPE_*` (`interpreter/wasm.h`), as in Wasm's binary format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    I32,
    I64,
    F32,
    F64,
    V128,
    FuncRef,
    ExternRef,
}

impl ValueType {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x7f => Self::I32,
            0x7e => Self::I64,
            0x7d => Self::F32,
            0x7c => Self::F64,
            0x7b => Self::V128,
            0x70 => Self::FuncRef,
            0x6f => Self::ExternRef,
            _ => return None,
        })
    }

    pub(crate) fn read(cursor: &mut Cursor<'_>, what: &'static str) -> Result<Self, ReadError> {
        let at = cursor.offset();
        let byte = cursor.u8(what)?;
        Self::from_byte(byte).ok_or_else(|| {
            cursor.damaged_at(at, Problem::Value { what: "value type", found: byte.into() })
        })
    }

    /// A value type in the space of a u32, as element segments have it.
    pub(crate) fn read_u32(cursor: &mut Cursor<'_>, what: &'static str) -> Result<Self, ReadError> {
        cursor.align(4);
        let at = cursor.offset();
        let found = cursor.u32(what)?;
        let known = u8::try_from(found).ok().and_then(Self::from_byte);
        known.ok_or_else(|| {
            cursor.damaged_at(at, Problem::Value { what: "value type", found: found.into() })
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
            Self::FuncRef => "funcref",
            Self::ExternRef => "externref",
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionType {
    pub params: Vec<ValueType>,
    pub results: Vec<ValueType>,
}

impl FunctionType {
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ReadError> {
        cursor.align(4);
        let at = cursor.offset();
        let kind = cursor.u16("a type")?;
        if kind != 0 {
            // Structures and arrays, which only a GC runtime has.
            let found = kind.into();
            return Err(cursor.damaged_at(at, Problem::Value { what: "kind of type", found }));
        }
        let param_count = cursor.u16("a type")?;
        let result_count = cursor.u16("a type")?;
        let mut types = |count: u16| -> Result<Vec<_>, ReadError> {
            (0..count).map(|_| ValueType::read(cursor, "a type")).collect()
        };
        Ok(Self { params: types(param_count)?, results: types(result_count)? })
    }
}

/// "(i32, f64) -> i32"; several results in parentheses, none as "()".
impl fmt::Display for FunctionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |types: &[ValueType]| types.iter().map(|ty| ty.name()).collect::<Vec<_>>().join(", ");
        match self.results.as_slice() {
            [result] => write!(f, "({}) -> {result}", list(&self.params)),
            results => write!(f, "({}) -> ({})", list(&self.params), list(results)),
        }
    }
}
