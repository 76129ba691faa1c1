//! A gateway process of the kit, on free ports, with its data in one directory.

use crate::{DeviceClass, Kit, OwnedProcess};
use anyhow::Context;
use gateway_client::Client;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A debug build on a busy machine opens its store and signs within seconds.
const START_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct GatewayOptions {
    pub data: PathBuf,
    /// Where devices are told that the broker is, if not where it listens.
    pub mqtt_advertise: Option<SocketAddr>,
    pub http_listen: SocketAddr,
    pub mqtt_listen: SocketAddr,
    /// TLS with client certificates; without it a test can stand between.
    pub mqtt_tls: bool,
    /// As in the gateway's configuration.
    pub certificate_valid_s: Option<u64>,
    /// Another broker, as `mqtts://127.0.0.1:8883`.
    pub broker_url: Option<String>,
    /// As in the gateway's configuration; its default unless given, like the next.
    pub compile_workers: Option<usize>,
    pub compile_s_max: Option<u32>,
    pub compress_blocks: Option<bool>,
    pub heartbeat_s: Option<u32>,
    /// Put before the gateway's command line; it has to leave its place to it.
    pub wrapper: Vec<String>,
}

impl GatewayOptions {
    pub fn new(data: &Path) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            data: data.to_owned(),
            mqtt_advertise: None,
            http_listen: free,
            mqtt_listen: free,
            mqtt_tls: false,
            certificate_valid_s: None,
            broker_url: None,
            compile_workers: None,
            compile_s_max: None,
            wrapper: vec![],
            compress_blocks: None,
            heartbeat_s: None,
        }
    }

    fn mqtt_scheme(&self) -> &'static str {
        if self.mqtt_tls || self.broker_url.is_some() { "mqtts" } else { "mqtt" }
    }
}

/// The gateway's configuration file.
#[derive(Serialize)]
struct ConfigFile {
    data_dir: PathBuf,
    http_listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mqtt_listen: Option<String>,
    mqtt_tls: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_valid_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mqtt_advertise_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compile_workers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compile_s_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compress_blocks: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<BrokerConfig>,
    check_runtime: Vec<CheckRuntime>,
}

#[derive(Serialize)]
struct BrokerConfig {
    url: String,
}

#[derive(Serialize)]
struct CheckRuntime {
    target: &'static str,
    bounds_checks: &'static str,
    path: PathBuf,
    launcher: &'static [&'static str],
}

/// The line that a gateway prints when it serves.
#[derive(Deserialize)]
struct Ready {
    http: String,
    mqtt: String,
}

#[derive(Debug)]
pub struct GatewayProcess {
    process: OwnedProcess,
    options: GatewayOptions,
    url: String,
    mqtt: SocketAddr,
}

impl GatewayProcess {
    pub fn start(kit: &Kit, options: GatewayOptions) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.data)?;
        let file = options.data.join("gateway.toml");
        let config = ConfigFile {
            data_dir: options.data.join("gateway"),
            http_listen: options.http_listen.to_string(),
            mqtt_listen: match options.broker_url {
                Some(_) => None,
                None => Some(options.mqtt_listen.to_string()),
            },
            mqtt_tls: if options.mqtt_tls { "required" } else { "off" },
            certificate_valid_s: options.certificate_valid_s,
            broker: options.broker_url.clone().map(|url| BrokerConfig { url }),
            mqtt_advertise_url: options
                .mqtt_advertise
                .map(|address| format!("{}://{address}", options.mqtt_scheme())),
            compile_workers: options.compile_workers,
            compile_s_max: options.compile_s_max,
            compress_blocks: options.compress_blocks,
            heartbeat_s: options.heartbeat_s,
            check_runtime: DeviceClass::ALL
                .map(|class| CheckRuntime {
                    target: class.target,
                    bounds_checks: class.bounds_checks,
                    path: kit.runtime(class),
                    launcher: class.launcher,
                })
                .into(),
        };
        std::fs::write(&file, toml::to_string(&config)?)?;
        let mut command = Command::new(kit.gateway());
        command.arg("--config").arg(&file);
        if !options.wrapper.is_empty() {
            command = crate::process::wrapped(&options.wrapper, &command);
        }
        let log = options.data.join("gateway.log");
        let (process, stdout) = OwnedProcess::start("gateway", &mut command, &log)?;
        let ready =
            first_line(stdout)
                .and_then(|line| Ok(serde_json::from_str::<Ready>(&line)?))
                .with_context(|| format!("the gateway did not start\n{}", process.log_tail()))?;
        let mqtt = ready.mqtt.trim_start_matches("mqtts://").trim_start_matches("mqtt://").parse();
        let mqtt = mqtt.with_context(|| format!("the broker's address {:?}", ready.mqtt))?;
        Ok(Self { process, options, url: ready.http, mqtt })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    pub fn process(&mut self) -> &mut OwnedProcess {
        &mut self.process
    }

    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    pub fn log_file(&self) -> PathBuf {
        self.options.data.join("gateway.log")
    }

    pub fn token_file(&self) -> PathBuf {
        self.options.data.join("gateway/admin.token")
    }

    pub fn client(&self) -> anyhow::Result<Client> {
        let token = std::fs::read_to_string(self.token_file()).context("read the admin token")?;
        Ok(Client::builder(&self.url).token(token.trim()).build()?)
    }

    /// Starts again what was killed or stopped, with the same data and ports.
    pub fn start_again(self, kit: &Kit) -> anyhow::Result<Self> {
        let http: SocketAddr = self.url.trim_start_matches("http://").parse()?;
        let options =
            GatewayOptions { http_listen: http, mqtt_listen: self.mqtt, ..self.options.clone() };
        drop(self);
        Self::start(kit, options)
    }
}

/// Reads one line in a thread of its own, so that a silent process is an error.
fn first_line(stdout: std::process::ChildStdout) -> anyhow::Result<String> {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let _ = send.send(lines.next());
        // Go on reading: a full pipe would stop the process.
        lines.for_each(drop);
    });
    let line = receive.recv_timeout(START_WITHIN).context("it printed no line in time")?;
    Ok(line.context("it ended before it printed a line")??)
}
