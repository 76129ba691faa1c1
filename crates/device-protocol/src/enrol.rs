//! Enrolment over HTTP, and the login to the broker.
//!
//! `POST /api/v1/enroll` takes an [`EnrolRequest`] and answers an
//! [`EnrolResponse`]. The statement in it is sealed by the device's own key,
//! which proves possession, and names the hash of the claim token, so that it is
//! of no use with another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::{Decode, Encode};
use module_package::{BlobId, DeviceId, PublicKey, RootId, RuntimeProfile};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

pub const CLAIM_TOKEN_PREFIX: &str = "farrier-claim";

/// Longest MQTT password that is looked at.
pub const LOGIN_TOKEN_BYTES_MAX: usize = 1024;

/// What an operator hands to a device: a secret, and the hash of the root
/// document that the device shall pin. Text: `farrier-claim.<secret>.<root id>`,
/// both hexadecimal, the secret 16 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimToken {
    pub secret: [u8; 16],
    pub root: RootId,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no claim token: it should read {CLAIM_TOKEN_PREFIX}.<32 digits>.<64 digits>")]
pub struct InvalidClaimToken;

impl ClaimToken {
    /// What the gateway keeps of the secret, and the statement names.
    pub fn secret_hash(&self) -> BlobId {
        BlobId::of(&self.secret)
    }
}

impl FromStr for ClaimToken {
    type Err = InvalidClaimToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.trim().strip_prefix(CLAIM_TOKEN_PREFIX).ok_or(InvalidClaimToken)?;
        let rest = rest.strip_prefix('.').ok_or(InvalidClaimToken)?;
        let (secret, root) = rest.split_once('.').ok_or(InvalidClaimToken)?;
        if secret.len() != 32 || !secret.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidClaimToken);
        }
        let secret = u128::from_str_radix(secret, 16).map_err(|_| InvalidClaimToken)?;
        let root = root.parse().map_err(|_| InvalidClaimToken)?;
        Ok(Self { secret: secret.to_be_bytes(), root })
    }
}

impl fmt::Display for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = u128::from_be_bytes(self.secret);
        write!(f, "{CLAIM_TOKEN_PREFIX}.{secret:032x}.{}", self.root)
    }
}

/// Never the secret: this is what logs show.
impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimToken(root {})", self.root)
    }
}

/// The JSON body of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    pub claim_token: String,
    /// An [`EnrolStatement`] sealed in `Domain::Enrol`, base64url without padding.
    pub statement: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolStatement {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub public_key: PublicKey,
    #[n(2)]
    pub claim_hash: BlobId,
    /// A name for people, 1 to 64 characters.
    #[n(3)]
    pub name: String,
    #[n(4)]
    pub target: String,
    #[n(5)]
    pub bounds_checks: String,
    #[n(6)]
    pub aot_version: u32,
    #[n(7)]
    pub cpu_features: Vec<String>,
    #[n(8)]
    pub imports: Vec<String>,
    /// `farrier-agent` and its version.
    #[n(9)]
    pub agent: String,
    /// `farrier-runtime` and its version, with WAMR's.
    #[n(10)]
    pub runtime: String,
    /// Whether the runtime runs under an emulator, whose own use of CPU and
    /// memory is then part of every figure.
    #[n(11)]
    pub emulated: bool,
    /// Names of the sensors that the device declares.
    #[n(12)]
    pub sensors: Vec<String>,
}

impl EnrolStatement {
    pub fn runtime_profile(&self) -> RuntimeProfile {
        RuntimeProfile {
            target: self.target.clone(),
            bounds_checks: self.bounds_checks.clone(),
            aot_version: self.aot_version,
            cpu_features: self.cpu_features.clone(),
            imports: self.imports.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolResponse {
    pub device_id: String,
    /// The sealed root document, base64url without padding; its hash is in the
    /// claim token.
    pub root: String,
    /// Where the broker is, as `mqtt://127.0.0.1:1883`.
    pub broker_url: String,
}

/// The MQTT password, sealed in `Domain::Login`, base64url without padding. User
/// name and client id are the device id. Good once, for a few minutes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Login {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub device: DeviceId,
    #[n(2)]
    pub time_ms: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub nonce: [u8; 16],
}

/// Sealed bytes as text, for JSON and MQTT passwords.
pub fn encode_sealed(sealed: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sealed)
}

pub fn decode_sealed(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_token_survives_the_round_trip_and_hides_its_secret() {
        let token = ClaimToken { secret: [0xab; 16], root: RootId::of(b"root") };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("abab"));
    }

    #[test]
    fn what_is_no_claim_token_is_refused() {
        let good = ClaimToken { secret: [1; 16], root: RootId::of(b"") }.to_string();
        for text in ["", "farrier-claim", &good[1..], &good[..good.len() - 1], "farrier-claim.é.x"]
        {
            assert_eq!(text.parse::<ClaimToken>(), Err(InvalidClaimToken), "{text}");
        }
        let signed = good.replacen(".01", ".+1", 1);
        assert_eq!(signed.parse::<ClaimToken>(), Err(InvalidClaimToken));
    }
}
