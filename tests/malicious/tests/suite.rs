//! Every attack ends as it has to, soon; the agent lives, and the neighbour goes on.

use anyhow::{Context, ensure};
use device_protocol::{AppReport, AppState, RefusalCode};
use harness::{DeviceClass, Kit};
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
        ensure!(case.program(DeviceClass::X86_64).is_err(), "{} became machine code", case.name);
    }
    let kit = Kit::for_tests()?;
    // A device holds 64 applications, and one of them is the neighbour.
    for half in cases.chunks(cases.len().div_ceil(2)) {
        run(&kit, half, DeviceClass::X86_64)?;
    }
    Ok(())
}

fn run(kit: &Kit, cases: &[Case], class: DeviceClass) -> anyhow::Result<()> {
    let mut programs = vec![neighbour::program(class)?];
    for case in cases {
        programs.push(case.program(class).with_context(|| format!("compile {}", case.name))?);
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

/// Of the attacks, some that only the end of the process ends.
const COST_THE_PROCESS: [&str; 5] =
    ["loop-empty", "loop-in-init", "loop-in-start", "loop-calling-out", "grow-for-ever"];

/// And some of each kind that end alone.
const END_ALONE: [&str; 11] = [
    "metered-loop-empty",
    "gas-rate-restart",
    "grow-by-all",
    "grow-and-touch",
    "table-bomb",
    "read-far-behind",
    "recursion",
    "flood-log-rate-stop",
    "unreachable",
    "import-unknown",
    "all-pages",
];

/// As above on other machines, emulated; `cargo xtask bench isolation --ends` tries all of
/// them there and says how long each takes.
#[test]
fn attacks_end_on_emulated_devices_as_they_do_here() -> anyhow::Result<()> {
    let mut cases = attacks::all();
    cases.retain(|case| {
        let name = case.name.as_str();
        COST_THE_PROCESS.contains(&name) || END_ALONE.contains(&name)
    });
    let kit = Kit::for_tests()?;
    run(&kit, &cases, DeviceClass::AARCH64)?;
    run(&kit, &cases, DeviceClass::RISCV64)
}

/// In the neighbour's own process, one after the other. What costs the process is held
/// against the attacker alone: the neighbour is started again, and nothing is counted.
#[test]
fn a_neighbour_in_the_same_process_is_back_after_every_attack() -> anyhow::Result<()> {
    let mut cases = attacks::all();
    let names = [&COST_THE_PROCESS[..], &END_ALONE].concat();
    cases.retain(|case| names.contains(&case.name.as_str()));
    ensure!(cases.len() == names.len(), "an attack has another name");
    let mut programs = vec![neighbour::program(DeviceClass::X86_64)?];
    for case in &cases {
        programs.push(case.program(DeviceClass::X86_64)?);
    }
    programs.iter_mut().for_each(|program| program.is_shared = true);
    let mut device = Device::start(&Kit::for_tests()?, &programs)?;
    device.run_only(&[neighbour::NAME])?;
    let mut before = device.wait_for(neighbour::NAME, WITHIN, |report| report.calls > 10)?;
    for case in &cases {
        device.run_only(&[&case.name, neighbour::NAME])?;
        await_ends(&device, std::slice::from_ref(case))?;
        let had = before.company.clone().context("it shares a process")?;
        let costs = u32::from(COST_THE_PROCESS.contains(&case.name.as_str()));
        let is_back = |now: &AppReport| {
            let displaced = now.company.as_ref().map(|company| company.displaced);
            now.state == AppState::Running && displaced == Some(had.displaced + costs)
        };
        let back = device.wait_for(neighbour::NAME, WITHIN, is_back).context(case.name.clone())?;
        let now = device.wait_for(neighbour::NAME, WITHIN, |now| now.calls > back.calls + 5)?;
        let has = now.company.clone().context("it still shares one")?;
        ensure!((has.pid == had.pid) == (costs == 0), "{}: {had:?}, {now:?}", case.name);
        let by = if costs == 0 { had.displaced_by } else { Some(case.name.clone()) };
        ensure!(has.displaced_by == by, "{}: {now:?}", case.name);
        ensure!((now.restarts, now.traps) == (0, 0), "{}: {now:?}", case.name);
        before = now;
    }
    ensure!(device.is_alive(), "the agent has ended");
    Ok(())
}

/// With the action that starts it again it brings the process down each time, until the
/// device has had enough of it.
#[test]
fn one_that_brings_its_process_down_again_and_again_is_quarantined_alone() -> anyhow::Result<()> {
    let mut case = attacks::all().into_iter().find(|case| case.name == "loop-restarted");
    let case = case.as_mut().context("the attack is there")?;
    case.end = End::Stopped(RefusalCode::CrashLoop);
    let mut programs =
        [neighbour::program(DeviceClass::X86_64)?, case.program(DeviceClass::X86_64)?];
    programs.iter_mut().for_each(|program| program.is_shared = true);
    let mut device = Device::start(&Kit::for_tests()?, &programs)?;
    device.run_only(&[&case.name, neighbour::NAME])?;
    await_ends(&device, std::slice::from_ref(case))?;
    let is_back = |now: &AppReport| {
        now.state == AppState::Running && now.company.as_ref().is_some_and(|c| c.displaced == 5)
    };
    let back = device.wait_for(neighbour::NAME, WITHIN, is_back)?;
    let now = device.wait_for(neighbour::NAME, WITHIN, |now| now.calls > back.calls + 5)?;
    ensure!((now.restarts, now.traps, now.refusal) == (0, 0, None), "{now:?}");
    Ok(())
}
