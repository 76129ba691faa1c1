//! Blobs as files, named by the SHA-256 of their content.
//!
//! A file is visible under its hash only when it is whole: it is written and
//! synced under another name, renamed, and the directory is synced. What a power
//! cut leaves of the other names is swept when the folder is opened.

use super::{Blobs, StoreError};
use durable_disk::{PART_SUFFIX, sync_dir};
use module_package::BlobId;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub struct FileBlobs {
    dir: PathBuf,
    /// Makes the names of unfinished files differ.
    next_part: AtomicU64,
}

impl FileBlobs {
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(PART_SUFFIX) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { dir: dir.to_owned(), next_part: AtomicU64::new(0) })
    }

    fn path_of(&self, blob: BlobId) -> PathBuf {
        self.dir.join(blob.to_string())
    }

    fn write(&self, blob: BlobId, bytes: &[u8]) -> io::Result<()> {
        let number = self.next_part.fetch_add(1, Ordering::Relaxed);
        let part = self.dir.join(format!("{blob}-{number}{PART_SUFFIX}"));
        let put = || {
            let mut file = File::create_new(&part)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&part, self.path_of(blob))?;
            sync_dir(&self.dir)
        };
        put().inspect_err(|_| {
            // A full disk is not to stay full of halves; the first error counts.
            let _ = fs::remove_file(&part);
        })
    }
}

impl Blobs for FileBlobs {
    fn put(&self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        let blob = BlobId::of(bytes);
        // A file of another size or content under this name is damaged: replace it.
        if self.size(blob) == Some(bytes.len() as u64) && self.get(blob).is_ok() {
            return Ok(blob);
        }
        self.write(blob, bytes).map_err(|source| error("write", blob, source))?;
        Ok(blob)
    }

    fn get(&self, blob: BlobId) -> Result<Vec<u8>, StoreError> {
        let bytes = fs::read(self.path_of(blob)).map_err(|e| error("read", blob, e))?;
        if BlobId::of(&bytes) != blob {
            let source = io::Error::other("the file's content has another hash");
            return Err(error("read", blob, source));
        }
        Ok(bytes)
    }

    fn get_range(&self, blob: BlobId, offset: u64, len: usize) -> Result<Vec<u8>, StoreError> {
        let read = || {
            let mut file = File::open(self.path_of(blob))?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::with_capacity(len);
            file.take(len as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| error("read", blob, e))
    }

    fn size(&self, blob: BlobId) -> Option<u64> {
        fs::metadata(self.path_of(blob)).ok().map(|metadata| metadata.len())
    }
}

fn error(operation: &'static str, blob: BlobId, source: io::Error) -> StoreError {
    StoreError::Blob { operation, blob, source }
}
