//! What came of a program on its machines.

use std::time::Duration;

pub struct Outcome {
    pub name: String,
    pub language: String,
    /// Of the module; None if it could not be had.
    pub wasm_bytes: Option<usize>,
    pub runs: Vec<Run>,
    /// Why nothing could run.
    pub obstacle: Option<String>,
}

/// One compilation and what it did.
pub struct Run {
    pub machine: String,
    pub is_metered: bool,
    /// Of the file that was loaded.
    pub file_bytes: usize,
    pub compile_time: Duration,
    pub run_time: Duration,
    pub result: Result<Done, String>,
}

/// A program that did what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub gas: Option<u64>,
}

/// How the gas of a program compares over its machines.
pub enum Gas {
    /// Fewer than two machines can tell.
    Unknown,
    Equal {
        gas: u64,
        machines: usize,
    },
    /// In the order of the runs.
    Different(Vec<(String, u64)>),
}

impl Outcome {
    /// Of metered runs that did what they must.
    pub fn gas(&self) -> Gas {
        let gas_of = |run: &Run| {
            let gas = run.result.as_ref().ok()?.gas?;
            Some((run.machine.clone(), gas))
        };
        let found: Vec<_> = self.runs.iter().filter_map(gas_of).collect();
        match found.as_slice() {
            [] | [_] => Gas::Unknown,
            [(_, gas), rest @ ..] if rest.iter().all(|(_, other)| other == gas) => {
                Gas::Equal { gas: *gas, machines: found.len() }
            }
            _ => Gas::Different(found),
        }
    }

    /// Each run counts once, and so does the comparison of gas.
    pub fn counts(&self) -> (usize, usize) {
        let failed = self.problems().len();
        let is_compared = !matches!(self.gas(), Gas::Unknown);
        let total = self.runs.len() + usize::from(is_compared);
        (total + usize::from(self.obstacle.is_some()) - failed, failed)
    }

    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(obstacle) = &self.obstacle {
            problems.push(format!("{}: {obstacle}", self.name));
        }
        for run in &self.runs {
            if let Err(why) = &run.result {
                let metered = if run.is_metered { ", metered" } else { "" };
                problems.push(format!("{} on {}{metered}: {why}", self.name, run.machine));
            }
        }
        if let Gas::Different(gas) = self.gas() {
            let gas: Vec<_> = gas.iter().map(|(on, gas)| format!("{gas} on {on}")).collect();
            problems.push(format!("{} uses different gas: {}", self.name, gas.join(", ")));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(machine: &str, result: Result<Option<u64>, &str>) -> Run {
        Run {
            machine: machine.to_owned(),
            is_metered: true,
            file_bytes: 0,
            compile_time: Duration::ZERO,
            run_time: Duration::ZERO,
            result: result.map(|gas| Done { gas }).map_err(str::to_owned),
        }
    }

    fn outcome(runs: Vec<Run>) -> Outcome {
        let (name, language) = ("hash".to_owned(), "C".to_owned());
        Outcome { name, language, wasm_bytes: Some(1), runs, obstacle: None }
    }

    #[test]
    fn equal_gas_passes_and_different_gas_is_a_failure_of_its_own() {
        let equal = outcome(vec![run("a", Ok(Some(7))), run("b", Ok(Some(7)))]);
        assert_eq!(equal.counts(), (3, 0));
        let different = outcome(vec![run("a", Ok(Some(7))), run("b", Ok(Some(8)))]);
        assert_eq!(different.counts(), (2, 1));
        assert_eq!(different.problems(), ["hash uses different gas: 7 on a, 8 on b"]);
    }

    #[test]
    fn a_failed_run_has_no_part_in_the_comparison() {
        let failed = outcome(vec![run("a", Ok(Some(7))), run("b", Err("trap"))]);
        assert_eq!(failed.counts(), (1, 1));
        assert_eq!(failed.problems(), ["hash on b, metered: trap"]);
    }
}
