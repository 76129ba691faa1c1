//! All function bodies → machine code, several functions at a time.
//!
//! Functions do not depend on each other here, and their order in the output is that
//! of the module, so the same input always gives the same bytes, with however many
//! threads.

use crate::abi::{CALLED_HELPERS, Helper};
use crate::error::CompileError;
use crate::intake::{Effort, FunctionSurvey};
use crate::limits;
use crate::progress::Progress;
use crate::reachable::Reachable;
use crate::target_isa::TargetIsas;
use crate::translate::{
    self, BIG_FRAME_BYTES, BODIES, DISPATCHERS, Environment, HELPERS, OWN_FUNCTIONS,
};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{self, ExternalName, LibCall, Opcode};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{CompiledCode, Context, FinalizedMachReloc, FinalizedRelocTarget};
use cranelift_frontend::FunctionBuilderContext;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use target_spec::BoundsChecks;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callee {
    /// Where other compiled code enters an own function, by its index among these.
    Own(u32),
    /// The translated body of one, behind its stack test.
    Body(u32),
    /// The dispatcher of a canonical type.
    Dispatcher(u32),
    Helper(Helper),
}

/// A call in the code that needs its target.
pub(crate) struct Call {
    pub offset: u32,
    pub kind: Reloc,
    pub addend: i64,
    pub callee: Callee,
}

pub(crate) struct MachineCode {
    pub code: Vec<u8>,
    pub calls: Vec<Call>,
    pub frame_bytes: u32,
}

pub(crate) struct CompiledFunction {
    pub body: MachineCode,
    /// In front of a body with a large frame.
    pub stack_test: Option<MachineCode>,
    /// For the runtime, where the body has the convention for tail calls.
    pub host_entry: Option<MachineCode>,
    /// Of the body, with the room for tail arguments.
    pub frame_bytes: u32,
    /// It may call any function that a table holds.
    pub calls_through_table: bool,
}

impl CompiledFunction {
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        let others = self.stack_test.iter().chain(&self.host_entry);
        self.body.calls.iter().chain(others.flat_map(|code| &code.calls))
    }
}

/// The stack of a compile thread, what Linux gives a main thread: the optimiser
/// recurses along expressions.
const THREAD_STACK_BYTES: usize = 8 << 20;

/// Functions that one thread takes at a time at most. Sizes differ by a thousand,
/// so a thread should not be left with many when the others are done.
const FUNCTIONS_PER_TASK_MAX: usize = 16;

/// What the generator works in, kept from one function to the next.
struct Workspace {
    context: Context,
    builder: FunctionBuilderContext,
}

impl Workspace {
    fn new() -> Self {
        Self { context: Context::new(), builder: FunctionBuilderContext::new() }
    }
}

/// Compiles each body of `bodies` that can be reached, on `threads` threads, and
/// gives them by the functions' index among the own ones.
pub(crate) fn compile_functions(
    env: &Environment<'_>,
    isas: &TargetIsas,
    bodies: &[(&[u8], FunctionSurvey)],
    threads: NonZeroUsize,
    progress: &Progress,
) -> Result<Vec<Option<CompiledFunction>>, CompileError> {
    // As many as `limits::FUNCTIONS_MAX` and one.
    progress.begin(bodies.len() as u32);
    let one = |workspace: &mut Workspace, own_index: u32| {
        let (body, survey) = &bodies[own_index as usize];
        let outcome = workspace.compile_or_report(env, isas, own_index, body, *survey);
        progress.finish_one();
        outcome.map_err(|error| name_function(error, env, own_index))
    };
    let crew = Crew::assemble(threads, bodies.len())?;
    let mut workspace = Workspace::new();
    let mut compiled: Vec<_> = bodies.iter().map(|_| None).collect();
    let mut reachable = Reachable::new(bodies.len());
    let mut wave = reachable.roots(env.info, env.survey);
    while !wave.is_empty() {
        let functions = crew.work(&wave, &mut workspace, one)?;
        let next = reachable.callees(functions.iter());
        for (own_index, function) in wave.iter().zip(functions) {
            compiled[*own_index as usize] = Some(function);
        }
        wave = next;
    }
    progress.finish();
    Ok(compiled)
}

/// Who compiles the functions: this thread, or several others.
struct Crew(Option<rayon::ThreadPool>);

impl Crew {
    fn assemble(threads: NonZeroUsize, function_count: usize) -> Result<Self, CompileError> {
        let count = threads.get().min(function_count);
        if count < 2 {
            return Ok(Self(None));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count);
        let pool = pool.stack_size(THREAD_STACK_BYTES).build();
        let pool = pool.map_err(|e| CompileError::bug(format!("start compile threads: {e}")))?;
        Ok(Self(Some(pool)))
    }

    /// The results in the order of `wave`. All outcomes come before the first error
    /// is picked, so that the same module is always refused in the same words.
    fn work<T: Send>(
        &self,
        wave: &[u32],
        workspace: &mut Workspace,
        one: impl Fn(&mut Workspace, u32) -> Result<T, CompileError> + Sync + Send,
    ) -> Result<Vec<T>, CompileError> {
        let Some(pool) = &self.0 else {
            return wave.iter().map(|index| one(workspace, *index)).collect();
        };
        let outcomes: Vec<_> = pool.install(|| {
            let indices = wave.par_iter().with_max_len(FUNCTIONS_PER_TASK_MAX);
            indices.map_init(Workspace::new, |workspace, index| one(workspace, *index)).collect()
        });
        outcomes.into_iter().collect()
    }
}

/// The dispatchers of tail calls through tables, by canonical type.
pub(crate) fn compile_dispatchers(
    env: &Environment<'_>,
    isas: &TargetIsas,
) -> Result<BTreeMap<u32, MachineCode>, CompileError> {
    // There can be as many branches as functions, and nothing in them to optimise.
    let isa = isas.of_effort(Effort::Linear);
    let mut workspace = Workspace::new();
    let types = env.survey.tail_calls.indirect_types.iter();
    let outcomes = types.map(|ty| {
        let compile = AssertUnwindSafe(|| workspace.compile_dispatcher(env, isa, *ty));
        let outcome = catch_unwind(compile);
        let code = outcome.unwrap_or_else(|_| Err(CompileError::bug("a dispatcher panicked")))?;
        Ok((*ty, code))
    });
    outcomes.collect()
}

fn name_function(error: CompileError, env: &Environment<'_>, own_index: u32) -> CompileError {
    match error {
        CompileError::Bug { message } => {
            let function = env.info.imported_function_count() + own_index;
            CompileError::bug(format!("function {function}: {message}"))
        }
        other => other,
    }
}

impl Workspace {
    /// The generator asserts what it believes of its input. Should it be wrong, one
    /// module fails and not the process; the workspace is thrown away.
    fn compile_or_report(
        &mut self,
        env: &Environment<'_>,
        isas: &TargetIsas,
        own_index: u32,
        body: &[u8],
        survey: FunctionSurvey,
    ) -> Result<CompiledFunction, CompileError> {
        let outcome =
            catch_unwind(AssertUnwindSafe(|| self.compile(env, isas, own_index, body, survey)));
        outcome.unwrap_or_else(|_| {
            *self = Self::new();
            Err(CompileError::bug("the code generator panicked"))
        })
    }

    fn compile(
        &mut self,
        env: &Environment<'_>,
        isas: &TargetIsas,
        own_index: u32,
        body: &[u8],
        survey: FunctionSurvey,
    ) -> Result<CompiledFunction, CompileError> {
        let function = env.info.imported_function_count() + own_index;
        // All three generators lower the same IR.
        let frontend = isas.frontend_config();
        self.context.clear();
        let func = &mut self.context.func;
        let builder = &mut self.builder;
        let translated =
            translate::translate_function(env, function, body, survey, builder, func, frontend)?;
        let stack_height_max = translated.stack_height_max as u64;
        let isa = isas.of_effort(translated.survey.effort(env.bounds, stack_height_max));
        let calls_through_table = calls_through_pointer(&self.context.func);
        let body = self.emit(isa)?;
        // The frame as Cranelift tells it is without the room for tail arguments.
        let tail_bytes = if survey.has_tail_calls { limits::TAIL_CALL_BYTES_MAX } else { 0 };
        let frame_bytes = body.frame_bytes + tail_bytes;
        let needs_test = env.bounds == BoundsChecks::Software && frame_bytes > BIG_FRAME_BYTES;
        let stack_test = match needs_test {
            true => Some(self.compile_stack_test(env, isa, own_index, frame_bytes)?),
            false => None,
        };
        let host_entry = match env.survey.tail_calls.contains(own_index) {
            true => Some(self.compile_host_entry(env, isa, own_index)?),
            false => None,
        };
        Ok(CompiledFunction { body, stack_test, host_entry, frame_bytes, calls_through_table })
    }

    fn compile_stack_test(
        &mut self,
        env: &Environment<'_>,
        isa: &dyn TargetIsa,
        own_index: u32,
        frame_bytes: u32,
    ) -> Result<MachineCode, CompileError> {
        self.context.clear();
        translate::build_stack_test(
            env,
            own_index,
            frame_bytes,
            &mut self.builder,
            &mut self.context.func,
            isa.frontend_config(),
        )?;
        self.emit(isa)
    }

    fn compile_host_entry(
        &mut self,
        env: &Environment<'_>,
        isa: &dyn TargetIsa,
        own_index: u32,
    ) -> Result<MachineCode, CompileError> {
        self.context.clear();
        let (builder, func) = (&mut self.builder, &mut self.context.func);
        translate::build_host_entry(env, own_index, builder, func, isa.frontend_config());
        self.emit(isa)
    }

    fn compile_dispatcher(
        &mut self,
        env: &Environment<'_>,
        isa: &dyn TargetIsa,
        canonical_type: u32,
    ) -> Result<MachineCode, CompileError> {
        self.context.clear();
        let (builder, func) = (&mut self.builder, &mut self.context.func);
        let frontend = isa.frontend_config();
        translate::build_dispatcher(env, canonical_type, builder, func, frontend)?;
        self.emit(isa)
    }

    fn emit(&mut self, isa: &dyn TargetIsa) -> Result<MachineCode, CompileError> {
        let compiled = self.context.compile(isa, &mut ControlPlane::default());
        compiled.map_err(|error| CompileError::bug(format!("{:?}", error.inner)))?;
        let compiled = self.context.compiled_code();
        let compiled = compiled.ok_or_else(|| CompileError::bug("no code was generated"))?;
        let relocations = compiled.buffer.relocs().iter();
        let calls = relocations.map(|relocation| to_call(relocation, &self.context.func));
        Ok(MachineCode {
            code: compiled.code_buffer().to_vec(),
            calls: calls.collect::<Result<_, _>>()?,
            frame_bytes: frame_bytes(compiled),
        })
    }
}

fn calls_through_pointer(func: &ir::Function) -> bool {
    let is_indirect = |opcode| matches!(opcode, Opcode::CallIndirect | Opcode::ReturnCallIndirect);
    let mut insts = func.layout.blocks().flat_map(|block| func.layout.block_insts(block));
    insts.any(|inst| is_indirect(func.dfg.insts[inst].opcode()))
}

fn frame_bytes(compiled: &CompiledCode) -> u32 {
    compiled.buffer.frame_layout().map_or(0, |layout| layout.frame_to_fp_offset)
}

fn to_call(relocation: &FinalizedMachReloc, func: &ir::Function) -> Result<Call, CompileError> {
    let FinalizedMachReloc { offset, kind, ref target, addend } = *relocation;
    let callee = match target {
        FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => {
            let name = &func.params.user_named_funcs()[*name];
            match name.namespace {
                OWN_FUNCTIONS => Callee::Own(name.index),
                BODIES => Callee::Body(name.index),
                DISPATCHERS => Callee::Dispatcher(name.index),
                HELPERS => Callee::Helper(CALLED_HELPERS[name.index as usize]),
                other => return Err(CompileError::bug(format!("namespace {other}"))),
            }
        }
        FinalizedRelocTarget::ExternalName(ExternalName::LibCall(libcall)) => {
            Callee::Helper(helper_of_libcall(*libcall)?)
        }
        other => return Err(CompileError::bug(format!("relocation to {other:?}"))),
    };
    Ok(Call { offset, kind, addend, callee })
}

/// Rounding on x86-64 without SSE4.1.
fn helper_of_libcall(libcall: LibCall) -> Result<Helper, CompileError> {
    match libcall {
        LibCall::CeilF32 => Ok(Helper::CeilF32),
        LibCall::CeilF64 => Ok(Helper::CeilF64),
        LibCall::FloorF32 => Ok(Helper::FloorF32),
        LibCall::FloorF64 => Ok(Helper::FloorF64),
        LibCall::TruncF32 => Ok(Helper::TruncF32),
        LibCall::TruncF64 => Ok(Helper::TruncF64),
        LibCall::NearestF32 => Ok(Helper::NearestF32),
        LibCall::NearestF64 => Ok(Helper::NearestF64),
        LibCall::Memset => Ok(Helper::Memset),
        LibCall::Memcpy | LibCall::Memmove => Ok(Helper::Memmove),
        other => Err(CompileError::bug(format!("no helper for {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::InstanceLayout;
    use crate::intake;
    use crate::translate::NanPolicy;
    use target_spec::Registry;
    use target_spec::profile::NanRule;

    /// Whether the only function gets an stack test, for each target.
    fn has_thunk(text: &str, bounds: BoundsChecks) -> Vec<bool> {
        let wasm = wat::parse_str(text).unwrap();
        let module = intake::read_module(&wasm).unwrap();
        let of_target = |target: &target_spec::Target| {
            let env = Environment {
                info: &module.info,
                survey: &module.survey,
                layout: InstanceLayout::of(&module.info),
                bounds,
                arch: target.arch,
                meter: None,
                suspend_checks: false,
                nan: NanPolicy::new(NanRule::AsComputed, &module.info, &module.survey),
            };
            let isas = TargetIsas::build(target, bounds, false).unwrap();
            let bodies = [(module.info.bodies[0].as_bytes(), module.survey.functions[0])];
            let (threads, progress) = (NonZeroUsize::MIN, Progress::new());
            let functions = compile_functions(&env, &isas, &bodies, threads, &progress).unwrap();
            assert_eq!(progress.functions(), (1, 1));
            functions[0].as_ref().unwrap().stack_test.is_some()
        };
        Registry::built_in().all().iter().map(of_target).collect()
    }

    #[test]
    fn only_a_large_frame_with_software_checks_gets_a_thunk() {
        let small = "(module (func (export \"f\") (param i32) (result i32) local.get 0))";
        assert_eq!(has_thunk(small, BoundsChecks::Software), [false; 4]);
        // 1,200 values that all live across a call: 9,600 bytes.
        let loads = "(i64.load (local.get 0)) ".repeat(1_200);
        let sum = "i64.add ".repeat(1_199);
        let large = format!(
            "(module (memory 1) (func $f (export \"f\") (param i32) (result i64)
               {loads} (drop (call $f (local.get 0))) {sum}))"
        );
        assert_eq!(has_thunk(&large, BoundsChecks::Software), [true; 4]);
        assert_eq!(has_thunk(&large, BoundsChecks::Hardware), [false; 4]);
    }
}
