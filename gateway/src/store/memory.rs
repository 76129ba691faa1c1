//! The stores' fakes, for tests of the rooms above. They keep what is written in
//! the form that goes to disk, and forget it when dropped.

use super::{Blobs, Change, Records, Store, StoreError};
use module_package::BlobId;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
pub struct MemoryStore {
    entries: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Records, StoreError> {
        let mut records = Records::default();
        for (key, value) in self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            records.add_entry(key, value)?;
        }
        Ok(records)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes.iter().map(Change::to_entry) {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct MemoryBlobs {
    blobs: Mutex<HashMap<BlobId, Vec<u8>>>,
}

impl Blobs for MemoryBlobs {
    fn put(&self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        let blob = BlobId::of(bytes);
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).insert(blob, bytes.to_vec());
        Ok(blob)
    }

    fn get(&self, blob: BlobId) -> Result<Vec<u8>, StoreError> {
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = || StoreError::Blob {
            operation: "read",
            blob,
            source: io::Error::from(io::ErrorKind::NotFound),
        };
        blobs.get(&blob).cloned().ok_or_else(missing)
    }

    fn get_range(&self, blob: BlobId, offset: u64, len: usize) -> Result<Vec<u8>, StoreError> {
        let bytes = self.get(blob)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(len).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    fn size(&self, blob: BlobId) -> Option<u64> {
        self.get(blob).ok().map(|bytes| bytes.len() as u64)
    }
}
