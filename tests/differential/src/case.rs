//! A seed → a module and its script, and what all engines make of them.

use crate::on_wamr::{OnWamr, compares_output};
use crate::outcome::Seen;
use crate::script::{Step, script};
use crate::second_engine::{PANICKED, SecondEngine};
use crate::{bounds_program, smith};
use anyhow::Context;
use aot_compiler::{CompileError, CompileOptions, ModuleError, compile};
use executor::{ExecuteError, Machine, Mode};
use fuzz_targets::Random;
use std::fmt::Write;
use std::num::NonZeroUsize;
use target_spec::Registry;

/// The emulators are slow to reach: one module of so many goes there.
const EMULATED_EVERY: u64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Smith,
    SmithWithSimd,
    Bounds,
}

impl Kind {
    pub const ALL: [(&str, Self); 3] =
        [("smith", Self::Smith), ("simd", Self::SmithWithSimd), ("bounds", Self::Bounds)];

    /// What a seed stands for.
    pub fn of(seed: u64) -> Self {
        match seed % 4 {
            0 => Self::Smith,
            1 => Self::SmithWithSimd,
            _ => Self::Bounds,
        }
    }
}

/// A module that is run everywhere.
pub struct Case {
    pub seed: u64,
    pub kind: Kind,
    pub wasm: Vec<u8>,
}

impl Case {
    /// Err if there is no module for this seed.
    pub fn of(seed: u64) -> anyhow::Result<Self> {
        let (kind, mut random) = (Kind::of(seed), Random::new(seed));
        let wasm = match kind {
            Kind::Smith => smith::module(&mut random, false)?,
            Kind::SmithWithSimd => smith::module(&mut random, true)?,
            Kind::Bounds => {
                let text = bounds_program::program(&mut random);
                wat::parse_str(&text).with_context(|| format!("a wrong program: {text}"))?
            }
        };
        Ok(Self { seed, kind, wasm })
    }
}

/// What was done, for the report.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub modules: u64,
    /// Calls, as one engine made them, and those that trapped there.
    pub calls: u64,
    pub traps: u64,
    /// Steps that were compared with it.
    pub comparisons: u64,
    /// Scripts that ended early because an engine reached a limit of its own.
    pub limits: u64,
    /// Files that WAMR's interpreter does not take.
    pub refused: u64,
    /// Modules on which wasmi panics.
    pub without_wasmi: u64,
}

impl Counts {
    fn count_calls(&mut self, seen: &[Seen], steps: &[Step]) {
        let calls = seen.iter().zip(steps).filter(|(_, step)| matches!(step, Step::Call { .. }));
        for (seen, _) in calls {
            self.calls += 1;
            self.traps += u64::from(seen.is_trap());
        }
    }
}

pub struct Engines {
    second: SecondEngine,
    machines: Vec<OnWamr>,
}

impl Engines {
    pub fn start() -> anyhow::Result<Self> {
        let machines = [
            Machine::X86_64_HARDWARE,
            Machine::X86_64_SOFTWARE,
            Machine::X86_64_INTERPRETER,
            Machine::AARCH64_SOFTWARE,
            Machine::RISCV64_SOFTWARE,
        ];
        let machines = machines.into_iter().map(OnWamr::start).collect::<Result<_, _>>()?;
        Ok(Self { second: SecondEngine::new()?, machines })
    }

    /// Runs a case everywhere. The text says what differs; empty if nothing does.
    pub fn check(&mut self, case: &Case, counts: &mut Counts) -> anyhow::Result<String> {
        let exports = self.second.exports(&case.wasm).context("wasmi refuses the module")?;
        let steps = script(&exports, &mut Random::new(!case.seed));
        let mut expected = None;
        match self.second.module(&case.wasm) {
            Ok(module) => {
                expected = Some(("wasmi", self.second.run(&module, &exports, &steps)));
            }
            // Then the first machine that runs it is compared with the others.
            Err(why) if why == PANICKED => counts.without_wasmi += 1,
            Err(why) => return Ok(format!("wasmi refuses the module: {why}\n")),
        }
        counts.modules += 1;
        let mut differences = String::new();
        for wamr in &mut self.machines {
            let machine = wamr.machine;
            if !machine.is_native() && !(case.seed / 4).is_multiple_of(EMULATED_EVERY) {
                continue;
            }
            let file = match file_for(machine, case) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(why) => {
                    let _ = writeln!(differences, "{}: {why}", machine.name);
                    continue;
                }
            };
            match wamr.run(file, &exports, &steps) {
                Ok(mut seen) => {
                    if seen.last().is_some_and(Seen::is_failure) {
                        wamr.restart()?;
                    }
                    let Some((other, expected)) = &expected else {
                        expected = Some((machine.name, seen));
                        continue;
                    };
                    for ((seen, step), expected) in seen.iter_mut().zip(&steps).zip(expected) {
                        if !compares_output(machine, step) {
                            seen.printed.clone_from(&expected.printed);
                        }
                    }
                    if let Some(text) = compare(expected, &seen, &steps, counts) {
                        let _ = writeln!(differences, "{other} or {}: {text}", machine.name);
                    }
                }
                Err(ExecuteError::Refused(_)) if machine.mode == Mode::Interpreter => {
                    counts.refused += 1;
                }
                Err(error) => {
                    let _ = writeln!(differences, "{}: {error}", machine.name);
                    wamr.restart()?;
                }
            }
        }
        if let Some((_, expected)) = &expected {
            counts.count_calls(expected, &steps);
        }
        Ok(differences)
    }
}

/// None where the module cannot run; Err if the compiler is at fault.
fn file_for(machine: Machine, case: &Case) -> Result<Option<Vec<u8>>, String> {
    if machine.mode == Mode::Interpreter {
        // It is built without vectors.
        return Ok((case.kind != Kind::SmithWithSimd).then(|| case.wasm.clone()));
    }
    let target = Registry::built_in().find(machine.target_id).map_err(|e| e.to_string())?;
    let mut options = CompileOptions::new(machine.bounds_checks);
    let artifact = match compile(&case.wasm, target, &options) {
        Ok(artifact) => artifact,
        Err(CompileError::TargetCannot { .. }) if !target.simd => return Ok(None),
        Err(CompileError::Module(ModuleError::LimitExceeded { .. })) => return Ok(None),
        // Names with a NUL.
        Err(CompileError::NotExpressible { .. }) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if machine == Machine::X86_64_SOFTWARE {
        options.threads = NonZeroUsize::MIN.saturating_add(1);
        if compile(&case.wasm, target, &options).as_ref() != Ok(&artifact) {
            return Err("two threads make other bytes than one".to_owned());
        }
    }
    Ok(Some(artifact.aot))
}

fn compare(
    expected: &[Seen],
    found: &[Seen],
    steps: &[Step],
    counts: &mut Counts,
) -> Option<String> {
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        if expected.is_limit() || found.is_limit() {
            counts.limits += 1;
            return None;
        }
        counts.comparisons += 1;
        if let Some(difference) = expected.difference(found) {
            return Some(format!("step {index}, {:?}: {difference}", steps[index]));
        }
    }
    None
}
