//! One record's head and its bytes.

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The version that this build writes, and the newest that it reads.
pub const RECORD_VERSION: u32 = 1;

/// Longest encoded head. A change of every device's manifest at once is the
/// largest: a signature each.
pub const HEAD_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Head {
    #[n(0)]
    pub version: u32,
    /// Counts the records from 1.
    #[n(1)]
    pub seq: u64,
    /// The hash of the head before; zeros before the first.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub before: [u8; 32],
    #[n(3)]
    pub time_ms: u64,
    /// Who: `gateway`, `device d-…`, `token …`.
    #[n(4)]
    pub actor: String,
    #[n(5)]
    pub actions: Vec<Action>,
    /// Every signature that was made for this change.
    #[n(6)]
    pub signatures: Vec<Signature>,
    /// The SHA-256 of what was written.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub body_hash: [u8; 32],
    #[n(8)]
    pub body_bytes: u64,
}

/// What was done to what, in words.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Action {
    /// Such as `deployment created`.
    #[n(0)]
    pub what: String,
    #[n(1)]
    pub subject: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Signature {
    /// `root`, `release` or `manifest`.
    #[n(0)]
    pub document: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub document_hash: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    pub key_id: [u8; 32],
    /// The device, application or version that it is for.
    #[n(3)]
    pub subject: String,
}

/// A place in the chain: a record's number and the hash of its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// 0 before the first record.
    pub seq: u64,
    pub hash: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("it is {len} bytes, more than {HEAD_BYTES_MAX}")]
    TooLong { len: usize },
    #[error("it is not well formed: {0}")]
    Malformed(String),
    #[error("it has version {0}, and this build reads version {RECORD_VERSION}")]
    Version(u32),
}

impl Head {
    pub fn to_bytes(&self) -> Vec<u8> {
        // Encoding to memory has no failing case for these field types.
        minicbor::to_vec(self).expect("a head can be encoded")
    }

    /// Exactly one head and nothing behind it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeadError> {
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(HeadError::TooLong { len: bytes.len() });
        }
        let mut decoder = minicbor::Decoder::new(bytes);
        let head: Self = decoder.decode().map_err(|e| HeadError::Malformed(e.to_string()))?;
        if decoder.position() != bytes.len() {
            return Err(HeadError::Malformed("something stands behind it".into()));
        }
        if head.version != RECORD_VERSION {
            return Err(HeadError::Version(head.version));
        }
        Ok(head)
    }
}

impl Position {
    /// The place of the head with these bytes.
    pub fn of(seq: u64, head: &[u8]) -> Self {
        Self { seq, hash: Sha256::digest(head).into() }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.hash))
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no place in the log: NUMBER:HASH is asked for");
        let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
        let mut position = Self { seq: seq.parse().map_err(|_| wrong())?, hash: [0; 32] };
        hex::decode_to_slice(hash, &mut position.hash).map_err(|_| wrong())?;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head() -> Head {
        Head {
            version: RECORD_VERSION,
            seq: 2,
            before: [1; 32],
            time_ms: 3,
            actor: "gateway".into(),
            actions: vec![Action { what: "manifest signed".into(), subject: "d-1".into() }],
            signatures: vec![Signature {
                document: "manifest".into(),
                document_hash: [4; 32],
                key_id: [5; 32],
                subject: "d-1".into(),
            }],
            body_hash: [6; 32],
            body_bytes: 7,
        }
    }

    /// Written once; a change of these bytes breaks every chain there is.
    #[test]
    fn a_head_keeps_its_bytes() {
        let (ones, fours, fives, sixes) =
            ("01".repeat(32), "04".repeat(32), "05".repeat(32), "06".repeat(32));
        let golden = format!(
            "a90001010202 5820{ones} 0303 0467 67617465776179 0581 a2006f 6d616e6966657374207369676e6564 0163642d31 \
             0681 a4 0068 6d616e6966657374 015820{fours} 025820{fives} 0363642d31 075820{sixes} 0807"
        )
        .replace("0202 ", "0202")
        .replace([' ', '\n'], "");
        assert_eq!(hex::encode(head().to_bytes()), golden);
        assert_eq!(Head::from_bytes(&head().to_bytes()).unwrap(), head());
    }

    #[test]
    fn another_version_and_trailing_bytes_are_refused() {
        let newer = Head { version: 2, ..head() };
        assert_eq!(Head::from_bytes(&newer.to_bytes()), Err(HeadError::Version(2)));
        let mut longer = head().to_bytes();
        longer.push(0);
        assert!(matches!(Head::from_bytes(&longer), Err(HeadError::Malformed(_))));
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Position::of(9, b"head");
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in ["", "9", "9:", "x:00", "9:zz"] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Head::from_bytes(&bytes);
        }

        #[test]
        fn a_damaged_head_is_decoded_or_refused(at in 0usize..200, bit in 0u8..8) {
            let mut bytes = head().to_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = Head::from_bytes(&bytes);
        }
    }
}
