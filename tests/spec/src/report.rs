//! Verdicts, and their sums.

use crate::exclusion::Exclusion;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed(String),
    Excluded(Exclusion),
}

/// Counts of one file, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub passed: usize,
    pub failures: Vec<String>,
    pub excluded: BTreeMap<Exclusion, usize>,
}

impl Report {
    pub fn count(&mut self, line: usize, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(message) => {
                self.failures.push(format!("line {line}: {}", message.replace('\n', " ")));
            }
            Verdict::Excluded(reason) => *self.excluded.entry(reason).or_default() += 1,
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failures.extend_from_slice(&other.failures);
        for (reason, count) in &other.excluded {
            *self.excluded.entry(reason.clone()).or_default() += count;
        }
    }

    pub fn excluded_count(&self) -> usize {
        self.excluded.values().sum()
    }

    pub fn total(&self) -> usize {
        self.passed + self.failures.len() + self.excluded_count()
    }
}
