//! Starts `device-probe` on artifacts of `guest.wat`.

use crate::median;
use anyhow::{Context, ensure};
use aot_compiler::{CompileOptions, compile};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use target_spec::{BoundsChecks, Registry};

const GUEST: &str = include_str!("guest.wat");

/// What instances may fill.
pub const GIB: u64 = 1 << 30;

/// Nanoseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Times {
    pub signed_to_call: f64,
    pub load_to_call: f64,
    pub bare_load_to_call: f64,
    pub instance_to_call: f64,
    pub bare_instance_to_call: f64,
    pub fresh_memory: f64,
    pub call: f64,
    pub bare_call: f64,
    pub host_call: f64,
    pub bare_host_call: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Density {
    pub instances: usize,
    pub resident_bytes: u64,
    pub stopped: Option<String>,
}

pub struct Measured {
    pub bounds_checks: &'static str,
    pub artifact_bytes: usize,
    pub times: Times,
    pub ours: Density,
    pub bare: Density,
}

pub struct Probe {
    program: PathBuf,
    bounds_checks: &'static str,
    /// Of the module with a host function of ours, and of the one with a native one.
    ours: PathBuf,
    bare: PathBuf,
    artifact_bytes: usize,
}

impl Probe {
    pub fn new(program: &Path, bounds_checks: &'static str, folder: &Path) -> anyhow::Result<Self> {
        let target = Registry::built_in().find("x86_64-linux")?;
        let mode: BoundsChecks = bounds_checks.parse()?;
        let build = |host: &str| -> anyhow::Result<(PathBuf, usize)> {
            let wasm = wat::parse_str(GUEST.replace("HOST", host))?;
            let aot = compile(&wasm, target, &CompileOptions::new(mode))?.aot;
            let path = folder.join(format!("{host}-{bounds_checks}.aot"));
            std::fs::write(&path, &aot).with_context(|| path.display().to_string())?;
            Ok((path, aot.len()))
        };
        let (program, (ours, artifact_bytes), (bare, _)) =
            (program.to_owned(), build("ours")?, build("bare")?);
        Ok(Self { program, bounds_checks, ours, bare, artifact_bytes })
    }

    pub fn measure(&self, rounds: usize, runs: usize) -> anyhow::Result<Measured> {
        let rounds = rounds.to_string();
        let (ours, bare) = (self.ours.as_os_str(), self.bare.as_os_str());
        let words = [OsStr::new("times"), ours, bare, OsStr::new(&rounds)];
        let times = (0..runs).map(|_| self.ask::<Times>(&words));
        let times: Vec<Times> = times.collect::<Result<_, _>>()?;
        let of = |field: fn(&Times) -> f64| median(times.iter().map(field).collect());
        let times = Times {
            signed_to_call: of(|t| t.signed_to_call),
            load_to_call: of(|t| t.load_to_call),
            bare_load_to_call: of(|t| t.bare_load_to_call),
            instance_to_call: of(|t| t.instance_to_call),
            bare_instance_to_call: of(|t| t.bare_instance_to_call),
            fresh_memory: of(|t| t.fresh_memory),
            call: of(|t| t.call),
            bare_call: of(|t| t.bare_call),
            host_call: of(|t| t.host_call),
            bare_host_call: of(|t| t.bare_host_call),
        };
        let gib = GIB.to_string();
        let fill = |artifact, which| {
            let words = [OsStr::new("density"), artifact, OsStr::new(which), OsStr::new(&gib)];
            self.ask::<Density>(&words)
        };
        let (ours, bare) = (fill(ours, "ours")?, fill(bare, "bare")?);
        let Self { bounds_checks, artifact_bytes, .. } = *self;
        Ok(Measured { bounds_checks, artifact_bytes, times, ours, bare })
    }

    fn ask<T: DeserializeOwned>(&self, words: &[&OsStr]) -> anyhow::Result<T> {
        let output = Command::new(&self.program).args(words).output();
        let output = output.with_context(|| format!("start {}", self.program.display()))?;
        ensure!(output.status.success(), "{words:?}: {output:?}");
        // WAMR tells there, too, that it got no more memory.
        let told = String::from_utf8_lossy(&output.stdout);
        let line = told.lines().find(|line| line.starts_with('{'));
        let line = line.with_context(|| format!("{output:?}"))?;
        serde_json::from_str(line).with_context(|| line.to_owned())
    }
}

impl Density {
    /// As many as fit into a gigabyte, by what these took.
    pub fn in_a_gib(&self) -> f64 {
        self.instances as f64 * GIB as f64 / self.resident_bytes as f64
    }
}
