//! Puts blobs (releases and artifacts) on disk and hands out whole ones.
//!
//! `blobs/<sha256>` is whole: a file gets that name only after its hash was
//! checked and its bytes were synced, so a power cut at any line leaves it there
//! whole or not at all. `partial/<sha256>` are blocks of an artifact on its way;
//! nothing is believed of them, each block is hashed again after a restart.
//!
//! The disk is not trusted later either: every read hashes the bytes, and a file
//! that changed is removed. Only an artifact that became whole a moment ago is not read
//! and hashed once more to be started: its bytes are still in memory. It does not check
//! signatures and does not know what an artifact is.

use crate::refusal::Refusal;
use device_protocol::{Bitmap, RefusalCode};
use durable_disk::{Disk, is_full, put_file, sweep_parts};
use module_package::{ArtifactId, BlobId, Release};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub struct Store {
    disk: Rc<dyn Disk>,
    blobs: PathBuf,
    partials: PathBuf,
    bytes_max: u64,
    whole: BTreeMap<BlobId, u64>,
    /// Room set aside, the size of the artifact when it is whole.
    partial: BTreeMap<BlobId, u64>,
    /// The bytes that were hashed last, until the next read.
    fresh: Option<(BlobId, Vec<u8>)>,
}

/// An artifact of more is read again to be started, so that memory is not held for it
/// while others of its set arrive.
const FRESH_BYTES_MAX: usize = 2 << 20;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{needed_bytes} bytes are needed and {free_bytes} of {bytes_max} are free")]
    NoSpace { needed_bytes: u64, free_bytes: u64, bytes_max: u64 },
    #[error("blob {0} is damaged: its bytes on the disk were changed; it was removed")]
    Damaged(BlobId),
    #[error("the bytes that arrived are not blob {0}")]
    WrongHash(BlobId),
    #[error("{operation} blob {blob}: {source}")]
    Disk { operation: &'static str, blob: BlobId, source: io::Error },
    #[error("open the store at {dir}: {source}")]
    Open { dir: PathBuf, source: io::Error },
}

impl From<&StoreError> for Refusal {
    fn from(error: &StoreError) -> Self {
        let code = match error {
            StoreError::NoSpace { .. } => RefusalCode::NoSpace,
            StoreError::Damaged(_) => RefusalCode::DamagedArtifact,
            StoreError::WrongHash(_) => RefusalCode::WrongHash,
            StoreError::Disk { source, .. } if is_full(source) => RefusalCode::NoSpace,
            StoreError::Disk { .. } | StoreError::Open { .. } => RefusalCode::Storage,
        };
        Self::new(code, error)
    }
}

impl Store {
    /// Sweeps what an interrupted start left, and lists what is whole.
    pub fn open(disk: Rc<dyn Disk>, dir: &Path, bytes_max: u64) -> Result<Self, StoreError> {
        let (blobs, partials) = (dir.join("blobs"), dir.join("partial"));
        let list = |dir: &Path| {
            disk.create_dir(dir)?;
            sweep_parts(&*disk, dir)?;
            let named = |(name, len): (String, u64)| Some((name.parse().ok()?, len));
            Ok(disk.list(dir)?.into_iter().filter_map(named).collect())
        };
        let open = |source| StoreError::Open { dir: dir.into(), source };
        let whole = list(&blobs).map_err(open)?;
        let partial = list(&partials).map_err(open)?;
        Ok(Self { disk, blobs, partials, bytes_max, whole, partial, fresh: None })
    }

    pub fn has(&self, blob: &BlobId) -> bool {
        self.whole.contains_key(blob)
    }

    /// Bytes of whole blobs and those set aside for partial ones.
    pub fn used_bytes(&self) -> u64 {
        self.whole.values().chain(self.partial.values()).sum()
    }

    /// The bytes of a whole blob, hashed; `None` if it is not there.
    pub fn read(&mut self, blob: &BlobId, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.has(blob) {
            return Ok(None);
        }
        if let Some((fresh, bytes)) = self.fresh.take()
            && fresh == *blob
        {
            return Ok(Some(bytes));
        }
        let bytes = match self.disk.read(&self.whole_path(blob), bytes_max) {
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => None,
            read => read.map_err(on("read", blob))?,
        };
        match bytes {
            Some(bytes) if BlobId::of(&bytes) == *blob => Ok(Some(bytes)),
            _ => {
                self.remove_whole(blob)?;
                Err(StoreError::Damaged(*blob))
            }
        }
    }

    /// Stores a blob that is whole in memory.
    pub fn put(&mut self, blob: &BlobId, bytes: &[u8]) -> Result<(), StoreError> {
        if BlobId::of(bytes) != *blob {
            return Err(StoreError::WrongHash(*blob));
        }
        if self.has(blob) {
            return Ok(());
        }
        self.check_room(bytes.len() as u64)?;
        put_file(&*self.disk, &self.blobs, &blob.to_string(), bytes).map_err(on("write", blob))?;
        self.whole.insert(*blob, bytes.len() as u64);
        Ok(())
    }

    /// Sets room aside for an artifact and says which of its blocks are missing:
    /// fewer than all after an interruption.
    pub fn resume_artifact(&mut self, release: &Release) -> Result<Bitmap, StoreError> {
        let blob = BlobId::from(release.artifact);
        let aside = self.partial.remove(&blob);
        if let Err(no_space) = self.check_room(release.artifact_bytes) {
            if let Some(len) = aside {
                self.partial.insert(blob, len);
            }
            return Err(no_space);
        }
        self.partial.insert(blob, release.artifact_bytes);
        // Cannot truncate: a release has at most 1,536 blocks.
        let mut missing = Bitmap::full(release.block_hashes.len() as u32);
        let path = self.partial_path(&blob);
        let bytes = match self.disk.read(&path, release.artifact_bytes) {
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                self.disk.remove(&path).map_err(on("remove", &blob))?;
                None
            }
            read => read.map_err(on("read", &blob))?,
        };
        let bytes = bytes.unwrap_or_default();
        for (index, block) in bytes.chunks(release.block_bytes as usize).enumerate() {
            if release.block_hashes.get(index) == Some(&BlobId::of(block)) {
                missing.remove(index as u32);
            }
        }
        Ok(missing)
    }

    /// Writes a block whose hash was checked.
    pub fn write_block(
        &mut self,
        release: &Release,
        index: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let blob = BlobId::from(release.artifact);
        let offset = u64::from(index) * u64::from(release.block_bytes);
        let path = self.partial_path(&blob);
        self.disk.write_at(&path, offset, bytes).map_err(on("write a block of", &blob))
    }

    /// Makes an artifact visible once all of its blocks are written.
    pub fn finish_artifact(&mut self, artifact: ArtifactId) -> Result<(), StoreError> {
        let blob = BlobId::from(artifact);
        let partial = self.partial_path(&blob);
        let len = self.partial.get(&blob).copied().unwrap_or(0);
        let bytes = self.disk.read(&partial, len).map_err(on("read", &blob))?.unwrap_or_default();
        if BlobId::of(&bytes) != blob {
            self.drop_partial(&blob)?;
            return Err(StoreError::WrongHash(blob));
        }
        // The order is what a power cut must not break: content, then name, then
        // both directories.
        let put = || {
            self.disk.sync(&partial)?;
            self.disk.rename(&partial, &self.whole_path(&blob))?;
            self.disk.sync_dir(&self.blobs)?;
            self.disk.sync_dir(&self.partials)
        };
        put().map_err(on("store", &blob))?;
        self.partial.remove(&blob);
        self.whole.insert(blob, bytes.len() as u64);
        self.fresh = (bytes.len() <= FRESH_BYTES_MAX).then_some((blob, bytes));
        Ok(())
    }

    /// Removes everything that is not named.
    pub fn keep_only(&mut self, keep: &BTreeSet<BlobId>) -> Result<(), StoreError> {
        let others = |held: &BTreeMap<BlobId, u64>| -> Vec<BlobId> {
            held.keys().filter(|blob| !keep.contains(blob)).copied().collect()
        };
        for blob in others(&self.whole) {
            self.remove_whole(&blob)?;
        }
        for blob in others(&self.partial) {
            self.drop_partial(&blob)?;
        }
        Ok(())
    }

    fn check_room(&self, needed_bytes: u64) -> Result<(), StoreError> {
        let free_bytes = self.bytes_max.saturating_sub(self.used_bytes());
        if needed_bytes <= free_bytes {
            return Ok(());
        }
        Err(StoreError::NoSpace { needed_bytes, free_bytes, bytes_max: self.bytes_max })
    }

    fn remove_whole(&mut self, blob: &BlobId) -> Result<(), StoreError> {
        self.whole.remove(blob);
        self.disk.remove(&self.whole_path(blob)).map_err(on("remove", blob))
    }

    fn drop_partial(&mut self, blob: &BlobId) -> Result<(), StoreError> {
        self.partial.remove(blob);
        self.disk.remove(&self.partial_path(blob)).map_err(on("remove", blob))
    }

    fn whole_path(&self, blob: &BlobId) -> PathBuf {
        self.blobs.join(blob.to_string())
    }

    fn partial_path(&self, blob: &BlobId) -> PathBuf {
        self.partials.join(blob.to_string())
    }
}

fn on(operation: &'static str, blob: &BlobId) -> impl FnOnce(io::Error) -> StoreError {
    let blob = *blob;
    move |source| StoreError::Disk { operation, blob, source }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
