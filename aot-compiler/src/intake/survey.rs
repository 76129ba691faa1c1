//! One walk over all instructions before translation: what is used, how large it gets.
//!
//! The translator needs some of it first (does the memory ever grow?), the limits
//! need the rest, and the census lists the proposals.

use super::module_info::{ModuleInfo, to_invalid};
use crate::error::{ModuleError, check_limit};
use crate::limits;
use std::collections::BTreeSet;
use wasmparser::{BlockType, ExternalKind, FunctionBody, Operator, TypeRef, ValType};

/// Names of the proposals after 1.0 that the translator implements.
const MUTABLE_GLOBAL: &str = "mutable-global";
const SIGN_EXTENSION: &str = "sign-extension";
const SATURATING_CONVERSION: &str = "saturating-float-to-int";
const MULTI_VALUE: &str = "multi-value";
const BULK_MEMORY: &str = "bulk-memory";
const REFERENCE_TYPES: &str = "reference-types";

#[derive(Debug, Default)]
pub(crate) struct ModuleSurvey {
    /// Sorted by name.
    pub proposals: BTreeSet<&'static str>,
    pub grown_tables: BTreeSet<u32>,
    pub grows_memory: bool,
    pub uses_bulk_memory: bool,
    pub uses_reference_types: bool,
    pub functions: Vec<FunctionSurvey>,
}

/// What decides how one function is compiled.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct FunctionSurvey {
    pub body_bytes: u64,
    pub locals: u64,
    pub memory_accesses: u64,
    pub loop_depth_max: u64,
}

impl FunctionSurvey {
    /// See `limits::OPTIMISED_FUNCTION_BYTES_MAX`.
    pub fn is_too_large_to_optimise(&self) -> bool {
        self.body_bytes > limits::OPTIMISED_FUNCTION_BYTES_MAX as u64
            || self.locals * self.memory_accesses > limits::OPTIMISED_LOCALS_ACCESSES_MAX
    }
}

pub(crate) fn survey(info: &ModuleInfo<'_>) -> Result<ModuleSurvey, ModuleError> {
    let mut survey = ModuleSurvey::default();
    survey.note_declarations(info);
    for (index, body) in info.bodies.iter().enumerate() {
        let function = info.imported_functions.len() + index;
        let params = info.function_type(function as u32).params().len() as u64;
        let surveyed = survey.walk_function(body, params)?;
        survey.functions.push(surveyed);
    }
    survey.uses_bulk_memory = survey.proposals.contains(BULK_MEMORY);
    survey.uses_reference_types = survey.proposals.contains(REFERENCE_TYPES);
    Ok(survey)
}

impl ModuleSurvey {
    fn note_declarations(&mut self, info: &ModuleInfo<'_>) {
        let is_reference = |ty: &ValType| matches!(ty, ValType::Ref(_));
        for ty in &info.types {
            self.note(MULTI_VALUE, ty.results().len() > 1);
            self.note(REFERENCE_TYPES, ty.params().iter().chain(ty.results()).any(is_reference));
        }
        let imports_mutable =
            |ty: &TypeRef| matches!(ty, TypeRef::Global(global) if global.mutable);
        self.note(MUTABLE_GLOBAL, info.imports.iter().any(|import| imports_mutable(&import.ty)));
        for export in info.exports.iter().filter(|export| export.kind == ExternalKind::Global) {
            self.note(MUTABLE_GLOBAL, info.globals[export.index as usize].mutable);
        }
        self.note(REFERENCE_TYPES, info.globals.iter().any(|global| is_reference(&global.ty)));
        self.note(REFERENCE_TYPES, info.tables.len() > 1);
        let is_extern = |kind| kind == super::RefKind::Extern;
        self.note(REFERENCE_TYPES, info.tables.iter().any(|table| is_extern(table.element)));
        let is_active =
            |mode: &super::ElementMode| matches!(mode, super::ElementMode::Active { .. });
        self.note(BULK_MEMORY, info.elements.iter().any(|segment| !is_active(&segment.mode)));
        self.note(BULK_MEMORY, info.data.iter().any(|segment| segment.offset.is_none()));
    }

    fn note(&mut self, proposal: &'static str, is_used: bool) {
        if is_used {
            self.proposals.insert(proposal);
        }
    }

    fn walk_function(
        &mut self,
        body: &FunctionBody<'_>,
        params: u64,
    ) -> Result<FunctionSurvey, ModuleError> {
        let mut function =
            FunctionSurvey { body_bytes: body.as_bytes().len() as u64, ..Default::default() };
        function.locals = params;
        for local in body.get_locals_reader().map_err(to_invalid)? {
            function.locals += u64::from(local.map_err(to_invalid)?.0);
        }
        check_limit("locals of a function", function.locals, limits::LOCALS_MAX)?;

        // The loops that are open, and for each open block whether it is one.
        let (mut open_loops, mut blocks) = (0, Vec::new());
        let mut operators = body.get_operators_reader().map_err(to_invalid)?;
        while !operators.eof() {
            let operator = operators.read().map_err(to_invalid)?;
            self.note_operator(&operator);
            match operator {
                Operator::Loop { .. } => {
                    open_loops += 1;
                    function.loop_depth_max = function.loop_depth_max.max(open_loops);
                    blocks.push(true);
                }
                Operator::Block { .. } | Operator::If { .. } => blocks.push(false),
                Operator::End => open_loops -= u64::from(blocks.pop().unwrap_or(false)),
                _ => function.memory_accesses += u64::from(is_memory_access(&operator)),
            }
        }
        let loop_locals = function.loop_depth_max * function.locals;
        check_limit("nested loops times locals", loop_locals, limits::LOOP_LOCALS_MAX)?;
        Ok(function)
    }

    fn note_operator(&mut self, operator: &Operator<'_>) {
        use Operator as O;
        match operator {
            O::Block { blockty } | O::Loop { blockty } | O::If { blockty } => {
                self.note(MULTI_VALUE, matches!(blockty, BlockType::FuncType(_)));
            }
            O::I32Extend8S
            | O::I32Extend16S
            | O::I64Extend8S
            | O::I64Extend16S
            | O::I64Extend32S => {
                self.note(SIGN_EXTENSION, true);
            }
            O::I32TruncSatF32S | O::I32TruncSatF32U | O::I32TruncSatF64S | O::I32TruncSatF64U => {
                self.note(SATURATING_CONVERSION, true);
            }
            O::I64TruncSatF32S | O::I64TruncSatF32U | O::I64TruncSatF64S | O::I64TruncSatF64U => {
                self.note(SATURATING_CONVERSION, true);
            }
            O::MemoryGrow { .. } => self.grows_memory = true,
            O::MemoryCopy { .. } | O::MemoryFill { .. } | O::MemoryInit { .. } => {
                self.note(BULK_MEMORY, true);
            }
            O::DataDrop { .. } => self.note(BULK_MEMORY, true),
            // WAMR offers the helpers for these with its reference-types switch.
            O::TableInit { .. } | O::TableCopy { .. } | O::ElemDrop { .. } => {
                self.note(BULK_MEMORY, true);
                self.note(REFERENCE_TYPES, true);
            }
            O::TableGrow { table } => {
                self.grown_tables.insert(*table);
                self.note(REFERENCE_TYPES, true);
            }
            O::TableGet { .. } | O::TableSet { .. } | O::TableSize { .. } | O::TableFill { .. } => {
                self.note(REFERENCE_TYPES, true);
            }
            O::RefNull { .. } | O::RefIsNull | O::RefFunc { .. } | O::TypedSelect { .. } => {
                self.note(REFERENCE_TYPES, true);
            }
            _ => {}
        }
    }
}

fn is_memory_access(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::I32Load { .. }
            | O::I64Load { .. }
            | O::F32Load { .. }
            | O::F64Load { .. }
            | O::I32Load8S { .. }
            | O::I32Load8U { .. }
            | O::I32Load16S { .. }
            | O::I32Load16U { .. }
            | O::I64Load8S { .. }
            | O::I64Load8U { .. }
            | O::I64Load16S { .. }
            | O::I64Load16U { .. }
            | O::I64Load32S { .. }
            | O::I64Load32U { .. }
            | O::I32Store { .. }
            | O::I64Store { .. }
            | O::F32Store { .. }
            | O::F64Store { .. }
            | O::I32Store8 { .. }
            | O::I32Store16 { .. }
            | O::I64Store8 { .. }
            | O::I64Store16 { .. }
            | O::I64Store32 { .. }
    )
}
