//! What is said of this machine beside figures that were measured on it.

use anyhow::Context;
use std::process::Command;

/// Processors and memory.
pub fn machine() -> anyhow::Result<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let of = |key: &str| cpus.lines().find(|line| line.starts_with(key));
    let name = of("model name").and_then(|line| line.split_once(": ")).map_or("", |(_, name)| name);
    let count = std::thread::available_parallelism()?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let gb = kib.context("/proc/meminfo")? * 1_024 / 1_000_000_000;
    Ok(format!("{count} processors ({}), {gb} GB of memory", name.trim()))
}

/// The commit of the working tree and today's date, for a page of figures.
pub fn commit_and_date() -> anyhow::Result<String> {
    let output = |command: &mut Command| -> anyhow::Result<String> {
        let output = command.output().context("ask for the commit or the date")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = output(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]))?;
    Ok(format!("commit {commit}, {}", output(Command::new("date").args(["-u", "+%F"]))?))
}

/// Programs that ran or waited for a processor, over the last minute.
pub fn load() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    text.split(' ').next().and_then(|load| load.parse().ok()).context("/proc/loadavg")
}

/// Resident memory of a process.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The part of it that belongs to no file: heap and stacks.
pub fn anonymous_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "RssAnon:")
}

fn status_bytes(pid: u32, field: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()).with_context(|| path)?;
    Ok(kib.parse::<u64>()? * 1_024)
}
