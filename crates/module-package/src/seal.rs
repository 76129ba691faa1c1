//! COSE_Sign1 with Ed25519: a payload, who signed it, and for what purpose.
//!
//! Protected header: alg EdDSA (-8) and the 32-byte key id; nothing unprotected.
//! The domain is the external data of the signature (RFC 9052, section 4.3), so
//! a valid report is no valid manifest even under the same key.

use crate::KeyId;
use coset::iana::Algorithm;
use coset::{CborSerializable, CoseSign1, CoseSign1Builder, Header, HeaderBuilder};
use ed25519_dalek::{Signature, VerifyingKey};

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    Root,
    Release,
    Manifest,
    /// The time, and which manifest is the newest.
    Heartbeat,
    /// A developer vouches for a module.
    Module,
    /// How a device reaches the broker, and its certificate.
    Membership,
    /// A device asks for its membership anew.
    Renewal,
    Report,
    /// The gateway speaks to a module on one device.
    ChannelMessage,
    Enrol,
    Login,
}

impl Domain {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "farrier/1/root",
            Self::Release => "farrier/1/release",
            Self::Manifest => "farrier/1/manifest",
            Self::Heartbeat => "farrier/1/heartbeat",
            Self::Module => "farrier/1/module",
            Self::Membership => "farrier/1/membership",
            Self::Renewal => "farrier/1/renewal",
            Self::Report => "farrier/1/report",
            Self::ChannelMessage => "farrier/1/channel-message",
            Self::Enrol => "farrier/1/enrol",
            Self::Login => "farrier/1/login",
        }
    }
}

/// An Ed25519 public key in its 32-byte form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.0)
    }

    /// Strict: no small-order keys, no malleable signatures (RFC 8032, 5.1.7, and
    /// the checks that it leaves open).
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SealError> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| SealError::BadSignature)?;
        let signature = Signature::from_slice(signature).map_err(|_| SealError::BadSignature)?;
        key.verify_strict(message, &signature).map_err(|_| SealError::BadSignature)
    }
}

impl<C> minicbor::Encode<C> for PublicKey {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for PublicKey {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = d.bytes()?.try_into();
        Ok(Self(bytes.map_err(|_| minicbor::decode::Error::message("a public key is 32 bytes"))?))
    }
}

/// Whoever holds a private key.
pub trait Signer {
    fn public_key(&self) -> PublicKey;
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

impl Signer for ed25519_dalek::SigningKey {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        ed25519_dalek::Signer::sign(self, message).to_bytes()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the document is {len} bytes, more than {max}")]
    TooLong { len: usize, max: usize },
    #[error("the document is not well formed: {0}")]
    Malformed(String),
    #[error("key {0} is not known here")]
    UnknownKey(KeyId),
    #[error("key {0} is revoked")]
    RevokedKey(KeyId),
    #[error("key {0} may not sign this kind of document")]
    WrongRole(KeyId),
    #[error("the signature does not hold")]
    BadSignature,
    #[error("{valid} valid signatures of the {threshold} that are needed")]
    BelowThreshold { valid: usize, threshold: usize },
}

/// The header of every signature of ours.
pub(crate) fn protected_header(key: &PublicKey) -> Header {
    HeaderBuilder::new().algorithm(Algorithm::EdDSA).key_id(key.id().0.to_vec()).build()
}

pub(crate) fn key_id_of(header: &Header) -> Result<KeyId, SealError> {
    let is_eddsa = header.alg == Some(coset::Algorithm::Assigned(Algorithm::EdDSA));
    match <[u8; 32]>::try_from(header.key_id.as_slice()) {
        Ok(bytes) if is_eddsa => Ok(KeyId(bytes)),
        _ => Err(SealError::Malformed("the header needs alg EdDSA and a 32-byte key id".into())),
    }
}

/// Signs a payload for one purpose.
pub fn seal(domain: Domain, payload: Vec<u8>, signer: &dyn Signer) -> Vec<u8> {
    let sealed = CoseSign1Builder::new()
        .protected(protected_header(&signer.public_key()))
        .payload(payload)
        .create_signature(domain.as_str().as_bytes(), |message| signer.sign(message).to_vec())
        .build();
    // Serializing to memory has no failing case for these field types.
    sealed.to_vec().expect("a COSE_Sign1 of bytes can be serialized")
}

/// Gives the payload back if a key that `find_key` allows has signed it.
pub fn open(
    domain: Domain,
    sealed: &[u8],
    bytes_max: usize,
    find_key: impl FnOnce(&KeyId) -> Result<PublicKey, SealError>,
) -> Result<Vec<u8>, SealError> {
    if sealed.len() > bytes_max {
        return Err(SealError::TooLong { len: sealed.len(), max: bytes_max });
    }
    let parsed = CoseSign1::from_slice(sealed).map_err(|e| SealError::Malformed(e.to_string()))?;
    if !parsed.unprotected.is_empty() {
        return Err(SealError::Malformed("unprotected headers are not allowed".into()));
    }
    let key = find_key(&key_id_of(&parsed.protected.header)?)?;
    if parsed.payload.is_none() {
        return Err(SealError::Malformed("the payload is missing".into()));
    }
    parsed.verify_signature(domain.as_str().as_bytes(), |signature, message| {
        key.verify(message, signature)
    })?;
    parsed.payload.ok_or_else(|| SealError::Malformed("the payload is missing".into()))
}

/// The key that a COSE_Sign1 says it is sealed by, and its payload, both unverified:
/// for what we sealed ourselves, and to find the key to verify with.
pub fn read_unverified(sealed: &[u8]) -> Result<(KeyId, Vec<u8>), SealError> {
    let parsed = CoseSign1::from_slice(sealed).map_err(|e| SealError::Malformed(e.to_string()))?;
    let key = key_id_of(&parsed.protected.header)?;
    let payload =
        parsed.payload.ok_or_else(|| SealError::Malformed("the payload is missing".into()))?;
    Ok((key, payload))
}
