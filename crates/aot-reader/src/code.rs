//! Sections 2 and 3: machine code, and where in it each function begins
//! (`load_text_section`, `load_function_section`).

use crate::cursor::Cursor;
use crate::error::{Problem, ReadError};
use crate::init_data::InitData;
use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// Before the code; our compiler aligns by them.
    pub literal: &'a [u8],
    pub code: &'a [u8],
    /// Of the code, from the start of the file.
    pub code_offset: usize,
}

impl<'a> Text<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, ReadError> {
        if cursor.is_at_end() {
            // Accepted of a module without functions of its own.
            return Ok(Self { literal: &[], code: &[], code_offset: cursor.offset() });
        }
        let size = cursor.u32("the size of the literals")?;
        let literal = cursor.take(size as usize, "the literals")?;
        let code_offset = cursor.offset();
        Ok(Self { literal, code: cursor.rest(), code_offset })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Among all functions, the imported ones first.
    pub index: u32,
    /// From the start of the code.
    pub code_offset: u64,
    /// To where the next function is entered or the code ends: with what fills it up,
    /// and with code that is never entered directly.
    pub code_bytes: u64,
    pub type_index: u32,
    /// Of an interpreter-like frame; 0 where nobody reads it.
    pub local_cells: u32,
    pub stack_cells: u32,
}

impl Function {
    /// In the code.
    pub fn range(&self) -> Range<u64> {
        // Cannot overflow: `find_sizes` ends each within the code.
        self.code_offset..self.code_offset + self.code_bytes
    }
}

pub(crate) fn read_functions(
    cursor: &mut Cursor<'_>,
    init: &InitData<'_>,
    text: &Text<'_>,
    is_64_bit: bool,
) -> Result<Vec<Function>, ReadError> {
    let code_bytes = text.code.len() as u64;
    let mut functions = Vec::new();
    for own_index in 0..init.function_count {
        cursor.align(4);
        let at = cursor.offset();
        let code_offset = cursor.word(is_64_bit, "the functions' offsets")?;
        if code_offset >= code_bytes {
            let what = "offset of a function";
            let problem = Problem::OutOfRange { what, found: code_offset, limit: code_bytes };
            return Err(cursor.damaged_at(at, problem));
        }
        // As many imports as a u32 counts, and own functions that are in the file.
        let index = (init.imported_functions.len() as u32).wrapping_add(own_index);
        let unknown = Function {
            index,
            code_offset,
            code_bytes: 0,
            type_index: 0,
            local_cells: 0,
            stack_cells: 0,
        };
        functions.push(unknown);
    }
    for function in &mut functions {
        let at = cursor.offset();
        function.type_index = cursor.u32("the functions' types")?;
        let limit = init.types.len() as u64;
        if u64::from(function.type_index) >= limit {
            let found = function.type_index.into();
            let what = "type of a function";
            return Err(cursor.damaged_at(at, Problem::OutOfRange { what, found, limit }));
        }
    }
    for function in &mut functions {
        function.local_cells = cursor.u32("the functions' locals")?;
    }
    for function in &mut functions {
        function.stack_cells = cursor.u32("the functions' stacks")?;
    }
    cursor.finish()?;
    find_sizes(&mut functions, code_bytes);
    Ok(functions)
}

/// A file has offsets only, in any order, and two functions may share their code.
fn find_sizes(functions: &mut [Function], code_bytes: u64) {
    let mut starts: Vec<u64> = functions.iter().map(|function| function.code_offset).collect();
    starts.sort_unstable();
    starts.dedup();
    for function in functions {
        let next = starts.partition_point(|start| *start <= function.code_offset);
        let end = starts.get(next).copied().unwrap_or(code_bytes);
        function.code_bytes = end - function.code_offset;
    }
}
