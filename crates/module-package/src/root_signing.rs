//! Making and looking at a root document before it is trusted by anyone.
//!
//! A root document passes through several hands, each of which adds one signature
//! ([`add_root_signature`]), and everyone wants to know what is missing
//! ([`RootDraft`]). What a device trusts is decided by [`crate::TrustedRoot`] alone.

use crate::root::{ROLE_KEYS_MAX, parse};
use crate::seal::{key_id_of, protected_header};
use crate::{DocumentError, Domain, KeyId, PublicKey, Root, SealError, Signer};
use coset::{CborSerializable, CoseSign, CoseSignatureBuilder};
use std::collections::BTreeSet;

/// A root document whose signatures nobody has counted yet.
#[derive(Debug, Clone)]
pub struct RootDraft {
    parsed: CoseSign,
    root: Root,
}

impl RootDraft {
    /// Reads a well-formed document with any number of signatures, none included.
    pub fn read(sealed: &[u8]) -> Result<Self, DocumentError> {
        let (parsed, root) = parse(sealed)?;
        Ok(Self { parsed, root })
    }

    pub fn document(&self) -> &Root {
        &self.root
    }

    /// The keys that some signature names, whether it holds or not.
    pub fn claimed_signers(&self) -> Vec<KeyId> {
        let signatures = self.parsed.signatures.iter();
        signatures.filter_map(|s| key_id_of(&s.protected.header).ok()).collect()
    }

    /// Those of `keys` that have a valid signature here; each counts once.
    pub fn signed_by<'k>(&self, keys: &'k [PublicKey]) -> Vec<&'k PublicKey> {
        let valid = valid_signers(&self.parsed, keys);
        keys.iter().filter(|key| valid.contains(&key.id())).collect()
    }
}

/// Adds a signature, or replaces the one that this key made before. Signatures stand
/// in the order of their key ids, so the order of signing does not show.
pub fn add_root_signature(sealed: &[u8], signer: &dyn Signer) -> Result<Vec<u8>, DocumentError> {
    let (mut parsed, _) = parse(sealed)?;
    let id = signer.public_key().id();
    let id_of = |signature: &coset::CoseSignature| key_id_of(&signature.protected.header).ok();
    parsed.signatures.retain(|signature| id_of(signature) != Some(id));
    if parsed.signatures.len() >= 2 * ROLE_KEYS_MAX {
        let what = format!("it has {} signatures already", parsed.signatures.len());
        return Err(DocumentError::Inconsistent(what));
    }
    let header = protected_header(&signer.public_key());
    let mut signature = CoseSignatureBuilder::new().protected(header).build();
    signature.signature =
        signer.sign(&parsed.tbs_data(Domain::Root.as_str().as_bytes(), &signature)).to_vec();
    parsed.signatures.push(signature);
    parsed.signatures.sort_by_key(|signature| id_of(signature).map(|id| id.0));
    parsed.to_vec().map_err(|e| SealError::Malformed(e.to_string()).into())
}

/// The ids of those keys with a valid signature.
pub(crate) fn valid_signers(parsed: &CoseSign, keys: &[PublicKey]) -> BTreeSet<KeyId> {
    let mut valid = BTreeSet::new();
    // Twice as many signatures as a root has keys: those of the old and the new.
    for (index, signature) in parsed.signatures.iter().enumerate().take(2 * ROLE_KEYS_MAX) {
        let Ok(id) = key_id_of(&signature.protected.header) else { continue };
        let Some(key) = keys.iter().find(|key| key.id() == id) else { continue };
        let domain = Domain::Root.as_str().as_bytes();
        let verified = parsed
            .verify_signature(index, domain, |signature, message| key.verify(message, signature));
        if verified.is_ok() {
            valid.insert(id);
        }
    }
    valid
}
