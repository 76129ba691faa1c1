//! Records in sled 0.34.
//!
//! sled's `flush` issues `sync_file_range`, which does not reach the medium: in
//! simulated power cuts it lost acknowledged transactions. So a commit is a
//! transaction, `flush`, and our own fsync of the `db` file; the directory is
//! synced once, when it was made. sled can also panic on damaged files: opening
//! catches that, moves the directory aside untouched, and refuses to start.

use super::record::CounterRecord;
use super::{Change, Records, Store, StoreError};
use rustix::fs::OFlags;
use std::fs::File;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

/// sled's own default is a gigabyte; the records are in the rules' memory anyway.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

pub struct SledStore {
    db: sled::Db,
    /// sled's only data file, opened once more to be synced.
    db_file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open the store {path}: {message}")]
    Io { path: PathBuf, message: String },
    #[error(
        "the store was damaged ({message}). It is now at {moved_to}, unchanged. \
         Put a copy of it from a backup at {path} and start again; without one, move the whole data \
         directory away and enrol the devices anew, because a fresh store would repeat generations \
         that the devices have seen"
    )]
    Damaged { path: PathBuf, moved_to: PathBuf, message: String },
    #[error(
        "the store {path} is missing, but this gateway has had one: its keys are there. \
         Put a copy of it from a backup there and start again (look for store.damaged-* too); without \
         one, move the whole data directory away and enrol the devices anew"
    )]
    Missing { path: PathBuf },
}

impl SledStore {
    /// `may_create` is false where a missing store means a lost one.
    pub fn open(path: &Path, may_create: bool) -> Result<Self, OpenError> {
        let io_error =
            |e: io::Error| OpenError::Io { path: path.to_owned(), message: e.to_string() };
        let is_new = !path.exists();
        if is_new && !may_create {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        let db = match open_guarded(path) {
            Ok(db) => db,
            Err(OpenFailure::Io(message)) => {
                return Err(OpenError::Io { path: path.to_owned(), message });
            }
            Err(OpenFailure::Damaged(message)) => return Err(move_aside(path, message)),
        };
        let db_file = File::open(path.join("db")).map_err(io_error)?;
        if is_new {
            let parent = path.parent().unwrap_or(Path::new("."));
            sync_dir(path).and_then(|()| sync_dir(parent)).map_err(io_error)?;
        }
        let store = Self { db, db_file };
        // A file that opens can still hold records that do not read, and sled
        // starts afresh where it cannot read the beginning of its file.
        let damage = match store.load() {
            Ok(records) if records.counter.is_some() => return Ok(store),
            Ok(_) if may_create => {
                let made = store.commit(&[Change::Counter(CounterRecord::default())]);
                made.map_err(|e| io_error(io::Error::other(e)))?;
                return Ok(store);
            }
            Ok(_) => "it opens, but what was in it is gone".to_owned(),
            Err(error) => error.to_string(),
        };
        drop(store);
        Err(move_aside(path, damage))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|e| backend("flush", e))?;
        self.db_file.sync_data().map_err(|e| backend("sync", e))
    }
}

impl Store for SledStore {
    fn load(&self) -> Result<Records, StoreError> {
        let mut records = Records::default();
        for entry in self.db.iter() {
            let (key, value) = entry.map_err(|e| backend("read", e))?;
            records.add_entry(&key, &value)?;
        }
        Ok(records)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let entries: Vec<_> = changes.iter().map(Change::to_entry).collect();
        let written = self.db.transaction(|tx| {
            for (key, value) in &entries {
                match value {
                    Some(value) => tx.insert(key.as_slice(), value.as_slice())?,
                    None => tx.remove(key.as_slice())?,
                };
            }
            Ok::<(), sled::transaction::ConflictableTransactionError<()>>(())
        });
        match written {
            Ok(()) => self.sync(),
            Err(sled::transaction::TransactionError::Storage(e)) => Err(backend("write", e)),
            // The closure above never aborts.
            Err(sled::transaction::TransactionError::Abort(())) => {
                Err(backend("write", io::Error::other("the transaction was aborted")))
            }
        }
    }
}

fn backend(
    operation: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Backend { operation, source: Box::new(source) }
}

enum OpenFailure {
    /// The system's fault, such as a full disk: the files stay where they are.
    Io(String),
    Damaged(String),
}

fn open_guarded(path: &Path) -> Result<sled::Db, OpenFailure> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
        .mode(sled::Mode::HighThroughput);
    match std::panic::catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(sled::Error::Io(e))) if e.kind() != io::ErrorKind::UnexpectedEof => {
            Err(OpenFailure::Io(e.to_string()))
        }
        Ok(Err(error)) => Err(OpenFailure::Damaged(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(OpenFailure::Damaged(text.unwrap_or_else(|| "sled panicked".to_owned())))
        }
    }
}

/// Deletes nothing: what is damaged for sled may be readable for a person.
fn move_aside(path: &Path, message: String) -> OpenError {
    let free = (1..).map(|n| path.with_extension(format!("damaged-{n}"))).find(|p| !p.exists());
    // The range has no end, so one is free.
    let moved_to = free.unwrap_or_else(|| path.with_extension("damaged"));
    match std::fs::rename(path, &moved_to) {
        Ok(()) => OpenError::Damaged { path: path.to_owned(), moved_to, message },
        Err(e) => OpenError::Io {
            path: path.to_owned(),
            message: format!("it is damaged ({message}) and cannot be moved aside: {e}"),
        },
    }
}

pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
    Ok(rustix::fs::fsync(&dir)?)
}
