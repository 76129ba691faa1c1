//! Enrolment over HTTP, and the login to the broker.
//!
//! `POST /api/v1/enroll` takes an [`EnrolRequest`] and answers an
//! [`EnrolResponse`]. The statement in it is sealed by the device's own key,
//! which proves possession, and names the hash of the claim token, so that it is
//! of no use with another. Without a claim token the answer is an
//! [`EnrolPending`] with status 202 until an operator has compared the device's
//! [`fingerprint`] and accepted it.
//!
//! `POST /api/v1/renew` takes a [`RenewRequest`] and answers a [`RenewResponse`]: a
//! new client certificate, and the time. It needs no certificate, so it is also the
//! way back for a device whose certificate has ended or whose clock is wrong.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::{Decode, Encode};
use module_package::{BlobId, DeviceId, NONCE_BYTES, PublicKey, RootId, RuntimeProfile};
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
    /// None: the device waits for an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_token: Option<String>,
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
    /// Of the claim token's secret, if there is one.
    #[n(2)]
    pub claim_hash: Option<BlobId>,
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
    /// Where the broker is, as `mqtt://127.0.0.1:1883`; for people, because whoever
    /// is on the wire can change it. Devices believe the one in the membership.
    pub broker_url: String,
    /// The sealed `Membership`, base64url without padding.
    #[serde(default)]
    pub membership: String,
}

/// The answer with status 202: nobody has accepted the device yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolPending {
    /// What the operator compares, as the gateway computes it.
    pub fingerprint: String,
    /// When to ask again.
    pub retry_after_s: u32,
}

/// The JSON body of a renewal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// A [`Renewal`] sealed in `Domain::Renewal` by the device, base64url without
    /// padding.
    pub statement: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Renewal {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub device: DeviceId,
    /// Comes back in the membership, so that the device knows the answer for a new
    /// one and can believe the time in it.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub nonce: [u8; NONCE_BYTES],
    /// Of the root document that the device trusts: it must be able to verify the
    /// answer also when it has not heard of a rotation.
    #[n(3)]
    pub root_version: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewResponse {
    /// The sealed `Membership`, base64url without padding.
    pub membership: String,
}

/// Longest sealed [`Renewal`].
pub const RENEWAL_BYTES_MAX: usize = 512;

const FINGERPRINT_DOMAIN: &[u8] = b"farrier/1/fingerprint";
/// Crockford's: no I, L, O and U, which people misread.
const FINGERPRINT_DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const FINGERPRINT_GROUPS: usize = 4;
const FINGERPRINT_GROUP_DIGITS: usize = 5;

/// What people compare of a device's key: the first 100 bits of a SHA-256, as
/// `7QK2M-0ZT4V-…`, four groups of five digits. To pass for a given device an
/// attacker has to find a second key with the same ones, some 2^100 trials.
pub fn fingerprint(key: &PublicKey) -> String {
    let hash = BlobId::of(&[FINGERPRINT_DOMAIN, &key.0].concat()).0;
    let mut text = String::new();
    for index in 0..FINGERPRINT_GROUPS * FINGERPRINT_GROUP_DIGITS {
        if index > 0 && index % FINGERPRINT_GROUP_DIGITS == 0 {
            text.push('-');
        }
        let digit = (0..5).fold(0, |digit, bit| {
            let at = index * 5 + bit;
            digit << 1 | usize::from(hash[at / 8] >> (7 - at % 8) & 1)
        });
        text.push(char::from(FINGERPRINT_DIGITS[digit]));
    }
    text
}

/// A fingerprint as a person typed it, in the form of [`fingerprint`]: without regard
/// to case, spaces and dashes, and with I, L and O for what they look like.
pub fn parse_fingerprint(text: &str) -> Option<String> {
    let mut parsed = String::new();
    let mut count = 0;
    for c in text.chars().filter(|c| *c != '-' && *c != ' ') {
        let c = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        };
        if !c.is_ascii() || !FINGERPRINT_DIGITS.contains(&(c as u8)) {
            return None;
        }
        if count > 0 && count % FINGERPRINT_GROUP_DIGITS == 0 {
            parsed.push('-');
        }
        parsed.push(c);
        count += 1;
        if count > FINGERPRINT_GROUPS * FINGERPRINT_GROUP_DIGITS {
            return None;
        }
    }
    (count == FINGERPRINT_GROUPS * FINGERPRINT_GROUP_DIGITS).then_some(parsed)
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
    use proptest::prelude::*;

    const GOLDEN_FINGERPRINT: &str = "MCE9Y-3H6WH-388Y6-6D046";

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

    #[test]
    fn a_fingerprint_is_what_it_has_been_and_survives_a_persons_typing() {
        let shown = fingerprint(&PublicKey([7; 32]));
        assert_eq!(shown, GOLDEN_FINGERPRINT);
        let typed = format!(" {} ", shown.to_lowercase().replace('-', " ").replace('0', "o"));
        assert_eq!(parse_fingerprint(&typed), Some(shown.clone()));
        assert_eq!(parse_fingerprint(&shown.replace('1', "l")), Some(shown.clone()));
        for bad in ["", "7QK2M", &format!("{shown}0"), &shown.replacen('-', "U", 1), "é"] {
            assert_eq!(parse_fingerprint(bad), None, "{bad}");
        }
        assert_ne!(fingerprint(&PublicKey([8; 32])), shown);
    }

    #[test]
    fn a_renewal_and_a_statement_without_claim_have_the_bytes_that_they_have_had() {
        let device = DeviceId::of_key(&[7; 32]);
        let renewal =
            Renewal { version: 1, device: device.clone(), nonce: [6; 16], root_version: 2 };
        let hex = hex::encode(minicbor::to_vec(renewal).unwrap());
        let id = hex::encode(device.as_str());
        assert_eq!(hex, format!("a400010176{id}0250{}0302", "06".repeat(16)));
        let mut statement = EnrolStatement {
            version: 1,
            public_key: PublicKey([7; 32]),
            claim_hash: Some(BlobId([5; 32])),
            name: "n".into(),
            target: "t".into(),
            bounds_checks: "b".into(),
            aot_version: 6,
            cpu_features: vec![],
            imports: vec![],
            agent: "a".into(),
            runtime: "r".into(),
            emulated: false,
            sensors: vec![],
        };
        let rest = "03616e0461740561620606078008800961610a61720bf40c80";
        let key = format!("015820{}", "07".repeat(32));
        let with = hex::encode(minicbor::to_vec(&statement).unwrap());
        assert_eq!(with, format!("ad0001{key}025820{}{rest}", "05".repeat(32)));
        statement.claim_hash = None;
        let without = hex::encode(minicbor::to_vec(&statement).unwrap());
        assert_eq!(without, format!("ac0001{key}{rest}"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_renewal_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = minicbor::decode::<Renewal>(&bytes);
            let _ = minicbor::decode::<EnrolStatement>(&bytes);
        }

        #[test]
        fn any_text_is_a_fingerprint_or_refused(text in ".{0,40}") {
            if let Some(parsed) = parse_fingerprint(&text) {
                prop_assert_eq!(parse_fingerprint(&parsed), Some(parsed.clone()));
            }
        }
    }
}
