//! What a module is and what it wants, for people and for the checks before a deploy.

use crate::error::ModuleError;
use crate::guest_stack::guest_stack_bytes;
use crate::intake::{self, ModuleInfo};
use std::fmt::Write;
use wasmparser::{ExternalKind, FuncType, TypeRef, ValType};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternKind {
    Function,
    Table,
    Memory,
    Global,
}

impl ExternKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Table => "table",
            Self::Memory => "memory",
            Self::Global => "global",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub module: String,
    pub name: String,
    pub kind: ExternKind,
    /// "(i32, i32) -> i32" of a function, else a description.
    pub signature: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub name: String,
    pub kind: ExternKind,
    pub signature: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryNeeds {
    pub min_pages: u32,
    pub max_pages: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableNeeds {
    pub min_slots: u32,
    pub max_slots: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    pub imports: Vec<Import>,
    pub exports: Vec<Export>,
    /// Own functions, without the imported ones.
    pub function_count: u32,
    pub memory: Option<MemoryNeeds>,
    pub tables: Vec<TableNeeds>,
    pub global_count: u32,
    /// Bytes of all data segments.
    pub data_bytes: u64,
    /// Bytes of all function bodies, as Wasm.
    pub code_bytes: u64,
    /// Proposals after WebAssembly 1.0 that were seen in use.
    pub proposals: Vec<&'static str>,
    pub has_start: bool,
    /// The stack in linear memory that compilers of C and Rust set up; None where it
    /// cannot be told.
    pub guest_stack_bytes: Option<u64>,
}

/// Validates completely and lists what a module is and wants.
pub fn census(wasm: &[u8]) -> Result<Census, ModuleError> {
    let module = intake::read_module(wasm)?;
    let info = &module.info;
    Ok(Census {
        imports: info.imports.iter().map(|import| list_import(info, import)).collect(),
        exports: info.exports.iter().map(|export| list_export(info, export)).collect(),
        function_count: info.bodies.len() as u32,
        memory: info.memory.map(|memory| MemoryNeeds {
            min_pages: memory.initial_pages,
            max_pages: memory.maximum_pages,
        }),
        tables: info
            .tables
            .iter()
            .map(|table| TableNeeds { min_slots: table.initial, max_slots: table.maximum })
            .collect(),
        global_count: info.globals.len() as u32,
        data_bytes: info.data.iter().map(|segment| segment.bytes.len() as u64).sum(),
        code_bytes: info.bodies.iter().map(|body| body.as_bytes().len() as u64).sum(),
        proposals: module.survey.proposals.iter().copied().collect(),
        has_start: info.start.is_some(),
        guest_stack_bytes: guest_stack_bytes(wasm, info),
    })
}

fn list_import(info: &ModuleInfo<'_>, import: &intake::ImportEntry<'_>) -> Import {
    let (kind, signature) = match import.ty {
        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
            (ExternKind::Function, describe_function(&info.types[ty as usize]))
        }
        TypeRef::Table(table) => (ExternKind::Table, describe_table(table.initial, table.maximum)),
        TypeRef::Memory(memory) => {
            (ExternKind::Memory, describe_memory(memory.initial, memory.maximum))
        }
        TypeRef::Global(global) => {
            (ExternKind::Global, describe_global(global.content_type, global.mutable))
        }
        // Not validated without the exception-handling proposal.
        TypeRef::Tag(_) => (ExternKind::Function, "exception tag".to_owned()),
    };
    Import { module: import.module.to_owned(), name: import.name.to_owned(), kind, signature }
}

fn list_export(info: &ModuleInfo<'_>, export: &intake::ExportEntry<'_>) -> Export {
    let index = export.index as usize;
    let (kind, signature) = match export.kind {
        ExternalKind::Table => {
            let table = &info.tables[index];
            let maximum = table.maximum.map(u64::from);
            (ExternKind::Table, describe_table(table.initial.into(), maximum))
        }
        ExternalKind::Memory => {
            let memory = info.memory.map_or((0, None), |m| (m.initial_pages, m.maximum_pages));
            (ExternKind::Memory, describe_memory(memory.0.into(), memory.1.map(u64::from)))
        }
        ExternalKind::Global => {
            let global = &info.globals[index];
            (ExternKind::Global, describe_global(global.ty, global.mutable))
        }
        ExternalKind::Func | ExternalKind::FuncExact | ExternalKind::Tag => {
            (ExternKind::Function, describe_function(info.function_type(export.index)))
        }
    };
    Export { name: export.name.to_owned(), kind, signature }
}

/// "(i32, f64) -> i32"; several results in parentheses, none as "()".
pub(crate) fn describe_function(ty: &FuncType) -> String {
    let list =
        |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match ty.results() {
        [result] => format!("({}) -> {result}", list(ty.params())),
        results => format!("({}) -> ({})", list(ty.params()), list(results)),
    }
}

fn describe_table(initial: u64, maximum: Option<u64>) -> String {
    describe_limits("table of", initial, maximum, "entries")
}

fn describe_memory(initial: u64, maximum: Option<u64>) -> String {
    describe_limits("memory of", initial, maximum, "pages")
}

fn describe_limits(what: &str, initial: u64, maximum: Option<u64>, unit: &str) -> String {
    let mut text = format!("{what} {initial} {unit}");
    if let Some(maximum) = maximum {
        // Writing to a String does not fail.
        let _ = write!(text, ", at most {maximum}");
    }
    text
}

fn describe_global(ty: ValType, mutable: bool) -> String {
    format!("{}global {ty}", if mutable { "mutable " } else { "" })
}
