//! What survives a restart: records in a transactional store, blobs as files.
//!
//! The rules keep all records in memory and write through [`Store::commit`], which
//! returns once the change would survive a power cut. A change touches several
//! kinds at once (enrolling uses up a claim and makes a device), so there is one
//! commit for all kinds rather than a trait for each. Modules, artifacts and
//! releases are [`Blobs`], never values of a record.
//!
//! `sled_store` and `file_blobs` are the real ones, `memory` the fakes; both
//! pass `conformance`.

mod change;
#[cfg(test)]
mod conformance;
pub mod data_dir;
mod file_blobs;
pub mod memory;
pub mod record;
mod sled_store;

pub use change::{Change, Kind, Records};
pub use file_blobs::FileBlobs;
pub use sled_store::{OpenError, SledStore};

use module_package::BlobId;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{operation} the store")]
    Backend { operation: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("a record of kind {kind} cannot be read: {message}")]
    Record { kind: &'static str, message: String },
    #[error("{operation} blob {blob}")]
    Blob { operation: &'static str, blob: BlobId, source: std::io::Error },
}

/// The records.
pub trait Store: Send + Sync {
    /// Everything that is kept.
    fn load(&self) -> Result<Records, StoreError>;

    /// All of these or none; returns when they would survive a power cut.
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError>;
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
