//! What the gateway and `farrier-signer` say to each other over a Unix socket.
//!
//! The gateway connects, asks [`Ask::About`] and then, for each release, [`Ask::Sign`];
//! each is answered by one [`Answer`]. A frame is that of `worker-protocol`: a length,
//! checked before anything is allocated, and CBOR. The two programs may be installed
//! apart, so the first answer carries the version and fields are only added.
//!
//! Nothing that the gateway says is believed: the signer decides by the release itself
//! and by its own configuration.

use minicbor::{Decode, Encode};
use module_package::PublicKey;

pub use worker_protocol::{FrameError, read_frame, write_frame};

/// Raised when an older peer would misunderstand.
pub const SIGNER_PROTOCOL_VERSION: u32 = 1;

/// From the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Ask {
    /// Which key, and what it needs to be shown. Answered by [`Answer::About`].
    #[n(0)]
    About,
    /// Answered by [`Answer::Sealed`] or [`Answer::Refused`].
    #[n(1)]
    Sign(#[n(0)] SignRequest),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignRequest {
    /// The release as deterministic CBOR: the payload that is signed.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub release: Vec<u8>,
    /// The module, for a signer that compiles again.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub wasm: Option<Vec<u8>>,
    /// The developer's sealed statement, if the module came with one.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub module_statement: Option<Vec<u8>>,
}

/// From the signer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    #[n(0)]
    About(#[n(0)] About),
    /// The sealed release.
    #[n(1)]
    Sealed {
        #[cbor(n(0), with = "minicbor::bytes")]
        sealed: Vec<u8>,
    },
    /// Why it does not sign this, for people.
    #[n(2)]
    Refused {
        #[n(0)]
        detail: String,
    },
    /// It could not, for a reason that may pass: a full disk, too many compilations.
    #[n(3)]
    Failed {
        #[n(0)]
        detail: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct About {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub release_key: PublicKey,
    /// It compiles again, and wants the module with each release.
    #[n(2)]
    pub recompile: bool,
    /// It signs only modules with a statement by a developer that it knows.
    #[n(3)]
    pub requires_developer: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(message: &impl Encode<()>) -> String {
        hex::encode(minicbor::to_vec(message).unwrap())
    }

    #[test]
    fn the_bytes_of_the_messages_are_what_they_have_been() {
        // Gateway and signer are installed apart: a change here breaks one of them.
        let request =
            SignRequest { release: vec![1, 2], wasm: Some(vec![3]), module_statement: None };
        let about = About {
            version: 1,
            release_key: PublicKey([7; 32]),
            recompile: true,
            requires_developer: false,
        };
        assert_eq!(bytes(&Ask::About), "820080");
        assert_eq!(bytes(&Ask::Sign(request)), "820181a20042010201 4103".replace(' ', ""));
        assert_eq!(
            bytes(&Answer::About(about)),
            format!("820081a40001015820{}02f503f4", "07".repeat(32))
        );
        assert_eq!(bytes(&Answer::Sealed { sealed: vec![9] }), "8201814109");
        assert_eq!(bytes(&Answer::Refused { detail: "no".into() }), "820281626e6f");
        assert_eq!(bytes(&Answer::Failed { detail: "no".into() }), "820381626e6f");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decoded_or_refused_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            let _ = minicbor::decode::<Ask>(&bytes);
            let _ = minicbor::decode::<Answer>(&bytes);
            let _ = read_frame::<Ask>(&bytes[..]);
        }
    }
}
