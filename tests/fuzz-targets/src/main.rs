//! `cargo xtask fuzz`: the functions for as long as one likes, or one input again.

use anyhow::{Context, bail};
use fuzz_targets::{Limits, TARGETS, Target, find, run};
use lexopt::prelude::*;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HELP: &str = "\
Usage: fuzz-targets [--minutes N] [--seed N] [--only TARGET] [--findings DIR]
       fuzz-targets --only TARGET --input FILE";

/// Each target's turn; then the next one, so that a short run has seen all of them.
const ROUND: Duration = Duration::from_secs(120);

struct Arguments {
    minutes: f64,
    seed: Option<u64>,
    only: Option<Target>,
    input: Option<PathBuf>,
    findings: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = parse()?;
    if let (Some(target), Some(input)) = (arguments.only, &arguments.input) {
        let bytes = std::fs::read(input).with_context(|| format!("read {}", input.display()))?;
        let outcome = (target.check)(&bytes);
        println!("{}: {outcome:?}", target.name);
        return Ok(());
    }
    let targets: Vec<Target> = match arguments.only {
        Some(target) => vec![target],
        None => TARGETS.to_vec(),
    };
    fuzz(&arguments, &targets)
}

fn fuzz(arguments: &Arguments, targets: &[Target]) -> anyhow::Result<()> {
    let total = Duration::try_from_secs_f64(arguments.minutes * 60.0)?;
    let rounds = (total.as_secs_f64() / ROUND.as_secs_f64()).ceil().max(1.0);
    let shares: u32 = targets.iter().map(|target| target.share).sum();
    let mut seed = arguments.seed.unwrap_or_else(seed_of_clock);
    let mut found = 0;
    for round in 0..rounds as u64 {
        for target in targets {
            let time = total.div_f64(rounds) * target.share / shares;
            let limits = Limits { time, seed, findings: arguments.findings.clone() };
            match run(*target, &limits) {
                Ok(ran) => println!(
                    "round {round}, seed {seed}: {} ran {} times, {} outcomes, slowest {:.2} s",
                    target.name,
                    ran.executions,
                    ran.outcomes,
                    ran.slowest.as_secs_f64()
                ),
                Err(error) => {
                    found += 1;
                    println!("FOUND: {error:#}");
                }
            }
        }
        seed = seed.wrapping_add(1);
    }
    if found > 0 {
        bail!("{found} inputs were found, see above");
    }
    Ok(())
}

fn parse() -> anyhow::Result<Arguments> {
    let mut arguments = Arguments {
        minutes: 1.0,
        seed: None,
        only: None,
        input: None,
        findings: PathBuf::from("target/fuzz-findings"),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("minutes") => arguments.minutes = parser.value()?.parse()?,
            Long("seed") => arguments.seed = Some(parser.value()?.parse()?),
            Long("only") => {
                let name = parser.value()?.string()?;
                let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
                let target = find(&name);
                arguments.only = Some(
                    target
                        .with_context(|| format!("no {name:?}; there are {}", names.join(", ")))?,
                );
            }
            Long("input") => arguments.input = Some(parser.value()?.into()),
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
    since_1970.as_secs()
}
