//! Section 1: everything of the module that is not code (`load_init_data_section`).

use crate::cursor::Cursor;
use crate::error::{Problem, ReadError};
use crate::init_expr::InitExpr;
use crate::types::{FunctionType, ValueType};

/// An index that is not there.
const NONE: u32 = u32::MAX;

/// A memory that the module declares or imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryInfo {
    /// 1 a maximum is given, 2 shared, 4 of 64-bit addresses.
    pub flags: u32,
    pub page_bytes: u32,
    pub initial_pages: u32,
    pub max_pages: u32,
}

impl MemoryInfo {
    pub fn initial_bytes(self) -> u64 {
        u64::from(self.page_bytes) * u64::from(self.initial_pages)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSegment<'a> {
    pub is_passive: bool,
    pub memory_index: u32,
    pub offset: InitExpr,
    pub bytes: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    pub element: ValueType,
    /// 1 a maximum is given, 2 shared, 4 of 64-bit indices.
    pub flags: u8,
    pub may_grow: bool,
    pub initial: u32,
    pub maximum: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementMode {
    Active,
    Passive,
    Declared,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementSegment {
    pub mode: ElementMode,
    pub element: ValueType,
    pub table_index: u32,
    pub offset: InitExpr,
    pub entries: Vec<InitExpr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedGlobal<'a> {
    pub ty: ValueType,
    pub is_mutable: bool,
    pub module: &'a str,
    pub name: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global {
    pub ty: ValueType,
    pub is_mutable: bool,
    pub value: InitExpr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedFunction<'a> {
    pub type_index: u16,
    pub module: &'a str,
    pub name: &'a str,
}

/// Where a C module's heap and stack lie, for a host that puts its own heap there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuxInfo {
    pub data_end_global: Option<u32>,
    pub data_end: u64,
    pub heap_base_global: Option<u32>,
    pub heap_base: u64,
    pub stack_top_global: Option<u32>,
    pub stack_bottom: u64,
    pub stack_bytes: u32,
}

/// Constants outside of the code, as LLVM's files have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectDataSection<'a> {
    pub name: &'a str,
    pub bytes: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitData<'a> {
    pub memories: Vec<MemoryInfo>,
    pub data: Vec<DataSegment<'a>>,
    pub tables: Vec<Table>,
    pub elements: Vec<ElementSegment>,
    pub types: Vec<FunctionType>,
    pub imported_globals: Vec<ImportedGlobal<'a>>,
    pub globals: Vec<Global>,
    pub imported_functions: Vec<ImportedFunction<'a>>,
    /// Own functions, without the imported ones.
    pub function_count: u32,
    pub start: Option<u32>,
    pub aux: AuxInfo,
    pub object_data: Vec<ObjectDataSection<'a>>,
}

impl<'a> InitData<'a> {
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, ReadError> {
        let read = Self {
            memories: read_memories(cursor)?,
            data: cursor.list("the data segments", read_data_segment)?,
            tables: read_tables(cursor)?,
            elements: cursor.list("the element segments", read_element_segment)?,
            types: cursor.list("the types", FunctionType::read)?,
            imported_globals: cursor.list("the imported globals", read_imported_global)?,
            globals: cursor.list("the globals", read_global)?,
            imported_functions: cursor.list("the imported functions", read_imported_function)?,
            function_count: cursor.u32("the number of functions")?,
            start: read_index(cursor, "the start function")?,
            aux: read_aux_info(cursor)?,
            object_data: cursor.list("the object data sections", read_object_data)?,
        };
        cursor.finish()?;
        Ok(read)
    }
}

/// The imported memories' or tables' count, which WAMR's compiler and ours always
/// write as 0: both list imports among the module's own.
fn expect_no_imports(cursor: &mut Cursor<'_>, what: &'static str) -> Result<(), ReadError> {
    cursor.align(4);
    let at = cursor.offset();
    match cursor.u32(what)? {
        0 => Ok(()),
        found => {
            Err(cursor.damaged_at(at, Problem::OutOfRange { what, found: found.into(), limit: 0 }))
        }
    }
}

pub(crate) fn read_memories(cursor: &mut Cursor<'_>) -> Result<Vec<MemoryInfo>, ReadError> {
    const WHAT: &str = "the list of memories";
    expect_no_imports(cursor, "the number of imported memories")?;
    cursor.list(WHAT, |cursor| {
        Ok(MemoryInfo {
            flags: cursor.u32(WHAT)?,
            page_bytes: cursor.u32(WHAT)?,
            initial_pages: cursor.u32(WHAT)?,
            max_pages: cursor.u32(WHAT)?,
        })
    })
}

/// `load_mem_init_data_list`.
fn read_data_segment<'a>(cursor: &mut Cursor<'a>) -> Result<DataSegment<'a>, ReadError> {
    const WHAT: &str = "a data segment";
    let is_passive = cursor.u32(WHAT)? != 0;
    let memory_index = cursor.u32(WHAT)?;
    let offset = InitExpr::read(cursor)?;
    let size = cursor.u32(WHAT)?;
    Ok(DataSegment { is_passive, memory_index, offset, bytes: cursor.take(size as usize, WHAT)? })
}

/// `load_table_list`.
fn read_tables(cursor: &mut Cursor<'_>) -> Result<Vec<Table>, ReadError> {
    const WHAT: &str = "the list of tables";
    expect_no_imports(cursor, "the number of imported tables")?;
    cursor.list(WHAT, |cursor| {
        let element = ValueType::read(cursor, WHAT)?;
        let flags = cursor.u8(WHAT)?;
        let may_grow = cursor.u8(WHAT)? != 0;
        cursor.u8(WHAT)?; // padding
        Ok(Table {
            element,
            flags,
            may_grow,
            initial: cursor.u32(WHAT)?,
            maximum: cursor.u32(WHAT)?,
        })
    })
}

/// `load_table_init_data_list`.
fn read_element_segment(cursor: &mut Cursor<'_>) -> Result<ElementSegment, ReadError> {
    const WHAT: &str = "an element segment";
    cursor.align(4);
    let at = cursor.offset();
    let mode = match cursor.u32(WHAT)? {
        0 | 2 => ElementMode::Active,
        1 => ElementMode::Passive,
        3 => ElementMode::Declared,
        other => {
            let what = "mode of element segment";
            return Err(cursor.damaged_at(at, Problem::Value { what, found: other.into() }));
        }
    };
    let element = ValueType::read_u32(cursor, WHAT)?;
    let table_index = cursor.u32(WHAT)?;
    let offset = InitExpr::read(cursor)?;
    cursor.u64(WHAT)?; // a reference type that only a GC runtime reads
    let entries = cursor.list(WHAT, InitExpr::read)?;
    Ok(ElementSegment { mode, element, table_index, offset, entries })
}

/// `load_import_globals`.
fn read_imported_global<'a>(cursor: &mut Cursor<'a>) -> Result<ImportedGlobal<'a>, ReadError> {
    const WHAT: &str = "an imported global";
    cursor.align(2);
    Ok(ImportedGlobal {
        ty: ValueType::read(cursor, WHAT)?,
        is_mutable: cursor.u8(WHAT)? != 0,
        module: cursor.string(WHAT)?,
        name: cursor.string(WHAT)?,
    })
}

/// `load_globals`.
fn read_global(cursor: &mut Cursor<'_>) -> Result<Global, ReadError> {
    const WHAT: &str = "a global";
    cursor.align(4);
    Ok(Global {
        ty: ValueType::read(cursor, WHAT)?,
        is_mutable: cursor.u8(WHAT)? != 0,
        value: InitExpr::read(cursor)?,
    })
}

/// `load_import_funcs`.
fn read_imported_function<'a>(cursor: &mut Cursor<'a>) -> Result<ImportedFunction<'a>, ReadError> {
    const WHAT: &str = "an imported function";
    Ok(ImportedFunction {
        type_index: cursor.u16(WHAT)?,
        module: cursor.string(WHAT)?,
        name: cursor.string(WHAT)?,
    })
}

fn read_index(cursor: &mut Cursor<'_>, what: &'static str) -> Result<Option<u32>, ReadError> {
    Ok(Some(cursor.u32(what)?).filter(|index| *index != NONE))
}

fn read_aux_info(cursor: &mut Cursor<'_>) -> Result<AuxInfo, ReadError> {
    const WHAT: &str = "where heap and stack lie";
    Ok(AuxInfo {
        data_end_global: read_index(cursor, WHAT)?,
        data_end: cursor.u64(WHAT)?,
        heap_base_global: read_index(cursor, WHAT)?,
        heap_base: cursor.u64(WHAT)?,
        stack_top_global: read_index(cursor, WHAT)?,
        stack_bottom: cursor.u64(WHAT)?,
        stack_bytes: cursor.u32(WHAT)?,
    })
}

/// `load_object_data_sections`.
fn read_object_data<'a>(cursor: &mut Cursor<'a>) -> Result<ObjectDataSection<'a>, ReadError> {
    const WHAT: &str = "an object data section";
    let name = cursor.string(WHAT)?;
    let size = cursor.u32(WHAT)?;
    Ok(ObjectDataSection { name, bytes: cursor.take(size as usize, WHAT)? })
}
