//! `[trust]`: who holds which key, and whose modules are taken.
//!
//! ```toml
//! [trust]
//! root = "external"                              # "demo" makes a root of one key here
//! release_signer = { socket = "/run/farrier/signer.sock" }   # or "offline", "in-process"
//! require_developer_signature = true
//!
//! [[trust.developer]]
//! name = "alice"
//! public_key = "<64 hexadecimal digits, from `farrier key new`>"
//! ```

use module_package::PublicKey;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustConfig {
    pub root: RootSource,
    pub release_signer: ReleaseSignerConfig,
    /// Refuse modules, and deployments of modules, without a developer's signature.
    pub require_developer_signature: bool,
    #[serde(rename = "developer")]
    pub developers: Vec<DeveloperConfig>,
}

/// Where the first root document comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootSource {
    /// One root key, made in the data directory at the first start: for demonstrations.
    #[default]
    Demo,
    /// From `farrier root publish`; no device is let in before that.
    External,
}

/// Who holds the release key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "release_signer is \"in-process\", \"offline\" or { socket = \"PATH\" }"
)]
pub enum ReleaseSignerConfig {
    Named(NamedReleaseSigner),
    /// A `farrier-signer` that listens on this Unix socket.
    Process(SignerSocket),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedReleaseSigner {
    /// This process; the key lies in the data directory.
    InProcess,
    /// People, with `farrier release export`, `sign` and `submit`.
    Offline,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerSocket {
    pub socket: PathBuf,
}

impl Default for ReleaseSignerConfig {
    fn default() -> Self {
        Self::Named(NamedReleaseSigner::InProcess)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeveloperConfig {
    pub name: String,
    pub public_key: String,
}

/// Someone whose signature on a module counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Developer {
    pub name: String,
    pub key: PublicKey,
}

impl TrustConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        let developers = self.developers()?;
        if self.require_developer_signature && developers.is_empty() {
            return Err("require_developer_signature without a [[trust.developer]] would refuse \
                        every module"
                .into());
        }
        let is_offline =
            self.release_signer == ReleaseSignerConfig::Named(NamedReleaseSigner::Offline);
        if is_offline && self.root == RootSource::Demo {
            return Err(
                "release_signer = \"offline\" needs root = \"external\": a root made here \
                        could not name a release key that is elsewhere"
                    .into(),
            );
        }
        Ok(())
    }

    pub fn developers(&self) -> Result<Vec<Developer>, String> {
        let mut developers: Vec<Developer> = Vec::new();
        for DeveloperConfig { name, public_key } in &self.developers {
            let key = key_file::parse_public_key(public_key)
                .map_err(|e| format!("the public_key of developer {name:?}: {e}"))?;
            if developers.iter().any(|other| other.key == key || other.name == *name) {
                return Err(format!("developer {name:?} is named twice, or their key is"));
            }
            developers.push(Developer { name: name.clone(), key });
        }
        Ok(developers)
    }
}
