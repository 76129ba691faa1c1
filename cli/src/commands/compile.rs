//! `farrier compile`: the gateway's compiler on one file, without a gateway.

use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format;
use crate::output_file;
use aot_compiler::{
    Artifact, COST_TABLE_VERSION, CompileError, CompileOptions, Metering, ModuleError, ObjectFile,
    limits,
};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;
use target_spec::profile::NanRule;
use target_spec::{BoundsChecks, Registry, Target, TargetError};

#[derive(Debug, Args)]
#[command(after_help = "\
The file is for WAMR of the AoT version that `farrier version` names. A device of a
gateway runs only what the gateway has compiled and signed itself.

Examples:
  farrier compile filter.wasm --target riscv64-linux -o filter.aot
  farrier compile filter.wasm --target x86_64-linux --bounds software -o filter.aot
  farrier compile filter.wasm --target x86_64-linux --metering --nan canonical -o filter.aot
  farrier compile filter.wasm --target x86_64-linux --emit object -o filter.o")]
pub struct CompileArgs {
    /// The Wasm file
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// What to compile for; `farrier version` lists the targets
    #[arg(short, long)]
    target: String,
    /// How to catch accesses beyond the memory: hardware or software [default: the target's]
    #[arg(long, value_name = "MODE")]
    bounds: Option<BoundsChecks>,
    /// Count gas and stop at a limit that the host sets; a unit is about one machine
    /// instruction (docs/metering.md)
    #[arg(long)]
    metering: bool,
    /// The bits of a NaN that is computed: as-computed, by the processor, or canonical,
    /// the same on every one (docs/determinism.md)
    #[arg(long, value_name = "RULE", default_value_t)]
    nan: NanRule,
    /// Look once in each turn of a loop and in each function whether the host wants to
    /// stop the code; metered code does so anyway (docs/metering.md)
    #[arg(long)]
    suspend_checks: bool,
    /// What to write
    #[arg(long, value_name = "KIND", default_value = "aot")]
    emit: Emit,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Tell the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Emit {
    /// The file that devices run
    Aot,
    /// An ELF object with the functions' names, for objdump and debuggers
    Object,
}

#[derive(Debug, Serialize)]
struct Report {
    output: String,
    emit: Emit,
    target: String,
    bounds_checks: &'static str,
    policy: Policy,
    module_bytes: u64,
    bytes: u64,
    code_bytes: u64,
    function_count: u32,
    compile_ms: u64,
    compiler: &'static str,
}

/// As in the file's profile note.
#[derive(Debug, Serialize)]
struct Policy {
    /// The version of the cost table; null without metering.
    metering: Option<u32>,
    nan: &'static str,
    suspend_checks: bool,
}

pub fn run(args: &CompileArgs, console: &Console) -> Result<(), Failure> {
    let target = find_target(&args.target)?;
    let bounds_checks = args.bounds.unwrap_or_else(|| target.default_bounds_checks());
    let wasm = read_module(&args.input)?;

    let started = Instant::now();
    let options = CompileOptions {
        metering: if args.metering { Metering::Gas } else { Metering::None },
        nan_rule: args.nan,
        suspend_checks: args.suspend_checks,
        ..CompileOptions::new(bounds_checks)
    };
    let compiled = compile(args.emit, &wasm, target, &options);
    let compile_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let if_metered = "leave --metering away for a module that meters itself";
    let compiled = compiled.map_err(|error| refuse(&args.input, &error, if_metered))?;
    output_file::write(&args.input, &args.output, &compiled.bytes)?;

    let report = Report {
        output: args.output.display().to_string(),
        emit: args.emit,
        target: target.id.to_string(),
        bounds_checks: bounds_checks.as_str(),
        policy: Policy {
            metering: args.metering.then_some(COST_TABLE_VERSION),
            nan: args.nan.as_str(),
            suspend_checks: args.suspend_checks,
        },
        module_bytes: wasm.len() as u64,
        bytes: compiled.bytes.len() as u64,
        code_bytes: compiled.code_bytes,
        function_count: compiled.function_count,
        compile_ms,
        compiler: aot_compiler::COMPILER_ID,
    };
    if args.json {
        return console.json(&report);
    }
    console.line(&format::printable(&format!(
        "{}: {} bytes in {} ms, for {} with {} bounds checks",
        report.output, report.bytes, report.compile_ms, report.target, report.bounds_checks
    )))
}

struct Compiled {
    bytes: Vec<u8>,
    code_bytes: u64,
    function_count: u32,
}

fn compile(
    emit: Emit,
    wasm: &[u8],
    target: &Target,
    options: &CompileOptions,
) -> Result<Compiled, CompileError> {
    match emit {
        Emit::Aot => {
            let Artifact { aot: bytes, code_bytes, function_count, .. } =
                aot_compiler::compile(wasm, target, options)?;
            Ok(Compiled { bytes, code_bytes, function_count })
        }
        Emit::Object => {
            let ObjectFile { elf: bytes, code_bytes, function_count } =
                aot_compiler::compile_object(wasm, target, options)?;
            Ok(Compiled { bytes, code_bytes, function_count })
        }
    }
}

fn find_target(name: &str) -> Result<&'static Target, Failure> {
    Registry::built_in().find(name).map_err(|error| {
        let advice = match error {
            TargetError::Unknown { .. } => "--target with one of these",
            TargetError::NoCodeGenerator(_) => "farrier version, which lists targets that have one",
        };
        Failure::new(Exit::Usage, error).or_try(advice)
    })
}

pub fn read_module(path: &Path) -> Result<Vec<u8>, Failure> {
    let failure = |error: std::io::Error| Failure::of_reading(path, &error);
    let file = File::open(path).map_err(failure)?;
    let mut wasm = Vec::new();
    // One byte over the limit lets the compiler see that there are too many.
    let read_max = limits::MODULE_BYTES_MAX as u64 + 1;
    file.take(read_max).read_to_end(&mut wasm).map_err(failure)?;
    Ok(wasm)
}

/// `if_metered` is what to do with a module that cannot be metered.
pub fn refuse(input: &Path, error: &CompileError, if_metered: &str) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("{}: {error}", input.display()));
    match error {
        CompileError::Module(ModuleError::NotWasm { .. }) => {
            failure.or_try("give a file that starts with \\0asm, such as rustc's for wasm32")
        }
        CompileError::Module(ModuleError::Truncated { .. }) => failure.or_try("build it again"),
        CompileError::Module(ModuleError::Unsupported { proposal, .. }) => {
            failure.or_try(format!("switch {proposal} off in the tool that made the module"))
        }
        CompileError::Module(ModuleError::Invalid { .. }) => {
            failure.or_try("another version of the tool that made the module")
        }
        CompileError::Module(ModuleError::LimitExceeded { .. }) => {
            failure.or_try("a smaller module: optimise for size, or split it")
        }
        CompileError::Module(ModuleError::Reserved { .. }) => failure.or_try(if_metered),
        CompileError::TargetCannot { .. } => {
            failure.or_try("leave --bounds away for the target's own, or choose another target")
        }
        CompileError::NotExpressible { .. } => failure,
        CompileError::Bug { .. } => failure.or_try("report it, with the module"),
    }
}
