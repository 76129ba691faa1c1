//! The gateway's keys, and what they sign: the root document once, releases, and
//! manifests.
//!
//! Here all three roles live in one process and the root is 1 of 1, which is for
//! demonstrations: whoever steals this directory can run his code on every
//! device. The trust summary of the API says so, and every page shows it.

use crate::store::data_dir::write_private;
use crate::surroundings::Surroundings;
use ed25519_dalek::SigningKey;
use module_package::{
    DOCUMENT_VERSION, DocumentError, Domain, Manifest, ManifestId, Release, ReleaseId, Root,
    RootId, Signer, TrustedRoot, seal, seal_root,
};
use std::io;
use std::path::{Path, PathBuf};

pub struct Signing {
    release_key: SigningKey,
    assign_key: SigningKey,
    root: TrustedRoot,
    sealed_root: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("{operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("the key file {path} does not hold 64 hexadecimal digits")]
    KeyFile { path: PathBuf },
    #[error("the root document {path} does not hold")]
    RootFile { path: PathBuf, source: DocumentError },
}

const KEY_NAMES: [&str; 3] = ["root.key", "release.key", "assign.key"];

impl Signing {
    /// Whether this directory has been used before.
    pub fn has_keys(dir: &Path) -> bool {
        dir.join("root.cbor").exists()
    }

    /// Reads the keys and the root document, or makes them. The document is
    /// written last: without it, a first start was cut off and is done again.
    pub fn open(dir: &Path, surroundings: &Surroundings) -> Result<Self, SigningError> {
        if Self::has_keys(dir) {
            return Self::load(dir);
        }
        let [root_key, release_key, assign_key] =
            [(); 3].map(|()| SigningKey::from_bytes(&surroundings.random()));
        for (name, key) in KEY_NAMES.iter().zip([&root_key, &release_key, &assign_key]) {
            write(&dir.join(name), hex::encode(key.to_bytes()).as_bytes())?;
        }
        write(&dir.join("root.cbor"), &seal_first_root(&root_key, &release_key, &assign_key))?;
        Self::load(dir)
    }

    /// Keys of one process's life, for tests.
    pub fn ephemeral(surroundings: &Surroundings) -> Self {
        let [root_key, release_key, assign_key] =
            [(); 3].map(|()| SigningKey::from_bytes(&surroundings.random()));
        let sealed_root = seal_first_root(&root_key, &release_key, &assign_key);
        let pin = RootId::of(&sealed_root);
        let root = TrustedRoot::pinned(&sealed_root, pin).expect("our own root document holds");
        Self { release_key, assign_key, root, sealed_root }
    }

    /// What another process would load.
    #[cfg(test)]
    pub fn clone_for_restart(&self) -> Self {
        let Self { release_key, assign_key, root, sealed_root } = self;
        let (release_key, assign_key) = (release_key.clone(), assign_key.clone());
        Self { release_key, assign_key, root: root.clone(), sealed_root: sealed_root.clone() }
    }

    fn load(dir: &Path) -> Result<Self, SigningError> {
        let release_key = read_key(&dir.join("release.key"))?;
        let assign_key = read_key(&dir.join("assign.key"))?;
        let path = dir.join("root.cbor");
        let sealed_root = std::fs::read(&path).map_err(|source| SigningError::Io {
            operation: "read",
            path: path.clone(),
            source,
        })?;
        let root = TrustedRoot::pinned(&sealed_root, RootId::of(&sealed_root))
            .map_err(|source| SigningError::RootFile { path, source })?;
        Ok(Self { release_key, assign_key, root, sealed_root })
    }

    pub fn root(&self) -> &TrustedRoot {
        &self.root
    }

    /// The root document as devices get it.
    pub fn sealed_root(&self) -> &[u8] {
        &self.sealed_root
    }

    pub fn epoch(&self) -> u32 {
        self.root.document().epoch
    }

    pub fn seal_release(&self, release: &Release) -> (ReleaseId, Vec<u8>) {
        let sealed = seal(Domain::Release, encode(release), &self.release_key);
        (ReleaseId::of(&sealed), sealed)
    }

    pub fn seal_manifest(&self, manifest: &Manifest) -> (ManifestId, Vec<u8>) {
        let payload = encode(manifest);
        (ManifestId::of(&payload), seal(Domain::Manifest, payload, &self.assign_key))
    }
}

fn encode(document: &impl minicbor::Encode<()>) -> Vec<u8> {
    // Encoding to memory has no failing case for the documents' field types.
    minicbor::to_vec(document).expect("a document can be encoded")
}

fn seal_first_root(root: &SigningKey, release: &SigningKey, assign: &SigningKey) -> Vec<u8> {
    let document = Root {
        version: DOCUMENT_VERSION,
        epoch: 1,
        root_version: 1,
        not_after_ms: None,
        root_keys: vec![root.public_key()],
        threshold: 1,
        release_keys: vec![release.public_key()],
        assign_keys: vec![assign.public_key()],
        revoked: vec![],
        floors: vec![],
    };
    seal_root(&document, &[root])
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SigningError> {
    write_private(path, bytes).map_err(|source| SigningError::Io {
        operation: "write",
        path: path.to_owned(),
        source,
    })
}

fn read_key(path: &Path) -> Result<SigningKey, SigningError> {
    let text = std::fs::read_to_string(path).map_err(|source| SigningError::Io {
        operation: "read",
        path: path.to_owned(),
        source,
    })?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed)
        .map_err(|_| SigningError::KeyFile { path: path.to_owned() })?;
    Ok(SigningKey::from_bytes(&seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn keys_are_made_once_and_only_their_owner_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let surroundings = Surroundings::of_the_system();
        let first = Signing::open(dir.path(), &surroundings).unwrap();
        let again = Signing::open(dir.path(), &surroundings).unwrap();
        assert_eq!(first.root().id(), again.root().id());
        assert_eq!(first.release_key.to_bytes(), again.release_key.to_bytes());
        for name in KEY_NAMES {
            let mode = std::fs::metadata(dir.path().join(name)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
