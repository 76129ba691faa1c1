//! Identifiers: SHA-256 hashes by what they are the hash of, and device ids.

use minicbor::decode::Error as DecodeError;
use minicbor::{Decode, Decoder, Encode, Encoder};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}: {expected}")]
pub struct InvalidId {
    pub kind: &'static str,
    pub text: String,
    pub expected: &'static str,
}

macro_rules! hash_ids {
    ($($(#[$doc:meta])* $name:ident, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The id of these bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self(Sha256::digest(bytes).into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidId {
                    kind: $kind,
                    text: text.chars().take(80).collect(),
                    expected: "64 hexadecimal digits",
                })?;
                Ok(Self(bytes))
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
                let bytes = d.bytes()?.try_into();
                Ok(Self(bytes.map_err(|_| DecodeError::message("a hash is 32 bytes"))?))
            }
        }
    )*};
}

hash_ids! {
    /// A Wasm module as uploaded.
    ModuleId, "module id";
    /// An AoT file.
    ArtifactId, "artifact id";
    /// A sealed release, signature included: it travels as a blob by this hash.
    ReleaseId, "release id";
    /// The payload of a manifest, without the signature around it.
    ManifestId, "manifest id";
    /// A sealed root document, signatures included.
    RootId, "root id";
    /// Anything that travels in blocks: an artifact or a release.
    BlobId, "blob id";
    /// A public key.
    KeyId, "key id";
}

impl From<ArtifactId> for BlobId {
    fn from(id: ArtifactId) -> Self {
        Self(id.0)
    }
}

impl From<ReleaseId> for BlobId {
    fn from(id: ReleaseId) -> Self {
        Self(id.0)
    }
}

/// The name by which gateway, broker and documents know a device. It is made of
/// the device's public key, so that enrolling twice gives the same device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(String);

/// Hexadecimal digits of the public key's hash in a device id.
const DEVICE_ID_DIGITS: usize = 20;

impl DeviceId {
    pub fn of_key(public_key: &[u8; 32]) -> Self {
        Self::of_key_id(&KeyId::of(public_key))
    }

    pub fn of_key_id(key: &KeyId) -> Self {
        let digits = key.to_string();
        Self(format!("d-{}", &digits[..DEVICE_ID_DIGITS]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        match text.strip_prefix("d-") {
            Some(digits) if digits.len() == DEVICE_ID_DIGITS && digits.bytes().all(is_digit) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidId {
                kind: "device id",
                text: text.chars().take(80).collect(),
                expected: "\"d-\" and 20 lower-case hexadecimal digits",
            }),
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for DeviceId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for DeviceId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        d.str()?.parse().map_err(|_| DecodeError::message("not a device id"))
    }
}
