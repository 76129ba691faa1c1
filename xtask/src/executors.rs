//! Builds the tests' executors into `target/kit/executors/<machine>`.
//!
//! They share the target directories and the cargo profile of the devices' builds,
//! because compiling WAMR is most of the work. The interpreter is another build of
//! WAMR and has a directory of its own.

use crate::{kit, run};
use executor::{Machine, Mode};
use std::path::Path;

pub fn build(workspace: &Path) -> anyhow::Result<()> {
    for (mode, bounds_checks, folder) in [
        (Mode::Aot, "hardware", "devices-hardware"),
        (Mode::Aot, "software", "devices-software"),
        (Mode::Interpreter, "hardware", "devices-interpreter"),
    ] {
        let is_built_here = |machine: &&Machine| {
            machine.mode == mode && machine.bounds_checks.as_str() == bounds_checks
        };
        let machines: Vec<_> = Machine::ALL.iter().filter(is_built_here).collect();
        let target_dir = workspace.join("target").join(folder);
        let mut command = run::cargo(workspace);
        command
            .args(["build", "--locked", "--profile", "device", "-p", "farrier-executor"])
            .env("FARRIER_BOUNDS_CHECKS", bounds_checks)
            .env("FARRIER_WAMR_MODE", mode.as_str())
            .arg("--target-dir")
            .arg(&target_dir);
        for machine in &machines {
            command.args(["--target", machine.triple]);
        }
        let what = format!("build executors in {folder}");
        run::step(&what, &mut command)?;
        for machine in machines {
            let built = target_dir.join(machine.triple).join("device/farrier-executor");
            kit::install(&built, &kit::directory(workspace).join("executors").join(machine.name))?;
        }
    }
    Ok(())
}
