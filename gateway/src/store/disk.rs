//! The few operations on files that the journal needs, as a trait, so that tests
//! can cut the power before any of them, tear what was not synced, and fill the disk.
//!
//! What survives a cut: what [`Disk::append`] wrote once it returned, a file's
//! content once `sync` returned, its name once `sync_dir` of the directory
//! returned, and a `rename` wholly or not at all.

use super::sled_index::sync_dir;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

pub trait Disk: Send + Sync {
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Names and sizes of the files in a directory; nothing if it is missing.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;
    /// The whole file. The caller knows from `list` how large it may be.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;
    /// Makes or empties the file.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes there and syncs the content, through one descriptor: a fault of the
    /// medium is told only to descriptors that were open at the time.
    fn append(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn set_len(&self, path: &Path, len: u64) -> io::Result<()>;
    fn sync(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// No error if there is no such file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The files of this machine, readable only by the gateway's user.
#[derive(Debug, Clone, Copy)]
pub struct RealDisk;

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(e) => return Err(e),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > bytes_max {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        options.open(path)?.write_all_at(bytes, 0)
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(FILE_MODE);
        options.open(path)?.write_all_at(bytes, offset)
    }

    fn append(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.write_all_at(bytes, offset)?;
        file.sync_data()
    }

    fn set_len(&self, path: &Path, len: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_len(len)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        sync_dir(dir)
    }
}

/// Names that end so are leftovers of an interrupted [`put_file`].
pub const PART_SUFFIX: &str = ".part";

/// Puts a whole file in place of whatever is there: at any moment it is the old or
/// the new one. On an error nothing is left behind.
pub fn put_file(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let part = dir.join(format!("{name}{PART_SUFFIX}"));
    let put = || {
        disk.write(&part, bytes)?;
        disk.sync(&part)?;
        disk.rename(&part, &dir.join(name))?;
        disk.sync_dir(dir)
    };
    put().inspect_err(|_| {
        // The first error is the one to tell.
        let _ = disk.remove(&part);
    })
}

/// Whether this error says that there is no space, rather than that the disk is broken.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
