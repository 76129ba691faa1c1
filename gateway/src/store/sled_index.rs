//! The index in sled 0.34.
//!
//! sled can panic on damaged files, at its opening and later, and can silently start
//! afresh where it cannot read the beginning of its file. So every call is guarded,
//! and nothing is believed that the journal does not say too (`local`).

use super::index::{Index, IndexError, IndexPlace};
use super::journal::{Entries, Entry};
use audit_chain::Position;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

/// sled's own default is a gigabyte; the records are in the rules' memory anyway.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// Where [`Position`] stands among the entries, whose keys all have a slash.
const APPLIED_KEY: &[u8] = b"applied";

pub struct SledPlace {
    pub path: PathBuf,
}

struct SledIndex {
    db: sled::Db,
}

impl IndexPlace for SledPlace {
    fn open(&self) -> Result<Box<dyn Index>, IndexError> {
        let config = sled::Config::new()
            .path(&self.path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let db = guarded("open", || config.open())?;
        Ok(Box::new(SledIndex { db }))
    }

    fn exists(&self) -> bool {
        self.path.exists()
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        let free = |n: u32| self.path.with_extension(format!("damaged-{n}"));
        // A thousand would be noticed before.
        let moved_to = (1..1_000).map(free).find(|path| !path.exists());
        let moved_to = moved_to.ok_or_else(|| io::Error::other("no name is free"))?;
        std::fs::rename(&self.path, &moved_to)?;
        durable_disk::sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(moved_to)
    }
}

impl Index for SledIndex {
    fn applied(&self) -> Result<Option<Position>, IndexError> {
        let Some(value) = guarded("read", || self.db.get(APPLIED_KEY))? else { return Ok(None) };
        let place = value.split_first_chunk::<8>().and_then(|(seq, hash)| {
            Some(Position { seq: u64::from_le_bytes(*seq), hash: hash.try_into().ok()? })
        });
        let message = "the place in the journal is not readable";
        place.map(Some).ok_or_else(|| error("read", message.to_owned(), false))
    }

    fn entries(&self) -> Result<Entries, IndexError> {
        let all = guarded("read", || self.db.iter().collect::<Result<Vec<_>, _>>())?;
        let entries = all.into_iter().filter(|(key, _)| key.as_ref() != APPLIED_KEY);
        Ok(entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
    }

    fn apply(&mut self, entries: &[Entry], applied: Position) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        for (key, value) in entries {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        batch.insert(APPLIED_KEY, [&applied.seq.to_le_bytes()[..], &applied.hash].concat());
        guarded("write", || self.db.apply_batch(batch))
    }

    fn flush(&mut self) -> Result<(), IndexError> {
        guarded("flush", || self.db.flush()).map(drop)
    }
}

fn guarded<T>(
    operation: &'static str,
    act: impl FnOnce() -> Result<T, sled::Error>,
) -> Result<T, IndexError> {
    match std::panic::catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(e)) => {
            let is_full = matches!(&e, sled::Error::Io(e) if durable_disk::is_full(e));
            Err(error(operation, e.to_string(), is_full))
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(error(operation, text.unwrap_or_else(|| "sled panicked".to_owned()), false))
        }
    }
}

fn error(operation: &'static str, message: String, is_full: bool) -> IndexError {
    IndexError { operation, message, is_full }
}
