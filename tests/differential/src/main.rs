//! Random modules in our compiled code and in two interpreters: what a module returns,
//! prints, traps at and leaves in its globals and memory must be the same everywhere.
//!
//! ```text
//! seed ── smith or bounds_program ──▶ module ──▶ wasmi, in this process
//!   └──── script: calls, arguments       ├─────▶ WAMR's interpreter      each step's Seen
//!                                        └─────▶ compiled, on WAMR:      is compared with
//!                                                x86_64, aarch64, riscv64  wasmi's
//! ```
//!
//! `cargo xtask differential` runs it, `cargo xtask test` with a fixed range of seeds.
//! A seed that found something is written to `target/differential` with its module.

mod bounds_program;
mod case;
mod on_wamr;
mod outcome;
mod script;
mod second_engine;
mod smith;

use anyhow::{Context, bail};
use case::{Case, Counts, Engines, Kind};
use lexopt::prelude::*;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const HELP: &str = "\
Usage: differential [--seconds N] [--from SEED] [--modules N] [--only smith|simd|bounds]
       differential --seed N";

struct Arguments {
    seconds: f64,
    from: Option<u64>,
    modules: u64,
    seed: Option<u64>,
    only: Option<Kind>,
    findings: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = parse()?;
    let mut engines = Engines::start()?;
    if let Some(seed) = arguments.seed {
        return replay(&mut engines, seed, &arguments);
    }
    let first = arguments.from.unwrap_or_else(seed_of_clock);
    let started = Instant::now();
    let time = Duration::try_from_secs_f64(arguments.seconds)?;
    let (mut counts, mut failed, mut seed) = (Counts::default(), 0, first);
    while started.elapsed() < time && counts.modules < arguments.modules {
        if arguments.only.is_none_or(|only| only == Kind::of(seed))
            && let Ok(case) = Case::of(seed)
        {
            let differences = engines.check(&case, &mut counts)?;
            if !differences.is_empty() {
                failed += 1;
                report(&case, &differences, &arguments)?;
            }
        }
        seed = seed.wrapping_add(1);
    }
    println!("seeds {first} to {seed}: {counts:?}, {:.0} s", started.elapsed().as_secs_f64());
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let passed = counts.modules.saturating_sub(failed);
    println!("test result: {word}. {passed} passed; {failed} failed");
    if failed > 0 {
        bail!("{failed} modules behave differently, see above");
    }
    Ok(())
}

fn replay(engines: &mut Engines, seed: u64, arguments: &Arguments) -> anyhow::Result<()> {
    let case = Case::of(seed)?;
    let mut counts = Counts::default();
    let differences = engines.check(&case, &mut counts)?;
    report(&case, &differences, arguments)?;
    if !differences.is_empty() {
        bail!("seed {seed} behaves differently");
    }
    println!("nothing differs: {counts:?}");
    Ok(())
}

fn report(case: &Case, differences: &str, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = &arguments.findings;
    let path = folder.join(format!("{}.wasm", case.seed));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, &case.wasm))
        .with_context(|| format!("write {}", path.display()))?;
    let (seed, kind) = (case.seed, case.kind);
    println!("seed {seed} ({kind:?}, {}): replay with `--seed {seed}`", path.display());
    print!("{differences}");
    Ok(())
}

fn parse() -> anyhow::Result<Arguments> {
    let mut arguments = Arguments {
        seconds: 60.0,
        from: None,
        modules: u64::MAX,
        seed: None,
        only: None,
        findings: PathBuf::from("target/differential"),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => arguments.seconds = parser.value()?.parse()?,
            Long("from") => arguments.from = Some(parser.value()?.parse()?),
            Long("modules") => arguments.modules = parser.value()?.parse()?,
            Long("seed") => arguments.seed = Some(parser.value()?.parse()?),
            Long("only") => {
                let name = parser.value()?.string()?;
                let found = Kind::ALL.iter().find(|(known, _)| *known == name);
                let (_, kind) = found.with_context(|| format!("no kind {name:?}; {HELP}"))?;
                arguments.only = Some(*kind);
            }
            Long("findings") => arguments.findings = parser.value()?.into(),
            Long("help") => {
                println!("{HELP}");
                std::process::exit(0);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(arguments)
}

fn seed_of_clock() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_secs() << 20
}
