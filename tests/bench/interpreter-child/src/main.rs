//! Runs programs of the benchmark in WAMR's fast interpreter: `name size path` on a
//! line of standard input, `checksum nanoseconds` or `failed why` on one of output.
//!
//! xtask builds it with `FARRIER_WAMR_MODE=interpreter` in a target directory of its
//! own. Loading the module is not part of the time.

use anyhow::{Context, anyhow, bail};
use rustix::time::{ClockId, clock_gettime};
use std::io::{BufRead, Write};
use wamr::{Instance, InstanceConfig, Module, Runtime, Value};

const STACK_BYTES: usize = 8 << 20;

fn main() -> anyhow::Result<()> {
    let thread = Runtime::spawn("interpreter", STACK_BYTES, answer_all)?;
    thread.join().map_err(|_| anyhow!("the interpreter's thread panicked"))??
}

fn answer_all(runtime: &Runtime) -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let answer = match run(runtime, &line?) {
            Ok((checksum, ns)) => format!("{checksum} {ns}"),
            // One line, whatever the message holds.
            Err(error) => format!("failed {}", format!("{error:#}").replace('\n', " ")),
        };
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

fn run(runtime: &Runtime, request: &str) -> anyhow::Result<(u64, u64)> {
    let mut words = request.splitn(3, ' ');
    let mut word = || words.next().context("a request has three words");
    let (name, size, path) = (word()?, word()?.parse::<u32>()?, word()?);
    let wasm = std::fs::read(path).with_context(|| format!("read {path}"))?;
    let module = Module::load(runtime, &wasm)?;
    let mut instance = Instance::new(&module, InstanceConfig::default())?;
    let start = now_ns();
    let results = instance.call(name, &[Value::I32(size as i32)])?;
    let ns = now_ns() - start;
    match results[..] {
        [Value::I64(checksum)] => Ok((checksum as u64, ns)),
        ref other => bail!("the module returned {other:?}"),
    }
}

/// CPU time of this thread.
fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither part is negative on this clock (clock_gettime(2)).
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
