//! One validated function body → Cranelift IR that obeys WAMR's calling convention.
//!
//! `function` walks the body, `operators` sends each instruction to the file of its
//! group, `control` keeps blocks and branches, `traps` ends a function with an
//! exception. `entry_thunk` makes functions that are no translations: the stack test
//! in front of a body with a large frame, and the host's way into a function with
//! the convention for tail calls.
//!
//! No CLIF instruction that is generated here traps in the CPU on guest input,
//! except accesses to linear memory under hardware checks: WAMR's signal handler
//! takes only faults in that range, and any other would end the process. So each
//! division, conversion and table access tests first and branches to a trap block.
//! (What follows the call that raises such a trap is never reached.)

mod calls;
mod control;
mod conversions;
mod entry_thunk;
mod function;
mod gas;
mod inline;
mod known_bounds;
mod memory;
mod nan;
mod numeric;
mod operators;
mod references;
mod simd;
mod simd_arithmetic;
mod simd_lanes;
mod simd_memory;
mod suspend;
mod tail_calls;
mod traps;

use crate::abi::{self, InstanceLayout};
use crate::intake::{ModuleInfo, ModuleSurvey};
use cranelift_codegen::ir::Signature;
use target_spec::{Arch, BoundsChecks};

pub(crate) use entry_thunk::{BIG_FRAME_BYTES, build_host_entry, build_stack_test};
pub(crate) use function::translate_function;
pub(crate) use gas::GasMeter;
pub(crate) use nan::NanPolicy;
pub(crate) use tail_calls::build_dispatcher;

/// What is the same for all functions of one compilation.
pub(crate) struct Environment<'m> {
    pub info: &'m ModuleInfo<'m>,
    pub survey: &'m ModuleSurvey,
    pub layout: InstanceLayout,
    pub bounds: BoundsChecks,
    pub arch: Arch,
    /// Asked for by the policy; a metered module has its limit instead.
    pub suspend_checks: bool,
    pub nan: NanPolicy,
    /// For a module that meters its gas.
    pub meter: Option<GasMeter>,
}

impl Environment<'_> {
    /// Of the body of an own function.
    pub fn signature_of(&self, function: u32) -> Signature {
        let ty = self.info.function_type(function);
        let own_index = function - self.info.imported_function_count();
        match self.survey.tail_calls.contains(own_index) {
            true => abi::tail_signature(ty),
            false => abi::function_signature(ty),
        }
    }

    /// Where its body begins in the module; 0 of a function that is not in it.
    pub fn place_of_body(&self, function: u32) -> u32 {
        let own_index = function - self.info.imported_function_count();
        let body = self.info.bodies.get(own_index as usize);
        body.map_or(0, |body| u32::try_from(body.range().start).unwrap_or(0))
    }

    fn checks_in_software(&self) -> bool {
        self.bounds == BoundsChecks::Software
    }

    /// See `entry_thunk::repair_f32`.
    fn must_repair_f32(&self) -> bool {
        self.arch == Arch::Riscv64
    }

    /// See `Helper::signature`.
    pub fn extends_sign(&self) -> bool {
        self.arch == Arch::Riscv64
    }
}

/// Namespaces of `UserExternalName`: what a call in the code refers to.
pub(crate) const OWN_FUNCTIONS: u32 = 0;
pub(crate) const HELPERS: u32 = 1;
/// The translated body behind a stack test.
pub(crate) const BODIES: u32 = 2;
/// By the canonical type of the functions that it calls.
pub(crate) const DISPATCHERS: u32 = 3;

/// Native stack that compiled code leaves for what it calls but did not compile:
/// WAMR's helpers and the host's functions. WAMR's own reserve below
/// `native_stack_boundary`, `WASM_STACK_GUARD_SIZE` (`core/config.h`), can be as
/// little as 1 KiB, less than one formatted error message takes.
pub(crate) const STACK_RESERVE_BYTES: i64 = 16 << 10;
