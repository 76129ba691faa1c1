//! Runs the seeds of one kind until its goal, its range or its time has come.

use crate::{Entry, Kind, Results, Rig, Workplace};
use anyhow::Context;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Seeds after which a rig is made anew, so that what piles up in a fleet (logs,
/// deployments) does not slow the later seeds down.
const SEEDS_PER_RIG: u64 = 60;

/// Violations in a row after which a kind is given up: then something is broken that
/// every further seed would only find again.
const VIOLATIONS_IN_A_ROW_MAX: u32 = 5;

/// Time between two lines of progress.
const SAY_EVERY: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub struct Limits {
    pub goal: u64,
    /// Which seeds; without a range from 1 on until the goal is reached.
    pub seeds: Option<Range<u64>>,
    pub until: Option<Instant>,
    /// Below it each rig gets its folder.
    pub folder: PathBuf,
    pub commit: String,
    /// Seeds that passed at another commit need not run again either.
    pub any_commit: bool,
    pub date: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    pub seeds: u64,
    /// With those of earlier runs that need no repetition.
    pub faults: u64,
    pub violations: Vec<String>,
    /// Neither the time nor violations ended it early.
    pub complete: bool,
}

/// Runs a kind; `results` remembers and is asked what need not run again. Passed
/// seeds of the same commit are not repeated, violations are.
pub fn run(kind: &Kind, limits: &Limits, results: Option<&Results>) -> anyhow::Result<Ran> {
    let known = results.map(|results| results.read(kind.name)).unwrap_or_default();
    let passed = |seed: u64| {
        known.get(&seed).filter(|entry| {
            let is_ours = limits.any_commit || entry.commit == limits.commit;
            entry.violation.is_none() && is_ours && entry.faults > 0
        })
    };
    let mut ran = Ran::default();
    let mut rig: Option<OpenRig> = None;
    let mut in_a_row = 0;
    let mut said = Instant::now();
    let mut seed = limits.seeds.as_ref().map_or(1, |seeds| seeds.start);
    loop {
        let is_done = match &limits.seeds {
            Some(seeds) => seed >= seeds.end,
            None => ran.faults >= limits.goal,
        };
        if is_done {
            ran.complete = true;
            return Ok(ran);
        }
        if let Some(entry) = passed(seed) {
            ran.faults += entry.faults;
            seed += 1;
            continue;
        }
        if limits.until.is_some_and(|until| Instant::now() >= until)
            || in_a_row >= VIOLATIONS_IN_A_ROW_MAX
        {
            return Ok(ran);
        }
        let began = Instant::now();
        let outcome = run_one(kind, limits, &mut rig, seed);
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        ran.seeds += 1;
        let mut entry = Entry {
            kind: kind.name.to_owned(),
            seed,
            faults: 0,
            violation: None,
            ms,
            commit: limits.commit.clone(),
            date: limits.date.clone(),
        };
        match outcome {
            Ok(outcome) => {
                in_a_row = 0;
                entry.faults = outcome.faults;
                ran.faults += outcome.faults;
            }
            Err(error) => {
                in_a_row += 1;
                let text = format!("{error:#}");
                let line = text.lines().next().unwrap_or_default();
                println!("VIOLATION {} seed {seed}: {line}", kind.name);
                ran.violations.push(format!("seed {seed}: {text}"));
                entry.violation = Some(text);
                // What is left of the fleet may be the next seed's violation too. Its
                // folder stays for whoever looks into it.
                if let Some(rig) = rig.take() {
                    rig.keep_files();
                }
            }
        }
        if let Some(results) = results {
            results.add(&entry)?;
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            println!(
                "{}: seed {seed}, {} of {} faults, {} violations, the last seed took {ms} ms",
                kind.name,
                ran.faults,
                limits.goal,
                ran.violations.len()
            );
        }
        seed += 1;
    }
}

struct OpenRig {
    rig: Box<dyn Rig>,
    folder: tempfile::TempDir,
    seeds_left: u64,
}

impl OpenRig {
    fn open(kind: &Kind, limits: &Limits) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&limits.folder)?;
        let folder = tempfile::Builder::new().prefix(kind.name).tempdir_in(&limits.folder)?;
        let workplace = Workplace { folder: folder.path().to_owned() };
        let rig = (kind.open)(&workplace).with_context(|| format!("prepare {}", kind.name))?;
        Ok(Self { rig, folder, seeds_left: SEEDS_PER_RIG })
    }

    fn keep_files(self) {
        let Self { rig, mut folder, .. } = self;
        // First the processes, which still write.
        drop(rig);
        folder.disable_cleanup(true);
        println!("  its files stay in {}", folder.path().display());
    }
}

fn run_one(
    kind: &Kind,
    limits: &Limits,
    slot: &mut Option<OpenRig>,
    seed: u64,
) -> anyhow::Result<crate::Outcome> {
    if slot.as_ref().is_some_and(|open| open.seeds_left == 0) {
        *slot = None;
    }
    let open = match slot {
        Some(open) => open,
        None => slot.insert(OpenRig::open(kind, limits)?),
    };
    open.seeds_left -= 1;
    open.rig.run(seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, nothing_is_missing};

    /// Violated by seed 3.
    struct Third;

    impl Rig for Third {
        fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
            anyhow::ensure!(seed != 3, "three");
            Ok(Outcome { faults: 10 })
        }
    }

    const THIRD: Kind = Kind {
        name: "third",
        fault: "",
        oracle: "",
        goal: 0,
        short_goal: 0,
        missing: nothing_is_missing,
        open: |_| Ok(Box::new(Third)),
    };

    fn limits(folder: &std::path::Path, seeds: Option<Range<u64>>) -> Limits {
        Limits {
            goal: 45,
            seeds,
            until: None,
            folder: folder.to_owned(),
            commit: "abc".into(),
            any_commit: false,
            date: "2026-11-27".into(),
        }
    }

    #[test]
    fn a_run_goes_on_where_the_last_one_stopped_and_repeats_violations() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results::open(folder.path()).unwrap();
        let ran = |seeds| run(&THIRD, &limits(folder.path(), seeds), Some(&results)).unwrap();
        let first = ran(Some(1..3));
        assert_eq!((first.seeds, first.faults, first.complete), (2, 20, true));
        let second = ran(None);
        assert_eq!((second.seeds, second.faults), (4, 50), "seeds 3 to 6");
        assert_eq!(second.violations, ["seed 3: three"]);
        let third = ran(None);
        assert_eq!((third.seeds, third.faults), (1, 50), "seed 3 alone");
    }
}
