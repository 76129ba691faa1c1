//! What one more small module costs a device: in a worker that modules share, and in a
//! worker of its own. The real runtime, talked to as the agent does.
//!
//! Memory that processes share, as the pages of their program, is counted once: each has
//! its part of it (PSS).

use crate::worker::{Worker, artifact_for, artifact_numbered};
use anyhow::Context;
use std::path::Path;
use worker_protocol::GuestId;

pub struct Row {
    pub modules: u32,
    pub shared_bytes: u64,
    /// The same with other bytes for each module, so that none shares its code.
    pub different_bytes: Option<u64>,
    /// Of so many workers; not measured where they are more than a device could have.
    pub own_bytes: Option<u64>,
}

pub struct Measured {
    pub bounds_checks: &'static str,
    pub rows: Vec<Row>,
    /// Of `shared_bytes`, what WAMR takes for an instance beside its memory.
    pub instance_bytes: u64,
}

const COUNTS: [u32; 4] = [1, 10, 100, 1_000];
/// Of workers of their own, and of modules that are compiled for it.
const OWN_MAX: u32 = 100;
/// What a small module touches of its memory.
pub const PAGE_BYTES: u64 = 4_096;

pub fn measure(runtime: &Path, bounds_checks: &'static str) -> anyhow::Result<Measured> {
    let artifact = artifact_for(bounds_checks)?;
    let mut shared = Worker::start(runtime)?;
    let mut different = Worker::start(runtime)?;
    let mut own = vec![];
    let mut rows = vec![];
    for modules in COUNTS {
        for number in shared.modules + 1..=modules {
            shared.begin(GuestId(number), artifact.clone())?;
        }
        for number in different.modules + 1..=modules.min(OWN_MAX) {
            different.begin(GuestId(number), artifact_numbered(bounds_checks, number)?)?;
        }
        while own.len() < modules.min(OWN_MAX) as usize {
            let mut worker = Worker::start(runtime)?;
            worker.begin(GuestId::ONLY, artifact.clone())?;
            own.push(worker);
        }
        let shared_bytes = proportional_bytes(shared.pid())?;
        let of_own = own.iter().map(|worker| proportional_bytes(worker.pid()));
        let own_bytes = of_own.sum::<anyhow::Result<u64>>()?;
        let different_bytes = proportional_bytes(different.pid())?;
        let is_measured = modules <= OWN_MAX;
        let (own_bytes, different_bytes) =
            (is_measured.then_some(own_bytes), is_measured.then_some(different_bytes));
        rows.push(Row { modules, shared_bytes, different_bytes, own_bytes });
    }
    let instance_bytes = shared.instance_bytes(GuestId(1))?;
    Ok(Measured { bounds_checks, rows, instance_bytes })
}

impl Measured {
    /// From the second row to the last, so that the process itself is not counted.
    pub fn bytes_per_module(&self) -> f64 {
        let (Some(first), Some(last)) = (self.rows.get(1), self.rows.last()) else {
            return f64::NAN;
        };
        let bytes = last.shared_bytes.saturating_sub(first.shared_bytes) as f64;
        bytes / f64::from(last.modules - first.modules)
    }

    /// Of those with bytes of their own.
    pub fn different_bytes_per_module(&self) -> f64 {
        let measured =
            self.rows.iter().skip(1).filter_map(|row| Some((row.modules, row.different_bytes?)));
        let measured: Vec<(u32, u64)> = measured.collect();
        let ([(few, less), ..], Some((many, more))) = (measured.as_slice(), measured.last()) else {
            return f64::NAN;
        };
        more.saturating_sub(*less) as f64 / f64::from(many - few)
    }

    pub fn in_a_gib(&self) -> f64 {
        crate::probe::GIB as f64 / self.bytes_per_module()
    }
}

fn proportional_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kib.with_context(|| format!("{path} has no Pss"))? * 1024)
}
