//! What devices accept from whom, and who holds the keys.

use serde::{Deserialize, Serialize};

/// The newest root document in short. A root of one key beside the gateway is for
/// demonstrations, and every page says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrustSummary {
    /// Empty, and `root_version` 0, while the gateway waits for its first root document.
    pub root_id: String,
    pub root_version: u32,
    pub epoch: u32,
    pub threshold: u32,
    pub root_key_count: u32,
    /// The release key is in the gateway's own process.
    pub release_key_online: bool,
    #[serde(default)]
    pub release_key_place: ReleaseKeyPlace,
    /// The signer compiles each artifact again before it signs.
    #[serde(default)]
    pub signer_recompiles: bool,
    /// The signer signs only modules that a developer has signed.
    #[serde(default)]
    pub signer_requires_developer: bool,
    /// Builds that wait for their release signature.
    #[serde(default)]
    pub releases_waiting: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseKeyPlace {
    #[default]
    InProcess,
    /// `farrier-signer`, reached by a Unix socket.
    Signer,
    Offline,
}

impl ReleaseKeyPlace {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Signer => "signer",
            Self::Offline => "offline",
        }
    }
}

impl TrustSummary {
    /// The root document counts on one key alone.
    pub fn is_one_root_key(&self) -> bool {
        self.root_version > 0 && self.threshold <= 1
    }

    pub fn waits_for_root(&self) -> bool {
        self.root_version == 0
    }

    /// What somebody gets who takes over the gateway, its disk and all keys on it.
    pub fn thief_gets(&self) -> &'static str {
        match (self.release_key_place, self.signer_recompiles, self.signer_requires_developer) {
            (ReleaseKeyPlace::InProcess, _, _) => {
                "The gateway holds the release key and the assign key: whoever takes it over runs \
                 his own code on every device, until a new root document revokes both keys."
            }
            (ReleaseKeyPlace::Signer, false, false) => {
                "Whoever copies the gateway's disk can send released artifacts to devices that they \
                 fit, and stop what runs; he cannot run new code. Whoever controls the running \
                 gateway can also have the signer sign what he made, as long as he is there: each \
                 signature is in the signer's log. Let the signer compile again (recompile) to take \
                 that away."
            }
            (ReleaseKeyPlace::Signer, true, false) => {
                "Whoever takes the gateway over can send genuine builds of modules, his own modules \
                 included, to devices, and stop what runs. He cannot run machine code of his making: \
                 the signer compiles each artifact again and signs only what matches. Let the signer \
                 ask for developers' signatures to keep his modules out too."
            }
            (ReleaseKeyPlace::Signer, false, true) => {
                "Whoever takes the gateway over can send released artifacts to devices that they fit, \
                 and stop what runs. The signer signs nothing without a developer's signature on the \
                 module; but it believes the gateway which machine code is the module's: let it \
                 compile again (recompile) to take that away."
            }
            (ReleaseKeyPlace::Signer, true, true) => {
                "Whoever takes the gateway over can send genuine builds of modules that a developer \
                 signed to devices that they fit, and stop what runs. He cannot run new code: the \
                 signer compiles each artifact again, and asks for a developer's signature."
            }
            (ReleaseKeyPlace::Offline, _, _) => {
                "Whoever takes the gateway over can send released artifacts to devices that they fit, \
                 and stop what runs. He cannot run new code: releases are signed by people on another \
                 machine, and what they sign they can check with --recompile."
            }
        }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Trust {
    pub summary: TrustSummary,
    /// Not to be accepted after this time by a device that knows the time.
    pub not_after_ms: Option<u64>,
    pub root_keys: Vec<TrustKey>,
    pub release_keys: Vec<TrustKey>,
    pub assign_keys: Vec<TrustKey>,
    /// Key ids that no device accepts any more.
    pub revoked: Vec<String>,
    pub floors: Vec<TrustFloor>,
    /// The gateway's own assign keys, oldest first; the root document has to name one.
    pub gateway_assign_keys: Vec<TrustKey>,
    /// The release keys that the gateway or its signer has now; none while they are
    /// offline or the signer is away.
    pub gateway_release_keys: Vec<TrustKey>,
    /// Where the signer is, and why it is not there.
    pub signer: Option<SignerStatus>,
    pub require_developer_signature: bool,
    pub developers: Vec<TrustDeveloper>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrustKey {
    pub id: String,
    pub public_key: String,
    /// The root document gives it this role and does not revoke it.
    pub valid: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrustFloor {
    pub app: String,
    /// The lowest version that devices accept.
    pub version_min: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignerStatus {
    pub socket: String,
    /// Why it cannot be used at the moment.
    pub problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrustDeveloper {
    pub name: String,
    pub id: String,
    pub public_key: String,
}

/// A further key of the gateway, for the next root document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewGatewayKey {
    pub role: GatewayKeyRole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum GatewayKeyRole {
    Assign,
    Release,
}

/// A release that waits for its signature: compiled, checked, and not yet accepted by
/// any device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WaitingRelease {
    /// SHA-256 of `payload`.
    pub id: String,
    pub app: String,
    pub app_version: u32,
    pub module: String,
    pub artifact: String,
    pub artifact_bytes: u64,
    pub target: String,
    pub bounds_checks: String,
    pub since_ms: u64,
    /// Why it waits, and what to do.
    pub detail: String,
    /// What is signed: deterministic CBOR, in hexadecimal.
    pub payload: String,
}

/// What became of a signed release that was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AcceptedRelease {
    /// SHA-256 of the sealed release.
    pub release: String,
    pub app: String,
    pub app_version: u32,
    pub target: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_of_an_older_gateway_is_read() {
        let old = r#"{"root_id": "a", "root_version": 1, "epoch": 1, "threshold": 1,
                      "root_key_count": 1, "release_key_online": true}"#;
        let summary: TrustSummary = serde_json::from_str(old).unwrap();
        assert_eq!(summary.release_key_place, ReleaseKeyPlace::InProcess);
        assert!(summary.is_one_root_key() && !summary.waits_for_root());
    }

    #[test]
    fn what_a_thief_gets_is_told_apart_by_mode() {
        let with = |release_key_place, signer_recompiles, signer_requires_developer| TrustSummary {
            release_key_place,
            signer_recompiles,
            signer_requires_developer,
            ..TrustSummary::default()
        };
        let mut told: Vec<&str> = [
            with(ReleaseKeyPlace::InProcess, false, false),
            with(ReleaseKeyPlace::Signer, false, false),
            with(ReleaseKeyPlace::Signer, true, false),
            with(ReleaseKeyPlace::Signer, false, true),
            with(ReleaseKeyPlace::Signer, true, true),
            with(ReleaseKeyPlace::Offline, false, false),
        ]
        .iter()
        .map(TrustSummary::thief_gets)
        .collect();
        assert!(told[0].contains("his own code on every device"));
        assert!(told[1..].iter().all(|told| told.contains("He cannot run")
            || told.contains("he cannot run new code")
            || told.contains("signs nothing without")));
        told.dedup();
        assert_eq!(told.len(), 6);
    }
}
