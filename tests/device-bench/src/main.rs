//! What a device's programs take: time from signed bytes to the first call, a host call,
//! instances in a gigabyte, memory of an idle agent with TLS, sizes on disk. What WAMR
//! itself takes for the same artifact is measured in turns with it (`device-probe`).
//!
//! ```text
//! device-bench --hardware PROGRAMS --software PROGRAMS [--rounds N] [--runs N] [--write-docs] [--only-sharing]
//! ```
//!
//! Use `cargo xtask bench device`, which builds the kit, and probes and runtimes into a
//! folder for each kind of bounds checks.

mod agent;
mod density;
mod page;
mod probe;
mod sizes;
mod worker;

use anyhow::{Context, bail};
use harness::Kit;
use std::path::PathBuf;

struct Options {
    hardware: PathBuf,
    software: PathBuf,
    rounds: usize,
    runs: usize,
    write_docs: bool,
    only_sharing: bool,
}

fn main() -> anyhow::Result<()> {
    let options = read_options()?;
    let probes = [("hardware", &options.hardware), ("software", &options.software)];
    if options.only_sharing {
        print!("{}", page::of_sharing(&measure_sharing(probes)?)?);
        return Ok(());
    }
    let kit = Kit::for_tests()?;
    let folder = tempfile::tempdir()?;
    eprintln!("▸ times and density");
    let mut modes = vec![];
    for (bounds_checks, program) in probes {
        let program = program.join("device-probe");
        let probe = probe::Probe::new(&program, bounds_checks, folder.path())?;
        modes.push(probe.measure(options.rounds, options.runs)?);
    }
    eprintln!("▸ a worker of its own");
    let worker = worker::measure(&kit, options.runs)?;
    let densities = measure_sharing(probes)?;
    eprintln!("▸ an agent with TLS");
    let agent = agent::measure(&kit, folder.path())?;
    let sizes = sizes::measure(&kit)?;
    let page =
        page::write(&modes, &worker, &densities, &agent, &sizes, (options.rounds, options.runs))?;
    println!("{page}");
    if options.write_docs {
        let path = "docs/benchmark-device.md";
        std::fs::write(path, page).with_context(|| format!("write {path}"))?;
    }
    Ok(())
}

fn measure_sharing(
    programs: [(&'static str, &PathBuf); 2],
) -> anyhow::Result<Vec<density::Measured>> {
    eprintln!("▸ modules that share a worker");
    let measure = |(bounds_checks, programs): (&'static str, &PathBuf)| {
        density::measure(&programs.join("farrier-runtime"), bounds_checks)
    };
    programs.into_iter().map(measure).collect()
}

fn read_options() -> anyhow::Result<Options> {
    let (mut hardware, mut software) = (None, None);
    let (mut rounds, mut runs, mut write_docs, mut only_sharing) = (2_000, 5, false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{name} needs a value"));
        match name.as_str() {
            "--hardware" => hardware = Some(value()?.into()),
            "--software" => software = Some(value()?.into()),
            "--rounds" => rounds = value()?.parse().context("--rounds")?,
            "--runs" => runs = value()?.parse().context("--runs")?,
            "--write-docs" => write_docs = true,
            // Without a kit, and within seconds.
            "--only-sharing" => only_sharing = true,
            _ => bail!("unknown option {name}; use --rounds, --runs, --write-docs, --only-sharing"),
        }
    }
    let hardware = hardware.context("--hardware is missing: use `cargo xtask bench device`")?;
    let software = software.context("--software is missing: use `cargo xtask bench device`")?;
    Ok(Options { hardware, software, rounds, runs: runs.max(1), write_docs, only_sharing })
}

/// The middle one; each is from a process of its own.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
