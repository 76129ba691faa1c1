//! The page `docs/reliability.md`, made of the results.

use crate::{Entry, KINDS, Results};
use std::collections::BTreeSet;
use std::fmt::Write;

const HEAD: &str = "\
# Reliability: faults injected, and what was lost

Written by `cargo xtask faults --write-docs`; not by hand. Each row is one kind of
fault of `tests/faults`, injected into the real programs (or, where the row says so,
into their real code in one process). After each seed an oracle checks what the last
column says; whatever it finds is a violation. A seed can be run again by
`cargo xtask faults --only KIND --seeds N..M`: it does the same again, but real
processes on a shared machine do not keep time to the microsecond.

";

pub fn page(results: &Results) -> String {
    let mut page = HEAD.to_owned();
    page += "| kind | faults | asked for | seeds | violations | commit | date | what must hold |\n";
    page += "|---|---|---|---|---|---|---|---|\n";
    let mut violations = Vec::new();
    for kind in KINDS {
        let entries: Vec<Entry> = results.read(kind.name).into_values().collect();
        let faults: u64 = entries.iter().map(|entry| entry.faults).sum();
        let bad: Vec<&Entry> = entries.iter().filter(|entry| entry.violation.is_some()).collect();
        let commits = joined(entries.iter().map(|entry| entry.commit.as_str()));
        let dates = joined(entries.iter().map(|entry| entry.date.as_str()));
        let _ = writeln!(
            page,
            "| {}: {} | {} | {} | {} | {} | {commits} | {dates} | {} |",
            kind.name,
            kind.fault,
            grouped(faults),
            grouped(kind.goal),
            seed_range(&entries),
            bad.len(),
            kind.oracle
        );
        for entry in bad {
            let text = entry.violation.as_deref().unwrap_or_default();
            let line = text.lines().next().unwrap_or_default();
            violations.push(format!("- {} seed {}: {line}", kind.name, entry.seed));
        }
    }
    page += "\n## Violations\n\n";
    if violations.is_empty() {
        page += "None.\n";
    } else {
        page += &violations.join("\n");
        page += "\n";
    }
    page += NOTES;
    page
}

const NOTES: &str = include_str!("notes.md");

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: BTreeSet<&str> = words.collect();
    match words.is_empty() {
        true => "not run".into(),
        false => words.into_iter().collect::<Vec<_>>().join(", "),
    }
}

fn seed_range(entries: &[Entry]) -> String {
    match (entries.first(), entries.last()) {
        (Some(first), Some(last)) => format!("{} to {}", first.seed, last.seed),
        _ => "none".into(),
    }
}

/// 12345 as 12,345.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [(7, "7"), (123, "123"), (1_234, "1,234"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_page_names_what_was_not_run_and_every_violation() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results::open(folder.path()).unwrap();
        let entry = Entry {
            kind: KINDS[0].name.into(),
            seed: 4,
            faults: 0,
            violation: Some("a deployment is gone\nmore".into()),
            ms: 1,
            commit: "abc".into(),
            date: "2026-11-27".into(),
        };
        results.add(&entry).unwrap();
        let page = page(&results);
        assert!(page.contains("not run"), "{page}");
        assert!(page.contains(&format!("{} seed 4: a deployment is gone\n", KINDS[0].name)));
    }
}
