//! `cargo xtask bench real-time`: what a class brings a module beside neighbours that spin.
//!
//! One module is on the device under three names: best-effort, and with each policy of
//! real time. Beside as many spinning best-effort modules as there are processors, so
//! that none is spare, they run one after the other, round for round, so that what else
//! the machine does falls on all of them. The figures are those of the device's reports.

mod page;

use anyhow::{Context, bail, ensure};
use device_protocol::{AppReport, AppState, RefusalCode};
use harness::{DeviceClass, Kit};
use malicious::cases::{self, Case, End};
use malicious::device::{Device, Ownership, Program, Said};
use module_limits::{Limit, LimitAction};
use module_package::ReleaseLimits;
use scheduling::{Policy, RealTime, Scheduling};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: real-time-bench [--rounds N] [--seconds N] [--write-docs]";

const INTERVAL_MS: u32 = 2;
const RUNTIME_US: u32 = 500;

/// A tenth of a millisecond of arithmetic, give or take the processor: each step waits for
/// the one before.
const TICK: &str = r#"
(module
  (memory 1)
  (func (export "tick") (result i32) (local $x i64) (local $left i32)
    (local.set $x (i64.const 88172645463325252))
    (local.set $left (i32.const 50000))
    (loop $more
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i64.store (i32.const 0) (local.get $x))
    (i32.const 0)))
"#;

/// It uses up its time in each call, and never more.
const SPIN: &str = r#"
(module (import "farrier" "clock_monotonic_ns" (func $clock (result i64)))
  (func (export "tick") (result i32) (local $end i64)
    (local.set $end (i64.add (call $clock) (i64.const 80000000)))
    (loop $l (br_if $l (i64.lt_s (call $clock) (local.get $end)))) (i32.const 0)))
"#;

struct Arguments {
    rounds: usize,
    seconds: u32,
    write_docs: bool,
}

/// One way of running the module.
pub struct Way {
    /// Also its name on the device.
    name: &'static str,
    policy: Option<Policy>,
    is_beside: bool,
}

const WAYS: [Way; 4] = [
    Way { name: "best-effort", policy: None, is_beside: false },
    Way { name: "best-effort", policy: None, is_beside: true },
    Way { name: "fifo", policy: Some(Policy::Fifo), is_beside: true },
    Way { name: "deadline", policy: Some(Policy::Deadline), is_beside: true },
];

/// Of one way in one round.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    p99_us: f64,
    max_us: f64,
    /// Over after the deadline, or left out because the one before was not over.
    missed_percent: f64,
}

/// What became of a way.
pub enum Outcome {
    Measured(Vec<Sample>),
    /// In the words of the device.
    Refused(String),
}

fn main() -> anyhow::Result<()> {
    let arguments = read_arguments()?;
    let kit = Kit::for_tests()?;
    let outcomes = measure(&kit, &arguments)?;
    let page = page::write(&outcomes, arguments.rounds, arguments.seconds)?;
    print!("{page}");
    if arguments.write_docs {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmark-real-time.md");
        std::fs::write(&path, &page).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn read_arguments() -> anyhow::Result<Arguments> {
    let mut arguments = Arguments { rounds: 5, seconds: 3, write_docs: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().context(USAGE);
        match word.as_str() {
            "--rounds" => arguments.rounds = number()?.parse().context("--rounds")?,
            "--seconds" => arguments.seconds = number()?.parse().context("--seconds")?,
            "--write-docs" => arguments.write_docs = true,
            _ => bail!(USAGE),
        }
    }
    ensure!(arguments.rounds >= 1 && (1..=600).contains(&arguments.seconds), USAGE);
    Ok(arguments)
}

fn measure(kit: &Kit, arguments: &Arguments) -> anyhow::Result<Vec<Outcome>> {
    let spinners: Vec<String> = (0..processors()).map(|n| format!("spinner-{n}")).collect();
    let ownership = Ownership {
        // A report's percentiles are those of the time since the report before.
        report_interval_ms: arguments.seconds * 1_000,
        // Or the spinners would go behind the module by themselves (docs/real-time.md).
        tables: "[workers]\nlower_spinning = false\n\
                 [scheduling]\npolicies = [\"fifo\", \"deadline\"]\n"
            .into(),
    };
    let mut device = Device::start_owned(kit, &programs(&spinners)?, &ownership)?;
    let mut outcomes: Vec<Outcome> = WAYS.iter().map(|_| Outcome::Measured(vec![])).collect();
    for round in 1..=arguments.rounds {
        for (way, outcome) in WAYS.iter().zip(&mut outcomes) {
            let Outcome::Measured(samples) = outcome else { continue };
            let mut names = vec![way.name];
            if way.is_beside {
                names.extend(spinners.iter().map(String::as_str));
            }
            device.run_only(&names)?;
            let measured = measure_way(&device, &names, arguments.seconds);
            match measured.with_context(|| format!("round {round}, {}", way.words()))? {
                Ok(sample) => {
                    eprintln!(
                        "round {round} of {}: {} {sample:.1?}",
                        arguments.rounds,
                        way.words()
                    );
                    samples.push(sample);
                }
                Err(why) => {
                    eprintln!("{}: refused: {why}", way.words());
                    *outcome = Outcome::Refused(why);
                }
            }
        }
        let refusals = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Refused(why) => Some(why.as_str()),
            Outcome::Measured(_) => None,
        });
        let refusals: Vec<&str> = refusals.collect();
        ensure!(
            refusals.len() < Policy::ALL.len(),
            "no real-time class is to be had here, so there is nothing to compare: {}. Run this \
             with CAP_SYS_NICE, in a control group that may have real-time threads",
            refusals.join("; ")
        );
    }
    Ok(outcomes)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn programs(spinners: &[String]) -> anyhow::Result<Vec<Program>> {
    let aot = cases::compile(TICK, false, DeviceClass::X86_64)?;
    let limits = ReleaseLimits { call_ms_max: 1_000, ..cases::limits() };
    let ticking = WAYS.iter().filter(|way| way.is_beside).map(|way| Program {
        name: way.name.into(),
        class: DeviceClass::X86_64,
        aot: aot.clone(),
        is_metered: false,
        limits,
        interval_ms: INTERVAL_MS,
        is_shared: false,
        scheduling: way.policy.map(|policy| Scheduling {
            real_time: Some(RealTime {
                policy,
                runtime_us: RUNTIME_US,
                deadline_us: None,
                period_us: None,
                priority: None,
            }),
            ..Scheduling::default()
        }),
    });
    let spinning = spinners.iter().map(|name| {
        let case = Case::new(name, SPIN, End::Held).on(Limit::CallTime, LimitAction::Restart);
        case.limit(|limits| limits.call_ms_max = 1_000).program(DeviceClass::X86_64)
    });
    ticking.map(Ok).chain(spinning).collect()
}

impl Way {
    pub fn words(&self) -> String {
        let beside = if self.is_beside { "beside spinners" } else { "alone" };
        format!("{}, {beside}", self.name)
    }
}

/// The first report of a whole interval in which all of them ran, or why the device does
/// not run the module.
fn measure_way(
    device: &Device,
    names: &[&str],
    seconds: u32,
) -> anyhow::Result<Result<Sample, String>> {
    // To start, to end what ran before, and two intervals; the machine may be busy.
    let end = Instant::now() + Duration::from_secs(30 + 4 * u64::from(seconds));
    let due = f64::from(seconds * 1_000 / INTERVAL_MS);
    let mut before: Option<AppReport> = None;
    while Instant::now() < end {
        let Some(Said::Report(report)) = device.next(Duration::from_millis(200)) else { continue };
        if report.seq != device.seq() {
            continue;
        }
        let of = |name: &str| report.apps.iter().find(|app| app.app == name);
        let Some(module) = of(names[0]) else { continue };
        if module.refusal == Some(RefusalCode::SchedulingNotGiven) {
            return Ok(Err(module.detail.clone()));
        }
        let runs = |name: &&str| of(name).is_some_and(|app| app.state == AppState::Running);
        // Of all that runs and of nothing else.
        let others = report.apps.iter().filter(|app| !names.contains(&app.app.as_str()));
        let are_off = others.clone().all(|app| app.state != AppState::Running);
        if !names.iter().all(runs) || !are_off {
            before = None;
            continue;
        }
        if let Some(sample) = before.as_ref().and_then(|before| sample(before, module, due)) {
            return Ok(Ok(sample));
        }
        before = Some(module.clone());
    }
    bail!("no report of a whole interval came; the last one was {before:?}")
}

/// Nothing where it is of less than an interval: a change is reported at once.
fn sample(before: &AppReport, after: &AppReport, due: f64) -> Option<Sample> {
    let (before, after) = (before.ticks.as_ref()?, after.ticks.as_ref()?);
    let last = after.last.as_ref()?;
    let ticks = after.ticks.checked_sub(before.ticks)? as f64;
    let skipped = after.skipped.checked_sub(before.skipped)? as f64;
    let missed = after.missed.checked_sub(before.missed)? as f64;
    (ticks + skipped > due * 0.8).then(|| Sample {
        p99_us: f64::from(last.response.p99_us),
        max_us: f64::from(last.response.max_us),
        missed_percent: 100.0 * (missed + skipped) / (ticks + skipped),
    })
}
