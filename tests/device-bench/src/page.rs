//! The figures as a page.

use crate::agent;
use crate::density;
use crate::probe::{Density, Measured};
use crate::sizes::Size;
use crate::worker;
use std::fmt::Write;

const INSTANCE_ROW: &str = "loaded → first call";

/// Microseconds from a loaded module to the first call.
const INSTANCE_US_MAX: f64 = 4.0;
/// Instances in a gigabyte with software checks, one page of each touched.
const DENSITY_MIN: f64 = 75_000.0;
/// Resident bytes of an idle agent with TLS.
const AGENT_BYTES_MAX: f64 = 4e6;

const METHOD: &str = "\
One artifact, for x86_64, of a module with one page of memory. Each time is the median of
its rounds, and of those the median over processes; ours and bare WAMR in turns, round for
round, so that what else the machine does meets both. *Bare* is WAMR's C API called
directly (`wasm_runtime_load`, `_instantiate`, `_create_exec_env`, `_lookup_function`,
`_call_wasm`), with a native function in WAMR's usual convention; *ours* is `crates/wamr`,
as `farrier-runtime` uses it: it checks the profile note and every import, keeps the file,
and gives host functions their checks. Both are built as for devices.

- *signed bytes → first call*: signature and contents of the release, hash of the artifact,
  load, instantiate, call.
- *bytes → first call*: the same without what was signed.
- *loaded → first call*: a new instance of a loaded module, and a call.
- *of that the kernel*: addresses for a memory, the right to use a page, its first touch;
  nothing of WAMR or ours. Whoever gives an instance fresh memory takes no less.
- *call*: of an export that writes to memory and reads it again.
- *host call*: a thousand in one call of the module, for each.
- *instances in 1 GiB*: made until they took a gigabyte of resident memory, each called
  once, so that one page of its memory is touched. Hardware checks reserve 8 GiB of
  addresses for each, so that the address space ends first.
";

pub fn write(
    modes: &[Measured],
    worker: &worker::Measured,
    densities: &[density::Measured],
    agent: &[agent::Measured],
    sizes: &[Size],
    (rounds, runs): (usize, usize),
) -> anyhow::Result<String> {
    let mut page = format!(
        "# Device: times, memory and sizes\n\n\
         Written by `cargo xtask bench device --write-docs`; do not edit.\n\n\
         `cargo xtask bench device --rounds {rounds} --runs {runs}`, {}, {}, load average {}.\n\n\
         {METHOD}\n",
        harness::commit_and_date()?,
        harness::machine()?,
        harness::load()?,
    );
    goals(&mut page, modes, densities, agent)?;
    for mode in modes {
        times(&mut page, mode)?;
    }
    writeln!(page, "## A worker of its own\n")?;
    writeln!(
        page,
        "`farrier-runtime` in a process, talked to over its socket: {:.1} ms from its start to \
         its hello, self-tests and confinement included; {:.0} µs from verified bytes to the \
         return of the first tick; {} resident afterwards.\n",
        worker.start_to_hello_ms,
        worker.bytes_to_tick_us,
        megabytes(worker.resident_bytes),
    )?;
    sharing(&mut page, densities)?;
    writeln!(page, "## An agent with TLS\n")?;
    writeln!(
        page,
        "Connected to the gateway's broker by `mqtts://` with its client certificate, reporting; each module is the demo's filter in a worker of its own.\n"
    )?;
    writeln!(
        page,
        "*Anonymous* is what belongs to no file: heap, stacks, and data that was relocated. The rest are pages of files, which the system can drop and read again: of the *program*, and of the system's *libraries*, which all programs of a device share and each counts as its own. The kernel maps 64 KiB around a page that is touched, so more of the program is resident than was used.\n"
    )?;
    writeln!(
        page,
        "| modules | agent | of that anonymous | program | libraries | all workers |\n|---|---|---|---|---|---|"
    )?;
    for row in agent {
        let (all, anonymous) = (row.agent_bytes, row.agent_anonymous_bytes);
        let libraries = all.saturating_sub(anonymous).saturating_sub(row.program_bytes);
        let bytes = [all, anonymous, row.program_bytes, libraries, row.workers_bytes];
        let [agent, anonymous, program, libraries, workers] =
            bytes.map(|bytes| megabytes(bytes as f64));
        let modules = row.modules;
        writeln!(
            page,
            "| {modules} | {agent} | {anonymous} | {program} | {libraries} | {workers} |"
        )?;
    }
    if let Some(used) = agent.iter().find_map(|row| row.program_used_bytes) {
        writeln!(
            page,
            "\nOf its program the idle agent used {} in {} s, blocks around what it touched included (`/proc/PID/clear_refs`).",
            megabytes(used as f64),
            agent::WATCHED_FOR.as_secs()
        )?;
    }
    writeln!(page, "\n## On disk\n\n| target | farrier-agent | farrier-runtime |\n|---|---|---|")?;
    for size in sizes {
        writeln!(page, "| {} | {} B | {} B |", size.target, size.agent_bytes, size.runtime_bytes)?;
    }
    Ok(page)
}

/// That part of the page alone.
pub fn of_sharing(densities: &[density::Measured]) -> anyhow::Result<String> {
    let mut page = String::new();
    sharing(&mut page, densities)?;
    Ok(page)
}

fn sharing(page: &mut String, densities: &[density::Measured]) -> anyhow::Result<()> {
    writeln!(
        page,
        "## Modules that share a worker\n\n\
         Small modules as `isolation = \"shared\"` has them, started and ticking once a second, in \
         one `farrier-runtime`: all of the same bytes, which have one copy of the code, and each of \
         its own; and as many processes of one module each. Memory of the processes, of what they \
         share the part of each (PSS).\n"
    )?;
    for density::Measured { bounds_checks, rows, .. } in densities {
        writeln!(
            page,
            "| modules, {bounds_checks} checks | one worker, same bytes | different bytes | a worker each |\n|---|---|---|---|"
        )?;
        for row in rows {
            let or_none = |bytes: Option<u64>| {
                bytes.map_or_else(|| "—".to_owned(), |bytes| megabytes(bytes as f64))
            };
            let (different, own) = (or_none(row.different_bytes), or_none(row.own_bytes));
            let shared = megabytes(row.shared_bytes as f64);
            writeln!(page, "| {} | {shared} | {different} | {own} |", row.modules)?;
        }
        writeln!(page)?;
    }
    for measured in densities {
        writeln!(
            page,
            "With {} checks each further module of the same bytes takes {:.1} KB, so {:.0} of them \
             1 GiB: the page of its memory that it touched ({:.1} KB), WAMR's instance ({:.1} KB), and \
             its counters, rates and tables of the guest API. One with bytes of its own takes \
             {:.1} KB, with the file and at least a page for its code.\n",
            measured.bounds_checks,
            measured.bytes_per_module() / 1e3,
            measured.in_a_gib(),
            density::PAGE_BYTES as f64 / 1e3,
            measured.instance_bytes as f64 / 1e3,
            measured.different_bytes_per_module() / 1e3,
        )?;
    }
    Ok(())
}

fn goals(
    page: &mut String,
    modes: &[Measured],
    densities: &[density::Measured],
    agent: &[agent::Measured],
) -> anyhow::Result<()> {
    writeln!(page, "| goal | limit | measured | |\n|---|---|---|---|")?;
    let verdict = |is_met| if is_met { "met" } else { "**not met**" };
    for mode in modes {
        let us = mode.times.instance_to_call / 1e3;
        writeln!(
            page,
            "| loaded → first call, {} checks | ≤ {INSTANCE_US_MAX} µs | {us:.2} µs | {} |",
            mode.bounds_checks,
            verdict(us <= INSTANCE_US_MAX)
        )?;
    }
    for mode in modes.iter().filter(|mode| mode.bounds_checks == "software") {
        let count = mode.ours.in_a_gib();
        writeln!(
            page,
            "| instances in 1 GiB, software checks | ≥ {DENSITY_MIN} | {count:.0} | {} |",
            verdict(count >= DENSITY_MIN)
        )?;
    }
    for measured in densities.iter().filter(|measured| measured.bounds_checks == "software") {
        let count = measured.in_a_gib();
        writeln!(
            page,
            "| modules in 1 GiB of a shared worker, software checks | ≥ {DENSITY_MIN} | {count:.0} | {} |",
            verdict(count >= DENSITY_MIN)
        )?;
    }
    if let Some(idle) = agent.iter().find(|row| row.modules == 0) {
        let bytes = idle.agent_bytes as f64;
        writeln!(
            page,
            "| idle agent with TLS, resident | ≤ {} | {} | {} |",
            megabytes(AGENT_BYTES_MAX),
            megabytes(bytes),
            verdict(bytes <= AGENT_BYTES_MAX)
        )?;
    }
    writeln!(page)?;
    Ok(())
}

fn times(page: &mut String, mode: &Measured) -> anyhow::Result<()> {
    let Measured { bounds_checks, artifact_bytes, times, ours, bare } = mode;
    writeln!(
        page,
        "## With {bounds_checks} bounds checks\n\nArtifact of {artifact_bytes} bytes.\n"
    )?;
    writeln!(page, "| | ours | bare WAMR | ratio |\n|---|---|---|---|")?;
    let signed = times.signed_to_call;
    let rows = [
        ("signed bytes → first call", signed, times.bare_load_to_call),
        ("bytes → first call", times.load_to_call, times.bare_load_to_call),
        (INSTANCE_ROW, times.instance_to_call, times.bare_instance_to_call),
        ("call", times.call, times.bare_call),
        ("host call", times.host_call, times.bare_host_call),
    ];
    for (what, ours, bare) in rows {
        writeln!(page, "| {what} | {} | {} | {:.2} |", time(ours), time(bare), ours / bare)?;
        if what == INSTANCE_ROW {
            let kernel = time(times.fresh_memory);
            writeln!(page, "| of that the kernel | {kernel} | {kernel} | 1.00 |")?;
        }
    }
    let (ours_count, bare_count) = (ours.in_a_gib(), bare.in_a_gib());
    writeln!(
        page,
        "| instances in 1 GiB | {} | {} | {:.2} |\n",
        count(ours, ours_count),
        count(bare, bare_count),
        ours_count / bare_count
    )?;
    Ok(())
}

fn count(density: &Density, in_a_gib: f64) -> String {
    match density.stopped {
        None => format!("{in_a_gib:.0}"),
        Some(_) => format!(
            "{} instances were all that could be made, in {}",
            density.instances,
            megabytes(density.resident_bytes as f64)
        ),
    }
}

fn time(ns: f64) -> String {
    if ns < 1e3 { format!("{ns:.0} ns") } else { format!("{:.2} µs", ns / 1e3) }
}

fn megabytes(bytes: f64) -> String {
    format!("{:.2} MB", bytes / 1e6)
}
