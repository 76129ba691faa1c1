//! What a file's run found out, and its form between the two processes.
//!
//! A line for each directive: `passed`, `failed <message>` or `excluded <reason>`.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed(String),
    /// Not a test of this compiler on this runtime; the reason says why.
    Excluded(&'static str),
}

impl Verdict {
    pub fn to_line(&self) -> String {
        match self {
            Self::Passed => "passed".to_owned(),
            Self::Failed(message) => format!("failed {}", message.replace('\n', " ")),
            Self::Excluded(reason) => format!("excluded {reason}"),
        }
    }
}

/// Counts of one file, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub passed: usize,
    pub failures: Vec<String>,
    pub excluded: BTreeMap<String, usize>,
}

impl Report {
    /// Reads a child's lines; what is not one of ours is WAMR's own output.
    pub fn from_lines(lines: &str) -> Self {
        let mut report = Self::default();
        for line in lines.lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("passed", "") => report.passed += 1,
                ("failed", message) => report.failures.push(message.to_owned()),
                ("excluded", reason) => {
                    *report.excluded.entry(reason.to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
        report
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
