//! One walk over all instructions before translation: what is used, how large it gets.
//!
//! The translator needs some of it first (does the memory ever grow?), the limits
//! need the rest, and the census lists the proposals.

use super::module_info::{ModuleInfo, is_typed_reference, to_invalid};
use super::operator_groups::group_of;
use super::tail_calls::TailCalls;
use crate::error::{ModuleError, check_limit};
use crate::limits;
use std::collections::BTreeSet;
use target_spec::BoundsChecks;
use wasmparser::{BlockType, ExternalKind, FunctionBody, Operator, TypeRef, ValType};

/// Names of the proposals after 1.0 that the translator implements.
const MUTABLE_GLOBAL: &str = "mutable-global";
const SIGN_EXTENSION: &str = "sign-extension";
const SATURATING_CONVERSION: &str = "saturating-float-to-int";
const MULTI_VALUE: &str = "multi-value";
const BULK_MEMORY: &str = "bulk-memory";
const REFERENCE_TYPES: &str = "reference-types";
const EXTENDED_CONST: &str = "extended-const";
const TAIL_CALL: &str = "tail-call";
const FUNCTION_REFERENCES: &str = "function-references";
const SIMD: &str = "simd";
const RELAXED_SIMD: &str = "relaxed-simd";

#[derive(Debug, Default)]
pub(crate) struct ModuleSurvey {
    /// Sorted by name.
    pub proposals: BTreeSet<&'static str>,
    pub grown_tables: BTreeSet<u32>,
    pub grows_memory: bool,
    pub uses_bulk_memory: bool,
    pub uses_reference_types: bool,
    pub uses_simd: bool,
    pub tail_calls: TailCalls,
    pub functions: Vec<FunctionSurvey>,
    /// Named by a `ref.func`.
    pub referenced_functions: BTreeSet<u32>,
    /// For each function, imported ones first, how many `call`s name it.
    pub call_sites: Vec<u32>,
    /// What one function may take in by inlining: its share of what all may.
    pub inlined_bytes_max: u64,
}

/// What decides how one function is compiled.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct FunctionSurvey {
    pub body_bytes: u64,
    pub locals: u64,
    /// Loads, stores and calls: branches of their own with software checks only.
    pub accesses_and_calls: u64,
    /// Divisions, conversions and table accesses, which always test first.
    pub tests: u64,
    pub loop_depth_max: u64,
    pub has_tail_calls: bool,
    /// Bytes of calls with a constant of the module's last function, which in a
    /// metered module are the charges.
    pub charge_bytes: u64,
}

/// How much time a function may take, in steps that do not depend on the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Optimised.
    Full,
    /// Not optimised, registers allocated well.
    Plain,
    /// Not optimised, registers allocated in one pass.
    Linear,
}

impl FunctionSurvey {
    /// Adds what was translated in a call's place.
    pub fn take_in(&mut self, callee: &Self) {
        self.body_bytes += callee.body_bytes;
        self.locals += callee.locals;
        self.accesses_and_calls += callee.accesses_and_calls;
        self.tests += callee.tests;
        self.loop_depth_max += callee.loop_depth_max;
    }

    /// `stack_height_max`: operands that the body has on the stack at once.
    pub fn effort(&self, bounds: BoundsChecks, stack_height_max: u64) -> Effort {
        let branches = self.branch_weight(bounds);
        let values = self.locals + stack_height_max;
        if self.body_bytes > limits::ALLOCATED_BODY_BYTES_MAX
            || values * branches > limits::ALLOCATED_VALUE_BRANCHES_MAX
            || self.locals * self.loop_depth_max > limits::ALLOCATED_LOOP_LOCALS_MAX
        {
            return Effort::Linear;
        }
        if branches > limits::OPTIMISED_BRANCHES_MAX { Effort::Plain } else { Effort::Full }
    }

    /// With hardware checks accesses are no branches, but still values to keep; ten
    /// of these cost about as much as one with its branch.
    fn branch_weight(&self, bounds: BoundsChecks) -> u64 {
        match bounds {
            BoundsChecks::Software => self.tests + self.accesses_and_calls,
            BoundsChecks::Hardware => self.tests + self.accesses_and_calls / 10,
        }
    }
}

pub(crate) fn survey(info: &ModuleInfo<'_>) -> Result<ModuleSurvey, ModuleError> {
    let call_sites = vec![0; info.function_types.len()];
    let mut survey = ModuleSurvey { call_sites, ..Default::default() };
    survey.note_declarations(info);
    for (index, body) in info.bodies.iter().enumerate() {
        let function = info.imported_functions.len() + index;
        let params = info.function_type(function as u32).params().len() as u64;
        let surveyed = survey.walk_function(info, function as u32, body, params)?;
        survey.functions.push(surveyed);
    }
    survey.uses_bulk_memory = survey.proposals.contains(BULK_MEMORY);
    survey.uses_reference_types = survey.proposals.contains(REFERENCE_TYPES);
    survey.tail_calls.close(info);
    survey.uses_simd = survey.proposals.contains(SIMD);
    survey.inlined_bytes_max = inlined_bytes_max(&survey.functions);
    Ok(survey)
}

/// The same for each function, so that neither order nor threads change what it gets.
fn inlined_bytes_max(functions: &[FunctionSurvey]) -> u64 {
    let code_bytes: u64 = functions.iter().map(|function| function.body_bytes).sum();
    let of_all =
        limits::INLINED_MODULE_BYTES.max(code_bytes.saturating_mul(limits::INLINED_MODULE_GROWTH));
    (of_all / functions.len().max(1) as u64).min(limits::INLINED_TOTAL_BYTES_MAX)
}

impl ModuleSurvey {
    fn note_declarations(&mut self, info: &ModuleInfo<'_>) {
        let is_reference = |ty: &ValType| matches!(ty, ValType::Ref(_));
        let is_vector = |ty: &ValType| *ty == ValType::V128;
        for ty in &info.types {
            self.note(MULTI_VALUE, ty.results().len() > 1);
            self.note(REFERENCE_TYPES, ty.params().iter().chain(ty.results()).any(is_reference));
            self.note(SIMD, ty.params().iter().chain(ty.results()).any(is_vector));
        }
        let imports_mutable =
            |ty: &TypeRef| matches!(ty, TypeRef::Global(global) if global.mutable);
        self.note(MUTABLE_GLOBAL, info.imports.iter().any(|import| imports_mutable(&import.ty)));
        for export in info.exports.iter().filter(|export| export.kind == ExternalKind::Global) {
            self.note(MUTABLE_GLOBAL, info.globals[export.index as usize].mutable);
        }
        self.note(REFERENCE_TYPES, info.globals.iter().any(|global| is_reference(&global.ty)));
        self.note(SIMD, info.globals.iter().any(|global| is_vector(&global.ty)));
        self.note(REFERENCE_TYPES, info.tables.len() > 1);
        self.note(FUNCTION_REFERENCES, info.has_typed_references);
        self.note(REFERENCE_TYPES, info.has_typed_references);
        self.note(EXTENDED_CONST, info.has_extended_constants);
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

    /// Of a local, or of a block's result.
    fn note_type(&mut self, ty: &ValType) {
        self.note(SIMD, *ty == ValType::V128);
        self.note(REFERENCE_TYPES, matches!(ty, ValType::Ref(_)));
        self.note(FUNCTION_REFERENCES, is_typed_reference(ty));
    }

    fn walk_function(
        &mut self,
        info: &ModuleInfo<'_>,
        index: u32,
        body: &FunctionBody<'_>,
        params: u64,
    ) -> Result<FunctionSurvey, ModuleError> {
        let mut function =
            FunctionSurvey { body_bytes: body.as_bytes().len() as u64, ..Default::default() };
        function.locals = params;
        for local in body.get_locals_reader().map_err(to_invalid)? {
            let (count, ty) = local.map_err(to_invalid)?;
            function.locals += u64::from(count);
            self.note_type(&ty);
        }
        check_limit("locals of a function", function.locals, limits::LOCALS_MAX)?;

        // The loops that are open, and for each open block whether it is one.
        let (mut open_loops, mut blocks) = (0, Vec::new());
        let last_function = (self.call_sites.len() as u32).checked_sub(1);
        let mut constant_start = None;
        let mut operators = body.get_operators_reader().map_err(to_invalid)?;
        while !operators.eof() {
            let start = operators.original_position();
            let operator = operators.read().map_err(to_invalid)?;
            if let (Some(constant_start), Operator::Call { function_index }) =
                (constant_start.take(), &operator)
                && Some(*function_index) == last_function
            {
                function.charge_bytes += operators.original_position() - constant_start;
            }
            if matches!(operator, Operator::I64Const { .. }) {
                constant_start = Some(start);
            }
            self.note_operator(&operator);
            match operator {
                Operator::Loop { .. } => {
                    open_loops += 1;
                    function.loop_depth_max = function.loop_depth_max.max(open_loops);
                    blocks.push(true);
                }
                Operator::Block { .. } | Operator::If { .. } => blocks.push(false),
                Operator::End => open_loops -= u64::from(blocks.pop().unwrap_or(false)),
                Operator::RefFunc { function_index } => {
                    self.referenced_functions.insert(function_index);
                }
                Operator::Call { function_index } => {
                    self.call_sites[function_index as usize] += 1;
                    function.accesses_and_calls += 1;
                }
                Operator::ReturnCall { function_index } => {
                    self.tail_calls.note_call(index, function_index);
                    function.has_tail_calls = true;
                }
                Operator::ReturnCallIndirect { type_index, .. }
                | Operator::ReturnCallRef { type_index } => {
                    let canonical_type = info.canonical_types[type_index as usize];
                    self.tail_calls.note_indirect(index, canonical_type);
                    function.has_tail_calls = true;
                    function.tests += 1;
                }
                _ => {
                    function.accesses_and_calls += u64::from(is_access_or_call(&operator));
                    function.tests += u64::from(is_tested(&operator));
                }
            }
        }
        let loop_locals = function.loop_depth_max * function.locals;
        check_limit("nested loops times locals", loop_locals, limits::LOOP_LOCALS_MAX)?;
        Ok(function)
    }

    fn note_operator(&mut self, operator: &Operator<'_>) {
        use Operator as O;
        let group = group_of(operator);
        // `return_call_ref` came with the references.
        let is_tail_call = matches!(operator, O::ReturnCallRef { .. });
        self.note(TAIL_CALL, group == "tail_call" || is_tail_call);
        let is_typed = group == "function_references";
        self.note(FUNCTION_REFERENCES, is_typed);
        self.note(REFERENCE_TYPES, is_typed);
        self.note(SIMD, matches!(group, "simd" | "relaxed_simd"));
        self.note(RELAXED_SIMD, group == "relaxed_simd");
        match operator {
            O::Block { blockty } | O::Loop { blockty } | O::If { blockty } => {
                self.note(MULTI_VALUE, matches!(blockty, BlockType::FuncType(_)));
                if let BlockType::Type(ty) = blockty {
                    self.note_type(ty);
                }
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

fn is_access_or_call(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::Call { .. }
            | O::I32Load { .. }
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
            | O::V128Load { .. }
            | O::V128Load8x8S { .. }
            | O::V128Load8x8U { .. }
            | O::V128Load16x4S { .. }
            | O::V128Load16x4U { .. }
            | O::V128Load32x2S { .. }
            | O::V128Load32x2U { .. }
            | O::V128Load8Splat { .. }
            | O::V128Load16Splat { .. }
            | O::V128Load32Splat { .. }
            | O::V128Load64Splat { .. }
            | O::V128Load32Zero { .. }
            | O::V128Load64Zero { .. }
            | O::V128Load8Lane { .. }
            | O::V128Load16Lane { .. }
            | O::V128Load32Lane { .. }
            | O::V128Load64Lane { .. }
            | O::V128Store { .. }
            | O::V128Store8Lane { .. }
            | O::V128Store16Lane { .. }
            | O::V128Store32Lane { .. }
            | O::V128Store64Lane { .. }
    )
}

fn is_tested(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::I32DivS
            | O::I32DivU
            | O::I32RemS
            | O::I32RemU
            | O::I64DivS
            | O::I64DivU
            | O::I64RemS
            | O::I64RemU
            | O::I32TruncF32S
            | O::I32TruncF32U
            | O::I32TruncF64S
            | O::I32TruncF64U
            | O::I64TruncF32S
            | O::I64TruncF32U
            | O::I64TruncF64S
            | O::I64TruncF64U
            | O::CallIndirect { .. }
            | O::CallRef { .. }
            | O::RefAsNonNull
            | O::TableGet { .. }
            | O::TableSet { .. }
            | O::MemoryCopy { .. }
            | O::MemoryFill { .. }
            | O::MemoryInit { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_falls_with_what_makes_compilation_slow() {
        let effort = |function: FunctionSurvey| {
            (function.effort(BoundsChecks::Hardware, 0), function.effort(BoundsChecks::Software, 0))
        };
        let small = FunctionSurvey::default();
        assert_eq!(effort(small), (Effort::Full, Effort::Full));
        let accesses = FunctionSurvey { accesses_and_calls: 2_000, ..small };
        assert_eq!(effort(accesses), (Effort::Full, Effort::Plain));
        let live = FunctionSurvey { locals: 2_000, ..accesses };
        assert_eq!(effort(live), (Effort::Full, Effort::Linear));
        assert_eq!(accesses.effort(BoundsChecks::Software, 2_000), Effort::Linear);
        let long = FunctionSurvey { body_bytes: 1 << 20, ..small };
        assert_eq!(effort(long), (Effort::Linear, Effort::Linear));
        let loops = FunctionSurvey { locals: 300, loop_depth_max: 1_000, ..small };
        assert_eq!(effort(loops), (Effort::Linear, Effort::Linear));
    }
}
