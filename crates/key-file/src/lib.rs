//! Private keys in files: made, written and read by the command line and by
//! `farrier-signer`.
//!
//! ```toml
//! # A private key of Farrier. Whoever has this file can sign in its owner's name.
//! format = "farrier-key-1"
//! role = "root"
//! public_key = "<64 hexadecimal digits>"
//! secret_key = "<64 hexadecimal digits: the seed of RFC 8032>"
//! ```
//!
//! The secret is not encrypted: the file is made with mode 0600 and refused with any
//! other access, and belongs on a machine or medium that is locked away. The role is
//! for people and against mistakes: a root key is not taken where a release key is
//! asked for. The public key stands beside it so that a damaged file is noticed.

use ed25519_dalek::SigningKey;
use module_package::{PublicKey, Signer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const FORMAT: &str = "farrier-key-1";
const HEADING: &str =
    "# A private key of Farrier. Whoever has this file can sign in its owner's name.\n";

/// Longest key file that is read; one that we write has some 300 bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// What a key is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Root,
    Release,
    Assign,
    Developer,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Release => "release",
            Self::Assign => "assign",
            Self::Developer => "developer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Root, Self::Release, Self::Assign, Self::Developer];
        let found = all.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no role: use root, release, assign or developer"))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("{operation} the key file {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("the key file {path} has mode {mode:04o}: others can read it; chmod 600 it")]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error("the key file {path} is not valid: {what}")]
    Malformed { path: PathBuf, what: String },
    #[error("the key file {path} holds a {found} key, and a {wanted} key is needed")]
    WrongRole { path: PathBuf, found: Role, wanted: Role },
}

/// A private key and what it is for.
pub struct KeyFile {
    pub role: Role,
    pub key: SigningKey,
}

/// The secret stays out of logs.
impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({} {})", self.role, self.public_key().id())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: String,
    role: Role,
    public_key: String,
    secret_key: String,
}

impl KeyFile {
    /// A new key from the system's randomness.
    pub fn generate(role: Role) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        Ok(Self { role, key: SigningKey::from_bytes(&seed) })
    }

    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// Writes a new file that only its owner reads, whole or not at all. A file that
    /// is there already stays: a key that is lost cannot be made again.
    pub fn create(&self, path: &Path) -> Result<(), KeyFileError> {
        let io = |operation| {
            let path = path.to_owned();
            move |source| KeyFileError::Io { operation, path, source }
        };
        let content = Content {
            format: FORMAT.to_owned(),
            role: self.role,
            public_key: hex::encode(self.public_key().0),
            secret_key: hex::encode(self.key.to_bytes()),
        };
        let body = toml::to_string(&content).map_err(|e| io("write")(io::Error::other(e)))?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)
            .map_err(io("create"))?;
        let written = file
            .write_all(HEADING.as_bytes())
            .and_then(|()| file.write_all(body.as_bytes()))
            .and_then(|()| file.sync_all())
            // A link is made only where nothing is, unlike a rename.
            .and_then(|()| std::fs::hard_link(&part, path));
        let removed = std::fs::remove_file(&part);
        written.and(removed).map_err(io("create"))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync the folder of"))
    }

    /// Reads a key of any role.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io { operation: "read", path: path.to_owned(), source };
        let malformed =
            |what: &str| KeyFileError::Malformed { path: path.to_owned(), what: what.to_owned() };
        let file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
        // The parser's own message would show the line, which may be the secret.
        let content: Content = toml::from_str(&text)
            .map_err(|_| malformed("it is not what `farrier key new` writes"))?;
        if content.format != FORMAT {
            return Err(malformed(&format!("its format is {:?}, not {FORMAT:?}", content.format)));
        }
        let mut seed = [0; 32];
        hex::decode_to_slice(&content.secret_key, &mut seed)
            .map_err(|_| malformed("secret_key is not 64 hexadecimal digits"))?;
        let read = Self { role: content.role, key: SigningKey::from_bytes(&seed) };
        if hex::encode(read.public_key().0) != content.public_key {
            return Err(malformed("secret_key and public_key do not belong together"));
        }
        Ok(read)
    }

    /// Reads a key that must have this role.
    pub fn read_as(path: &Path, wanted: Role) -> Result<Self, KeyFileError> {
        let read = Self::read(path)?;
        if read.role != wanted {
            let (path, found) = (path.to_owned(), read.role);
            return Err(KeyFileError::WrongRole { path, found, wanted });
        }
        Ok(read)
    }
}

/// A public key as people hand it on: 64 hexadecimal digits.
pub fn parse_public_key(text: &str) -> Result<PublicKey, String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim(), &mut bytes)
        .map_err(|_| "a public key is 64 hexadecimal digits".to_owned())?;
    // What is no point of the curve would make a document that nobody can use.
    ed25519_dalek::VerifyingKey::from_bytes(&bytes)
        .ok()
        .filter(|key| !key.is_weak())
        .ok_or("these 64 digits are no Ed25519 public key")?;
    Ok(PublicKey(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_survives_its_file_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root-1.key");
        let made = KeyFile::generate(Role::Root).unwrap();
        made.create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = KeyFile::read_as(&path, Role::Root).unwrap();
        assert_eq!(read.key.to_bytes(), made.key.to_bytes());
        assert!(!format!("{read:?}").contains(&hex::encode(read.key.to_bytes())));
        assert!(!folder.path().join("root-1.key.part").exists());
        let refused = KeyFile::read_as(&path, Role::Release).unwrap_err().to_string();
        assert!(refused.contains("a root key, and a release key is needed"), "{refused}");
    }

    #[test]
    fn a_key_is_never_written_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        let first = KeyFile::generate(Role::Release).unwrap();
        first.create(&path).unwrap();
        assert!(KeyFile::generate(Role::Release).unwrap().create(&path).is_err());
        assert_eq!(KeyFile::read(&path).unwrap().public_key(), first.public_key());
    }

    #[test]
    fn open_damaged_and_foreign_files_are_refused_without_showing_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        let key = KeyFile::generate(Role::Release).unwrap();
        key.create(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let refused = KeyFile::read(&path).unwrap_err().to_string();
        assert!(refused.contains("0640") && refused.contains("chmod 600"), "{refused}");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        let secret = hex::encode(key.key.to_bytes());
        let zeros = good.replace(&secret, &"0".repeat(64));
        for bad in ["", "x", &zeros, &good.replace("key-1", "key-2"), &good[..good.len() - 9]] {
            std::fs::write(&path, bad).unwrap();
            let refused = format!("{:?}", KeyFile::read(&path).unwrap_err());
            assert!(!refused.contains(&secret[..20]), "{refused}");
        }
    }

    #[test]
    fn a_public_key_is_a_point_and_no_weak_one() {
        let key = KeyFile::generate(Role::Developer).unwrap().public_key();
        assert_eq!(parse_public_key(&format!("{}\n", hex::encode(key.0))), Ok(key));
        for bad in ["", "00", &"00".repeat(32), &"zz".repeat(32), &"ff".repeat(31)] {
            assert!(parse_public_key(bad).is_err(), "{bad}");
        }
    }
}
