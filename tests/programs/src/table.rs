//! Outcomes → a table, one line for each program and machine.

use crate::outcome::{Gas, Outcome, Run};
use std::fmt::Write;

pub fn render(outcomes: &[Outcome]) -> String {
    let mut out = format!(
        "{:<16} {:<14} {:>10}  {:<18} {:>11} {:>10} {:>8} {:>11} {:>10}  {}\n",
        "program",
        "language",
        "wasm B",
        "machine",
        "aot B",
        "compile ms",
        "run ms",
        "metered B",
        "run ms",
        "outcome"
    );
    for outcome in outcomes {
        let wasm_bytes = outcome.wasm_bytes.map_or("-".to_owned(), |bytes| bytes.to_string());
        let mut head = (outcome.name.as_str(), outcome.language.as_str(), wasm_bytes.as_str());
        for machine in machines(outcome) {
            let of = |is_metered| {
                outcome.runs.iter().find(|r| r.machine == machine && r.is_metered == is_metered)
            };
            // Writing to a String does not fail, here and below.
            let _ = write!(out, "{:<16} {:<14} {:>10}  {machine:<18}", head.0, head.1, head.2);
            let _ = writeln!(out, " {}", line(of(false), of(true)));
            head = ("", "", "");
        }
        let _ = match (outcome.gas(), &outcome.obstacle) {
            (_, Some(why)) => writeln!(out, "{:<16} {:<14} {why}", head.0, head.1),
            (Gas::Equal { gas, machines }, _) => {
                writeln!(out, "{:43} gas {gas}, equal on {machines} machines", "")
            }
            (Gas::Different(_), _) => writeln!(out, "{:43} gas differs", ""),
            (Gas::Unknown, _) => Ok(()),
        };
    }
    out
}

fn machines(outcome: &Outcome) -> Vec<&str> {
    let mut machines: Vec<&str> = Vec::new();
    for run in &outcome.runs {
        if !machines.contains(&run.machine.as_str()) {
            machines.push(&run.machine);
        }
    }
    machines
}

fn line(plain: Option<&Run>, metered: Option<&Run>) -> String {
    let number = |run: Option<&Run>, of: fn(&Run) -> u128| {
        run.map_or("-".to_owned(), |run| of(run).to_string())
    };
    let outcomes: Vec<_> = [plain, metered].into_iter().flatten().map(|run| &run.result).collect();
    format!(
        "{:>11} {:>10} {:>8} {:>11} {:>10}  {}",
        number(plain, |run| run.file_bytes as u128),
        number(plain, |run| run.compile_time.as_millis()),
        number(plain, |run| run.run_time.as_millis()),
        number(metered, |run| run.file_bytes as u128),
        number(metered, |run| run.run_time.as_millis()),
        if outcomes.iter().all(|result| result.is_ok()) { "passed" } else { "FAILED" },
    )
}
