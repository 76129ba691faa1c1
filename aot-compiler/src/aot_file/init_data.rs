//! Section 1: everything of the module that is not code (`aot/aot_loader.c`,
//! `load_init_data_section`), in the layout of a runtime without the GC switch.

use super::writer::SectionWriter;
use crate::abi::NULL_REF;
use crate::intake::{
    ConstValue, DataSegment, ElementMode, GlobalInfo, ImportedFunction, ModuleInfo, RefKind,
    TableInfo,
};
use wasmparser::{FuncType, ValType};

/// Flag of a memory's or table's limits: a maximum is given (`MAX_PAGE_COUNT_FLAG`
/// and `MAX_TABLE_SIZE_FLAG`, `interpreter/wasm.h`).
const HAS_MAXIMUM: u8 = 1;

const PAGE_BYTES: u32 = crate::intake::WASM_PAGE_BYTES as u32;
/// All of a 32-bit memory (`DEFAULT_MAX_PAGES`, `interpreter/wasm.h`).
const PAGES_MAX: u32 = 65_536;

/// Value types (`VALUE_TYPE_*`, `interpreter/wasm.h`), as in the binary format.
const TYPE_I32: u8 = 0x7f;
const TYPE_I64: u8 = 0x7e;
const TYPE_F32: u8 = 0x7d;
const TYPE_F64: u8 = 0x7c;
const TYPE_V128: u8 = 0x7b;
const TYPE_FUNCREF: u8 = 0x70;
const TYPE_EXTERNREF: u8 = 0x6f;

/// Kinds of initial values (`INIT_EXPR_*`, `interpreter/wasm.h`).
const EXPR_NONE: u32 = 0x00;
const EXPR_GLOBAL_GET: u32 = 0x23;
const EXPR_I32_CONST: u32 = 0x41;
const EXPR_I64_CONST: u32 = 0x42;
const EXPR_F32_CONST: u32 = 0x43;
const EXPR_F64_CONST: u32 = 0x44;
const EXPR_V128_CONST: u32 = 0xfd;
const EXPR_REF_NULL: u32 = 0xd0;
const EXPR_REF_FUNC: u32 = 0xd2;

/// `WASM_TYPE_FUNC` (`interpreter/wasm.h`).
const TYPE_KIND_FUNC: u16 = 0;

/// An index that is not there.
const NONE: u32 = u32::MAX;

pub(super) fn write(info: &ModuleInfo<'_>) -> SectionWriter {
    let mut out = SectionWriter::new();
    write_memory(&mut out, info);
    write_data(&mut out, &info.data);
    write_tables(&mut out, &info.tables);
    write_elements(&mut out, info);
    write_types(&mut out, &info.types);
    out.u32(0); // imported globals, which are refused
    write_globals(&mut out, &info.globals);
    write_imported_functions(&mut out, info, &info.imported_functions);
    out.u32(info.function_types.len() as u32 - info.imported_function_count());
    out.u32(info.start.unwrap_or(NONE));
    write_aux_info(&mut out);
    out.u32(0); // object data sections: constants and jump tables lie in the code
    out
}

/// A module without a memory gets one of no pages: WAMR reads memory 0 on each call
/// into AoT code (`aot_call_function`), and the host then sees an empty one.
fn write_memory(out: &mut SectionWriter, info: &ModuleInfo<'_>) {
    out.u32(0); // imported memories, which are refused
    out.u32(1);
    let (flags, initial, maximum) = match info.memory {
        Some(memory) => {
            let flags = memory.maximum_pages.map_or(0, |_| HAS_MAXIMUM);
            (flags, memory.initial_pages, memory.maximum_pages.unwrap_or(PAGES_MAX))
        }
        None => (HAS_MAXIMUM, 0, 0),
    };
    out.u32(flags.into());
    out.u32(PAGE_BYTES);
    out.u32(initial);
    out.u32(maximum);
}

fn write_data(out: &mut SectionWriter, segments: &[DataSegment<'_>]) {
    out.u32(segments.len() as u32);
    for segment in segments {
        out.u32(segment.offset.is_none().into());
        out.u32(0); // memory index
        write_expr(out, segment.offset);
        out.u32(segment.bytes.len() as u32);
        out.bytes(segment.bytes);
    }
}

fn write_tables(out: &mut SectionWriter, tables: &[TableInfo]) {
    out.u32(0); // imported tables, which are refused
    out.u32(tables.len() as u32);
    for table in tables {
        out.u8(type_of_ref(table.element));
        out.u8(table.maximum.map_or(0, |_| HAS_MAXIMUM));
        out.u8(table.may_grow.into());
        out.u8(0);
        out.u32(table.initial);
        out.u32(table.slots_max());
    }
}

/// The tables' own values come first; `Translator::segment` counts on it.
fn write_elements(out: &mut SectionWriter, info: &ModuleInfo<'_>) {
    let segments = info.table_values.iter().chain(&info.elements);
    out.u32(segments.clone().count() as u32);
    for segment in segments {
        // Bit 0: not active; 3: declared (`wasm_elem_is_active` and its siblings).
        let (mode, table, offset) = match segment.mode {
            ElementMode::Active { table, offset } => (0, table, Some(offset)),
            ElementMode::Passive => (1, 0, None),
            ElementMode::Declared => (3, 0, None),
        };
        let element = type_of_ref(segment.element);
        out.u32(mode);
        out.u32(element.into());
        out.u32(table);
        write_expr(out, offset);
        // Eight bytes that only a GC runtime reads.
        out.u16(element.into());
        out.u16(0);
        out.u32(0);
        out.u32(segment.entries.len() as u32);
        segment.entries.iter().for_each(|entry| write_expr(out, Some(*entry)));
    }
}

fn write_types(out: &mut SectionWriter, types: &[FuncType]) {
    out.u32(types.len() as u32);
    for ty in types {
        out.align(4);
        out.u16(TYPE_KIND_FUNC);
        // Both at most `ARITY_MAX`.
        out.u16(ty.params().len() as u16);
        out.u16(ty.results().len() as u16);
        ty.params().iter().chain(ty.results()).for_each(|ty| out.u8(type_of_value(*ty)));
    }
}

fn write_globals(out: &mut SectionWriter, globals: &[GlobalInfo]) {
    out.u32(globals.len() as u32);
    for global in globals {
        out.align(4);
        out.u8(type_of_value(global.ty));
        out.u8(global.mutable.into());
        write_expr(out, global.value);
    }
}

fn write_imported_functions(
    out: &mut SectionWriter,
    info: &ModuleInfo<'_>,
    functions: &[ImportedFunction<'_>],
) {
    out.u32(functions.len() as u32);
    for function in functions {
        // At most `TYPES_MAX`; the canonical index of an import is its own or smaller.
        out.u16(info.canonical_types[function.type_index as usize] as u16);
        out.string(function.module);
        out.string(function.name);
    }
}

/// Where a C module's heap and stack lie. Only a host that puts its own heap into
/// the guest's memory reads it, and ours do not.
fn write_aux_info(out: &mut SectionWriter) {
    out.u32(NONE); // data_end global
    out.u64(0);
    out.u32(NONE); // heap_base global
    out.u64(0);
    out.u32(NONE); // stack pointer global
    out.u64(0);
    out.u32(0); // stack size
}

/// `load_init_expr`.
fn write_expr(out: &mut SectionWriter, value: Option<ConstValue>) {
    match value {
        None => out.u32(EXPR_NONE),
        Some(ConstValue::I32(value)) => write_expr32(out, EXPR_I32_CONST, value),
        Some(ConstValue::F32(bits)) => write_expr32(out, EXPR_F32_CONST, bits),
        Some(ConstValue::I64(value)) => write_expr64(out, EXPR_I64_CONST, value),
        Some(ConstValue::F64(bits)) => write_expr64(out, EXPR_F64_CONST, bits),
        Some(ConstValue::V128(bytes)) => {
            out.u32(EXPR_V128_CONST);
            out.bytes(&bytes);
        }
        Some(ConstValue::Global(index)) => write_expr32(out, EXPR_GLOBAL_GET, index),
        Some(ConstValue::Function(index)) => write_expr32(out, EXPR_REF_FUNC, index),
        // The operand is copied into the table or global as it is.
        Some(ConstValue::NullRef) => write_expr32(out, EXPR_REF_NULL, NULL_REF),
    }
}

fn write_expr32(out: &mut SectionWriter, kind: u32, operand: u32) {
    out.u32(kind);
    out.u32(operand);
}

fn write_expr64(out: &mut SectionWriter, kind: u32, operand: u64) {
    out.u32(kind);
    out.u64(operand);
}

fn type_of_ref(kind: RefKind) -> u8 {
    match kind {
        RefKind::Func => TYPE_FUNCREF,
        RefKind::Extern => TYPE_EXTERNREF,
    }
}

fn type_of_value(ty: ValType) -> u8 {
    match ty {
        ValType::I32 => TYPE_I32,
        ValType::I64 => TYPE_I64,
        ValType::F32 => TYPE_F32,
        ValType::F64 => TYPE_F64,
        ValType::V128 => TYPE_V128,
        ValType::Ref(ty) if ty.is_extern_ref() => TYPE_EXTERNREF,
        ValType::Ref(_) => TYPE_FUNCREF,
    }
}
