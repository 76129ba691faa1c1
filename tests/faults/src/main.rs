//! `cargo xtask faults`: the long run, and the table of `docs/reliability.md`.

use anyhow::{Context, bail};
use clap::Parser;
use faults::{KINDS, Kind, Limits, Results, find, page, run};
use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(name = "faults", about = "Injects faults and checks what must hold after each.")]
struct Arguments {
    /// Only this kind; can be given more than once.
    #[arg(long, value_name = "KIND")]
    only: Vec<String>,
    /// Only these seeds, as 1..100, without the last.
    #[arg(long, value_parser = parse_range)]
    seeds: Option<Range<u64>>,
    /// Ends after this time at the latest, give or take one seed of each kind.
    #[arg(long)]
    minutes: Option<f64>,
    /// Kinds at the same time: most of them mostly wait.
    #[arg(long, default_value = "3")]
    jobs: usize,
    /// Counts what seeds gave at other commits too.
    #[arg(long)]
    any_commit: bool,
    /// Writes the table of all results there are to docs/reliability.md.
    #[arg(long)]
    write_docs: bool,
    /// Lists the kinds, and whether this machine can have them.
    #[arg(long)]
    list: bool,
    #[arg(long, default_value = "target/faults")]
    folder: PathBuf,
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is no range of seeds such as 1..100");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let range = start.parse().map_err(|_| wrong())?..end.parse().map_err(|_| wrong())?;
    if range.is_empty() { Err(wrong()) } else { Ok(range) }
}

fn main() -> ExitCode {
    match run_all(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.list {
        for kind in KINDS {
            let missing = (kind.missing)().map(|why| format!(" (not here: {why})"));
            println!(
                "{}: {} × {}{}",
                kind.name,
                kind.goal,
                kind.fault,
                missing.unwrap_or_default()
            );
        }
        return Ok(());
    }
    let results = Results::open(&arguments.folder.join("results"))?;
    let violations = inject(arguments, &results)?;
    if arguments.write_docs {
        let path = PathBuf::from("docs/reliability.md");
        std::fs::write(&path, page(&results))
            .with_context(|| format!("write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    if violations > 0 {
        bail!("{violations} violations, see above");
    }
    Ok(())
}

fn inject(arguments: &Arguments, results: &Results) -> anyhow::Result<usize> {
    let kinds: Vec<Kind> = match arguments.only.is_empty() {
        true => KINDS.to_vec(),
        false => arguments.only.iter().map(|name| named(name)).collect::<anyhow::Result<_>>()?,
    };
    let minutes = arguments.minutes.map(|minutes| Duration::try_from_secs_f64(minutes * 60.0));
    let until = minutes.transpose()?.map(|time| Instant::now() + time);
    let commit = if arguments.any_commit { None } else { Some(commit()?) };
    let queue = Mutex::new(VecDeque::from(kinds));
    let violations = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                while let Some(kind) = next(&queue) {
                    let found = inject_kind(&kind, arguments, results, until, commit.as_deref());
                    *violations.lock().unwrap_or_else(PoisonError::into_inner) += found;
                }
            });
        }
    });
    Ok(violations.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn next(queue: &Mutex<VecDeque<Kind>>) -> Option<Kind> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Runs a kind, says how it went and gives the number of violations.
fn inject_kind(
    kind: &Kind,
    arguments: &Arguments,
    results: &Results,
    until: Option<Instant>,
    commit: Option<&str>,
) -> usize {
    if let Some(why) = (kind.missing)() {
        println!("{}: not on this machine: {why}", kind.name);
        return 0;
    }
    println!("{}: begins", kind.name);
    let began = Instant::now();
    let limits = Limits {
        goal: kind.goal,
        seeds: arguments.seeds.clone(),
        until,
        folder: arguments.folder.join("rigs"),
        commit: commit.map(str::to_owned).unwrap_or_else(commit_or_unknown),
        any_commit: commit.is_none(),
        date: today(),
    };
    match run(kind, &limits, Some(results)) {
        Ok(ran) => {
            let how = if ran.complete { "complete" } else { "NOT complete" };
            println!(
                "{}: {how}: {} of {} faults, {} violations, {} seeds in {:.0} s",
                kind.name,
                ran.faults,
                kind.goal,
                ran.violations.len(),
                ran.seeds,
                began.elapsed().as_secs_f64()
            );
            ran.violations.len()
        }
        Err(error) => {
            println!("{}: it could not run: {error:#}", kind.name);
            1
        }
    }
}

fn named(name: &str) -> anyhow::Result<Kind> {
    let names = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    find(name).with_context(|| format!("there is no kind {name:?}; there are {}", names()))
}

fn commit_or_unknown() -> String {
    commit().unwrap_or_else(|_| "unknown".into())
}

/// The commit that is checked out, with a mark if something was changed since.
fn commit() -> anyhow::Result<String> {
    let git = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = Command::new("git").args(arguments).output().context("start git")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ":!docs"])?;
    Ok(if changed.is_empty() { commit } else { format!("{commit} with changes") })
}

/// By the system's clock, in UTC.
fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    date_of_day(since.unwrap_or_default().as_secs() / 86_400)
}

/// Days since 1970 to a date, after Howard Hinnant's `civil_from_days`.
fn date_of_day(day: u64) -> String {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!(date_of_day(0), "1970-01-01");
        assert_eq!(date_of_day(11_016), "2000-02-29");
        assert_eq!(date_of_day(20_784), "2026-11-27");
    }

    #[test]
    fn ranges_are_read_and_nonsense_is_not() {
        assert_eq!(parse_range("3..10"), Ok(3..10));
        for bad in ["", "3", "3..", "10..3", "a..b"] {
            assert!(parse_range(bad).is_err(), "{bad}");
        }
    }
}
