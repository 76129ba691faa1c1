//! A valid module's sections, as plain lists in the order and index spaces of Wasm.
//!
//! Nothing here depends on a target. The bytes of names, data and function bodies
//! stay where they are in the input.

use super::constants::{ConstValue, ConstantReader};
use super::survey;
use crate::error::{ModuleError, check_limit};
use crate::limits;
use std::collections::HashMap;
use wasmparser::{
    ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, FuncType, FunctionBody,
    GlobalType, HeapType, MemoryType, Parser, Payload, RefType, TableInit, TableType, TypeRef,
    UnpackedIndex, ValType,
};

/// What WAMR calls a page and core WebAssembly too.
pub(crate) const WASM_PAGE_BYTES: u64 = 65_536;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefKind {
    Func,
    Extern,
}

impl RefKind {
    /// Only these two hierarchies exist without the GC proposal.
    fn from_wasm(ty: RefType) -> Self {
        if ty.is_extern_ref() { Self::Extern } else { Self::Func }
    }
}

pub(crate) struct ImportEntry<'a> {
    pub module: &'a str,
    pub name: &'a str,
    pub ty: TypeRef,
}

pub(crate) struct ImportedFunction<'a> {
    pub module: &'a str,
    pub name: &'a str,
    pub type_index: u32,
}

pub(crate) struct ExportEntry<'a> {
    pub name: &'a str,
    pub kind: ExternalKind,
    pub index: u32,
}

pub(crate) struct TableInfo {
    pub element: RefKind,
    pub initial: u32,
    pub maximum: Option<u32>,
    pub may_grow: bool,
}

impl TableInfo {
    /// The `max_size` that is written for WAMR, after `adjust_table_max_size` of
    /// `interpreter/wasm_loader.c`: room to double, at least 1024 slots.
    pub fn slots_max(&self) -> u32 {
        let room = self.initial.saturating_mul(2).max(1024);
        match self.maximum {
            Some(maximum) if maximum > self.initial => maximum.min(room),
            Some(_) => self.initial,
            None => room,
        }
    }

    /// `aot_get_tbl_data_slots` (`aot/aot_runtime.h`): slots of the instance.
    pub fn allocated_slots(&self) -> u32 {
        if self.may_grow { self.slots_max() } else { self.initial }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryInfo {
    pub initial_pages: u32,
    pub maximum_pages: Option<u32>,
}

pub(crate) struct GlobalInfo {
    pub ty: ValType,
    pub mutable: bool,
    /// None for an imported one.
    pub value: Option<ConstValue>,
}

pub(crate) enum ElementMode {
    Active { table: u32, offset: ConstValue },
    Passive,
    Declared,
}

pub(crate) struct ElementSegment {
    pub mode: ElementMode,
    pub element: RefKind,
    pub entries: Vec<ConstValue>,
}

pub(crate) struct DataSegment<'a> {
    /// None for a passive segment.
    pub offset: Option<ConstValue>,
    pub bytes: &'a [u8],
}

#[derive(Default)]
pub(crate) struct ModuleInfo<'a> {
    pub types: Vec<FuncType>,
    /// For each type the smallest index of an equal one: WAMR compares signatures
    /// of indirect calls by index.
    pub canonical_types: Vec<u32>,
    pub imports: Vec<ImportEntry<'a>>,
    pub imported_functions: Vec<ImportedFunction<'a>>,
    /// Type index of each function, imported ones first.
    pub function_types: Vec<u32>,
    pub tables: Vec<TableInfo>,
    pub memory: Option<MemoryInfo>,
    pub globals: Vec<GlobalInfo>,
    pub exports: Vec<ExportEntry<'a>>,
    pub start: Option<u32>,
    pub elements: Vec<ElementSegment>,
    pub data: Vec<DataSegment<'a>>,
    pub bodies: Vec<FunctionBody<'a>>,
    /// What fills whole tables before all element segments: initial values of tables,
    /// which WAMR has with its GC switch only.
    pub table_values: Vec<ElementSegment>,
    /// Whether the types of functions, tables or globals have references that cannot
    /// be null or are to functions of one type.
    pub has_typed_references: bool,
    /// Whether a constant expression calculates, which is a proposal of its own.
    pub has_extended_constants: bool,
}

impl<'a> ModuleInfo<'a> {
    /// Reads a module that passed validation.
    pub fn read(wasm: &'a [u8]) -> Result<Self, ModuleError> {
        let mut info = Self::default();
        let mut element_entries = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(to_invalid)? {
                Payload::TypeSection(types) => {
                    check_limit("types", types.count().into(), limits::TYPES_MAX as u64)?;
                    let types = types.into_iter_err_on_gc_types().collect::<Result<_, _>>();
                    info.set_types(types.map_err(to_invalid)?)?;
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let wasmparser::Import { module, name, ty } = import.map_err(to_invalid)?;
                        info.add_import(ImportEntry { module, name, ty })?;
                    }
                }
                Payload::FunctionSection(functions) => {
                    let count = info.function_types.len() as u64 + u64::from(functions.count());
                    check_limit("functions", count, limits::FUNCTIONS_MAX as u64)?;
                    for type_index in functions {
                        info.function_types.push(type_index.map_err(to_invalid)?);
                    }
                }
                Payload::TableSection(tables) => {
                    for table in tables {
                        let table = table.map_err(to_invalid)?;
                        info.add_table(&table.ty)?;
                        if let TableInit::Expr(value) = &table.init {
                            info.add_table_value(value)?;
                        }
                    }
                }
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        info.add_memory(&memory.map_err(to_invalid)?);
                    }
                }
                Payload::GlobalSection(globals) => {
                    check_limit("globals", globals.count().into(), limits::GLOBALS_MAX as u64)?;
                    for global in globals {
                        let global = global.map_err(to_invalid)?;
                        let value = info.read_const(&global.init_expr)?;
                        info.add_global(&global.ty, Some(value));
                    }
                }
                Payload::ExportSection(exports) => {
                    check_limit("exports", exports.count().into(), limits::EXPORTS_MAX as u64)?;
                    for export in exports {
                        let wasmparser::Export { name, kind, index } =
                            export.map_err(to_invalid)?;
                        info.exports.push(ExportEntry { name, kind, index });
                    }
                }
                Payload::StartSection { func, .. } => info.start = Some(func),
                Payload::ElementSection(elements) => {
                    for element in elements {
                        let segment = info.read_element(&element.map_err(to_invalid)?)?;
                        element_entries += segment.entries.len();
                        let limit = limits::ELEMENT_ENTRIES_MAX as u64;
                        check_limit("element segment entries", element_entries as u64, limit)?;
                        info.elements.push(segment);
                    }
                }
                Payload::DataSection(data) => {
                    for segment in data {
                        let segment = info.read_data(&segment.map_err(to_invalid)?)?;
                        info.data.push(segment);
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let bytes = body.as_bytes().len() as u64;
                    check_limit("bytes of a function", bytes, limits::FUNCTION_BYTES_MAX as u64)?;
                    info.bodies.push(body);
                }
                _ => {}
            }
        }
        Ok(info)
    }

    pub fn function_type(&self, function: u32) -> &FuncType {
        &self.types[self.function_types[function as usize] as usize]
    }

    pub fn canonical_type_of(&self, function: u32) -> u32 {
        self.canonical_types[self.function_types[function as usize] as usize]
    }

    pub fn imported_function_count(&self) -> u32 {
        self.imported_functions.len() as u32
    }

    fn set_types(&mut self, types: Vec<FuncType>) -> Result<(), ModuleError> {
        let mut smallest: HashMap<FuncType, u32> = HashMap::new();
        for (index, ty) in types.iter().enumerate() {
            let arity = ty.params().len().max(ty.results().len());
            check_limit("parameters or results", arity as u64, limits::ARITY_MAX as u64)?;
            self.has_typed_references |=
                ty.params().iter().chain(ty.results()).any(is_typed_reference);
            let ty = canonicalize(ty, index as u32, &self.canonical_types);
            self.canonical_types.push(*smallest.entry(ty).or_insert(index as u32));
        }
        self.types = types;
        Ok(())
    }

    fn add_import(&mut self, import: ImportEntry<'a>) -> Result<(), ModuleError> {
        check_limit("imports", self.imports.len() as u64 + 1, limits::IMPORTS_MAX as u64)?;
        let ImportEntry { module, name, ty } = import;
        match ty {
            TypeRef::Func(type_index) | TypeRef::FuncExact(type_index) => {
                self.imported_functions.push(ImportedFunction { module, name, type_index });
                self.function_types.push(type_index);
            }
            TypeRef::Table(table) => self.add_table(&table)?,
            TypeRef::Memory(memory) => self.add_memory(&memory),
            TypeRef::Global(global) => self.add_global(&global, None),
            TypeRef::Tag(_) => {}
        }
        self.imports.push(ImportEntry { module, name, ty });
        Ok(())
    }

    fn add_table(&mut self, ty: &TableType) -> Result<(), ModuleError> {
        check_limit("tables", self.tables.len() as u64 + 1, limits::TABLES_MAX as u64)?;
        let slots_before: u64 = self.tables.iter().map(|table| u64::from(table.initial)).sum();
        check_limit(
            "table slots",
            slots_before.saturating_add(ty.initial),
            limits::TABLE_SLOTS_MAX,
        )?;
        self.tables.push(TableInfo {
            element: RefKind::from_wasm(ty.element_type),
            initial: clamp_to_u32(ty.initial),
            maximum: ty.maximum.map(clamp_to_u32),
            may_grow: false,
        });
        self.has_typed_references |= is_typed_reference(&ValType::Ref(ty.element_type));
        Ok(())
    }

    /// `table_values` counts against the same limit as the element segments.
    fn add_table_value(&mut self, value: &ConstExpr<'_>) -> Result<(), ModuleError> {
        self.has_typed_references = true;
        let value = self.read_const(value)?;
        let table = self.tables.len() as u32 - 1;
        let Some(TableInfo { element, initial, .. }) = self.tables.last() else { return Ok(()) };
        if value == ConstValue::NullRef {
            return Ok(());
        }
        let entries: usize = self.table_values.iter().map(|fill| fill.entries.len()).sum();
        let entries = entries as u64 + u64::from(*initial);
        check_limit("element segment entries", entries, limits::ELEMENT_ENTRIES_MAX as u64)?;
        self.table_values.push(ElementSegment {
            mode: ElementMode::Active { table, offset: ConstValue::I32(0) },
            element: *element,
            entries: vec![value; *initial as usize],
        });
        Ok(())
    }

    fn add_memory(&mut self, ty: &MemoryType) {
        self.memory = Some(MemoryInfo {
            initial_pages: clamp_to_u32(ty.initial),
            maximum_pages: ty.maximum.map(clamp_to_u32),
        });
    }

    fn add_global(&mut self, ty: &GlobalType, value: Option<ConstValue>) {
        self.has_typed_references |= is_typed_reference(&ty.content_type);
        self.globals.push(GlobalInfo { ty: ty.content_type, mutable: ty.mutable, value });
    }

    /// Notes what only the instructions tell: which tables may grow.
    pub fn apply_survey(&mut self, survey: &survey::ModuleSurvey) {
        for &table in &survey.grown_tables {
            self.tables[table as usize].may_grow = true;
        }
    }
}

/// A reference type that came after WebAssembly 2.0.
pub(super) fn is_typed_reference(ty: &ValType) -> bool {
    match ty {
        ValType::Ref(ty) => ty.is_concrete_type_ref() || !ty.is_nullable(),
        _ => false,
    }
}

/// The type with the smallest of equal indices in each reference. Types refer to
/// themselves or to earlier ones only.
fn canonicalize(ty: &FuncType, index: u32, canonical_types: &[u32]) -> FuncType {
    let canonical = |ty: &ValType| {
        let ValType::Ref(reference) = ty else { return *ty };
        let HeapType::Concrete(referred) = reference.heap_type() else { return *ty };
        let Some(referred) = referred.as_module_index() else { return *ty };
        let referred = match canonical_types.get(referred as usize) {
            Some(canonical) if referred != index => UnpackedIndex::Module(*canonical),
            _ => UnpackedIndex::RecGroup(0),
        };
        let heap_type = HeapType::Concrete(referred);
        RefType::new(reference.is_nullable(), heap_type).map_or(*ty, ValType::Ref)
    };
    FuncType::new(ty.params().iter().map(canonical), ty.results().iter().map(canonical))
}

/// Limits of memories and tables are 32-bit once validated without memory64.
fn clamp_to_u32(limit: u64) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// Reading what was just validated does not fail; if it does, it is told as is.
pub(crate) fn to_invalid(error: wasmparser::Error) -> ModuleError {
    let (message, offset) = (error.message().to_owned(), error.offset());
    ModuleError::Invalid { message, function: None, offset }
}

impl ModuleInfo<'_> {
    fn read_const(&mut self, expr: &ConstExpr<'_>) -> Result<ConstValue, ModuleError> {
        let mut reader = ConstantReader { globals: &self.globals, is_extended: false };
        let value = reader.read(expr)?;
        self.has_extended_constants |= reader.is_extended;
        Ok(value)
    }

    fn read_element(
        &mut self,
        element: &wasmparser::Element<'_>,
    ) -> Result<ElementSegment, ModuleError> {
        let mode = match &element.kind {
            ElementKind::Passive => ElementMode::Passive,
            ElementKind::Declared => ElementMode::Declared,
            ElementKind::Active { table_index, offset_expr } => ElementMode::Active {
                table: table_index.unwrap_or(0),
                offset: self.read_const(offset_expr)?,
            },
        };
        let (element, entries) = match &element.items {
            ElementItems::Functions(functions) => {
                let entries = functions.clone().into_iter();
                let entries =
                    entries.map(|index| index.map(ConstValue::Function).map_err(to_invalid));
                (RefKind::Func, entries.collect::<Result<_, _>>()?)
            }
            ElementItems::Expressions(ty, expressions) => {
                let entries = expressions.clone().into_iter();
                let entries = entries.map(|expr| self.read_const(&expr.map_err(to_invalid)?));
                (RefKind::from_wasm(*ty), entries.collect::<Result<_, _>>()?)
            }
        };
        Ok(ElementSegment { mode, element, entries })
    }

    fn read_data<'d>(
        &mut self,
        data: &wasmparser::Data<'d>,
    ) -> Result<DataSegment<'d>, ModuleError> {
        let offset = match &data.kind {
            DataKind::Passive => None,
            DataKind::Active { offset_expr, .. } => Some(self.read_const(offset_expr)?),
        };
        Ok(DataSegment { offset, bytes: data.data })
    }
}
