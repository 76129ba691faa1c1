//! The few operations on files that durable data needs, as a trait, so that tests
//! can cut the power before any of them, tear what was not synced, and fill the disk.
//!
//! What survives a cut: what [`Disk::append`] wrote once it returned, a file's
//! content once `sync` returned, its name once `sync_dir` of the directory
//! returned, and a `rename` wholly or not at all.

mod lock;
mod real;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
#[cfg(test)]
mod tests;

pub use lock::lock;
pub use real::{RealDisk, sync_dir};

use std::io;
use std::path::Path;

pub trait Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Names and sizes of the files in a directory; nothing if it is missing.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;
    /// `None` if there is no such file. A file of more than `bytes_max` is an error.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>>;
    /// Makes or empties the file.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file if it is missing, and makes it longer where that is needed.
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes into a file that exists and syncs the content, through one descriptor:
    /// a fault of the medium is told only to descriptors that were open at the time.
    fn append(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn set_len(&self, path: &Path, len: u64) -> io::Result<()>;
    fn sync(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// No error if there is no such file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// Names that end so are leftovers of an interrupted [`put_file`].
pub const PART_SUFFIX: &str = ".part";

/// Puts a whole file in place of whatever is there: at any moment it is the old or
/// the new one. On an error nothing is left behind, unless the power went.
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

/// Removes the leftovers.
pub fn sweep_parts(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for (name, _) in disk.list(dir)? {
        if name.ends_with(PART_SUFFIX) {
            disk.remove(&dir.join(name))?;
        }
    }
    Ok(())
}

/// Whether this error says that there is no space, rather than that the disk is broken.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
