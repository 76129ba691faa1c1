//! The figures as a page of the documentation.

use crate::{INTERVAL_MS, Outcome, RUNTIME_US, Sample, WAYS, processors};
use anyhow::Context;
use std::fmt::Write as _;
use std::fs;

pub fn write(outcomes: &[Outcome], rounds: usize, seconds: u32) -> anyhow::Result<String> {
    let mut page = format!(
        "# A module on time beside busy ones\n\n\
         Written by `cargo xtask bench real-time --write-docs`; do not edit.\n\n\
         `cargo xtask bench real-time --rounds {rounds} --seconds {seconds}`, {commit}, {machine};\n\
         load average when it ended {load} (spinners included). {system}\n\n\
         A module ticks every {INTERVAL_MS} ms, computes for a tenth of one, and has to be over\n\
         before the next tick is due; with a class it is promised {RUNTIME_US} µs of each period.\n\
         It runs alone, and beside {processors} best-effort modules that spin, one for each\n\
         processor, each in a worker of its own as the agent starts it; in turns, {seconds} s\n\
         each, {rounds} rounds. The device does not lower what spins (`lower_spinning = false`), so\n\
         that the classes are compared and nothing else. *Response* is from due to over, as the device's reports have it.\n\
         A *miss* is a tick that was over too late, or that was left out because the one before\n\
         was not over. Medians over the rounds; in brackets the lowest and the highest. The ratio\n\
         is that of one round's p99 to the same round's of the module alone.\n\n\
         | | response, p99 | ratio to alone | response, max | misses |\n|---|---|---|---|---|\n",
        commit = harness::commit_and_date()?,
        machine = harness::machine()?,
        load = harness::load()?,
        system = system()?,
        processors = processors(),
    );
    let alone = match outcomes.first() {
        Some(Outcome::Measured(samples)) => samples.as_slice(),
        _ => &[],
    };
    for (way, outcome) in WAYS.iter().zip(outcomes) {
        let words = way.words();
        match outcome {
            Outcome::Measured(samples) => {
                let ratios = samples.iter().zip(alone);
                let ratios = ratios.map(|(it, alone)| it.p99_us / alone.p99_us.max(1.0));
                let of = |figure: fn(&Sample) -> f64| spread(samples.iter().map(figure));
                writeln!(
                    page,
                    "| {words} | {} µs | {} | {} µs | {} % |",
                    of(|sample| sample.p99_us).text(0),
                    spread(ratios).text(2),
                    of(|sample| sample.max_us).text(0),
                    of(|sample| sample.missed_percent).text(2),
                )?;
            }
            Outcome::Refused(why) => writeln!(page, "| {words} | refused: {why} | | | |")?,
        }
    }
    page.push_str(
        "\nWhat the classes are, who may have them and what they do not promise:\n\
         [real-time.md](real-time.md).\n",
    );
    Ok(page)
}

struct Spread {
    lowest: f64,
    median: f64,
    highest: f64,
}

fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    Spread {
        lowest: at(0),
        median: at(values.len() / 2),
        highest: at(values.len().saturating_sub(1)),
    }
}

impl Spread {
    fn text(&self, digits: usize) -> String {
        let Self { lowest, median, highest } = self;
        format!("{median:.digits$} ({lowest:.digits$} to {highest:.digits$})")
    }
}

/// What decides whether a class can be had, and what it is worth.
fn system() -> anyhow::Result<String> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| path.to_owned());
    let release = read("/proc/sys/kernel/osrelease")?;
    // `#1 SMP PREEMPT_DYNAMIC` and a date.
    let version = read("/proc/sys/kernel/version")?;
    let words = version.split_whitespace();
    let preemption = words.filter(|word| word.starts_with("PREEMPT")).collect::<Vec<_>>();
    let status = read("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let may = mask.is_some_and(|mask| mask & (1 << CAP_SYS_NICE) != 0);
    Ok(format!(
        "Linux {}, {}; the agent runs {} CAP_SYS_NICE, built {}.",
        release.trim(),
        if preemption.is_empty() { "no word on preemption".into() } else { preemption.join(" ") },
        if may { "with" } else { "without" },
        if cfg!(debug_assertions) { "for development" } else { "for speed" },
    ))
}

/// From `linux/capability.h`.
const CAP_SYS_NICE: u32 = 23;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_medians_and_what_was_refused() {
        let sample = |p99_us| Sample { p99_us, max_us: 2.0 * p99_us, missed_percent: 0.5 };
        let alone = [100.0, 300.0, 200.0].map(sample).to_vec();
        let beside = [1_000.0, 3_000.0, 4_000.0].map(sample).to_vec();
        let outcomes = [
            Outcome::Measured(alone.clone()),
            Outcome::Measured(beside),
            Outcome::Measured(alone),
            Outcome::Refused("sched_setattr says EPERM".into()),
        ];
        let page = write(&outcomes, 3, 1).unwrap();
        let beside =
            "| best-effort, beside spinners | 3000 (1000 to 4000) µs | 10.00 (10.00 to 20.00) ";
        assert!(page.contains(beside), "{page}");
        assert!(page.contains("refused: sched_setattr says EPERM"), "{page}");
    }
}
