//! The compiler: no bytes make it panic, take forever or call its own bug; a valid
//! module compiles for every target, equally on each run, into a readable file.

use crate::Outcome;
use aot_compiler::{CompileError, CompileOptions, ModuleError, census, compile};
use aot_reader::{AotFile, Module};
use arbitrary::Unstructured;
use module_linker::{Library, LinkError};
use std::num::NonZeroUsize;
use std::sync::LazyLock;
use target_spec::{BoundsChecks, Registry, Target};

fn all_targets() -> impl Iterator<Item = (&'static Target, BoundsChecks)> {
    let targets = Registry::built_in().all().iter();
    targets.flat_map(|target| target.bounds_checks.iter().map(move |mode| (target, *mode)))
}

/// Any bytes are compiled or refused, in the same words everywhere.
pub fn compile_any_bytes(data: &[u8]) -> Outcome {
    let listed = census(data);
    let mut outcome = Outcome::of_result(&listed);
    for (target, bounds_checks) in all_targets() {
        let compiled = compile(data, target, &CompileOptions::new(bounds_checks));
        match (&listed, &compiled) {
            (_, Err(CompileError::Bug { message })) => {
                panic!("a bug on {} with {bounds_checks} checks: {message}", target.id)
            }
            (Err(refused), Err(CompileError::Module(found))) => assert_eq!(refused, found),
            (Err(refused), _) => {
                panic!("the census refuses ({refused}), {} does not: {compiled:?}", target.id)
            }
            // A limit that only the code generator can see, such as its text's size.
            (Ok(_), Err(CompileError::Module(ModuleError::LimitExceeded { .. }))) => {}
            (Ok(_), Err(CompileError::Module(error))) => {
                panic!("the census accepts, {} finds: {error}", target.id)
            }
            (Ok(_), Ok(artifact)) => check_readable(&artifact.aot),
            (
                Ok(_),
                Err(CompileError::TargetCannot { .. } | CompileError::NotExpressible { .. }),
            ) => {}
        }
        outcome = outcome.and(Outcome::of_result(&compiled));
        if listed.is_err() {
            // The targets differ only behind the intake.
            break;
        }
    }
    outcome
}

fn check_readable(aot: &[u8]) {
    let module = AotFile::parse(aot).and_then(|file| Module::read(&file));
    if let Err(error) = module {
        panic!("our reader refuses our file: {error}");
    }
}

/// A module that `wasm-smith` makes of the bytes compiles for every target.
pub fn compile_valid(data: &[u8]) -> Outcome {
    let Some(wasm) = module_of(data) else { return Outcome::of("no module") };
    let census = match census(&wasm) {
        Ok(census) => census,
        Err(error @ ModuleError::LimitExceeded { .. }) => return Outcome::of(&error.to_string()),
        Err(error) => panic!("a valid module is refused: {error}"),
    };
    let has_nul = census.exports.iter().any(|export| export.name.contains('\0'));
    let mut outcome = Outcome::sized(&census.proposals.join(" "), census.code_bytes as usize);
    for (target, bounds_checks) in all_targets() {
        let mut options = CompileOptions::new(bounds_checks);
        let compiled = compile(&wasm, target, &options);
        let artifact = match compiled {
            Ok(artifact) => artifact,
            Err(CompileError::Module(ModuleError::LimitExceeded { .. })) => continue,
            Err(CompileError::TargetCannot { .. }) if !target.simd => continue,
            // An AoT file ends names at a NUL.
            Err(CompileError::NotExpressible { .. }) if has_nul => continue,
            Err(error) => panic!("{} with {bounds_checks} checks: {error}", target.id),
        };
        check_readable(&artifact.aot);
        outcome = outcome.and(Outcome::sized("code", artifact.code_bytes as usize));
        options.threads = NonZeroUsize::MIN.saturating_add(1);
        let again = compile(&wasm, target, &options);
        assert!(again.as_ref() == Ok(&artifact), "{}: other bytes on two threads", target.id);
    }
    outcome
}

/// Any bytes, cut into a main module and a library at the first mark, are linked or
/// refused; what was linked is a module, and the compiler says the same of it each time.
pub fn link_any_bytes(data: &[u8]) -> Outcome {
    let cut = data.windows(LINK_MARK.len()).position(|window| window == LINK_MARK);
    let (main, library) = match cut {
        Some(place) => (&data[..place], &data[place + LINK_MARK.len()..]),
        None => (data, &b"\0asm\x01\0\0\0"[..]),
    };
    let libraries = [Library { name: LINK_NAME, wasm: library }];
    let linked = module_linker::link(main, &libraries);
    match &linked {
        Err(LinkError::Bug { message }) => panic!("a bug of the linker: {message}"),
        Err(_) => {}
        Ok(wasm) => match census(wasm) {
            Ok(census) => {
                let is_left = census.imports.iter().any(|import| import.module == LINK_NAME);
                assert!(!is_left, "an import from the library is left");
            }
            Err(ModuleError::Unsupported { .. } | ModuleError::LimitExceeded { .. }) => {}
            // What was written for one of the inputs alone.
            Err(error) => panic!("the linker accepts, the compiler finds: {error}"),
        },
    }
    Outcome::of_result(&linked)
}

pub(crate) const LINK_MARK: &[u8] = b"\0next\0";
pub(crate) const LINK_NAME: &str = "lib";

/// What may be imported: functions alone, for an AoT file has nothing else.
const IMPORTS: &str = r#"(module
    (import "env" "none" (func))
    (import "env" "take" (func (param i32 i64 f32 f64)))
    (import "env" "give" (func (result i64)))
    (import "env" "both" (func (param f64 i32) (result f32)))
    (import "env" "several" (func (param i32) (result i32 f64))))"#;

static AVAILABLE_IMPORTS: LazyLock<Vec<u8>> =
    LazyLock::new(|| wat::parse_str(IMPORTS).unwrap_or_default());

/// Whether the compiler takes a proposal today, found out by an example of it.
fn supports(example: &str) -> bool {
    wat::parse_str(example).is_ok_and(|wasm| census(&wasm).is_ok())
}

static SIMD: LazyLock<bool> =
    LazyLock::new(|| supports("(module (func (drop (v128.const i64x2 0 0))))"));
static TAIL_CALLS: LazyLock<bool> =
    LazyLock::new(|| supports("(module (func $f (return_call $f)))"));
static EXTENDED_CONSTANTS: LazyLock<bool> =
    LazyLock::new(|| supports("(module (global i32 (i32.add (i32.const 1) (i32.const 2))))"));

fn config(shape: u8) -> wasm_smith::Config {
    wasm_smith::Config {
        available_imports: (shape & 1 == 0).then(|| AVAILABLE_IMPORTS.clone()),
        max_imports: if shape & 1 == 0 { 5 } else { 0 },
        max_instructions: if shape & 2 == 0 { 100 } else { 1_000 },
        max_funcs: if shape & 4 == 0 { 8 } else { 40 },
        // A page more than the runtime has costs nothing to compile.
        max_memories: 1,
        max_tables: if shape & 8 == 0 { 1 } else { 4 },
        max_table_elements: 1_000,
        export_everything: shape & 16 != 0,
        simd_enabled: *SIMD && shape & 32 != 0,
        tail_call_enabled: *TAIL_CALLS && shape & 64 != 0,
        extended_const_enabled: *EXTENDED_CONSTANTS,
        relaxed_simd_enabled: false,
        compact_imports_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        ..wasm_smith::Config::default()
    }
}

/// The first byte shapes the module, the rest are its choices.
pub(crate) fn module_of(data: &[u8]) -> Option<Vec<u8>> {
    let (shape, choices) = data.split_first()?;
    let mut choices = Unstructured::new(choices);
    let module = wasm_smith::Module::new(config(*shape), &mut choices).ok()?;
    Some(module.to_bytes())
}
