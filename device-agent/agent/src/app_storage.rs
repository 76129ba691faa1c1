//! Keeps the values that modules store, one file an application.
//!
//! A change writes the whole file beside the old one, syncs it and renames it, so a
//! power cut at any step leaves the old values or the new ones. The file ends with the
//! hash of what is before it: one that was changed on the disk is noticed, put aside and
//! said so, and the module begins with nothing.
//!
//! Values belong to the application: they survive a restart of its worker, another
//! version of its module, and a restart of the agent, and go when it leaves the manifest.

use crate::refusal::Refusal;
use device_protocol::RefusalCode;
use durable_disk::{Disk, is_full, put_file, sweep_parts};
use minicbor::{Decode, Encode};
use module_package::{BlobId, STORAGE_BYTES_MAX};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use worker_protocol::{StoredValue, stored_bytes};

pub type Values = BTreeMap<String, Vec<u8>>;

pub struct AppStorage {
    disk: Rc<dyn Disk>,
    dir: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("the stored values of {app} were changed on the disk; they are put aside as {path}")]
    Damaged { app: String, path: PathBuf },
    #[error("{operation} the stored values of {app}: {source}")]
    Disk { operation: &'static str, app: String, source: io::Error },
    #[error("open the stored values at {dir}: {source}")]
    Open { dir: PathBuf, source: io::Error },
}

impl From<&StorageError> for Refusal {
    fn from(error: &StorageError) -> Self {
        let code = match error {
            StorageError::Damaged { .. } => RefusalCode::StoredValuesDamaged,
            StorageError::Disk { source, .. } if is_full(source) => RefusalCode::NoSpace,
            StorageError::Disk { .. } | StorageError::Open { .. } => RefusalCode::Storage,
        };
        Self::new(code, error)
    }
}

/// What a file says, before its hash.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Content {
    #[n(0)]
    version: u32,
    /// So that a file under another's name is not taken for its.
    #[n(1)]
    app: String,
    #[n(2)]
    values: Vec<StoredValue>,
}

const VERSION: u32 = 1;
/// A quota of one-byte keys, with what CBOR needs around them, is smaller than this.
const FILE_BYTES_MAX: u64 = 2 * STORAGE_BYTES_MAX as u64;
const DAMAGED_SUFFIX: &str = ".damaged";

impl AppStorage {
    /// Sweeps what an interrupted change left.
    pub fn open(disk: Rc<dyn Disk>, dir: &Path) -> Result<Self, StorageError> {
        let open = |source| StorageError::Open { dir: dir.into(), source };
        disk.create_dir(dir).map_err(open)?;
        sweep_parts(&*disk, dir).map_err(open)?;
        Ok(Self { disk, dir: dir.into() })
    }

    /// What the application has stored; nothing if it never did. After damage was told,
    /// it has nothing.
    pub fn read(&self, app: &str) -> Result<Values, StorageError> {
        let path = self.dir.join(file_name(app));
        let found = match self.disk.read(&path, FILE_BYTES_MAX) {
            Ok(None) => return Ok(Values::new()),
            Ok(Some(bytes)) => parse(app, &bytes),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => None,
            Err(e) => return Err(on("read", app)(e)),
        };
        match found {
            Some(values) => Ok(values),
            None => {
                let aside = self.dir.join(format!("{}{DAMAGED_SUFFIX}", file_name(app)));
                self.disk.rename(&path, &aside).map_err(on("put aside", app))?;
                self.disk.sync_dir(&self.dir).map_err(on("put aside", app))?;
                Err(StorageError::Damaged { app: app.into(), path: aside })
            }
        }
    }

    /// Changes one value, `None` for no more. False where it would go beyond the quota;
    /// what takes less than before fits always.
    pub fn change(
        &self,
        app: &str,
        key: &str,
        value: Option<Vec<u8>>,
        quota_bytes: usize,
    ) -> Result<bool, StorageError> {
        let mut values = self.read(app)?;
        let before = bytes_of(&values);
        match value {
            Some(value) => values.insert(key.into(), value),
            None => values.remove(key),
        };
        let after = bytes_of(&values);
        if after > quota_bytes && after > before {
            return Ok(false);
        }
        let put = put_file(&*self.disk, &self.dir, &file_name(app), &to_bytes(app, &values));
        put.map_err(on("write", app))?;
        Ok(true)
    }

    /// Removes what applications stored that are no longer on the device.
    pub fn keep_only(&self, apps: &[&str]) -> Result<(), StorageError> {
        let remove = || {
            let kept: Vec<String> = apps.iter().map(|app| file_name(app)).collect();
            let is_kept = |name: &str| {
                let of = name.strip_suffix(DAMAGED_SUFFIX).unwrap_or(name);
                kept.iter().any(|kept| kept == of)
            };
            let files = self.disk.list(&self.dir)?;
            let gone: Vec<&String> =
                files.iter().map(|(name, _)| name).filter(|name| !is_kept(name)).collect();
            for name in &gone {
                self.disk.remove(&self.dir.join(name))?;
            }
            if gone.is_empty() { Ok(()) } else { self.disk.sync_dir(&self.dir) }
        };
        remove().map_err(on("remove", "applications that have left"))
    }
}

pub fn to_stored(values: Values) -> Vec<StoredValue> {
    values.into_iter().map(|(key, value)| StoredValue { key, value }).collect()
}

fn bytes_of(values: &Values) -> usize {
    values.iter().map(|(key, value)| stored_bytes(key, value)).sum()
}

/// Names come from manifests; a hash is a safe name for any of them.
fn file_name(app: &str) -> String {
    BlobId::of(app.as_bytes()).to_string()
}

fn to_bytes(app: &str, values: &Values) -> Vec<u8> {
    let values = to_stored(values.clone());
    let content = Content { version: VERSION, app: app.into(), values };
    // Encoding to memory cannot fail for our own types.
    let mut bytes = minicbor::to_vec(content).unwrap_or_default();
    bytes.extend(BlobId::of(&bytes).0);
    bytes
}

fn parse(app: &str, bytes: &[u8]) -> Option<Values> {
    let (content, hash) = bytes.split_last_chunk::<32>()?;
    if BlobId::of(content).0 != *hash {
        return None;
    }
    let content: Content = minicbor::decode(content).ok()?;
    let is_ours = content.version == VERSION && content.app == app;
    is_ours.then(|| content.values.into_iter().map(|kept| (kept.key, kept.value)).collect())
}

fn on(operation: &'static str, app: &str) -> impl FnOnce(io::Error) -> StorageError {
    let app = app.to_owned();
    move |source| StorageError::Disk { operation, app, source }
}

#[cfg(test)]
#[path = "app_storage_tests.rs"]
mod tests;
