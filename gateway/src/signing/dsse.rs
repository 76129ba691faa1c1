//! The envelope that in-toto statements travel in (DSSE 1.0.2): a payload in base64,
//! its type, and Ed25519 signatures over both.
//!
//! Written here, because it is a dozen lines: what there is ready-made is either a
//! whole attestation stack or younger than this project.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use module_package::Signer;
use serde::{Deserialize, Serialize};

pub const PAYLOAD_TYPE_IN_TOTO: &str = "application/vnd.in-toto+json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    pub payload_type: String,
    pub payload: String,
    pub signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// The key's id as everywhere here: the SHA-256 of the public key.
    pub keyid: String,
    pub sig: String,
}

impl Envelope {
    pub fn seal(payload_type: &str, payload: &[u8], key: &SigningKey) -> Self {
        let signature = Signer::sign(key, &pae(payload_type, payload));
        Self {
            payload_type: payload_type.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![EnvelopeSignature {
                keyid: key.public_key().id().to_string(),
                sig: STANDARD.encode(signature),
            }],
        }
    }
}

/// What is signed (DSSE protocol, "pre-authentication encoding"). No COSE signature of
/// ours is over bytes that begin like this, so the key serves both.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_bytes_are_those_of_the_protocols_example() {
        let signed = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
