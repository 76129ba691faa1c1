//! The gateway's directory: who may read it, and that one gateway uses it.
//!
//! ```text
//! <data_dir>/          0700
//!   lock               held while a gateway runs
//!   admin.token        0600  the bearer token of the first start
//!   keys/              0700  root.key release.key assign.key 0600, root.cbor;
//!                            ca.key ca.der of the authority for TLS
//!   journal/           the records' changes: the truth, and the audit log
//!   store/             an index of it, made again when it is damaged
//!   blobs/             modules, artifacts and releases by hash
//!   history.redb       what charts are drawn from; not in backups
//! ```

use durable_disk::sync_dir;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub struct DataDir {
    path: PathBuf,
    /// Unlocked by the system when the process ends, however it ends.
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("use the data directory {path}")]
    Io { path: PathBuf, source: io::Error },
    #[error("another gateway uses the data directory {path}")]
    InUse { path: PathBuf },
}

impl DataDir {
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let error = |source| DataDirError::Io { path: path.to_owned(), source };
        make_private_dir(path).map_err(error)?;
        make_private_dir(&path.join("keys")).map_err(error)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path.join("lock")).map_err(error)?;
        durable_disk::lock(&lock).map_err(|_| DataDirError::InUse { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    pub fn blobs(&self) -> PathBuf {
        self.path.join("blobs")
    }

    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    pub fn admin_token(&self) -> PathBuf {
        self.path.join("admin.token")
    }
}

/// The folder of the keys, made where the gateway has not run yet.
pub fn prepare_keys_dir(data_dir: &Path) -> Result<PathBuf, DataDirError> {
    let keys = data_dir.join("keys");
    let error = |source| DataDirError::Io { path: data_dir.to_owned(), source };
    make_private_dir(data_dir).map_err(error)?;
    make_private_dir(&keys).map_err(error)?;
    Ok(keys)
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that only its owner reads, whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}
