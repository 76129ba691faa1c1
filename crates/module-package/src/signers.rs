//! Who signed a document of ours, for a log. Nothing is verified here.

use crate::seal::key_id_of;
use crate::{KeyId, SealError};
use coset::{CborSerializable, CoseSign, CoseSign1};

/// The ids of the keys that a document names as its signers.
pub fn signers_of(sealed: &[u8]) -> Result<Vec<KeyId>, SealError> {
    let malformed = |e: coset::CoseError| SealError::Malformed(e.to_string());
    if let Ok(one) = CoseSign1::from_slice(sealed) {
        return Ok(vec![key_id_of(&one.protected.header)?]);
    }
    let many = CoseSign::from_slice(sealed).map_err(malformed)?;
    many.signatures.iter().map(|signature| key_id_of(&signature.protected.header)).collect()
}

/// What is inside the signatures.
pub fn payload_of(sealed: &[u8]) -> Option<Vec<u8>> {
    let one = CoseSign1::from_slice(sealed).ok().and_then(|one| one.payload);
    one.or_else(|| CoseSign::from_slice(sealed).ok()?.payload)
}
