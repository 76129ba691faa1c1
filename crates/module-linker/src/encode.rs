//! The modules, one after the other, with their new indices.

use crate::constant::Constants;
use crate::error::LinkError;
use crate::names;
use crate::read::Module;
use crate::resolve::{Maps, Plan, look_up, not_encodable};
use std::collections::BTreeSet;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, CustomSection, DataCountSection, DataSection, ElementSection, Elements, Encode,
    ExportSection, Function, FunctionSection, GlobalSection, ImportSection, Instruction,
    MemorySection, StartSection, TableSection, TypeSection,
};
use wasmparser::{ConstExpr, ExternalKind, Operator};

/// The result, and what its globals begin with.
pub fn encode(modules: &[Module<'_>], plan: &Plan<'_>) -> Result<(Vec<u8>, Constants), LinkError> {
    let mut sections = Sections::default();
    let mut constants = Constants::default();
    for &index in &plan.order {
        let maps = &plan.maps[index];
        let mut writer = Writer { maps, constants: &mut constants, referenced: BTreeSet::new() };
        sections.add(&modules[index], &mut writer).map_err(not_encodable)?;
    }
    let linked = sections.finish(modules, plan)?;
    Ok((linked, constants))
}

#[derive(Default)]
struct Sections {
    functions: FunctionSection,
    tables: TableSection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
    /// Functions that code refers to, which only an export of a library had announced.
    undeclared: BTreeSet<u32>,
}

impl Sections {
    fn add(
        &mut self,
        module: &Module<'_>,
        writer: &mut Writer<'_, '_>,
    ) -> Result<(), Error<LinkError>> {
        for ty in module.own_functions() {
            self.functions.function(writer.type_index(*ty)?);
        }
        for table in &module.tables {
            writer.parse_table(&mut self.tables, table.clone())?;
        }
        let imported = module.global_types.len() - module.globals.len();
        for (own, global) in (imported as u32..).zip(&module.globals) {
            let value = writer.constant(&global.init_expr)?;
            let ty = writer.global_type(global.ty)?;
            self.globals.global(ty, &wasm_encoder::ConstExpr::raw(value.iter().copied()));
            let new = writer.global_index(own)?;
            writer.constants.add(new, value);
        }
        for element in &module.elements {
            writer.parse_element(&mut self.elements, element.clone())?;
        }
        for body in &module.bodies {
            writer.parse_function_body(&mut self.code, body.clone())?;
        }
        for segment in &module.data {
            writer.parse_data(&mut self.data, segment.clone())?;
        }
        for export in &module.exports {
            if module.name.is_none() {
                writer.parse_export(&mut self.exports, *export)?;
            } else if export.kind == ExternalKind::Func {
                // What libraries export is for the other modules, and gone afterwards.
                let function = writer.function_index(export.index)?;
                self.undeclared.extend(writer.referenced.take(&function));
            }
        }
        Ok(())
    }

    fn finish(mut self, modules: &[Module<'_>], plan: &Plan<'_>) -> Result<Vec<u8>, LinkError> {
        let mut types = TypeSection::new();
        for ty in &plan.types {
            types.ty().func_type(ty);
        }
        let mut imports = ImportSection::new();
        for (module, name, ty) in &plan.hosts {
            imports.import(module, name, *ty);
        }
        let mut memories = MemorySection::new();
        if let Some(memory) = &plan.memory {
            memories.memory(*memory);
        }
        let start = self.add_start(&mut types, plan);
        if !self.undeclared.is_empty() {
            let functions: Vec<u32> = self.undeclared.iter().copied().collect();
            self.elements.declared(Elements::Functions(functions.into()));
        }

        let mut module = wasm_encoder::Module::new();
        module.section(&types).section(&imports).section(&self.functions);
        module.section(&self.tables).section(&memories).section(&self.globals);
        module.section(&self.exports);
        if let Some(function_index) = start {
            module.section(&StartSection { function_index });
        }
        module.section(&self.elements);
        if modules.iter().any(|module| module.counts_data) {
            module.section(&DataCountSection { count: self.data.len() });
        }
        module.section(&self.code).section(&self.data);
        module.section(&names::section(modules, plan, start)?);
        // The last one is the main module.
        for (name, data) in modules.last().map(|main| main.customs.as_slice()).unwrap_or_default() {
            if !is_about_offsets(name) && *name != names::SECTION {
                module.section(&CustomSection { name: (*name).into(), data: (*data).into() });
            }
        }
        Ok(module.finish())
    }

    /// A module has one start function. Where several want to be called, a new one calls
    /// them in their order.
    fn add_start(&mut self, types: &mut TypeSection, plan: &Plan<'_>) -> Option<u32> {
        let starts = match plan.starts.as_slice() {
            [] => return None,
            [one] => return Some(*one),
            several => several,
        };
        let new = plan.imported_functions + self.functions.len();
        let nothing =
            |ty: &wasm_encoder::FuncType| ty.params().is_empty() && ty.results().is_empty();
        let ty = plan.types.iter().position(nothing).map(|index| index as u32);
        self.functions.function(ty.unwrap_or_else(|| {
            types.ty().function([], []);
            types.len() - 1
        }));
        let mut body = Function::new([]);
        for start in starts {
            body.instruction(&Instruction::Call(*start));
        }
        body.instruction(&Instruction::End);
        self.code.function(&body);
        Some(new)
    }
}

/// These would speak of places that are elsewhere now.
fn is_about_offsets(section: &str) -> bool {
    section.starts_with(".debug_")
        || section.starts_with("metadata.code.")
        || matches!(section, "sourceMappingURL" | "external_debug_info" | "build_id")
}

/// Translates one module's indices.
struct Writer<'p, 'c> {
    maps: &'p Maps,
    constants: &'c mut Constants,
    /// By `ref.func` of a body.
    referenced: BTreeSet<u32>,
}

impl Writer<'_, '_> {
    fn constant(&mut self, expression: &ConstExpr<'_>) -> Result<Vec<u8>, Error<LinkError>> {
        let mut bytes = Vec::new();
        for operator in expression.get_operators_reader() {
            let operator = operator?;
            if let Operator::GlobalGet { global_index } = operator {
                let global = self.global_index(global_index)?;
                if self.constants.splice(global, &mut bytes).map_err(Error::UserError)? {
                    continue;
                }
            }
            if !matches!(operator, Operator::End) {
                self.instruction(operator)?.encode(&mut bytes);
            }
        }
        Ok(bytes)
    }
}

impl Reencode for Writer<'_, '_> {
    type Error = LinkError;

    fn type_index(&mut self, ty: u32) -> Result<u32, Error<LinkError>> {
        Ok(look_up(&self.maps.types, ty, "type")?)
    }

    fn function_index(&mut self, function: u32) -> Result<u32, Error<LinkError>> {
        Ok(look_up(&self.maps.functions, function, "function")?)
    }

    fn table_index(&mut self, table: u32) -> Result<u32, Error<LinkError>> {
        Ok(look_up(&self.maps.tables, table, "table")?)
    }

    fn global_index(&mut self, global: u32) -> Result<u32, Error<LinkError>> {
        Ok(look_up(&self.maps.globals, global, "global")?)
    }

    fn element_index(&mut self, element: u32) -> Result<u32, Error<LinkError>> {
        Ok(self.maps.first_element + element)
    }

    fn data_index(&mut self, data: u32) -> Result<u32, Error<LinkError>> {
        Ok(self.maps.first_data + data)
    }

    fn instruction<'a>(
        &mut self,
        operator: Operator<'a>,
    ) -> Result<Instruction<'a>, Error<LinkError>> {
        if let Operator::RefFunc { function_index } = operator {
            let function = self.function_index(function_index)?;
            self.referenced.insert(function);
        }
        utils::instruction(self, operator)
    }

    fn const_expr(
        &mut self,
        expression: ConstExpr<'_>,
    ) -> Result<wasm_encoder::ConstExpr, Error<LinkError>> {
        Ok(wasm_encoder::ConstExpr::raw(self.constant(&expression)?))
    }
}
