//! The NaN rule: which values hold a NaN as the processor computed it, and where the
//! bits of such a value are about to be seen.
//!
//! Arithmetic gives a NaN whose bits depend on the architecture (x86-64's has the
//! sign bit, others' have not; a NaN operand may pass its payload on or not). Nothing
//! inside of a float computation depends on these bits, so they may stay as they are
//! until something looks: a store, a reinterpretation, a global, the host, a change of
//! the sign bit, a lane of a vector. There, and only there, a NaN becomes the canonical
//! one. An accumulator in a loop pays nothing.
//!
//! What is known to be no result of arithmetic keeps its bits: constants, loads, what
//! the host returned. Of values that come from different ways or from a caller nothing
//! is known, so these count as computed. `docs/determinism.md` says what that means.
//!
//! Each decision follows from the module alone. It must not depend on the target or on
//! the bounds checks, or what is made equal here would differ again.

use super::function::Translator;
use super::simd_lanes::{vector_constant, with_lanes};
use crate::intake::{ModuleInfo, ModuleSurvey};
use crate::reachable::entered_from_outside;
use cranelift_codegen::entity::EntitySet;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FuncInstBuilder;
use std::collections::BTreeSet;
use target_spec::profile::NanRule;

/// The positive canonical NaN of each width (core specification, 4.3.3 "NaN
/// propagation"): the sign is ours to choose.
const CANONICAL_F32: u32 = 0x7fc0_0000;
const CANONICAL_F64: u64 = 0x7ff8_0000_0000_0000;

/// The rule of one compilation.
pub(crate) struct NanPolicy {
    is_canonical: bool,
    /// Own functions, by their index among all, whose results somebody outside sees.
    seen_results: BTreeSet<u32>,
}

impl NanPolicy {
    pub fn new(rule: NanRule, info: &ModuleInfo<'_>, survey: &ModuleSurvey) -> Self {
        if rule == NanRule::AsComputed {
            return Self { is_canonical: false, seen_results: BTreeSet::new() };
        }
        let mut seen_results = entered_from_outside(info, survey);
        // The results of a tail call are those of whoever was called from outside.
        let first = info.imported_function_count();
        for function in first..info.function_types.len() as u32 {
            if survey.tail_calls.contains(function - first) {
                seen_results.insert(function);
            }
        }
        Self { is_canonical: true, seen_results }
    }
}

/// Values of one function that are no result of arithmetic, or canonical already.
#[derive(Default)]
pub(super) struct ExactBits {
    values: EntitySet<Value>,
}

impl<'f> Translator<'_, 'f> {
    /// Notes that nothing computed `value`'s bits, and gives it back.
    pub fn exact(&mut self, value: Value) -> Value {
        if self.env.nan.is_canonical {
            self.exact_bits.values.insert(value);
        }
        value
    }

    pub fn is_exact(&self, value: Value) -> bool {
        let value = self.builder.func.dfg.resolve_aliases(value);
        self.exact_bits.values.contains(value)
    }

    /// Which of the values that a branch carries are exact; see `Frame::exact_results`.
    pub fn are_exact(&self, values: &[Value]) -> Vec<bool> {
        match self.env.nan.is_canonical {
            true => values.iter().map(|value| self.is_exact(*value)).collect(),
            false => Vec::new(),
        }
    }

    /// Pushes a float whose bits nothing computed.
    pub fn push_exact(&mut self, value: Value) {
        let value = self.exact(value);
        self.push(value);
    }

    /// `value` as it may be seen: of any type, and itself where nothing is to be done.
    pub fn seen(&mut self, value: Value) -> Value {
        let ty = self.builder.func.dfg.value_type(value);
        if !self.env.nan.is_canonical || !is_float(ty) || self.is_exact(value) {
            return value;
        }
        let is_nan = self.builder.ins().fcmp(FloatCC::Unordered, value, value);
        let canonical = match ty {
            types::F32 => self.builder.ins().f32const(Ieee32::with_bits(CANONICAL_F32)),
            _ => self.builder.ins().f64const(Ieee64::with_bits(CANONICAL_F64)),
        };
        let result = self.builder.ins().select(is_nan, canonical, value);
        self.exact(result)
    }

    pub fn pop_seen(&mut self) -> Value {
        let value = self.pop();
        self.seen(value)
    }

    /// What a function returns, if anybody outside can be the caller.
    pub fn seen_results(&mut self, results: &[Value]) -> Vec<Value> {
        if !self.env.nan.seen_results.contains(&self.function) {
            return results.to_vec();
        }
        results.iter().map(|result| self.seen(*result)).collect()
    }

    /// `neg`, `abs` and `copysign` change the sign of a NaN too and leave its other
    /// bits (core specification, 4.3.3 "fneg"), which all would then show.
    pub fn unary_sign(
        &mut self,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value) -> Value,
    ) {
        let operand = self.pop_seen();
        let result = emit(self.builder.ins(), operand);
        self.push_exact(result);
    }

    /// The second operand shows its sign, the first its other bits.
    pub fn copy_sign(&mut self) {
        let (magnitude, sign) = self.pop2();
        let (magnitude, sign) = (self.seen(magnitude), self.seen(sign));
        let result = self.builder.ins().fcopysign(magnitude, sign);
        self.push_exact(result);
    }

    /// An instruction whose result is no NaN, or has its operand's bits.
    pub fn unary_exact(
        &mut self,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value) -> Value,
    ) {
        self.unary(emit);
        let result = self.pop();
        self.push_exact(result);
    }

    /// Arithmetic on vectors. These have no type that says where floats are, so each
    /// lane is made canonical at once, and every vector is exact.
    pub fn unary_float_lanes(
        &mut self,
        ty: Type,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value) -> Value,
    ) {
        let result = self.emit_unary_lanes(ty, emit);
        self.push_float_lanes(result);
    }

    pub fn binary_float_lanes(
        &mut self,
        ty: Type,
        emit: impl for<'s> FnOnce(FuncInstBuilder<'s, 'f>, Value, Value) -> Value,
    ) {
        let result = self.emit_binary_lanes(ty, emit);
        self.push_float_lanes(result);
    }

    pub fn push_float_lanes(&mut self, vector: Value) {
        if !self.env.nan.is_canonical {
            return self.push_lanes(vector);
        }
        let is_nan = self.builder.ins().fcmp(FloatCC::Unordered, vector, vector);
        let lanes = match self.builder.func.dfg.value_type(vector) {
            types::F32X4 => [CANONICAL_F32.to_le_bytes(); 4].as_flattened().try_into(),
            _ => [CANONICAL_F64.to_le_bytes(); 2].as_flattened().try_into(),
        };
        let lanes = lanes.expect("both arrays have 16 bytes");
        let canonical = vector_constant(&mut self.builder, types::I8X16, lanes);
        let is_nan = with_lanes(&mut self.builder, is_nan, types::I8X16);
        let vector = with_lanes(&mut self.builder, vector, types::I8X16);
        let result = self.builder.ins().bitselect(is_nan, canonical, vector);
        self.push(result);
    }

    /// Between a float and the integer of its bits, either way.
    pub fn reinterpret(&mut self, to: Type) {
        let operand = self.pop_seen();
        let result = self.builder.ins().bitcast(to, MemFlagsData::new(), operand);
        self.push_exact(result);
    }
}

fn is_float(ty: Type) -> bool {
    matches!(ty, types::F32 | types::F64)
}
