//! The signer's configuration file, read once at the start.
//!
//! ```toml
//! socket = "/run/farrier-signer/signer.sock"
//! allowed_uids = [990]                    # the gateway's; unless given, the signer's own
//! key_file = "/etc/farrier-signer/release.key"
//! log_file = "/var/lib/farrier-signer/signatures.log"
//! recompile = true
//!
//! [policy]
//! targets = ["aarch64-linux"]
//! developer_keys = ["<64 hexadecimal digits>"]
//! ```

use anyhow::{Context, bail};
use module_package::PublicKey;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Made with `socket_mode`; its folder has to be there.
    pub socket: PathBuf,
    /// Octal digits. Whoever may connect must also be among `allowed_uids`.
    #[serde(default = "default_socket_mode")]
    pub socket_mode: String,
    /// Processes of these users are answered, by what the kernel says of them.
    #[serde(default)]
    pub allowed_uids: Option<Vec<u32>>,
    /// From `farrier key new --role release`; mode 0600.
    pub key_file: PathBuf,
    /// Every signature, in a chain of hashes. Only ever appended to.
    pub log_file: PathBuf,
    /// Compile each module again, and sign only what matches.
    #[serde(default)]
    pub recompile: bool,
    /// Wall time of one compilation.
    #[serde(default = "default_compile_s_max")]
    pub compile_s_max: u32,
    /// Address space of one compilation.
    #[serde(default = "default_compile_memory_bytes_max")]
    pub compile_memory_bytes_max: u64,
    /// `required` refuses to compile where the system cannot confine the compiler.
    #[serde(default)]
    pub compile_sandbox: CompileSandbox,
    #[serde(default)]
    pub policy: PolicyConfig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompileSandbox {
    #[default]
    Required,
    BestEffort,
}

/// What is signed; an empty list allows everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    pub targets: Vec<String>,
    pub apps: Vec<String>,
    /// Only code that counts its gas.
    pub require_metering: bool,
    /// Modules need the signed statement of one of these developers.
    pub developer_keys: Vec<String>,
}

impl Config {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read the configuration {}", path.display()))?;
        let config: Self = toml::from_str(&text)
            .with_context(|| format!("the configuration {} is not valid", path.display()))?;
        config.mode()?;
        config.developers()?;
        if config.compile_s_max == 0 {
            bail!("compile_s_max must be at least 1");
        }
        Ok(config)
    }

    pub fn mode(&self) -> anyhow::Result<u32> {
        match u32::from_str_radix(&self.socket_mode, 8) {
            Ok(mode) if mode <= 0o777 => Ok(mode),
            _ => bail!("socket_mode is {:?}; it is octal, such as \"0660\"", self.socket_mode),
        }
    }

    pub fn developers(&self) -> anyhow::Result<Vec<PublicKey>> {
        let keys = self.policy.developer_keys.iter();
        keys.map(|text| {
            key_file::parse_public_key(text)
                .map_err(|e| anyhow::anyhow!("developer_keys holds {text:?}: {e}"))
        })
        .collect()
    }
}

fn default_socket_mode() -> String {
    "0660".to_owned()
}

fn default_compile_s_max() -> u32 {
    120
}

fn default_compile_memory_bytes_max() -> u64 {
    4 * 1024 * 1024 * 1024
}
