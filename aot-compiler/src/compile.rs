//! The whole way from module to file: checks, generator, linker, writer.

use crate::abi::InstanceLayout;
use crate::aot_file::{self, AotParts};
use crate::error::{CompileError, Place, check_limit};
use crate::instrument::recognise::recognise;
use crate::intake::{self, FirstUse, FunctionSurvey, ModuleInfo, ReadModule};
use crate::progress::Progress;
use crate::target_isa::TargetIsas;
use crate::translate::{Environment, GasMeter, NanPolicy};
use crate::{
    COMPILER_ID, COST_TABLE_VERSION, codegen, entered_imports, instrument, limits, link,
    object_file, stack_depth,
};
use std::num::NonZeroUsize;
use target_spec::profile::{AotProfile, CodePolicy, NanRule};
use target_spec::{BoundsChecks, Target};
use wasmparser::{ExternalKind, TypeRef};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileOptions {
    pub bounds_checks: BoundsChecks,
    /// Threads that generate code. The artifact is the same with any number.
    pub threads: NonZeroUsize,
    pub metering: Metering,
    /// Whether code looks at loops and on entry for a wish to stop it. A metered
    /// module does so anyway, by its limit, and gets no second look.
    pub suspend_checks: bool,
    /// Which bits of a NaN can be seen; `docs/determinism.md`.
    pub nan_rule: NanRule,
}

/// Whether the module is made to count what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metering {
    /// As the module is, which may have been metered before.
    None,
    /// By `meter`, with the cost table of this compiler.
    Gas,
}

impl CompileOptions {
    /// Everything else as a module is without a policy.
    pub fn new(bounds_checks: BoundsChecks) -> Self {
        Self {
            bounds_checks,
            threads: NonZeroUsize::MIN,
            metering: Metering::None,
            suspend_checks: false,
            nan_rule: NanRule::AsComputed,
        }
    }

    fn policy(&self) -> CodePolicy {
        CodePolicy {
            metering: match self.metering {
                Metering::None => None,
                Metering::Gas => Some(COST_TABLE_VERSION),
            },
            nan_rule: self.nan_rule,
            suspend_checks: self.suspend_checks,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The AoT file.
    pub aot: Vec<u8>,
    /// Machine code in it.
    pub code_bytes: u64,
    /// Functions of the module, without the imported ones.
    pub function_count: u32,
    /// Native stack of the deepest chain of calls that the host can begin; None where
    /// recursion or calls through a table leave it without a bound. What the host's
    /// functions take comes on top.
    pub stack_bytes: Option<u64>,
}

/// Compiles a module for a target, or says whose fault it is that this fails.
pub fn compile(
    wasm: &[u8],
    target: &Target,
    options: &CompileOptions,
) -> Result<Artifact, CompileError> {
    compile_observed(wasm, target, options, &Progress::new())
}

/// The same, while `progress` tells other threads how far it is.
pub fn compile_observed(
    wasm: &[u8],
    target: &Target,
    options: &CompileOptions,
    progress: &Progress,
) -> Result<Artifact, CompileError> {
    generate(wasm, target, options, progress, |parts, measures| {
        let Measures { function_count, stack_bytes } = measures;
        let aot = aot_file::write(parts)?;
        let code_bytes = parts.text.code.len() as u64;
        Ok(Artifact { aot, code_bytes, function_count, stack_bytes })
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFile {
    /// The ELF relocatable.
    pub elf: Vec<u8>,
    pub code_bytes: u64,
    pub function_count: u32,
}

/// The same machine code as an ELF relocatable with names, for people and their tools.
/// No runtime loads it.
pub fn compile_object(
    wasm: &[u8],
    target: &Target,
    options: &CompileOptions,
) -> Result<ObjectFile, CompileError> {
    generate(wasm, target, options, &Progress::new(), |parts, measures| {
        let elf = object_file::write(wasm, parts)?;
        let Measures { function_count, .. } = measures;
        Ok(ObjectFile { elf, code_bytes: parts.text.code.len() as u64, function_count })
    })
}

/// Everything before the file, which `write` makes of the parts.
fn generate<F>(
    wasm: &[u8],
    target: &Target,
    options: &CompileOptions,
    progress: &Progress,
    write: impl FnOnce(&AotParts<'_>, Measures) -> Result<F, CompileError>,
) -> Result<F, CompileError> {
    check_target(target, options)?;
    let metered = match options.metering {
        Metering::None => None,
        Metering::Gas => Some(instrument::meter(wasm)?.wasm),
    };
    let wasm = metered.as_deref().unwrap_or(wasm);
    let ReadModule { mut info, survey } = intake::read_module(wasm)?;
    check_vectors(wasm, survey.uses_simd, target)?;
    check_imports(&info)?;
    check_names(&info)?;
    // Metering adds one.
    let function_count = info.bodies.len() as u32 - u32::from(metered.is_some());
    let metering = recognise(wasm, &info);

    let wrappers = entered_imports::wrap(&mut info);
    let mut bodies: Vec<(&[u8], FunctionSurvey)> =
        Vec::with_capacity(info.bodies.len() + wrappers.len());
    for (body, survey) in info.bodies.iter().zip(&survey.functions) {
        bodies.push((body.as_bytes(), *survey));
    }
    bodies.extend(wrappers.iter().map(|body| (body.as_slice(), FunctionSurvey::default())));
    let isas = TargetIsas::build(target, options.bounds_checks, survey.tail_calls.are_used())?;
    let layout = InstanceLayout::of(&info);
    let env = Environment {
        suspend_checks: options.suspend_checks,
        nan: NanPolicy::new(options.nan_rule, &info, &survey),
        meter: metering.as_ref().map(|note| GasMeter::new(note, &layout)),
        layout,
        info: &info,
        survey: &survey,
        bounds: options.bounds_checks,
        arch: target.arch,
    };
    let functions = codegen::compile_functions(&env, &isas, &bodies, options.threads, progress)?;
    let dispatchers = codegen::compile_dispatchers(&env, &isas)?;
    let stack_bytes = stack_depth::deepest_stack_bytes(&functions, entered_by_host(&info));
    let text = link::link(&functions, &dispatchers, target.arch)?;
    let profile = AotProfile {
        target: target.id.clone(),
        bounds_checks: options.bounds_checks,
        cpu_features: target.cpu_features.clone(),
        compiler: COMPILER_ID.to_owned(),
        policy: options.policy(),
    };
    let metering = metering.as_ref();
    let parts =
        AotParts { target, info: &info, survey: &survey, text: &text, profile: &profile, metering };
    write(&parts, Measures { function_count, stack_bytes })
}

/// What an artifact says of itself beside its bytes.
struct Measures {
    function_count: u32,
    stack_bytes: Option<u64>,
}

/// Own functions that are exported, and the start function.
fn entered_by_host(info: &ModuleInfo<'_>) -> impl Iterator<Item = u32> {
    let exported = info.exports.iter().filter(|e| e.kind == ExternalKind::Func).map(|e| e.index);
    let imported_count = info.imported_function_count();
    exported.chain(info.start).filter_map(move |function| function.checked_sub(imported_count))
}

fn check_target(target: &Target, options: &CompileOptions) -> Result<(), CompileError> {
    let mode = options.bounds_checks;
    if target.supports_bounds_checks(mode) {
        return Ok(());
    }
    let supported: Vec<_> = target.bounds_checks.iter().map(|mode| mode.as_str()).collect();
    Err(CompileError::TargetCannot {
        target: target.id.to_string(),
        why: format!("{mode} bounds checks are not offered there; use {}", supported.join(" or ")),
    })
}

/// WAMR switches its vectors off on RISC-V (`build-scripts/config_common.cmake`).
fn check_vectors(wasm: &[u8], uses_simd: bool, target: &Target) -> Result<(), CompileError> {
    if !uses_simd || target.simd {
        return Ok(());
    }
    let first_use = intake::first_use_of_simd(wasm);
    let place = first_use.map(|FirstUse { function, offset }| Place { function, offset });
    Err(CompileError::TargetCannot {
        target: target.id.to_string(),
        why: format!(
            "the module uses the WebAssembly proposal \"simd\"{}, and the runtime has no vectors \
             there; build it without that feature",
            place.map(|place| place.to_string()).unwrap_or_default()
        ),
    })
}

/// WAMR gives AoT modules imported functions and nothing else.
fn check_imports(info: &ModuleInfo<'_>) -> Result<(), CompileError> {
    for import in &info.imports {
        let kind = match import.ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => continue,
            TypeRef::Table(_) => "table",
            TypeRef::Memory(_) => "memory",
            TypeRef::Global(_) => "global",
            TypeRef::Tag(_) => "exception tag",
        };
        return Err(CompileError::NotExpressible {
            why: format!(
                "it imports the {kind} \"{}\" of \"{}\", and the runtime hosts only imported functions; \
                 define the {kind} in the module and export it",
                import.name, import.module
            ),
        });
    }
    Ok(())
}

/// The AoT format ends names at a NUL and counts them in 16 bits.
fn check_names(info: &ModuleInfo<'_>) -> Result<(), CompileError> {
    let imported = info.imported_functions.iter().flat_map(|import| [import.module, import.name]);
    for name in imported.chain(info.exports.iter().map(|export| export.name)) {
        check_limit("bytes of a name", name.len() as u64, limits::NAME_BYTES_MAX as u64)?;
        if name.contains('\0') {
            let why = format!("the name {name:?} holds a NUL, where AoT files end names");
            return Err(CompileError::NotExpressible { why });
        }
    }
    Ok(())
}
