//! A disk in memory whose power can be cut before any operation, which can be full,
//! and whose files can be damaged.
//!
//! Every file has the content that programs see and the one that has reached the
//! medium; so has every directory. After a cut each sector of an unsynced content,
//! and each unsynced name, is lost or kept as the seed decides: a program may rely
//! only on what it synced.

use crate::Disk;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
struct File {
    seen: Vec<u8>,
    kept: Vec<u8>,
    /// Since the last sync: the medium may have the file empty.
    is_emptied: bool,
}

#[derive(Debug, Default)]
struct Medium {
    files: BTreeMap<u64, File>,
    seen_names: BTreeMap<PathBuf, u64>,
    kept_names: BTreeMap<PathBuf, u64>,
    next_inode: u64,
    operations: u64,
    /// Fail from this operation on.
    cut_at: Option<u64>,
    bytes_max: Option<usize>,
    /// Every write fails with this while it is set.
    write_error: Option<io::ErrorKind>,
}

#[derive(Debug, Default)]
pub struct SimDisk {
    medium: Mutex<Medium>,
}

impl SimDisk {
    fn medium(&self) -> MutexGuard<'_, Medium> {
        self.medium.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many have succeeded.
    pub fn operations(&self) -> u64 {
        self.medium().operations
    }

    /// Lets `count` more operations succeed.
    pub fn cut_power_after(&self, count: u64) {
        let mut medium = self.medium();
        medium.cut_at = Some(medium.operations + count);
    }

    /// How much all files together may hold.
    pub fn limit(&self, bytes_max: Option<usize>) {
        self.medium().bytes_max = bytes_max;
    }

    pub fn bytes(&self) -> usize {
        self.medium().bytes()
    }

    pub fn fail_writes(&self, kind: Option<io::ErrorKind>) {
        self.medium().write_error = kind;
    }

    /// Changes a byte behind the program's back. The file must exist.
    pub fn damage(&self, path: &Path) {
        let mut medium = self.medium();
        let inode = medium.seen_names[path];
        if let Some(file) = medium.files.get_mut(&inode) {
            let middle = file.seen.len() / 2;
            file.seen[middle] ^= 1;
            file.kept = file.seen.clone();
        }
    }

    pub fn exists(&self, path: &Path) -> bool {
        self.medium().seen_names.contains_key(path)
    }

    /// Power comes back: what was not synced is subject to `seed`.
    pub fn restart(&self, seed: u64) {
        let mut chance = Chance(seed);
        let mut medium = self.medium();
        let Medium { files, seen_names, kept_names, .. } = &mut *medium;
        for file in files.values_mut() {
            if file.seen != file.kept {
                file.seen = torn(file, &mut chance);
            }
            file.kept = file.seen.clone();
            file.is_emptied = false;
        }
        let paths: Vec<PathBuf> = seen_names.keys().chain(kept_names.keys()).cloned().collect();
        for path in paths {
            let (seen, kept) = (seen_names.get(&path).copied(), kept_names.get(&path).copied());
            if seen != kept && chance.roll(2) == 0 {
                match seen {
                    Some(inode) => kept_names.insert(path, inode),
                    None => kept_names.remove(&path),
                };
            }
        }
        *seen_names = kept_names.clone();
        medium.cut_at = None;
    }

    fn act<T>(&self, act: impl FnOnce(&mut Medium) -> io::Result<T>) -> io::Result<T> {
        let mut medium = self.medium();
        medium.count()?;
        act(&mut medium)
    }
}

/// Sector by sector the old or the new, and the length anywhere between, or less
/// where the file was emptied.
fn torn(file: &File, chance: &mut Chance) -> Vec<u8> {
    let long = file.seen.len().max(file.kept.len());
    let short = if file.is_emptied { 0 } else { file.seen.len().min(file.kept.len()) };
    let length = short + chance.roll((long - short) as u64 + 1) as usize;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let end = (bytes.len() + SECTOR_BYTES).min(length);
        let source = if chance.roll(2) == 0 { &file.kept } else { &file.seen };
        bytes.extend((bytes.len()..end).map(|at| source.get(at).copied().unwrap_or(0)));
    }
    bytes
}

/// SplitMix64.
pub struct Chance(pub u64);

impl Chance {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

impl Medium {
    fn count(&mut self) -> io::Result<()> {
        if self.cut_at.is_some_and(|at| self.operations >= at) {
            return Err(io::Error::other("the power is cut"));
        }
        self.operations += 1;
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.seen_names.values().map(|inode| self.files[inode].seen.len()).sum()
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        self.seen_names.get(path).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    fn put(&mut self, path: &Path, offset: usize, bytes: &[u8]) -> io::Result<()> {
        if let Some(kind) = self.write_error {
            return Err(kind.into());
        }
        let room = self.bytes_max.map(|max| max.saturating_sub(self.bytes()));
        let Self { files, seen_names, next_inode, .. } = self;
        let inode = *seen_names.entry(path.into()).or_insert_with(|| {
            *next_inode += 1;
            *next_inode
        });
        let content = &mut files.entry(inode).or_default().seen;
        let grows = (offset + bytes.len()).saturating_sub(content.len());
        let is_full = room.is_some_and(|room| grows > room);
        // As a real disk does: it takes what fits.
        let bytes = if is_full {
            &bytes[..bytes.len() - (grows - room.unwrap_or(0)).min(bytes.len())]
        } else {
            bytes
        };
        // Nothing written makes no file longer.
        if !bytes.is_empty() {
            let end = offset + bytes.len();
            content.resize(content.len().max(end), 0);
            content[offset..end].copy_from_slice(bytes);
        }
        if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.inode(path)?;
        let file = self.files.entry(inode).or_default();
        file.kept = file.seen.clone();
        file.is_emptied = false;
        Ok(())
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.act(|_| Ok(()))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        self.act(|medium| {
            let files = medium.seen_names.iter().filter(|(path, _)| path.parent() == Some(dir));
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            Ok(files.map(|(path, id)| (name(path), medium.files[id].seen.len() as u64)).collect())
        })
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        self.act(|medium| {
            let Ok(inode) = medium.inode(path) else { return Ok(None) };
            let bytes = medium.files[&inode].seen.clone();
            if bytes.len() as u64 > bytes_max {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(Some(bytes))
        })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.act(|medium| {
            if let (Ok(inode), None) = (medium.inode(path), medium.write_error) {
                let file = medium.files.entry(inode).or_default();
                file.seen.clear();
                file.is_emptied = true;
            }
            medium.put(path, 0, bytes)
        })
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.act(|medium| medium.put(path, offset as usize, bytes))
    }

    fn append(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // Two operations: the power can go between them.
        self.act(|medium| {
            medium.inode(path)?;
            medium.put(path, offset as usize, bytes)
        })?;
        self.act(|medium| medium.sync(path))
    }

    fn set_len(&self, path: &Path, len: u64) -> io::Result<()> {
        self.act(|medium| {
            let inode = medium.inode(path)?;
            medium.files.entry(inode).or_default().seen.resize(len as usize, 0);
            Ok(())
        })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.act(|medium| medium.sync(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(|medium| {
            let inode = medium.inode(from)?;
            medium.seen_names.remove(from);
            medium.seen_names.insert(to.into(), inode);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.act(|medium| {
            medium.seen_names.remove(path);
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.act(|medium| {
            let Medium { seen_names, kept_names, .. } = medium;
            kept_names.retain(|path, _| path.parent() != Some(dir));
            let seen = seen_names.iter().filter(|(path, _)| path.parent() == Some(dir));
            kept_names.extend(seen.map(|(path, inode)| (path.clone(), *inode)));
            Ok(())
        })
    }
}
