//! Every attack ends as it has to, soon; the agent lives, and the neighbour goes on.

use anyhow::{Context, ensure};
use harness::Kit;
use malicious::cases::{Case, End};
use malicious::device::{Device, Program, Said};
use malicious::{attacks, neighbour};
use std::time::{Duration, Instant};

/// At a time: a manifest holds 64, and each has a process.
const BATCH: usize = 8;
/// For all of a batch, on a machine that does other things as well.
const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn every_attack_ends_as_it_has_to_and_the_neighbour_goes_on() -> anyhow::Result<()> {
    let cases = attacks::all();
    ensure!(cases.len() >= 50, "{} attacks", cases.len());
    let (refused, cases): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| case.end == End::NotCompiled);
    for case in &refused {
        ensure!(case.program().is_err(), "{} became machine code", case.name);
    }
    let kit = Kit::for_tests()?;
    // A device holds 64 applications, and one of them is the neighbour.
    for half in cases.chunks(cases.len().div_ceil(2)) {
        run(&kit, half)?;
    }
    Ok(())
}

fn run(kit: &Kit, cases: &[Case]) -> anyhow::Result<()> {
    let mut programs = vec![neighbour::program()?];
    for case in cases {
        programs.push(case.program().with_context(|| format!("compile {}", case.name))?);
    }
    let programs: Vec<Program> = programs;
    let mut device = Device::start(kit, &programs)?;
    device.run_only(&[neighbour::NAME])?;
    let mut before = device.wait_for(neighbour::NAME, WITHIN, |report| report.calls > 10)?;
    for batch in cases.chunks(BATCH) {
        let mut names: Vec<&str> = batch.iter().map(|case| case.name.as_str()).collect();
        names.push(neighbour::NAME);
        device.run_only(&names)?;
        await_ends(&device, batch)?;
        ensure!(device.is_alive(), "the agent has ended");
        let now = device.wait_for(neighbour::NAME, WITHIN, |now| now.calls > before.calls + 10)?;
        ensure!((now.restarts, now.traps) == (0, 0), "the neighbour was disturbed: {now:?}");
        before = now;
    }
    Ok(())
}

fn await_ends(device: &Device, batch: &[Case]) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut left: Vec<&Case> = batch.iter().collect();
    let mut last = Vec::new();
    while !left.is_empty() {
        let names: Vec<&str> = left.iter().map(|case| case.name.as_str()).collect();
        ensure!(
            began.elapsed() < WITHIN,
            "not ended after {WITHIN:?}: {names:?}; last reports: {last:#?}"
        );
        let Some(Said::Report(report)) = device.next(Duration::from_millis(200)) else { continue };
        if report.seq != device.seq() {
            continue;
        }
        left.retain(|case| {
            let of_case = report.apps.iter().find(|app| app.app == case.name);
            !of_case.is_some_and(|app| case.end.is_shown(app, &case.limits))
        });
        last =
            report.apps.iter().filter(|app| names.contains(&app.app.as_str())).cloned().collect();
    }
    Ok(())
}
