//! One input, validated, as lists in the order and index spaces of its own.

use crate::error::{LinkError, Who};
use wasmparser::{
    Data, Element, Export, ExternalKind, FuncType, FunctionBody, Global, GlobalType, Import,
    MemoryType, Parser, Payload, Table, TableType, TypeRef, Validator, WasmFeatures,
};

/// What can be linked: what the compiler takes (`aot-compiler/src/intake/validate.rs`).
/// Without tags, shared and 64-bit memories, and types that refer to later ones.
pub const LINKABLE: WasmFeatures = WasmFeatures::WASM1
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::FUNCTION_REFERENCES)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::RELAXED_SIMD);

#[derive(Default)]
pub struct Module<'a> {
    /// None for the main module.
    pub name: Option<&'a str>,
    pub types: Vec<FuncType>,
    pub imports: Vec<Import<'a>>,
    /// Type indices of all its functions, imported ones first.
    pub functions: Vec<u32>,
    pub imported_functions: u32,
    /// Of all of its tables, and of all of its globals, imported ones first.
    pub table_types: Vec<TableType>,
    pub global_types: Vec<GlobalType>,
    pub tables: Vec<Table<'a>>,
    pub memory: Option<MemoryType>,
    pub globals: Vec<Global<'a>>,
    pub exports: Vec<Export<'a>>,
    pub start: Option<u32>,
    pub elements: Vec<Element<'a>>,
    pub data: Vec<Data<'a>>,
    /// Whether it announces its data segments, as `memory.init` needs it.
    pub counts_data: bool,
    pub bodies: Vec<FunctionBody<'a>>,
    pub customs: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Module<'a> {
    pub fn who(&self) -> Who {
        Who(self.name.map(str::to_owned))
    }

    /// Type indices of its own functions.
    pub fn own_functions(&self) -> &[u32] {
        self.functions.get(self.imported_functions as usize..).unwrap_or_default()
    }

    pub fn uses_memory(&self) -> bool {
        let is_memory = |import: &Import<'_>| matches!(import.ty, TypeRef::Memory(_));
        self.memory.is_some() || self.imports.iter().any(is_memory)
    }

    pub fn exported(&self, name: &str, kind: ExternalKind) -> Option<u32> {
        let is_it = |export: &&Export<'_>| export.kind == kind && export.name == name;
        self.exports.iter().find(is_it).map(|export| export.index)
    }
}

pub fn validate(wasm: &[u8]) -> Result<(), wasmparser::Error> {
    Validator::new_with_features(LINKABLE).validate_all(wasm).map(|_| ())
}

pub fn read<'a>(name: Option<&'a str>, wasm: &'a [u8]) -> Result<Module<'a>, LinkError> {
    let mut module = Module { name, ..Module::default() };
    let who = module.who();
    let invalid = |error: wasmparser::Error| LinkError::Invalid {
        module: who.clone(),
        message: error.message().to_owned(),
        offset: error.offset(),
    };
    if !wasm.starts_with(b"\0asm") {
        return Err(LinkError::NotWasm { module: who });
    }
    validate(wasm).map_err(invalid)?;
    for payload in Parser::new(0).parse_all(wasm) {
        module.add(payload.map_err(invalid)?).map_err(invalid)?;
    }
    for (custom, _) in &module.customs {
        if *custom == "linking" || custom.starts_with("reloc.") {
            return Err(LinkError::ObjectFile { module: who });
        }
        if matches!(*custom, "dylink" | "dylink.0") {
            return Err(LinkError::DynamicLibrary { module: who });
        }
    }
    Ok(module)
}

impl<'a> Module<'a> {
    fn add(&mut self, payload: Payload<'a>) -> Result<(), wasmparser::Error> {
        match payload {
            Payload::TypeSection(types) => {
                for ty in types.into_iter_err_on_gc_types() {
                    self.types.push(ty?);
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(ty) => self.functions.push(ty),
                        TypeRef::Table(ty) => self.table_types.push(ty),
                        TypeRef::Global(ty) => self.global_types.push(ty),
                        _ => {}
                    }
                    self.imports.push(import);
                }
                self.imported_functions = self.functions.len() as u32;
            }
            Payload::FunctionSection(functions) => self.functions.extend(all(functions)?),
            Payload::TableSection(tables) => {
                self.tables = all(tables)?;
                self.table_types.extend(self.tables.iter().map(|table| table.ty));
            }
            // One at most: the validation allows no more.
            Payload::MemorySection(memories) => self.memory = all(memories)?.pop(),
            Payload::GlobalSection(globals) => {
                self.globals = all(globals)?;
                self.global_types.extend(self.globals.iter().map(|global| global.ty));
            }
            Payload::ExportSection(exports) => self.exports = all(exports)?,
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(elements) => self.elements = all(elements)?,
            Payload::DataCountSection { .. } => self.counts_data = true,
            Payload::DataSection(data) => self.data = all(data)?,
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            Payload::CustomSection(custom) => self.customs.push((custom.name(), custom.data())),
            _ => {}
        }
        Ok(())
    }
}

fn all<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
) -> Result<Vec<T>, wasmparser::Error> {
    section.into_iter().collect()
}
