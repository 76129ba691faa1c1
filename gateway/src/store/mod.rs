//! What survives a restart: records in a transactional store, blobs as files.
//!
//! The rules keep all records in memory and write through [`Store::commit`], which
//! returns once the change would survive a power cut. A change touches several
//! kinds at once (enrolling uses up a claim and makes a device), so there is one
//! commit for all kinds rather than a trait for each. Modules, artifacts and
//! releases are [`Blobs`], never values of a record.
//!
//! `local` and `file_blobs` are the real ones, `memory` the fakes; all pass
//! `conformance`. In `local` the journal is the truth and sled an index of it; why
//! stands in docs/decisions/the-journal-wins.md.

mod access_record;
pub mod backup;
mod change;
#[cfg(test)]
mod conformance;
pub mod data_dir;
#[cfg(test)]
mod faults;
mod file_blobs;
mod index;
mod journal;
mod local;
pub mod memory;
pub mod note;
pub mod record;
mod sled_index;

pub use change::{Change, Kind, Records};
pub use file_blobs::FileBlobs;
pub use index::IndexPlace;
pub use journal::{AuditPage, JournalError, JournalLimits, Verified};
pub use local::{LocalConfig, LocalStore, OpenError};
pub use note::Note;
pub use sled_index::SledPlace;

use durable_disk::Disk;
use module_package::BlobId;
use std::sync::Arc;

/// The store's thread writes to it, and others read.
pub type SharedDisk = Arc<dyn Disk + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{operation} the store")]
    Backend { operation: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{message}")]
    Journal {
        /// There was no space: it can be tried again when there is.
        full: bool,
        message: String,
    },
    #[error("a record of kind {kind} cannot be read: {message}")]
    Record { kind: &'static str, message: String },
    #[error("{operation} blob {blob}")]
    Blob { operation: &'static str, blob: BlobId, source: std::io::Error },
}

impl StoreError {
    /// Whether it failed for want of space on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Journal { full, .. } => *full,
            Self::Blob { source, .. } => durable_disk::is_full(source),
            Self::Backend { .. } | Self::Record { .. } => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSpace {
    /// Of the journal.
    pub used_bytes: u64,
    pub free_bytes: u64,
}

/// The records.
pub trait Store: Send + Sync {
    /// Everything that is kept.
    fn load(&self) -> Result<Records, StoreError>;

    /// All of these or none; returns when they would survive a power cut.
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.commit_noted(changes, Note::of(changes))
    }

    /// The same, with what the audit log shall say of it.
    fn commit_noted(&self, changes: &[Change], note: Note) -> Result<(), StoreError>;

    /// The audit log's records behind one, at most so many.
    fn audit(&self, after: u64, count_max: usize) -> Result<AuditPage, StoreError>;

    /// What it takes on its disk, and what is left there, where that can be told.
    fn space(&self) -> Option<StoreSpace> {
        None
    }

    /// Whether there is space to write, found out by writing.
    fn probe(&self) -> Result<(), StoreError>;
}

/// Files by the SHA-256 of their content.
pub trait Blobs: Send + Sync {
    /// Returns when the blob would survive a power cut. The same bytes twice are
    /// one blob.
    fn put(&self, bytes: &[u8]) -> Result<BlobId, StoreError>;

    /// The whole blob; an error too if its content no longer has its hash.
    fn get(&self, blob: BlobId) -> Result<Vec<u8>, StoreError>;

    /// Part of a blob, shorter at its end. The receiver checks it.
    fn get_range(&self, blob: BlobId, offset: u64, len: usize) -> Result<Vec<u8>, StoreError>;

    /// Its size, if it is there.
    fn size(&self, blob: BlobId) -> Option<u64>;
}
