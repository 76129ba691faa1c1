//! The gateway's configuration file, read once at the start.
//!
//! ```toml
//! data_dir = "/var/lib/farrier"
//!
//! [[check_runtime]]
//! target = "aarch64-linux"
//! bounds_checks = "software"
//! path = "/usr/libexec/farrier/aarch64/farrier-runtime"
//! launcher = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"]
//! ```
//!
//! Keys, their meaning and their defaults are the fields below; a key that does
//! not exist is refused, because a misspelt limit would otherwise not hold.

mod trust;
mod webhook;

pub use trust::{
    Developer, DeveloperConfig, NamedReleaseSigner, ReleaseSignerConfig, RootSource, SignerSocket,
    TrustConfig,
};

pub use webhook::WebhookConfig;

use crate::webhooks::Webhook;
use device_protocol::SiteName;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use target_spec::{BoundsChecks, Registry, TargetId};

/// Some seconds, for tests, to ten years.
const CERTIFICATE_VALID_S: std::ops::RangeInclusive<u64> = 5..=315_360_000;

/// Less would hold some minutes of a small fleet.
const HISTORY_BYTES_MIN: u64 = 16 * 1024 * 1024;

const SECRET_CHARS_MIN: usize = 16;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Keys, store and blobs. Made with mode 0700 if it does not exist.
    pub data_dir: PathBuf,
    #[serde(default = "default_http_listen")]
    pub http_listen: SocketAddr,
    /// Of the embedded broker; unless given, loopback, port 8883 or without TLS 1883.
    #[serde(default)]
    pub mqtt_listen: Option<SocketAddr>,
    #[serde(default)]
    pub mqtt_tls: MqttTls,
    /// Another broker in place of the embedded one.
    #[serde(default)]
    pub broker: Option<ExternalBroker>,
    /// Of the certificates that the gateway gives to devices, which renew them after
    /// two thirds of it, and to its own broker.
    #[serde(default = "default_certificate_valid_s")]
    pub certificate_valid_s: u64,
    /// What devices are told of the broker, such as `mqtt://gateway.example:1883`;
    /// unless given, the address that it listens on.
    #[serde(default)]
    pub mqtt_advertise_url: Option<String>,
    /// What login links begin with, such as `https://gateway.example`.
    #[serde(default)]
    pub http_advertise_url: Option<String>,
    /// A file with a secret, of 16 characters at least, that opens `/metrics` and nothing
    /// else.
    #[serde(default)]
    pub metrics_token_file: Option<PathBuf>,
    /// Largest module that is taken.
    #[serde(default = "default_upload_bytes_max")]
    pub upload_bytes_max: u64,
    /// Modules compiled, and artifacts checked, at the same time. 0: one for each CPU.
    #[serde(default)]
    pub compile_workers: usize,
    /// Wall time of one compile job.
    #[serde(default = "default_compile_s_max")]
    pub compile_s_max: u32,
    /// Address space of one compile job.
    #[serde(default = "default_compile_memory_bytes_max")]
    pub compile_memory_bytes_max: u64,
    /// Compile jobs that wait at most. A deployment that needs more is refused with
    /// `queue-full`, and can be tried again.
    #[serde(default = "default_compile_queue_max")]
    pub compile_queue_max: usize,
    /// Whether modules are compiled where the system cannot take network and files
    /// from the compile workers.
    #[serde(default)]
    pub compile_sandbox: CompileSandbox,
    /// Between two heartbeats to a device that reports, 1 to 3,600.
    #[serde(default = "default_heartbeat_s")]
    pub heartbeat_s: u32,
    /// After so many days a manifest is no longer accepted by a device that knows the
    /// time. It is renewed after a third of them. 1 to 3,650.
    #[serde(default = "default_manifest_valid_days")]
    pub manifest_valid_days: u32,
    /// Runtimes for the gateway's own check, one for each target and bounds mode.
    /// An artifact without one is refused.
    #[serde(default, rename = "check_runtime")]
    pub check_runtimes: Vec<CheckRuntime>,
    #[serde(default)]
    pub check_sandbox: CheckSandbox,
    /// Sites, by the names that agents have in their configuration, and how many
    /// bytes a second go to the devices of each together.
    #[serde(default, rename = "site")]
    pub sites: Vec<Site>,
    /// Whether blocks are compressed on their way where that saves an eighth.
    #[serde(default = "default_compress_blocks")]
    pub compress_blocks: bool,
    /// Of the file with the history of devices and modules: docs/history.md. When it is
    /// full the oldest minutes go, and then the oldest hours.
    #[serde(default = "default_history_bytes_max")]
    pub history_bytes_max: u64,
    #[serde(default)]
    pub log_format: LogFormat,
    /// Where traces are sent, by a build with the feature `otlp`: docs/logs.md.
    #[serde(default)]
    pub traces: Option<TracesConfig>,
    #[serde(default)]
    pub trust: TrustConfig,
    /// Who is told of what happens: docs/webhooks.md.
    #[serde(default, rename = "webhook")]
    pub webhooks: Vec<WebhookConfig>,
}

/// Of the lines on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line: docs/logs.md.
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// A collector's whole address, such as `http://127.0.0.1:4318/v1/traces`.
    pub otlp_url: String,
}

/// TLS of the embedded broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MqttTls {
    /// With a client certificate of the gateway's authority for each device.
    #[default]
    Required,
    /// On loopback only.
    Off,
}

/// A broker that the gateway does not run. `farrier-gateway mosquitto-config` writes
/// what mosquitto needs for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalBroker {
    /// As `mqtts://broker.example:8883`.
    pub url: String,
    /// PEM certificates of which the broker's descends; unless given, its certificate
    /// is of the gateway's own authority.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The gateway's own client certificate and its key, PEM; unless given, one of its
    /// own authority with the common name `farrier-gateway`.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

impl ExternalBroker {
    /// Host and port. Only with TLS: devices are known to another broker by nothing but
    /// their certificates.
    pub fn address(&self) -> Result<(String, u16), String> {
        let invalid =
            || format!("broker.url {:?} should read like mqtts://broker.example:8883", self.url);
        let rest = self.url.strip_prefix("mqtts://").ok_or_else(invalid)?.trim_end_matches('/');
        let authority: axum::http::uri::Authority = rest.parse().map_err(|_| invalid())?;
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() || rest.contains('@') {
            return Err(invalid());
        }
        Ok((host.to_owned(), authority.port_u16().unwrap_or(8883)))
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    pub name: SiteName,
    pub bytes_per_s_max: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRuntime {
    pub target: TargetId,
    pub bounds_checks: BoundsChecks,
    /// The `farrier-runtime` of that target.
    pub path: PathBuf,
    /// What starts it where it is not native, such as `qemu-aarch64-static -L …`.
    #[serde(default)]
    pub launcher: Vec<String>,
}

/// What to do where the system cannot confine a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckSandbox {
    /// Refuse the artifact, and say what is missing.
    #[default]
    Required,
    /// Check with what there is, and warn.
    BestEffort,
}

/// What to do where the system cannot confine a compile worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompileSandbox {
    /// Refuse the module, and say what is missing.
    #[default]
    Required,
    /// Compile with what there is; the compile record says what is missing.
    BestEffort,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read the configuration {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration {path} is not valid: {message}")]
    Parse { path: PathBuf, message: String },
    #[error("the configuration is not valid: {0}")]
    Value(String),
}

impl Config {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Self = toml::from_str(&text)
            .map_err(|e| ConfigError::Parse { path: path.to_owned(), message: e.to_string() })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |what: String| Err(ConfigError::Value(what));
        let module_bytes_max = aot_compiler::limits::MODULE_BYTES_MAX as u64;
        if self.upload_bytes_max == 0 || self.upload_bytes_max > module_bytes_max {
            return refuse(format!("upload_bytes_max must be 1 to {module_bytes_max}"));
        }
        self.trust.check().map_err(|what| ConfigError::Value(format!("[trust] {what}")))?;
        if self.compile_s_max == 0 {
            return refuse("compile_s_max must be at least 1".into());
        }
        if self.compile_queue_max == 0 {
            return refuse("compile_queue_max must be at least 1".into());
        }
        if self.history_bytes_max < HISTORY_BYTES_MIN {
            return refuse(format!("history_bytes_max must be at least {HISTORY_BYTES_MIN}"));
        }
        if !(1..=3_600).contains(&self.heartbeat_s) {
            return refuse("heartbeat_s must be 1 to 3600".into());
        }
        if !(1..=3_650).contains(&self.manifest_valid_days) {
            return refuse("manifest_valid_days must be 1 to 3650".into());
        }
        webhook::check(&self.webhooks).map_err(ConfigError::Value)?;
        for (index, site) in self.sites.iter().enumerate() {
            if site.bytes_per_s_max == 0 {
                return refuse(format!("site {} needs at least 1 in bytes_per_s_max", site.name));
            }
            if self.sites[..index].iter().any(|other| other.name == site.name) {
                return refuse(format!("site {} is there twice", site.name));
            }
        }
        if !CERTIFICATE_VALID_S.contains(&self.certificate_valid_s) {
            let (min, max) = (CERTIFICATE_VALID_S.start(), CERTIFICATE_VALID_S.end());
            return refuse(format!("certificate_valid_s must be {min} to {max}"));
        }
        if self.mqtt_tls == MqttTls::Off && !self.mqtt_listen().ip().is_loopback() {
            return refuse(format!(
                "mqtt_tls = \"off\" is for loopback: listen there instead of on {}, or leave TLS on",
                self.mqtt_listen()
            ));
        }
        if let Some(broker) = &self.broker {
            broker.address().map_err(ConfigError::Value)?;
            if broker.cert_file.is_some() != broker.key_file.is_some() {
                return refuse("broker.cert_file and broker.key_file go together".into());
            }
            if self.mqtt_listen.is_some() {
                return refuse(
                    "mqtt_listen is of the embedded broker: leave it out with [broker]".into(),
                );
            }
        }
        for (index, runtime) in self.check_runtimes.iter().enumerate() {
            let target = Registry::built_in()
                .get(&runtime.target)
                .map_err(|e| ConfigError::Value(e.to_string()))?;
            if !target.supports_bounds_checks(runtime.bounds_checks) {
                let (id, mode) = (&runtime.target, runtime.bounds_checks);
                return refuse(format!("target {id} has no {mode} bounds checks"));
            }
            let is_same = |other: &CheckRuntime| {
                other.target == runtime.target && other.bounds_checks == runtime.bounds_checks
            };
            if self.check_runtimes[..index].iter().any(is_same) {
                let (id, mode) = (&runtime.target, runtime.bounds_checks);
                return refuse(format!(
                    "two check_runtime entries for {id} with {mode} bounds checks"
                ));
            }
        }
        Ok(())
    }

    /// The secret that opens `/metrics`.
    pub fn metrics_token(&self) -> Result<Option<String>, ConfigError> {
        self.metrics_token_file.as_deref().map(read_secret).transpose()
    }

    /// The receivers of notices, with their secrets.
    pub fn read_webhooks(&self) -> Result<Vec<Webhook>, ConfigError> {
        let read = |config: &WebhookConfig| {
            let secret = read_secret(&config.secret_file)?.into_bytes();
            Ok(Webhook { config: config.clone(), secret })
        };
        self.webhooks.iter().map(read).collect()
    }

    /// Where the embedded broker listens.
    pub fn mqtt_listen(&self) -> SocketAddr {
        let port = if self.mqtt_tls == MqttTls::Required { 8883 } else { 1883 };
        self.mqtt_listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// How many compile jobs, and how many checks, run at the same time.
    pub fn worker_count(&self) -> usize {
        match self.compile_workers {
            0 => cpu_count(),
            count => count,
        }
    }
}

/// One word of a file, long enough that nobody guesses it.
fn read_secret(path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let secret = text.trim();
    if secret.len() < SECRET_CHARS_MIN || secret.contains(char::is_whitespace) {
        return Err(ConfigError::Value(format!(
            "{} should hold one secret of at least {SECRET_CHARS_MIN} characters",
            path.display()
        )));
    }
    Ok(secret.to_owned())
}

/// Processors that this process may use.
pub fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn default_compress_blocks() -> bool {
    true
}

fn default_http_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

/// 90 days: so long a stolen device's certificate opens another broker's door.
fn default_certificate_valid_s() -> u64 {
    90 * 24 * 3_600
}

fn default_upload_bytes_max() -> u64 {
    32 * 1024 * 1024
}

fn default_history_bytes_max() -> u64 {
    2 * 1024 * 1024 * 1024
}

fn default_heartbeat_s() -> u32 {
    60
}

fn default_manifest_valid_days() -> u32 {
    30
}

fn default_compile_s_max() -> u32 {
    120
}

/// Some hours of work on a small machine; a job in the queue takes no memory to
/// speak of.
fn default_compile_queue_max() -> usize {
    1_000
}

/// Enough for the largest module that the compiler's own limits let through.
fn default_compile_memory_bytes_max() -> u64 {
    4 * 1024 * 1024 * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map_err(|e| e.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_data_directory_is_enough() {
        let config = parse("data_dir = '/tmp/x'").unwrap();
        assert_eq!(config.http_listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.upload_bytes_max, 33_554_432);
        assert_eq!(config.check_sandbox, CheckSandbox::Required);
        assert_eq!(config.compile_sandbox, CompileSandbox::Required);
        assert!(config.worker_count() >= 1);
    }

    #[test]
    fn the_release_key_has_three_places() {
        let trust = |text: &str| parse(&format!("data_dir = '/x'\n[trust]\n{text}"));
        let signer_of = |text: &str| trust(text).unwrap().trust.release_signer;
        assert_eq!(parse("data_dir = '/x'").unwrap().trust.root, RootSource::Demo);
        assert_eq!(signer_of(""), ReleaseSignerConfig::default());
        let socket = SignerSocket { socket: "/s".into() };
        let process = ReleaseSignerConfig::Process(socket);
        assert_eq!(signer_of("release_signer = { socket = '/s' }"), process);
        let offline = "release_signer = 'offline'\n";
        assert!(trust(&format!("{offline}root = 'external'")).is_ok());
        assert!(trust(offline).unwrap_err().contains("needs root"));
        assert!(trust("release_signer = 'on-line'").unwrap_err().contains("\"in-process\""));
    }

    #[test]
    fn developers_are_named_once_and_needed_where_they_are_required() {
        let trust = |text: &str| parse(&format!("data_dir = '/x'\n[trust]\n{text}"));
        let required = "require_developer_signature = true\n";
        assert!(trust(required).unwrap_err().contains("refuse every module"));
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let alice = format!("[[trust.developer]]\nname = 'alice'\npublic_key = '{key}'\n");
        assert_eq!(trust(&format!("{required}{alice}")).unwrap().trust.developers.len(), 1);
        assert!(trust(&format!("{alice}{alice}")).unwrap_err().contains("named twice"));
        let short = alice.replace("d75a", "d75");
        assert!(trust(&short).unwrap_err().contains("64 hexadecimal digits"));
    }

    #[test]
    fn without_tls_the_broker_listens_on_loopback_alone() {
        let config = parse("data_dir = '/x'").unwrap();
        assert_eq!((config.mqtt_tls, config.mqtt_listen().port()), (MqttTls::Required, 8883));
        assert!(parse("data_dir = '/x'\nmqtt_listen = '0.0.0.0:8883'").is_ok());
        let plain = parse("data_dir = '/x'\nmqtt_tls = 'off'").unwrap();
        assert_eq!(plain.mqtt_listen().to_string(), "127.0.0.1:1883");
        let open = "data_dir = '/x'\nmqtt_tls = 'off'\nmqtt_listen = '0.0.0.0:1883'";
        assert!(parse(open).unwrap_err().contains("loopback"));
    }

    #[test]
    fn another_broker_is_reached_by_tls_and_one_setting() {
        let with = |broker: &str| parse(&format!("data_dir = '/x'\n[broker]\n{broker}"));
        let config = with("url = 'mqtts://broker.example'").unwrap();
        assert_eq!(config.broker.unwrap().address(), Ok(("broker.example".into(), 8883)));
        let config = with("url = 'mqtts://[::1]:99'").unwrap();
        assert_eq!(config.broker.unwrap().address(), Ok(("::1".into(), 99)));
        for bad in ["mqtt://b", "mqtts://", "mqtts://user@b", "b:1883"] {
            assert!(with(&format!("url = '{bad}'")).unwrap_err().contains("mqtts://"), "{bad}");
        }
        let half = with("url = 'mqtts://b'\ncert_file = '/c'").unwrap_err();
        assert!(half.contains("go together"), "{half}");
    }

    #[test]
    fn a_mistake_is_refused_by_name() {
        assert!(parse("data_dir = '/x'\nupload_max = 1").unwrap_err().contains("upload_max"));
        let runtime = "[[check_runtime]]\ntarget = 'aarch64-linux'\npath = '/r'\n";
        let twice = format!(
            "data_dir = '/x'\n{runtime}bounds_checks = 'software'\n{runtime}bounds_checks = 'software'\n"
        );
        assert!(parse(&twice).unwrap_err().contains("two check_runtime entries"));
        let hardware = format!("data_dir = '/x'\n{runtime}bounds_checks = 'hardware'\n");
        assert!(parse(&hardware).unwrap_err().contains("has no hardware bounds checks"));
    }
}
