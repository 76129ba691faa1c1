//! The directories that a program begins with, and how full each is.
//!
//! What is written is counted upwards only: shrinking and removing do not lower the
//! count, because who else holds a file cannot be seen from here. Where the count reaches
//! the quota, the directory is measured anew, with files that are open and have no name
//! any more.

use crate::Errno;
use cap_std::fs::{Dir, File, MetadataExt};
use std::io;
use std::rc::Rc;

/// What each name takes beside the bytes of its file.
const ENTRY_BYTES: u64 = 256;
/// Most names below one directory that may be written: each takes an inode.
const ENTRIES_MAX: u64 = 1024;
/// How deep it is measured; what is deeper counts as full.
const DEPTH_MAX: usize = 32;

pub struct Root {
    dir: Rc<Dir>,
    guest: String,
    bytes_max: Option<u64>,
    is_private: bool,
    /// An upper bound; `None` before it was first measured.
    used: Option<Used>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    bytes: u64,
    entries: u64,
}

impl Root {
    /// `guest` is the path by which the program finds it, `bytes_max` what it may hold at
    /// most; where there is none, nothing is written. In a private one nobody else follows
    /// links, so the program may make them.
    pub fn new(dir: Rc<Dir>, guest: &str, bytes_max: Option<u64>, is_private: bool) -> Self {
        Self { dir, guest: guest.to_owned(), bytes_max, is_private, used: None }
    }

    pub fn dir(&self) -> Rc<Dir> {
        Rc::clone(&self.dir)
    }

    pub fn guest(&self) -> &str {
        &self.guest
    }

    pub fn is_writable(&self) -> bool {
        self.bytes_max.is_some()
    }

    pub fn is_private(&self) -> bool {
        self.is_private && self.is_writable()
    }

    /// Takes room for so many more bytes and names, before they are made.
    pub fn reserve<'a>(
        &mut self,
        bytes: u64,
        entries: u64,
        open: impl Iterator<Item = &'a File>,
    ) -> Result<(), Errno> {
        let Some(bytes_max) = self.bytes_max else { return Err(Errno::Rofs) };
        let bytes = bytes.saturating_add(entries * ENTRY_BYTES);
        let fits = |used: Used| {
            let after =
                Used { bytes: used.bytes.saturating_add(bytes), entries: used.entries + entries };
            (after.bytes <= bytes_max && after.entries <= ENTRIES_MAX).then_some(after)
        };
        if let Some(after) = self.used.and_then(fits) {
            self.used = Some(after);
            return Ok(());
        }
        let measured = self.measure(open)?;
        self.used = Some(fits(measured).unwrap_or(measured));
        fits(measured).map(drop).ok_or(Errno::Dquot)
    }

    fn measure<'a>(&self, open: impl Iterator<Item = &'a File>) -> Result<Used, Errno> {
        let mut used = Used::default();
        let measured = measure(&self.dir, DEPTH_MAX, &mut used);
        measured.map_err(|e| Errno::from(&e))?;
        for file in open {
            let metadata = file.metadata().map_err(|e| Errno::from(&e))?;
            if metadata.nlink() == 0 {
                used.bytes = used.bytes.saturating_add(metadata.len());
            }
        }
        Ok(used)
    }
}

fn measure(dir: &Dir, depth_left: usize, used: &mut Used) -> io::Result<()> {
    for entry in dir.entries()? {
        let entry = entry?;
        used.entries += 1;
        used.bytes = used.bytes.saturating_add(ENTRY_BYTES);
        if used.entries > ENTRIES_MAX {
            return Ok(());
        }
        let file_type = entry.file_type()?;
        if file_type.is_dir() {
            if depth_left == 0 {
                used.entries = ENTRIES_MAX + 1;
                return Ok(());
            }
            measure(&entry.open_dir()?, depth_left - 1, used)?;
        } else {
            // Of a link itself, not of what it names.
            used.bytes = used.bytes.saturating_add(entry.metadata()?.len());
        }
    }
    Ok(())
}
