//! The root document: which keys may sign what, signed by a threshold of roots.
//!
//! A device gets its first root by enrolment, pinned by hash, and each later one
//! by a step of exactly one version that a threshold of the old and of the new
//! root keys has signed.

use crate::root_signing::valid_signers;
use crate::seal::protected_header;
use crate::{
    DOCUMENT_VERSION, DocumentError, Domain, KeyId, PublicKey, RootId, SealError, Signer,
    decode_exact,
};
use coset::{CborSerializable, CoseSign, CoseSignBuilder, CoseSignatureBuilder};
use minicbor::{Decode, Encode};
use std::collections::BTreeSet;

/// Longest sealed root document.
pub const ROOT_BYTES_MAX: usize = 16 * 1024;

/// Most keys of one role; bounds the signatures that are looked at.
pub(crate) const ROLE_KEYS_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Root {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub epoch: u32,
    /// Counts root documents from 1, each step by one.
    #[n(2)]
    pub root_version: u32,
    #[n(3)]
    pub not_after_ms: Option<u64>,
    #[n(4)]
    pub root_keys: Vec<PublicKey>,
    #[n(5)]
    pub threshold: u32,
    #[n(6)]
    pub release_keys: Vec<PublicKey>,
    #[n(7)]
    pub assign_keys: Vec<PublicKey>,
    #[n(8)]
    pub revoked: Vec<KeyId>,
    #[n(9)]
    pub floors: Vec<Floor>,
}

/// The lowest version of an application that devices still accept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Floor {
    #[n(0)]
    pub app: String,
    #[n(1)]
    pub app_version_min: u32,
}

/// A root document whose signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRoot {
    root: Root,
    id: RootId,
}

/// Signs a root document with each of the given keys.
pub fn seal_root(root: &Root, signers: &[&dyn Signer]) -> Vec<u8> {
    // Encoding to memory has no failing case for these field types.
    let payload = minicbor::to_vec(root).expect("a root document can be encoded");
    let sealed = signers.iter().fold(CoseSignBuilder::new().payload(payload), |builder, signer| {
        let header = protected_header(&signer.public_key());
        let signature = CoseSignatureBuilder::new().protected(header).build();
        let domain = Domain::Root.as_str().as_bytes();
        builder.add_created_signature(signature, domain, |message| signer.sign(message).to_vec())
    });
    sealed.build().to_vec().expect("a COSE_Sign of bytes can be serialized")
}

impl TrustedRoot {
    /// The first root of a device: it must be the pinned one, and signed by a
    /// threshold of its own keys.
    pub fn pinned(sealed: &[u8], pin: RootId) -> Result<Self, DocumentError> {
        if RootId::of(sealed) != pin {
            return Err(DocumentError::WrongHash);
        }
        let (parsed, root) = parse(sealed)?;
        check_threshold(&parsed, &root)?;
        Ok(Self { root, id: pin })
    }

    /// The next root of a device that trusts this one.
    pub fn step(&self, sealed: &[u8]) -> Result<Self, DocumentError> {
        let (parsed, next) = parse(sealed)?;
        check_threshold(&parsed, &self.root)?;
        check_threshold(&parsed, &next)?;
        if Some(next.root_version) != self.root.root_version.checked_add(1) {
            return Err(DocumentError::Inconsistent(format!(
                "root version {} does not follow {}",
                next.root_version, self.root.root_version
            )));
        }
        if next.epoch < self.root.epoch {
            return Err(DocumentError::Inconsistent("the epoch goes back".into()));
        }
        Ok(Self { root: next, id: RootId::of(sealed) })
    }

    pub fn document(&self) -> &Root {
        &self.root
    }

    pub fn id(&self) -> RootId {
        self.id
    }

    pub fn find_release_key(&self, id: &KeyId) -> Result<PublicKey, SealError> {
        self.find(&self.root.release_keys, id)
    }

    pub fn find_assign_key(&self, id: &KeyId) -> Result<PublicKey, SealError> {
        self.find(&self.root.assign_keys, id)
    }

    pub fn floor_of(&self, app: &str) -> u32 {
        let floor = self.root.floors.iter().find(|floor| floor.app == app);
        floor.map_or(0, |floor| floor.app_version_min)
    }

    fn find(&self, of_role: &[PublicKey], id: &KeyId) -> Result<PublicKey, SealError> {
        if self.root.revoked.contains(id) {
            return Err(SealError::RevokedKey(*id));
        }
        if let Some(key) = of_role.iter().find(|key| key.id() == *id) {
            return Ok(*key);
        }
        let Root { root_keys, release_keys, assign_keys, .. } = &self.root;
        let mut of_any_role = root_keys.iter().chain(release_keys).chain(assign_keys);
        if of_any_role.any(|key| key.id() == *id) {
            return Err(SealError::WrongRole(*id));
        }
        Err(SealError::UnknownKey(*id))
    }
}

pub(crate) fn parse(sealed: &[u8]) -> Result<(CoseSign, Root), DocumentError> {
    if sealed.len() > ROOT_BYTES_MAX {
        return Err(SealError::TooLong { len: sealed.len(), max: ROOT_BYTES_MAX }.into());
    }
    let parsed = CoseSign::from_slice(sealed).map_err(|e| SealError::Malformed(e.to_string()))?;
    let payload = parsed.payload.as_deref().unwrap_or_default();
    let root: Root = decode_exact(payload)?;
    if root.version != DOCUMENT_VERSION {
        return Err(DocumentError::Version(root.version));
    }
    let sizes = [&root.root_keys, &root.release_keys, &root.assign_keys].map(Vec::len);
    let distinct: BTreeSet<KeyId> = root.root_keys.iter().map(PublicKey::id).collect();
    if sizes.iter().any(|size| *size == 0 || *size > ROLE_KEYS_MAX)
        || distinct.len() != root.root_keys.len()
        || root.threshold == 0
        || root.threshold as usize > root.root_keys.len()
    {
        return Err(DocumentError::Inconsistent(format!(
            "threshold {} of {} distinct root keys, {} release and {} assign keys",
            root.threshold,
            distinct.len(),
            sizes[1],
            sizes[2]
        )));
    }
    Ok((parsed, root))
}

/// Counts the distinct root keys of `root` with a valid signature.
fn check_threshold(parsed: &CoseSign, root: &Root) -> Result<(), SealError> {
    let valid = valid_signers(parsed, &root.root_keys).len();
    let threshold = root.threshold as usize;
    if valid < threshold {
        return Err(SealError::BelowThreshold { valid, threshold });
    }
    Ok(())
}
