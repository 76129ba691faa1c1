//! `cargo xtask bench isolation`: how much later a good module's ticks begin while
//! another attacks, and how long each attack lasts.
//!
//! Rounds are interleaved: in each, the neighbour runs alone and then beside each
//! attacker, so that what else the machine does falls on all of them. The ratios are
//! within a round, and their median counts.

use anyhow::{Context, bail, ensure};
use harness::{DeviceClass, Kit};
use malicious::cases::{Case, End};
use malicious::device::{Device, Ownership, Program, Said};
use malicious::{attacks, neighbour};
use module_limits::{Limit, LimitAction};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: isolation-bench [--rounds N] [--seconds N] [--write-docs]
       \
    isolation-bench --only ATTACKER [--no-lowering] [--rounds N] [--seconds N]
       \
    isolation-bench --ends";
/// Until what came before has ended, what is measured has begun, and the agent has seen for
/// two seconds whether it spins (docs/real-time.md).
const SETTLE: Duration = Duration::from_secs(4);
const END_WITHIN: Duration = Duration::from_secs(30);
const GOAL: f64 = 1.10;
/// Attacks on a device, which holds 64 applications.
const HALF: usize = 40;

struct Arguments {
    rounds: usize,
    seconds: u64,
    write_docs: bool,
    /// One attacker, and no page.
    only: Option<String>,
    /// Of modules that spin, as on a device that is not told to.
    no_lowering: bool,
    /// Only how soon each attack ends, on each kind of device, and no page.
    ends: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = read_arguments()?;
    let kit = Kit::for_tests()?;
    if arguments.ends {
        print!("{}", ends_table(&measure_all_ends(&kit)?));
        return Ok(());
    }
    let mut attackers = sustained();
    if let Some(only) = &arguments.only {
        attackers.retain(|case| case.name == *only);
        ensure!(!attackers.is_empty(), "there is no attacker {only}: {}", names(&sustained()));
    }
    let measured = measure_rounds(&kit, &attackers, &arguments)?;
    if arguments.only.is_some() {
        print!("{}", table(&attackers, &measured));
        return Ok(());
    }
    let ends = measure_all_ends(&kit)?;
    let page = page(&arguments, &attackers, &measured, &ends)?;
    print!("{page}");
    if arguments.write_docs {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmark-isolation.md");
        std::fs::write(&path, &page).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn read_arguments() -> anyhow::Result<Arguments> {
    let (only, no_lowering, ends, write_docs) = (None, false, false, false);
    let mut arguments = Arguments { rounds: 5, seconds: 5, write_docs, only, no_lowering, ends };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().context(USAGE);
        match word.as_str() {
            "--rounds" => arguments.rounds = number()?.parse().context("--rounds")?,
            "--seconds" => arguments.seconds = number()?.parse().context("--seconds")?,
            "--write-docs" => arguments.write_docs = true,
            "--only" => arguments.only = Some(number()?),
            "--ends" => arguments.ends = true,
            "--no-lowering" => arguments.no_lowering = true,
            _ => bail!(USAGE),
        }
    }
    ensure!(arguments.rounds >= 1 && arguments.seconds >= 1, USAGE);
    ensure!(arguments.only.is_some() || !arguments.no_lowering, USAGE);
    let is_part = arguments.only.is_some() || arguments.ends;
    ensure!(!(is_part && arguments.write_docs), USAGE);
    Ok(arguments)
}

/// Attackers that go on for as long as they are let.
fn sustained() -> Vec<Case> {
    let of = |name: &str| attacks::all().into_iter().find(|case| case.name == name);
    let named =
        |case: Option<Case>, name: &str| case.map(|case| Case { name: name.into(), ..case });
    // It uses up its time in each call, and never more.
    let busy = "(module (import \"farrier\" \"clock_monotonic_ns\" (func $clock (result i64)))
        (func (export \"tick\") (result i32) (local $end i64)
          (local.set $end (i64.add (call $clock) (i64.const 80000000)))
          (loop $l (br_if $l (i64.lt_s (call $clock) (local.get $end)))) (i32.const 0)))";
    let cases = [
        Some(Case::new("spins-within-its-time", busy, End::Held)),
        named(of("loop-restarted"), "spins-and-is-killed"),
        named(of("grow-and-touch"), "touches-all-its-memory"),
        named(of("flood-log-rate-throttle"), "floods-the-log"),
        named(of("flood-message-rate-throttle"), "floods-with-messages"),
    ];
    let restart = |case: Case| case.on(Limit::CallTime, LimitAction::Restart);
    cases.into_iter().flatten().map(restart).collect()
}

/// The 99th percentile of the neighbour's lateness, alone and beside each attacker.
struct Round {
    alone_ns: u64,
    beside_ns: Vec<u64>,
}

fn measure_rounds(
    kit: &Kit,
    attackers: &[Case],
    arguments: &Arguments,
) -> anyhow::Result<Vec<Round>> {
    let mut programs = vec![neighbour::program(DeviceClass::X86_64)?];
    for case in attackers {
        programs.push(case.program(DeviceClass::X86_64)?);
    }
    let lowering = if arguments.no_lowering { "" } else { "[workers]\nlower_spinning = true\n" };
    let ownership = Ownership { tables: lowering.into(), ..Ownership::default() };
    let mut device = Device::start_owned(kit, &programs, &ownership)?;
    let time = Duration::from_secs(arguments.seconds);
    let mut rounds = Vec::new();
    for round in 0..arguments.rounds {
        device.run_only(&[neighbour::NAME])?;
        let alone_ns = measure(&device, time)?;
        let mut beside_ns = Vec::new();
        for case in attackers {
            device.run_only(&[neighbour::NAME, &case.name])?;
            beside_ns.push(measure(&device, time)?);
        }
        eprintln!("round {}: alone {alone_ns} ns, beside {beside_ns:?} ns", round + 1);
        rounds.push(Round { alone_ns, beside_ns });
    }
    Ok(rounds)
}

fn measure(device: &Device, time: Duration) -> anyhow::Result<u64> {
    let begin = Instant::now() + SETTLE;
    let end = begin + time;
    let mut times_ns = Vec::new();
    while Instant::now() < end {
        let Some(Said::Published(message)) = device.next(Duration::from_millis(100)) else {
            continue;
        };
        if message.app == neighbour::NAME && Instant::now() >= begin {
            times_ns.extend(neighbour::time_of(&message.payload));
        }
    }
    let expected = time.as_millis() / neighbour::INTERVAL.as_millis();
    let ticks = times_ns.len();
    ensure!(ticks as u128 > expected / 4, "the neighbour ticked {ticks} of {expected} times");
    Ok(neighbour::percentile(neighbour::lateness(&times_ns), 99))
}

fn measure_all_ends(kit: &Kit) -> anyhow::Result<Vec<Ends>> {
    DeviceClass::ALL.into_iter().map(|class| measure_ends(kit, class)).collect()
}

/// How soon every attack ended on devices of one class.
struct Ends {
    class: DeviceClass,
    times: Vec<(String, Duration)>,
}

/// From the manifest that starts an attack to the report that shows its end: the start
/// of its process, the attack, the limit and the report.
fn measure_ends(kit: &Kit, class: DeviceClass) -> anyhow::Result<Ends> {
    let mut attackers = Vec::new();
    for case in attacks::all() {
        match case.program(class) {
            Ok(program) => attackers.push((case, program)),
            Err(error) if case.end != End::NotCompiled => {
                eprintln!("{} has no {}: {error}", class.target, case.name);
            }
            Err(_) => {}
        }
    }
    let mut times = Vec::new();
    while !attackers.is_empty() {
        let (half, programs): (Vec<Case>, Vec<Program>) =
            attackers.drain(..attackers.len().min(HALF)).unzip();
        let programs: Vec<Program> =
            [neighbour::program(class)?].into_iter().chain(programs).collect();
        let mut device = Device::start(kit, &programs)?;
        device.run_only(&[neighbour::NAME])?;
        device.wait_for(neighbour::NAME, END_WITHIN, |report| report.calls > 10)?;
        for case in &half {
            let began = Instant::now();
            device.run_only(&[neighbour::NAME, &case.name])?;
            let (end, limits) = (case.end, case.limits);
            device
                .wait_for(&case.name, END_WITHIN, |report| end.is_shown(report, &limits))
                .with_context(|| format!("on {}", class.target))?;
            times.push((case.name.clone(), began.elapsed()));
        }
        ensure!(device.is_alive(), "the agent has ended");
    }
    eprintln!("{}: {} attacks have ended", class.target, times.len());
    Ok(Ends { class, times })
}

fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> Option<T> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied()
}

fn page(
    arguments: &Arguments,
    attackers: &[Case],
    rounds: &[Round],
    ends: &[Ends],
) -> anyhow::Result<String> {
    let Arguments { rounds: count, seconds, .. } = arguments;
    let mut text = format!(
        "# A good module beside a bad one\n\n\
         Written by `cargo xtask bench isolation --write-docs`; do not edit.\n\n\
         `cargo xtask bench isolation --rounds {count} --seconds {seconds}`, {}, {}.\n\n\
         A module that ticks every {} ms publishes when each tick began; how late that was is\n\
         its latency. In each of {count} rounds it runs alone for {seconds} s and then beside each\n\
         attacker for {seconds} s, natively on x86_64, with `lower_spinning = true`, each in a worker of its own, from {settle} s after\n\
         its start. The ratio is that of the 99th percentiles of one round; goal: a median below {GOAL:.2}. The load average of\n\
         the machine's {cpus} processors was {load} when it ended; above their number the neighbour\n\
         waits for strangers as well, alone as beside an attacker.\n\n{table}",
        harness::commit_and_date()?,
        harness::machine()?,
        neighbour::INTERVAL.as_millis(),
        settle = SETTLE.as_secs(),
        cpus = std::thread::available_parallelism().map_or(0, usize::from),
        load = harness::load()?,
        table = table(attackers, rounds),
    );
    text.push_str(&ends_table(ends));
    Ok(text)
}

fn ends_table(ends: &[Ends]) -> String {
    let mut text = String::from(
        "\nEach attack of `tests/malicious` that becomes machine code, one after the other: from\n\
         the manifest that starts it to the report that shows its end, with the start of its\n\
         process and up to 100 ms for the report. Goals: natively a second, under an emulator 3 s.\n\n\
         | device | attacks | median | within a second | within 3 s | longest |\n\
         |---|---|---|---|---|---|\n",
    );
    for Ends { class, times } in ends {
        let within = |s| times.iter().filter(|(_, time)| *time <= Duration::from_secs(s)).count();
        let middle = median(times.iter().map(|(_, time)| *time).collect()).unwrap_or_default();
        let Some((name, longest)) = times.iter().max_by_key(|(_, time)| *time) else { continue };
        let how = if class.launcher.is_empty() { "native" } else { "emulated" };
        // Into a String, so it cannot fail.
        let _ = writeln!(
            text,
            "| {}, {how} | {} | {} ms | {} | {} | {name}, {} ms |",
            class.target,
            times.len(),
            middle.as_millis(),
            within(1),
            within(3),
            longest.as_millis(),
        );
    }
    text
}

fn names(cases: &[Case]) -> String {
    cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn table(attackers: &[Case], rounds: &[Round]) -> String {
    let ms = |ns: u64| ns as f64 / 1e6;
    let mut text = String::from(
        "| attacker | p99 alone | p99 beside it | ratio, median | ratio, lowest to highest |\n\
         |---|---|---|---|---|\n",
    );
    let alone = median(rounds.iter().map(|round| round.alone_ns).collect()).unwrap_or(0);
    for (index, case) in attackers.iter().enumerate() {
        let beside = rounds.iter().map(|round| round.beside_ns[index]);
        let ratio = |round: &Round| round.beside_ns[index] as f64 / round.alone_ns.max(1) as f64;
        let mut ratios: Vec<f64> = rounds.iter().map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let (Some(lowest), Some(highest)) = (ratios.first(), ratios.last()) else { continue };
        // Into a String, so it cannot fail.
        let _ = writeln!(
            text,
            "| {} | {:.2} ms | {:.2} ms | {:.2} | {lowest:.2} to {highest:.2} |",
            case.name,
            ms(alone),
            ms(median(beside.collect()).unwrap_or(0)),
            median(ratios.clone()).unwrap_or(0.0),
        );
    }
    text
}
