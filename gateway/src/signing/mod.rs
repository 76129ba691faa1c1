//! The keys that are in this process, and the way to a release key that is not.
//!
//! The assign key is always here: manifests are made while devices wait. The release
//! key is here, behind a socket ([`remote`]), or with people ([`ReleaseSigner`]). The
//! root key is here only in a demonstration, and only while the first root document is
//! made. Which of the keys count is said by the root document, which `app` keeps: so
//! whoever seals names the root that the result must hold under.
//!
//! Where both the release and the assign key are here, whoever steals this directory
//! can run his code on every device; the API's trust summary says so.

mod dsse;
mod remote;

pub use dsse::{Envelope, EnvelopeSignature, PAYLOAD_TYPE_IN_TOTO, pae};
pub use remote::{NotSigned, RemoteSigner, SignerClient};

use crate::config::{NamedReleaseSigner, ReleaseSignerConfig, RootSource, TrustConfig};
use crate::store::data_dir::write_private;
use crate::surroundings::Surroundings;
use ed25519_dalek::SigningKey;
use module_package::{
    DOCUMENT_VERSION, Domain, Manifest, ManifestId, PublicKey, ReleaseId, Root, Signer,
    TrustedRoot, seal, seal_root,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

pub struct Signing {
    /// Where new keys go; `None` in tests.
    dir: Option<PathBuf>,
    assign_keys: KeyRing,
    release: ReleaseSigner,
    /// The first root of a demonstration.
    demo_root: Option<Vec<u8>>,
}

/// Who signs releases.
pub enum ReleaseSigner {
    InProcess(KeyRing),
    Process(Arc<dyn RemoteSigner>),
    Offline,
}

/// The keys of one role, the oldest first: `assign.key`, `assign-2.key` and so on. A
/// newer one counts as soon as the root document names it.
pub struct KeyRing(RwLock<Vec<SigningKey>>);

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("{operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("the key file {path} does not hold 64 hexadecimal digits")]
    KeyFile { path: PathBuf },
    #[error(
        "the first root document is made here (root = \"demo\") and needs the signer's key, but {0}; \
         start farrier-signer first"
    )]
    SignerNeeded(String),
    #[error("the release key is not here: {0}")]
    NotHere(&'static str),
}

/// More are a mistake, or somebody's loop.
const KEYS_PER_ROLE_MAX: usize = 16;

impl KeyRing {
    pub(crate) fn new(keys: Vec<SigningKey>) -> Self {
        Self(RwLock::new(keys))
    }

    fn read(&self) -> Vec<SigningKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.read().iter().map(Signer::public_key).collect()
    }

    /// The newest key that is allowed.
    fn find(&self, is_allowed: impl Fn(&PublicKey) -> bool) -> Option<SigningKey> {
        self.read().into_iter().rev().find(|key| is_allowed(&key.public_key()))
    }

    fn add(&self, dir: Option<&Path>, name: &str, key: SigningKey) -> Result<(), SigningError> {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = dir {
            let path = dir.join(key_file_name(name, keys.len()));
            write(&path, hex::encode(key.to_bytes()).as_bytes())?;
        }
        keys.push(key);
        Ok(())
    }
}

impl Signing {
    /// Whether this directory has been used before.
    pub fn has_keys(dir: &Path) -> bool {
        dir.join("root.cbor").exists() || dir.join("external").exists()
    }

    /// Reads the keys, or makes those that shall be here. What marks the directory as
    /// used is written last: without it, a first start was cut off and is done again.
    pub fn open(
        dir: &Path,
        config: &TrustConfig,
        surroundings: &Surroundings,
    ) -> Result<Self, SigningError> {
        if !Self::has_keys(dir) {
            make_first_keys(dir, config, surroundings)?;
        }
        let demo_root = match config.root {
            RootSource::Demo => read_demo_root(dir)?,
            RootSource::External => None,
        };
        let release = match &config.release_signer {
            ReleaseSignerConfig::Named(NamedReleaseSigner::InProcess) => {
                let mut keys = read_keys(dir, "release")?;
                // The key was elsewhere until now; a rotation has to name this one.
                if keys.is_empty() {
                    keys.push(new_key(dir, "release", surroundings)?);
                }
                ReleaseSigner::InProcess(KeyRing::new(keys))
            }
            ReleaseSignerConfig::Named(NamedReleaseSigner::Offline) => ReleaseSigner::Offline,
            ReleaseSignerConfig::Process(signer) => {
                ReleaseSigner::Process(Arc::new(SignerClient::new(&signer.socket)))
            }
        };
        let mut assign_keys = read_keys(dir, "assign")?;
        if assign_keys.is_empty() {
            assign_keys.push(new_key(dir, "assign", surroundings)?);
        }
        let assign_keys = KeyRing::new(assign_keys);
        Ok(Self { dir: Some(dir.to_owned()), assign_keys, release, demo_root })
    }

    /// Keys of one process's life and a demonstration's root, for tests.
    pub fn ephemeral(surroundings: &Surroundings) -> Self {
        let [root_key, release_key, assign_key] =
            [(); 3].map(|()| SigningKey::from_bytes(&surroundings.random()));
        let demo_root = seal_first_root(&root_key, release_key.public_key(), &assign_key);
        Self {
            dir: None,
            assign_keys: KeyRing::new(vec![assign_key]),
            release: ReleaseSigner::InProcess(KeyRing::new(vec![release_key])),
            demo_root: Some(demo_root),
        }
    }

    /// These keys, and a root document that is yet to come, for tests.
    #[cfg(test)]
    pub fn with_keys(assign_key: SigningKey, release: ReleaseSigner) -> Self {
        Self { dir: None, assign_keys: KeyRing::new(vec![assign_key]), release, demo_root: None }
    }

    /// What another process would load.
    #[cfg(test)]
    pub fn clone_for_restart(&self) -> Self {
        let ring = |ring: &KeyRing| KeyRing::new(ring.read());
        let release = match &self.release {
            ReleaseSigner::InProcess(keys) => ReleaseSigner::InProcess(ring(keys)),
            ReleaseSigner::Process(signer) => ReleaseSigner::Process(signer.clone()),
            ReleaseSigner::Offline => ReleaseSigner::Offline,
        };
        let demo_root = self.demo_root.clone();
        Self { dir: None, assign_keys: ring(&self.assign_keys), release, demo_root }
    }

    /// A private key of the gateway in a thief's hands.
    #[cfg(test)]
    pub fn stolen_assign_key(&self) -> SigningKey {
        self.assign_keys.read().pop().unwrap()
    }

    /// The root document to begin with in an empty store.
    pub fn demo_root(&self) -> Option<&[u8]> {
        self.demo_root.as_deref()
    }

    pub fn release(&self) -> &ReleaseSigner {
        &self.release
    }

    pub fn assign_public_keys(&self) -> Vec<PublicKey> {
        self.assign_keys.public_keys()
    }

    /// The key that seals under this root; none if the root names none of ours.
    pub fn assign_key_under(&self, root: &TrustedRoot) -> Option<PublicKey> {
        self.assign_key(root).map(|key| key.public_key())
    }

    fn assign_key(&self, root: &TrustedRoot) -> Option<SigningKey> {
        self.assign_keys.find(|key| root.find_assign_key(&key.id()).is_ok())
    }

    /// A root is taken only if it names an assign key of ours, so there is one.
    pub fn seal_by_assign_key(
        &self,
        root: &TrustedRoot,
        domain: Domain,
        payload: Vec<u8>,
    ) -> Option<Vec<u8>> {
        Some(seal(domain, payload, &self.assign_key(root)?))
    }

    pub fn seal_manifest(
        &self,
        root: &TrustedRoot,
        manifest: &Manifest,
    ) -> Option<(ManifestId, Vec<u8>)> {
        let payload = encode(manifest);
        let id = ManifestId::of(&payload);
        Some((id, self.seal_by_assign_key(root, Domain::Manifest, payload)?))
    }

    /// Seals a release if the key is here and the root names it.
    pub fn seal_release(
        &self,
        root: &TrustedRoot,
        payload: Vec<u8>,
    ) -> Option<(ReleaseId, Vec<u8>)> {
        let ReleaseSigner::InProcess(keys) = &self.release else { return None };
        let key = keys.find(|key| root.find_release_key(&key.id()).is_ok())?;
        let sealed = seal(Domain::Release, payload, &key);
        Some((ReleaseId::of(&sealed), sealed))
    }

    /// An envelope around a statement of what the gateway did, by its newest assign
    /// key: the statement is the gateway's word, and the release key may be elsewhere.
    pub fn seal_envelope(&self, root: Option<&TrustedRoot>, statement: &[u8]) -> Option<Envelope> {
        let key = root.and_then(|root| self.assign_key(root)).or_else(|| {
            // Before the first root document any of our keys is as good.
            self.assign_keys.read().pop()
        })?;
        Some(Envelope::seal(PAYLOAD_TYPE_IN_TOTO, statement, &key))
    }

    /// A further assign key, for the next root document to name.
    pub fn add_assign_key(&self, surroundings: &Surroundings) -> Result<PublicKey, SigningError> {
        self.add_key(&self.assign_keys, "assign", surroundings)
    }

    /// A further release key, where releases are signed here.
    pub fn add_release_key(&self, surroundings: &Surroundings) -> Result<PublicKey, SigningError> {
        match &self.release {
            ReleaseSigner::InProcess(keys) => self.add_key(keys, "release", surroundings),
            ReleaseSigner::Process(_) => Err(SigningError::NotHere(
                "farrier-signer holds it; make one there with `farrier key new --role release`",
            )),
            ReleaseSigner::Offline => Err(SigningError::NotHere(
                "it is kept offline; make one there with `farrier key new --role release`",
            )),
        }
    }

    fn add_key(
        &self,
        keys: &KeyRing,
        name: &'static str,
        surroundings: &Surroundings,
    ) -> Result<PublicKey, SigningError> {
        if keys.read().len() >= KEYS_PER_ROLE_MAX {
            return Err(SigningError::NotHere("there are 16 already; remove some from its folder"));
        }
        let key = SigningKey::from_bytes(&surroundings.random());
        let public_key = key.public_key();
        keys.add(self.dir.as_deref(), name, key)?;
        Ok(public_key)
    }
}

/// `assign.key`, then `assign-2.key`.
fn key_file_name(name: &str, index: usize) -> String {
    match index {
        0 => format!("{name}.key"),
        index => format!("{name}-{}.key", index + 1),
    }
}

fn make_first_keys(
    dir: &Path,
    config: &TrustConfig,
    surroundings: &Surroundings,
) -> Result<(), SigningError> {
    let assign_key = new_key(dir, "assign", surroundings)?;
    let release_key = match &config.release_signer {
        ReleaseSignerConfig::Named(NamedReleaseSigner::InProcess) => {
            Some(new_key(dir, "release", surroundings)?.public_key())
        }
        ReleaseSignerConfig::Named(NamedReleaseSigner::Offline) => None,
        ReleaseSignerConfig::Process(signer) if config.root == RootSource::Demo => {
            let about = SignerClient::new(&signer.socket).about();
            Some(about.map_err(|e| SigningError::SignerNeeded(e.to_string()))?.release_key)
        }
        ReleaseSignerConfig::Process(_) => None,
    };
    match (config.root, release_key) {
        (RootSource::Demo, Some(release_key)) => {
            let root_key = new_key(dir, "root", surroundings)?;
            let root = seal_first_root(&root_key, release_key, &assign_key);
            write(&dir.join("root.cbor"), &root)
        }
        _ => write(&dir.join("external"), b"the root document comes from `farrier root publish`\n"),
    }
}

fn new_key(
    dir: &Path,
    name: &str,
    surroundings: &Surroundings,
) -> Result<SigningKey, SigningError> {
    let key = SigningKey::from_bytes(&surroundings.random());
    write(&dir.join(key_file_name(name, 0)), hex::encode(key.to_bytes()).as_bytes())?;
    Ok(key)
}

fn read_keys(dir: &Path, name: &str) -> Result<Vec<SigningKey>, SigningError> {
    let paths = (0..KEYS_PER_ROLE_MAX).map(|index| dir.join(key_file_name(name, index)));
    paths.take_while(|path| path.exists()).map(|path| read_key(&path)).collect()
}

fn read_demo_root(dir: &Path) -> Result<Option<Vec<u8>>, SigningError> {
    let path = dir.join("root.cbor");
    match std::fs::read(&path) {
        Ok(sealed) => Ok(Some(sealed)),
        // The directory began with an external root, whose versions are in the store.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SigningError::Io { operation: "read", path, source }),
    }
}

pub(crate) fn encode(document: &impl minicbor::Encode<()>) -> Vec<u8> {
    // Encoding to memory has no failing case for the documents' field types.
    minicbor::to_vec(document).expect("a document can be encoded")
}

fn seal_first_root(root: &SigningKey, release: PublicKey, assign: &SigningKey) -> Vec<u8> {
    let document = Root {
        version: DOCUMENT_VERSION,
        epoch: 1,
        root_version: 1,
        not_after_ms: None,
        root_keys: vec![root.public_key()],
        threshold: 1,
        release_keys: vec![release],
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

    fn open(dir: &Path, config: &TrustConfig) -> Signing {
        Signing::open(dir, config, &Surroundings::of_the_system()).unwrap()
    }

    #[test]
    fn keys_are_made_once_and_only_their_owner_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path(), &TrustConfig::default());
        let again = open(dir.path(), &TrustConfig::default());
        assert_eq!(first.demo_root(), again.demo_root());
        assert!(first.demo_root().is_some());
        assert_eq!(first.assign_public_keys(), again.assign_public_keys());
        for name in ["root.key", "release.key", "assign.key"] {
            let mode = std::fs::metadata(dir.path().join(name)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn with_an_external_root_and_an_offline_release_key_only_the_assign_key_is_here() {
        let dir = tempfile::tempdir().unwrap();
        let config = TrustConfig {
            root: RootSource::External,
            release_signer: ReleaseSignerConfig::Named(NamedReleaseSigner::Offline),
            ..TrustConfig::default()
        };
        let signing = open(dir.path(), &config);
        assert!(signing.demo_root().is_none());
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["assign.key", "external"]);
        assert!(signing.add_release_key(&Surroundings::of_the_system()).is_err());
    }

    #[test]
    fn further_keys_are_kept_beside_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let signing = open(dir.path(), &TrustConfig::default());
        let surroundings = Surroundings::of_the_system();
        let second = signing.add_assign_key(&surroundings).unwrap();
        assert_eq!(signing.assign_public_keys()[1], second);
        let again = open(dir.path(), &TrustConfig::default());
        assert_eq!(again.assign_public_keys(), signing.assign_public_keys());
    }
}
