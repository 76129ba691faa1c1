//! `programs.toml` → the programs, and what each must do.

use anyhow::{Context, ensure};
use known_answer::Step;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    program: Vec<Program>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    pub name: String,
    /// That it was written in.
    pub language: String,
    pub source: Source,
    /// Whether it is part of `cargo xtask test`.
    #[serde(default)]
    pub ci: bool,
    /// Of the executors; all with software checks and the native one with hardware
    /// checks, if nothing is said.
    machines: Option<Vec<String>>,
    /// For a WASI command: what it is called with, its own name first.
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env: Vec<String>,
    /// A file below `input`.
    stdin: Option<String>,
    /// The output of a WASI command: a file below `answers`, or its hash.
    stdout: Option<String>,
    stdout_sha256: Option<String>,
    #[serde(default)]
    pub exit_code: u32,
    /// For a module that is called: known-answer steps in a file below `answers`.
    steps: Option<String>,
    /// For a program that runs as on a device, and in no executor.
    pub device: Option<OnDevice>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnDevice {
    /// Below `input`, copied into its directory before the first run.
    #[serde(default)]
    pub files: Vec<String>,
    pub runs: Vec<DeviceRun>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRun {
    /// After its name.
    #[serde(default)]
    pub args: Vec<String>,
    /// A file below `answers`.
    stdout: String,
    #[serde(default)]
    pub exit_code: u8,
    /// What is in its directory then.
    #[serde(default)]
    pub leaves: BTreeMap<String, String>,
}

impl DeviceRun {
    pub fn stdout(&self) -> anyhow::Result<Vec<u8>> {
        read_below("answers", &self.stdout)
    }
}

fn read_below(folder: &str, name: &str) -> anyhow::Result<Vec<u8>> {
    let path = crate::folder().join(folder).join(name);
    std::fs::read(&path).with_context(|| format!("read {}", path.display()))
}

/// Where the module comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Source {
    Npm(Published),
    Pip(Published),
    /// A Rust package below `sources`.
    Rust {
        folder: String,
        target: String,
    },
    /// A C or Zig file below `sources`.
    Zig {
        file: String,
        target: String,
    },
    /// An AssemblyScript file below `sources`.
    AssemblyScript {
        file: String,
    },
    /// A Go file below `sources`.
    Go {
        file: String,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub package: String,
    pub version: String,
    /// Of the module in the package.
    pub file: String,
    pub sha256: String,
}

/// What a program must do.
pub enum Expected {
    Output {
        stdin: Vec<u8>,
        stdout: Output,
    },
    Steps(Vec<Step>),
    /// What its runs say.
    OnDevice,
}

pub enum Output {
    Bytes(Vec<u8>),
    Sha256(String),
}

const MACHINES: [&str; 4] =
    ["x86_64-hardware", "x86_64-software", "aarch64-software", "riscv64-software"];

pub fn read() -> anyhow::Result<Vec<Program>> {
    let path = crate::folder().join("programs.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
    let programs = toml::from_str::<File>(&text).with_context(|| format!("read {path:?}"))?.program;
    for program in &programs {
        program.expected().with_context(|| program.name.clone())?;
        for machine in program.machines() {
            ensure!(MACHINES.contains(&machine), "{}: no machine {machine}", program.name);
        }
    }
    Ok(programs)
}

impl Program {
    pub fn machines(&self) -> Vec<&str> {
        match &self.machines {
            Some(machines) => machines.iter().map(String::as_str).collect(),
            None => MACHINES.to_vec(),
        }
    }

    pub fn expected(&self) -> anyhow::Result<Expected> {
        if let Some(device) = &self.device {
            let inputs = device.files.iter().map(|file| read_below("input", file).map(drop));
            let answers = device.runs.iter().map(|run| run.stdout().map(drop));
            return inputs.chain(answers).collect::<Result<_, _>>().map(|()| Expected::OnDevice);
        }
        if let Some(steps) = &self.steps {
            let text = String::from_utf8(read_below("answers", steps)?).context(steps.clone())?;
            return Ok(Expected::Steps(known_answer::from_toml(&text).context(steps.clone())?));
        }
        let stdin =
            self.stdin.as_deref().map_or(Ok(Vec::new()), |name| read_below("input", name))?;
        let stdout = match (&self.stdout, &self.stdout_sha256) {
            (Some(name), None) => Output::Bytes(read_below("answers", name)?),
            (None, Some(hash)) => Output::Sha256(hash.clone()),
            _ => anyhow::bail!("it needs one of device, steps, stdout and stdout_sha256"),
        };
        Ok(Expected::Output { stdin, stdout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_of_the_list_has_its_answers_and_a_name_of_its_own() {
        let programs = read().unwrap();
        let names: std::collections::BTreeSet<_> = programs.iter().map(|p| &p.name).collect();
        assert_eq!(names.len(), programs.len());
    }

    #[test]
    fn the_list_has_every_language_that_modules_come_from() {
        let programs = read().unwrap();
        for language in ["Rust", "C", "C++", "Zig", "AssemblyScript", "Go"] {
            assert!(programs.iter().any(|program| program.language == language), "{language}");
        }
    }
}
