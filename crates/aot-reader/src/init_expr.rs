//! Initial values of globals, offsets of segments, entries of tables (`load_init_expr`).

use crate::cursor::Cursor;
use crate::error::{Problem, ReadError};
use std::fmt;

/// `INIT_EXPR_*` (`interpreter/wasm.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitOp {
    None,
    I32(u32),
    I64(u64),
    /// The bits.
    F32(u32),
    F64(u64),
    V128([u8; 16]),
    GlobalGet(u32),
    RefFunc(u32),
    RefNull,
    I32Add,
    I32Sub,
    I32Mul,
    I64Add,
    I64Sub,
    I64Mul,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitExpr {
    One(InitOp),
    /// Extended constants, each operation before its two operands, as in the file.
    Prefix(Vec<InitOp>),
}

impl InitOp {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, ReadError> {
        const WHAT: &str = "an initial value";
        cursor.align(4);
        let at = cursor.offset();
        Ok(match cursor.u32(WHAT)? {
            0x00 => Self::None,
            0x41 => Self::I32(cursor.u32(WHAT)?),
            0x42 => Self::I64(cursor.u64(WHAT)?),
            0x43 => Self::F32(cursor.u32(WHAT)?),
            0x44 => Self::F64(cursor.u64(WHAT)?),
            0xfd => {
                let bytes = cursor.take(16, WHAT)?.first_chunk().copied();
                Self::V128(bytes.unwrap_or_default())
            }
            0x23 => Self::GlobalGet(cursor.u32(WHAT)?),
            0xd2 => Self::RefFunc(cursor.u32(WHAT)?),
            0xd0 => {
                // Always the null of a reference; WAMR copies it as it is.
                cursor.u32(WHAT)?;
                Self::RefNull
            }
            0x6a => Self::I32Add,
            0x6b => Self::I32Sub,
            0x6c => Self::I32Mul,
            0x7c => Self::I64Add,
            0x7d => Self::I64Sub,
            0x7e => Self::I64Mul,
            other => {
                let what = "kind of initial value";
                return Err(cursor.damaged_at(at, Problem::Value { what, found: other.into() }));
            }
        })
    }

    fn is_binary(self) -> bool {
        self.symbol().is_some()
    }

    fn symbol(self) -> Option<&'static str> {
        match self {
            Self::I32Add => Some("i32.add"),
            Self::I32Sub => Some("i32.sub"),
            Self::I32Mul => Some("i32.mul"),
            Self::I64Add => Some("i64.add"),
            Self::I64Sub => Some("i64.sub"),
            Self::I64Mul => Some("i64.mul"),
            _ => None,
        }
    }
}

impl InitExpr {
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ReadError> {
        let first = InitOp::read(cursor)?;
        if !first.is_binary() {
            return Ok(Self::One(first));
        }
        // Counts what is still to come rather than recursing: a file can nest as
        // deep as it is long.
        let mut ops = vec![first];
        let mut pending: usize = 2;
        while pending > 0 {
            let op = InitOp::read(cursor)?;
            pending = if op.is_binary() { pending + 1 } else { pending - 1 };
            ops.push(op);
        }
        Ok(Self::Prefix(ops))
    }

    /// Whether there is no value, as for the offset of a passive segment.
    pub fn is_none(&self) -> bool {
        *self == Self::One(InitOp::None)
    }
}

impl fmt::Display for InitOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::I32(value) => write!(f, "i32 {}", *value as i32),
            Self::I64(value) => write!(f, "i64 {}", *value as i64),
            Self::F32(bits) => write!(f, "f32 {} ({bits:#010x})", f32::from_bits(*bits)),
            Self::F64(bits) => write!(f, "f64 {} ({bits:#018x})", f64::from_bits(*bits)),
            Self::V128(bytes) => write!(f, "v128 {:#034x}", u128::from_le_bytes(*bytes)),
            Self::GlobalGet(index) => write!(f, "global {index}"),
            Self::RefFunc(index) => write!(f, "function {index}"),
            Self::RefNull => f.write_str("null"),
            other => f.write_str(other.symbol().unwrap_or_default()),
        }
    }
}

impl fmt::Display for InitExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(op) => op.fmt(f),
            Self::Prefix(ops) => {
                for (index, op) in ops.iter().enumerate() {
                    write!(f, "{}{op}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}
