//! A disk in memory that remembers every operation, and can be made again as it is
//! after any of them, with a torn tail.
//!
//! The stores of the agent and of the gateway run on it. What a cut leaves follows what
//! `durable_disk` promises: a file's content
//! once it was synced, a name once its directory was. All else may be there, be gone
//! or be there in part, as chance has it.

use durable_disk::Disk;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What changes the medium.
#[derive(Debug, Clone)]
pub enum Operation {
    Write { path: PathBuf, bytes: Vec<u8> },
    WriteAt { path: PathBuf, offset: usize, bytes: Vec<u8> },
    Sync(PathBuf),
    Rename { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
    SyncDir(PathBuf),
    SetLen { path: PathBuf, len: usize },
}

#[derive(Debug, Clone, Default)]
struct File {
    seen: Vec<u8>,
    /// What is surely on the medium.
    kept: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Medium {
    files: Vec<File>,
    seen_names: BTreeMap<PathBuf, usize>,
    kept_names: BTreeMap<PathBuf, usize>,
}

#[derive(Debug, Default)]
pub struct ReplayDisk {
    medium: Mutex<Medium>,
    operations: Mutex<Vec<Operation>>,
}

impl ReplayDisk {
    /// What was done so far.
    pub fn operations(&self) -> Vec<Operation> {
        lock(&self.operations).clone()
    }

    pub fn count(&self) -> usize {
        lock(&self.operations).len()
    }

    /// The disk after these operations and a cut. Of the last one, if it is a write,
    /// only a beginning may have been done.
    pub fn after_cut(operations: &[Operation], random: &mut Rng) -> Self {
        let mut medium = Medium::default();
        for operation in operations {
            medium.apply(operation);
        }
        if let Some(Operation::Write { path, bytes } | Operation::WriteAt { path, bytes, .. }) =
            operations.last()
            && let Some(&file) = medium.seen_names.get(path)
        {
            let File { seen, kept } = &mut medium.files[file];
            // What was there before the write stays: only its own bytes are torn.
            let length = seen.len() - random.usize(0..=bytes.len());
            let rest = seen.split_off(length);
            let end = kept.len().min(length + rest.len());
            seen.extend_from_slice(kept.get(length..end).unwrap_or_default());
        }
        medium.cut(random);
        Self { medium: Mutex::new(medium), operations: Mutex::default() }
    }

    /// Puts bytes on the medium behind the program's back.
    pub fn plant(&self, path: &Path, bytes: &[u8]) {
        let mut medium = lock(&self.medium);
        let file = medium.open(path);
        medium.files[file] = File { seen: bytes.to_vec(), kept: bytes.to_vec() };
        medium.kept_names.insert(path.into(), file);
    }

    fn act(&self, operation: Operation) -> io::Result<()> {
        let mut medium = lock(&self.medium);
        if let Operation::Sync(path) | Operation::Rename { from: path, .. } = &operation
            && !medium.seen_names.contains_key(path)
        {
            return Err(io::ErrorKind::NotFound.into());
        }
        medium.apply(&operation);
        lock(&self.operations).push(operation);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Medium {
    fn open(&mut self, path: &Path) -> usize {
        let Self { files, seen_names, .. } = self;
        *seen_names.entry(path.into()).or_insert_with(|| {
            files.push(File::default());
            files.len() - 1
        })
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Write { path, bytes } => {
                let file = self.open(path);
                self.files[file].seen = bytes.clone();
            }
            Operation::WriteAt { path, offset, bytes } => {
                let file = self.open(path);
                let content = &mut self.files[file].seen;
                content.resize(content.len().max(offset + bytes.len()), 0);
                content[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Operation::SetLen { path, len } => {
                let file = self.open(path);
                self.files[file].seen.resize(*len, 0);
            }
            Operation::Sync(path) => {
                let file = self.open(path);
                self.files[file].kept = self.files[file].seen.clone();
            }
            Operation::Rename { from, to } => {
                if let Some(file) = self.seen_names.remove(from) {
                    self.seen_names.insert(to.clone(), file);
                }
            }
            Operation::Remove(path) => {
                self.seen_names.remove(path);
            }
            Operation::SyncDir(dir) => {
                self.kept_names.retain(|path, _| path.parent() != Some(dir));
                let seen = self.seen_names.iter().filter(|(path, _)| path.parent() == Some(dir));
                self.kept_names.extend(seen.map(|(path, file)| (path.clone(), *file)));
            }
        }
    }

    fn cut(&mut self, random: &mut Rng) {
        for file in &mut self.files {
            if file.seen != file.kept {
                file.seen = match random.u8(0..3) {
                    0 => file.kept.clone(),
                    1 => file.seen.clone(),
                    _ => mixed(file, random),
                };
            }
            file.kept = file.seen.clone();
        }
        let paths: Vec<PathBuf> =
            self.seen_names.keys().chain(self.kept_names.keys()).cloned().collect();
        for path in paths {
            let (seen, kept) = (self.seen_names.get(&path), self.kept_names.get(&path));
            if seen != kept && random.bool() {
                match seen.copied() {
                    Some(file) => self.kept_names.insert(path, file),
                    None => self.kept_names.remove(&path),
                };
            }
        }
        self.seen_names = self.kept_names.clone();
    }
}

/// Each sector of the old content or of the new one, and an end anywhere between.
fn mixed(file: &File, random: &mut Rng) -> Vec<u8> {
    const SECTOR_BYTES: usize = 512;
    let (short, long) =
        (file.seen.len().min(file.kept.len()), file.seen.len().max(file.kept.len()));
    let mut bytes = vec![0; random.usize(short..=long)];
    for (number, sector) in bytes.chunks_mut(SECTOR_BYTES).enumerate() {
        let from = if random.bool() { &file.seen } else { &file.kept };
        for (index, byte) in sector.iter_mut().enumerate() {
            *byte = from.get(number * SECTOR_BYTES + index).copied().unwrap_or(0);
        }
    }
    bytes
}

impl Disk for ReplayDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let medium = lock(&self.medium);
        let files = medium.seen_names.iter().filter(|(path, _)| path.parent() == Some(dir));
        let named = files.filter_map(|(path, file)| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some((name, medium.files[*file].seen.len() as u64))
        });
        Ok(named.collect())
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let medium = lock(&self.medium);
        let Some(&file) = medium.seen_names.get(path) else { return Ok(None) };
        let bytes = medium.files[file].seen.clone();
        if bytes.len() as u64 > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(bytes))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.act(Operation::Write { path: path.into(), bytes: bytes.to_vec() })
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.act(Operation::WriteAt { path: path.into(), offset, bytes: bytes.to_vec() })
    }

    fn append(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(path, offset, bytes)?;
        self.sync(path)
    }

    fn set_len(&self, path: &Path, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.act(Operation::SetLen { path: path.into(), len })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::Sync(path.into()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(Operation::Rename { from: from.into(), to: to.into() })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::Remove(path.into()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.act(Operation::SyncDir(dir.into()))
    }
}
