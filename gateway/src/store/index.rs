//! The index: the records as they stand, made from the journal and made again from
//! it whenever it is damaged. It follows the journal and is never ahead of it.

use super::journal::{Entries, Entry};
use audit_chain::Position;
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
#[error("{operation} the index: {message}")]
pub struct IndexError {
    pub operation: &'static str,
    pub message: String,
    pub is_full: bool,
}

pub trait Index: Send {
    /// The record up to which it has taken up the journal; `None` in one that was
    /// just made, or that is from before there was a journal.
    fn applied(&self) -> Result<Option<Position>, IndexError>;
    fn entries(&self) -> Result<Entries, IndexError>;
    /// All of these or none.
    fn apply(&mut self, entries: &[Entry], applied: Position) -> Result<(), IndexError>;
    /// Called when there is time. What was not flushed is in the journal.
    fn flush(&mut self) -> Result<(), IndexError>;
}

/// Where an index is kept.
pub trait IndexPlace: Send {
    fn open(&self) -> Result<Box<dyn Index>, IndexError>;
    fn exists(&self) -> bool;
    /// Moves what is there away, and deletes nothing.
    fn set_aside(&self) -> io::Result<PathBuf>;
}

#[cfg(test)]
pub mod memory {
    //! An index that is lost at each restart.

    use super::*;

    #[derive(Default)]
    pub struct MemoryPlace;

    #[derive(Default)]
    struct MemoryIndex {
        entries: Entries,
        applied: Option<Position>,
    }

    impl IndexPlace for MemoryPlace {
        fn open(&self) -> Result<Box<dyn Index>, IndexError> {
            Ok(Box::new(MemoryIndex::default()))
        }

        fn exists(&self) -> bool {
            false
        }

        fn set_aside(&self) -> io::Result<PathBuf> {
            Ok(PathBuf::new())
        }
    }

    impl Index for MemoryIndex {
        fn applied(&self) -> Result<Option<Position>, IndexError> {
            Ok(self.applied)
        }

        fn entries(&self) -> Result<Entries, IndexError> {
            Ok(self.entries.clone())
        }

        fn apply(&mut self, entries: &[Entry], applied: Position) -> Result<(), IndexError> {
            for (key, value) in entries {
                match value {
                    Some(value) => drop(self.entries.insert(key.clone(), value.clone())),
                    None => drop(self.entries.remove(key)),
                }
            }
            self.applied = Some(applied);
            Ok(())
        }

        fn flush(&mut self) -> Result<(), IndexError> {
            Ok(())
        }
    }
}
