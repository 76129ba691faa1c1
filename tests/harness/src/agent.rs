//! A device of the kit: an agent process, emulated where its architecture differs.

use crate::{DeviceClass, Kit, OwnedProcess};
use anyhow::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, Clone)]
pub struct AgentOptions {
    pub class: DeviceClass,
    pub name: String,
    /// The folder for its configuration, store and log.
    pub data: PathBuf,
    pub gateway_url: String,
    /// As in the agent's configuration.
    pub ca_file: Option<PathBuf>,
    /// Without one it waits until its fingerprint is accepted.
    pub claim_token: Option<String>,
    pub report_interval_ms: u32,
    /// As in the agent's configuration; its default unless given, like the next.
    pub reconnect_s_max: Option<u32>,
    pub freeze_after_ms: Option<u32>,
    pub store_bytes_max: Option<u32>,
    pub fetch_patience_s: Option<u32>,
    pub fetch_bytes_per_s_min: Option<u32>,
    /// Whether it believes its clock.
    pub clock_trusted: bool,
    /// Put before the agent's command line, such as `ip netns exec apart`; it has to
    /// leave its place to the agent.
    pub wrapper: Vec<String>,
    /// The seed of its simulated sensor `temperature`.
    pub sensor_seed: u64,
    /// Its view of the hardware; the machine's own unless given.
    pub sysfs_dir: Option<PathBuf>,
    /// Put below the rest of its configuration, such as more sensors.
    pub more_config: String,
}

#[derive(Serialize)]
struct ConfigFile {
    data_dir: PathBuf,
    gateway_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_token_file: Option<PathBuf>,
    name: String,
    report_interval_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect_s_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    freeze_after_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_bytes_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fetch_patience_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fetch_bytes_per_s_min: Option<u32>,
    clock_trusted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sysfs_dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    runtime: RuntimeConfig,
    sensor: Vec<SensorConfig>,
}

#[derive(Serialize)]
struct RuntimeConfig {
    path: PathBuf,
    launcher: &'static [&'static str],
}

#[derive(Serialize)]
struct SensorConfig {
    name: &'static str,
    kind: &'static str,
    seed: u64,
}

#[derive(Debug)]
pub struct AgentProcess {
    process: OwnedProcess,
    options: AgentOptions,
}

impl AgentProcess {
    pub fn start(kit: &Kit, options: AgentOptions) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.data)?;
        let claim_token_file =
            options.claim_token.as_ref().map(|_| options.data.join("claim-token"));
        if let (Some(file), Some(token)) = (&claim_token_file, &options.claim_token) {
            std::fs::write(file, token)?;
        }
        let config = ConfigFile {
            data_dir: options.data.join("agent"),
            gateway_url: options.gateway_url.clone(),
            claim_token_file,
            name: options.name.clone(),
            report_interval_ms: options.report_interval_ms,
            reconnect_s_max: options.reconnect_s_max,
            freeze_after_ms: options.freeze_after_ms,
            store_bytes_max: options.store_bytes_max,
            fetch_patience_s: options.fetch_patience_s,
            fetch_bytes_per_s_min: options.fetch_bytes_per_s_min,
            clock_trusted: options.clock_trusted,
            sysfs_dir: options.sysfs_dir.clone(),
            ca_file: options.ca_file.clone(),
            runtime: RuntimeConfig {
                path: kit.runtime(options.class),
                launcher: options.class.launcher,
            },
            sensor: vec![SensorConfig {
                name: "temperature",
                kind: "simulated",
                seed: options.sensor_seed,
            }],
        };
        let file = options.data.join("agent.toml");
        let text = format!("{}\n{}\n", toml::to_string(&config)?, options.more_config);
        std::fs::write(&file, text)?;
        let mut command = in_launcher(options.class, &kit.agent(options.class));
        if !options.wrapper.is_empty() {
            command = crate::process::wrapped(&options.wrapper, &command);
        }
        command.arg("--config").arg(&file);
        let log = options.data.join("agent.log");
        let (process, stdout) = OwnedProcess::start(&options.name, &mut command, &log)
            .with_context(|| format!("start the agent {}", options.name))?;
        drop(stdout);
        Ok(Self { process, options })
    }

    pub fn name(&self) -> &str {
        &self.options.name
    }

    pub fn class(&self) -> DeviceClass {
        self.options.class
    }

    /// The folder below which the agent keeps everything.
    pub fn store(&self) -> PathBuf {
        self.options.data.join("agent")
    }

    pub fn log_file(&self) -> PathBuf {
        self.options.data.join("agent.log")
    }

    pub fn process(&mut self) -> &mut OwnedProcess {
        &mut self.process
    }

    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Starts again what was killed or stopped, with the same data.
    pub fn start_again(self, kit: &Kit) -> anyhow::Result<Self> {
        let options = self.options.clone();
        drop(self);
        Self::start(kit, options)
    }
}

/// The command for a program of a class's architecture.
fn in_launcher(class: DeviceClass, program: &Path) -> Command {
    match class.launcher.split_first() {
        None => Command::new(program),
        Some((launcher, arguments)) => {
            let mut command = Command::new(launcher);
            command.args(arguments).arg(program);
            command
        }
    }
}
