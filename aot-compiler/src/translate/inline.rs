//! A call of a small own function → its body, translated in the caller's place.
//!
//! The callee's instructions go through the same translator, with locals of their
//! own and a frame that `return` leaves, so its traps, charges and checks become the
//! caller's without a word here. What is saved is the call, the stack test, and with
//! software checks the look at the exception; what is won is that constants and
//! known bits reach into the callee.
//!
//! Compilers that make Wasm have inlined what they could see. What is left are
//! languages that inline little (AssemblyScript, Go), modules made for size, and
//! small recursive functions, of which a few levels are unrolled.

use super::function::Translator;
use crate::error::CompileError;
use crate::intake::FunctionSurvey;
use crate::limits;
use wasmparser::{BinaryReader, FunctionBody};

/// The calls that are being translated in place, outermost first, and what they cost.
#[derive(Default)]
pub(super) struct Inlining {
    /// The function and the index of its frame.
    open: Vec<(u32, usize)>,
    spent_bytes: u64,
    /// Sums of what was taken in, for the choice of the effort.
    pub survey: FunctionSurvey,
}

impl Inlining {
    /// Where `return` goes inside of an inlined body: the index of its frame.
    pub fn innermost_frame(&self) -> Option<usize> {
        self.open.last().map(|(_, frame)| *frame)
    }
}

impl Translator<'_, '_> {
    /// Whether a call of `function` from here is worth its body.
    pub fn should_inline(&self, function: u32) -> bool {
        let own_index = (function - self.info().imported_function_count()) as usize;
        let callee = &self.env.survey.functions[own_index];
        let is_open = |other: u32| self.inlining.open.iter().filter(|(f, _)| *f == other).count();
        // The function that is being compiled is open once more than the list says.
        let depth_same = is_open(function) + usize::from(function == self.function);
        let has_one_caller = self.env.survey.call_sites[function as usize] == 1;
        let bytes_max = match (depth_same, has_one_caller) {
            (0, true) => limits::INLINED_ONCE_BYTES_MAX,
            (0, false) => limits::INLINED_BYTES_MAX,
            _ => limits::INLINED_RECURSIVE_BYTES_MAX,
        };
        let own_bytes = self.bytes_without_charges(&self.own_survey);
        let callee_bytes = self.bytes_without_charges(callee);
        callee_bytes <= bytes_max
            && callee.locals <= limits::INLINED_LOCALS_MAX
            && !callee.has_tail_calls
            && depth_same <= limits::INLINED_RECURSION_MAX
            && self.inlining.open.len() < limits::INLINED_DEPTH_MAX
            && self.inlining.spent_bytes + callee_bytes <= self.env.survey.inlined_bytes_max
            && own_bytes <= limits::INLINING_CALLER_BYTES_MAX
    }

    /// So that metering changes as little as it can of what is inlined.
    fn bytes_without_charges(&self, survey: &FunctionSurvey) -> u64 {
        let charges = if self.env.meter.is_some() { survey.charge_bytes } else { 0 };
        survey.body_bytes - charges
    }

    /// Translates a call whose arguments are on the operand stack.
    pub fn inline_call(&mut self, function: u32) -> Result<(), CompileError> {
        let own_index = (function - self.info().imported_function_count()) as usize;
        let callee = self.env.survey.functions[own_index];
        self.inlining.spent_bytes += self.bytes_without_charges(&callee);
        self.inlining.survey.take_in(&callee);

        let ty = self.info().function_type(function);
        let arguments = self.pop_many(ty.params().len());
        let callers_locals = std::mem::take(&mut self.locals);
        self.open_inlined_frame(ty.results());
        self.inlining.open.push((function, self.frames.len() - 1));
        for (argument, ty) in arguments.iter().zip(ty.params()) {
            self.add_local(*ty, *argument);
        }
        let bytes = self.info().bodies[own_index].as_bytes();
        let start = self.env.place_of_body(function);
        let body = FunctionBody::new(BinaryReader::new(bytes, start.into()));
        self.declare_locals(&body)?;
        self.walk(&mut body.get_operators_reader().map_err(CompileError::bug)?)?;
        self.inlining.open.pop();
        self.locals = callers_locals;
        Ok(())
    }
}
