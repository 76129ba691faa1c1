//! One program: fetched or built, compiled for each machine, run, and compared with
//! what it must do. Then the same metered, and in WAMR's interpreter.

use crate::list::{Expected, OnDevice, Output, Program};
use crate::outcome::{Done, Outcome, Run};
use crate::{build, device};
use aot_compiler::{CompileOptions, Metering, compile, meter};
use executor::{ExecuteError, Executor, GuestInput, Machine, Mode, Value};
use harness::DeviceClass;
use known_answer::Step;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use target_spec::Registry;
use target_spec::metering::EXPORT_GAS_USED;

/// Native stack for a program's calls. Interpreters and compilers nest deep.
const STACK_BYTES: usize = 8 << 20;

/// For one request: loading 20 MB of code, or a whole program under an emulator.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Only one module and one instance are ever in an executor here.
const SLOT: u32 = 0;

/// On all its machines, or on one of them.
pub fn run(program: Program, only: Option<&str>) -> Outcome {
    let (name, language) = (program.name.clone(), program.language.clone());
    let mut outcome =
        Outcome { name, language, wasm_bytes: None, runs: Vec::new(), obstacle: None };
    let had = build::module(&program.name, &program.source);
    let (wasm, expected) = match had.and_then(|wasm| Ok((wasm, program.expected()?))) {
        Ok(both) => both,
        Err(error) => {
            outcome.obstacle = Some(format!("{error:#}"));
            return outcome;
        }
    };
    outcome.wasm_bytes = Some(wasm.len());
    if let Some(on_device) = &program.device {
        run_on_devices(&program, &wasm, on_device, only, &mut outcome);
        return outcome;
    }
    for machine in machines(&program) {
        if only.is_some_and(|only| only != machine.name) {
            continue;
        }
        if machine.mode == Mode::Aot {
            outcome.runs.push(one_run(&program, &wasm, &expected, &machine, Metering::None));
        }
        outcome.runs.push(one_run(&program, &wasm, &expected, &machine, Metering::Gas));
        let is_good = |run: &Run| run.machine != machine.name || run.result.is_ok();
        let passed = if outcome.runs.iter().all(is_good) { "passed" } else { "FAILED" };
        eprintln!("  {} on {}: {passed}", program.name, machine.name);
    }
    outcome
}

fn run_on_devices(
    program: &Program,
    wasm: &[u8],
    OnDevice { files, runs }: &OnDevice,
    only: Option<&str>,
    outcome: &mut Outcome,
) {
    // Its name is the program's first argument.
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return outcome.obstacle = Some(format!("make a directory: {error}")),
    };
    let path = folder.path().join(&program.name).with_extension("wasm");
    if let Err(error) = std::fs::write(&path, wasm) {
        return outcome.obstacle = Some(format!("write {}: {error}", path.display()));
    }
    for class in DeviceClass::ALL {
        if only.is_none_or(|only| only == class.target) {
            let new = device::runs(&path, &program.env, files, runs, class);
            let passed = if new.iter().all(|run| run.result.is_ok()) { "passed" } else { "FAILED" };
            eprintln!("  {} on {}: {passed}", program.name, class.target);
            outcome.runs.extend(new);
        }
    }
}

/// Those of the list, and the interpreter, whose gas is what compiled code must use.
fn machines(program: &Program) -> Vec<Machine> {
    let chosen = program.machines();
    let is_chosen = |machine: &&Machine| chosen.contains(&machine.name);
    let mut machines: Vec<_> = Machine::ALL.iter().filter(is_chosen).copied().collect();
    machines.push(Machine::X86_64_INTERPRETER);
    machines
}

fn one_run(
    program: &Program,
    wasm: &[u8],
    expected: &Expected,
    machine: &Machine,
    metering: Metering,
) -> Run {
    let is_metered = metering == Metering::Gas;
    let started = Instant::now();
    let file = file_for(wasm, machine, metering);
    let compile_time = started.elapsed();
    let file_bytes = file.as_ref().map_or(0, Vec::len);
    let started = Instant::now();
    let result = file.and_then(|file| execute(program, file, expected, machine, is_metered));
    let run_time = started.elapsed();
    let machine = machine.name.to_owned();
    Run { machine, is_metered, file_bytes, compile_time, run_time, result }
}

/// What this machine loads: an AoT file, or a module.
fn file_for(wasm: &[u8], machine: &Machine, metering: Metering) -> Result<Vec<u8>, String> {
    if machine.mode == Mode::Interpreter {
        let metered = meter(wasm).map_err(|error| format!("meter it: {error}"))?;
        return Ok(metered.wasm);
    }
    let mut target =
        Registry::built_in().find(machine.target_id).map_err(|error| error.to_string())?.clone();
    if !target.supports_bounds_checks(machine.bounds_checks) {
        target.bounds_checks.push(machine.bounds_checks);
    }
    let options = CompileOptions { metering, ..CompileOptions::new(machine.bounds_checks) };
    let artifact =
        compile(wasm, &target, &options).map_err(|error| format!("compile it: {error}"))?;
    Ok(artifact.aot)
}

fn execute(
    program: &Program,
    file: Vec<u8>,
    expected: &Expected,
    machine: &Machine,
    is_metered: bool,
) -> Result<Done, String> {
    let mut executor =
        Executor::start_with_stack(machine, STACK_BYTES).map_err(|error| error.to_string())?;
    executor.set_timeout(TIMEOUT);
    executor.load(SLOT, file).map_err(|error| format!("load it: {error}"))?;
    let stdin = match expected {
        Expected::Output { stdin, .. } => stdin.clone(),
        Expected::Steps(_) | Expected::OnDevice => Vec::new(),
    };
    let (arguments, environment) = (program.args.clone(), program.env.clone());
    let input = GuestInput { arguments, environment, stdin };
    executor
        .instantiate_with(SLOT, SLOT, input)
        .map_err(|error| format!("instantiate it: {error}"))?;
    match expected {
        Expected::Output { stdout, .. } => run_command(&mut executor, program.exit_code, stdout)?,
        Expected::Steps(steps) => take_steps(&mut executor, steps)?,
        Expected::OnDevice => return Err("it runs as on a device, and in no executor".to_owned()),
    }
    let gas = match is_metered {
        true => Some(gas_used(&mut executor)?),
        false => None,
    };
    Ok(Done { gas })
}

fn gas_used(executor: &mut Executor) -> Result<u64, String> {
    match executor.global(SLOT, EXPORT_GAS_USED) {
        Ok(Value::I64(gas)) => Ok(gas.cast_unsigned()),
        Ok(other) => Err(format!("the gas counter is {other:?}")),
        Err(error) => Err(format!("read the gas counter: {error}")),
    }
}

/// A WASI command: its exit code and all that it printed.
fn run_command(executor: &mut Executor, exit_code: u32, stdout: &Output) -> Result<(), String> {
    let returned = executor.call(SLOT, "_start", &[]).map_err(|error| match error {
        ExecuteError::Trapped { reason, output, errors } => {
            format!("trap: {reason}\n{}{}", excerpt(&output), excerpt(&errors))
        }
        other => other.to_string(),
    })?;
    let code = returned.exit_code.unwrap_or(0);
    if code != exit_code {
        let said = excerpt(&returned.errors);
        return Err(format!("it ended with exit code {code} instead of {exit_code}\n{said}"));
    }
    match stdout {
        Output::Bytes(bytes) if *bytes == returned.output => Ok(()),
        Output::Bytes(_) => Err(format!(
            "it printed something else:\n{}{}",
            excerpt(&returned.output),
            excerpt(&returned.errors)
        )),
        Output::Sha256(expected) => {
            let (found, len) =
                (hex::encode(Sha256::digest(&returned.output)), returned.output.len());
            let said = excerpt(&returned.errors);
            (found == *expected).then_some(()).ok_or_else(|| {
                format!("the hash of its {len} bytes of output is {found}, not {expected}\n{said}")
            })
        }
    }
}

/// As much of a program's output as a person wants to see.
fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]).into_owned()
}

fn take_steps(executor: &mut Executor, steps: &[Step]) -> Result<(), String> {
    for (index, step) in steps.iter().enumerate() {
        let at = |what: String| format!("step {}, {step}: {what}", index + 1);
        match step {
            Step::Write { address, bytes } => {
                executor.write_memory(SLOT, *address, bytes).map_err(|e| at(e.to_string()))?;
            }
            Step::Read { address, bytes } => {
                let found = executor.read_memory(SLOT, *address, bytes.len() as u32);
                let found = found.map_err(|error| at(error.to_string()))?;
                if found != *bytes {
                    return Err(at(format!("found {}", hex::encode(found))));
                }
            }
            Step::Call { export, args, expect } => {
                let args: Vec<Value> = args.iter().copied().map(value).collect();
                let returned = executor.call(SLOT, export, &args);
                let values = returned.map_err(|error| at(error.to_string()))?.values;
                let expect = expect.as_ref().map(|expect| expect.iter().copied().map(value));
                if expect.is_some_and(|expect| !expect.eq(values.iter().copied())) {
                    return Err(at(format!("returned {values:?}")));
                }
            }
        }
    }
    Ok(())
}

fn value(value: known_answer::Value) -> Value {
    match value {
        known_answer::Value::I32(number) => Value::I32(number),
        known_answer::Value::I64(number) => Value::I64(number),
        known_answer::Value::F32(bits) => Value::F32(bits),
        known_answer::Value::F64(bits) => Value::F64(bits),
    }
}
