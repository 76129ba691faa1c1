//! Which functions need code: those that can be entered from outside or through a
//! reference, and what these still call after inlining.
//!
//! A helper of one caller is usually inlined there and then nobody's any more. In a
//! module that was not stripped, more is dead. Such functions keep their index, and
//! an entry that ends the process should anything ever get there.

use crate::codegen::{Callee, CompiledFunction};
use crate::intake::{ConstValue, FunctionSurvey, ModuleInfo, ModuleSurvey};
use crate::limits;
use std::collections::BTreeSet;
use wasmparser::ExternalKind;

/// Own functions, by their index among these, in the waves in which they are found.
pub(crate) struct Reachable {
    found: Vec<bool>,
}

impl Reachable {
    pub fn new(function_count: usize) -> Self {
        Self { found: vec![false; function_count] }
    }

    /// The first wave: what the module itself or its host may refer to, and what is
    /// called and too large to be inlined anywhere, so that threads have work.
    pub fn roots(&mut self, info: &ModuleInfo<'_>, survey: &ModuleSurvey) -> Vec<u32> {
        if survey.tail_calls.are_used() {
            // Dispatchers may name any function.
            return self.add_all(0..self.found.len() as u32);
        }
        let first = info.imported_function_count();
        let called_as_they_are =
            (first..).zip(&survey.functions).filter(|(function, survey_of)| {
                survey.call_sites[*function as usize] > 0 && is_too_large_to_inline(survey_of)
            });
        let mut functions = entered_from_outside(info, survey);
        functions.extend(called_as_they_are.map(|(function, _)| function));
        let own: BTreeSet<u32> =
            functions.iter().filter_map(|index| index.checked_sub(first)).collect();
        self.add_all(own)
    }

    /// What the functions of a wave call and no wave had before.
    pub fn callees<'c>(
        &mut self,
        compiled: impl Iterator<Item = &'c CompiledFunction>,
    ) -> Vec<u32> {
        let calls = compiled.flat_map(CompiledFunction::calls);
        let own: BTreeSet<u32> = calls
            .filter_map(|call| match call.callee {
                Callee::Own(index) | Callee::Body(index) => Some(index),
                Callee::Dispatcher(_) | Callee::Helper(_) => None,
            })
            .collect();
        self.add_all(own)
    }

    fn add_all(&mut self, functions: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let is_new = |index: &u32| !std::mem::replace(&mut self.found[*index as usize], true);
        functions.into_iter().filter(is_new).collect()
    }
}

/// Functions, by their index among all, that the host may call: exported ones, the
/// start function, and what references exist to.
pub(crate) fn entered_from_outside(info: &ModuleInfo<'_>, survey: &ModuleSurvey) -> BTreeSet<u32> {
    let is_function = |kind| matches!(kind, ExternalKind::Func | ExternalKind::FuncExact);
    let exports = info.exports.iter().filter(|export| is_function(export.kind));
    let segments = info.table_values.iter().chain(&info.elements);
    let elements = segments.flat_map(|segment| &segment.entries);
    let globals = info.globals.iter().filter_map(|global| global.value.as_ref());
    let referenced = elements.chain(globals).filter_map(|value| match value {
        ConstValue::Function(function) => Some(*function),
        _ => None,
    });
    exports
        .map(|export| export.index)
        .chain(referenced)
        .chain(info.start)
        .chain(survey.referenced_functions.iter().copied())
        .collect()
}

/// See `translate/inline.rs`.
fn is_too_large_to_inline(survey: &FunctionSurvey) -> bool {
    survey.body_bytes > limits::INLINED_ONCE_BYTES_MAX || survey.has_tail_calls
}
