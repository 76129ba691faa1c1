//! The stores' fakes, for tests of the rooms above. They keep what is written in
//! the form that goes to disk, and forget it when dropped.

use super::{AuditPage, Blobs, Change, Note, Records, Store, StoreError};
use audit_chain::{Head, Position, RECORD_VERSION};
use module_package::BlobId;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
pub struct MemoryStore {
    entries: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    heads: Mutex<Heads>,
    /// Set by tests: nothing more can be written.
    pub is_full: AtomicBool,
    /// Set by tests: after so many more commits it is full. 0 is never.
    pub full_after: AtomicU64,
}

/// The audit log.
#[derive(Default)]
struct Heads(Vec<Vec<u8>>);

impl Store for MemoryStore {
    fn load(&self) -> Result<Records, StoreError> {
        let mut records = Records::default();
        for (key, value) in self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            records.add_entry(key, value)?;
        }
        Ok(records)
    }

    fn commit_noted(&self, changes: &[Change], note: Note) -> Result<(), StoreError> {
        if changes.is_empty() && note.actions.is_empty() {
            return Ok(());
        }
        if self.is_full.load(Ordering::Relaxed) {
            return Err(StoreError::Journal { full: true, message: "no space".into() });
        }
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).add(changes, note);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes.iter().map(Change::to_entry) {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
        let left = self.full_after.load(Ordering::Relaxed);
        self.full_after.store(left.saturating_sub(1), Ordering::Relaxed);
        self.is_full.fetch_or(left == 1, Ordering::Relaxed);
        Ok(())
    }

    fn audit(&self, after: u64, count_max: usize) -> Result<AuditPage, StoreError> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let asked = heads.0.iter().skip(after).take(count_max).cloned();
        Ok(AuditPage { first_seq: 1, end: heads.end(), heads: asked.collect() })
    }

    fn probe(&self) -> Result<(), StoreError> {
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(StoreError::Journal { full: true, message: "no space".into() }),
            false => Ok(()),
        }
    }
}

impl Heads {
    fn end(&self) -> Position {
        let last = self.0.last();
        last.map_or_else(Position::default, |head| Position::of(self.0.len() as u64, head))
    }

    fn add(&mut self, changes: &[Change], note: Note) {
        let before = self.end();
        let entries: Vec<_> = changes.iter().map(Change::to_entry).collect();
        let body_bytes = entries.iter().map(|(_, value)| value.as_ref().map_or(0, Vec::len));
        let head = Head {
            version: RECORD_VERSION,
            seq: before.seq + 1,
            before: before.hash,
            time_ms: 0,
            actor: note.actor,
            actions: note.actions,
            signatures: note.signatures,
            body_hash: [0; 32],
            body_bytes: body_bytes.sum::<usize>() as u64,
        };
        self.0.push(head.to_bytes());
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
