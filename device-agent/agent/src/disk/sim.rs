//! A disk in memory whose power can be cut before any operation.
//!
//! Every file has the content that programs see and the one that has reached the
//! medium; so has every directory. After a cut each unsynced content and name is
//! lost, kept or half kept, as the seed decides: a program may rely only on what
//! it synced.

use super::Disk;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Default)]
struct File {
    seen: Vec<u8>,
    kept: Vec<u8>,
}

type Inode = u64;

#[derive(Debug, Default)]
struct Medium {
    files: BTreeMap<Inode, File>,
    seen_names: BTreeMap<PathBuf, Inode>,
    kept_names: BTreeMap<PathBuf, Inode>,
    next_inode: Inode,
    operations: u64,
    /// Fail from this operation on.
    cut_at: Option<u64>,
    /// Every write fails with this while it is set.
    write_error: Option<io::ErrorKind>,
}

#[derive(Debug, Default)]
pub struct SimDisk {
    medium: RefCell<Medium>,
}

impl SimDisk {
    pub fn operations(&self) -> u64 {
        self.medium.borrow().operations
    }

    /// Lets `count` more operations succeed.
    pub fn cut_power_after(&self, count: u64) {
        let mut medium = self.medium.borrow_mut();
        medium.cut_at = Some(medium.operations + count);
    }

    pub fn fail_writes(&self, kind: Option<io::ErrorKind>) {
        self.medium.borrow_mut().write_error = kind;
    }

    /// Power comes back: what was not synced is subject to `seed`.
    pub fn restart(&self, seed: u64) {
        let mut chance = Chance(seed);
        let mut medium = self.medium.borrow_mut();
        let Medium { files, seen_names, kept_names, .. } = &mut *medium;
        for file in files.values_mut() {
            if file.seen != file.kept {
                file.seen = match chance.roll(3) {
                    0 => file.kept.clone(),
                    1 => file.seen.clone(),
                    _ => half_written(file, &mut chance),
                };
            }
            file.kept = file.seen.clone();
        }
        // Names come back in no order of their making.
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

    /// Changes a byte behind the program's back.
    pub fn damage(&self, path: &Path) {
        let mut medium = self.medium.borrow_mut();
        let inode = medium.seen_names[path];
        let file = medium.files.get_mut(&inode).unwrap();
        let middle = file.seen.len() / 2;
        file.seen[middle] ^= 1;
        file.kept = file.seen.clone();
    }

    pub fn exists(&self, path: &Path) -> bool {
        self.medium.borrow().seen_names.contains_key(path)
    }

    fn act<T>(&self, act: impl FnOnce(&mut Medium) -> io::Result<T>) -> io::Result<T> {
        let mut medium = self.medium.borrow_mut();
        if medium.cut_at.is_some_and(|at| medium.operations >= at) {
            return Err(io::Error::other("the power is cut"));
        }
        medium.operations += 1;
        act(&mut medium)
    }
}

fn half_written(file: &File, chance: &mut Chance) -> Vec<u8> {
    let length = file.seen.len().max(file.kept.len());
    let byte = |index: usize, chance: &mut Chance| match chance.roll(2) {
        0 => file.kept.get(index).copied().unwrap_or(0),
        _ => file.seen.get(index).copied().unwrap_or(0),
    };
    let length = chance.roll(length as u64 + 1) as usize;
    (0..length).map(|index| byte(index, chance)).collect()
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

impl Medium {
    fn inode(&self, path: &Path) -> io::Result<Inode> {
        self.seen_names.get(path).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    fn open(&mut self, path: &Path) -> io::Result<&mut File> {
        if let Some(kind) = self.write_error {
            return Err(kind.into());
        }
        let Self { files, seen_names, next_inode, .. } = self;
        let inode = *seen_names.entry(path.into()).or_insert_with(|| {
            *next_inode += 1;
            *next_inode
        });
        Ok(files.entry(inode).or_default())
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
            medium.open(path)?.seen = bytes.to_vec();
            Ok(())
        })
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.act(|medium| {
            let content = &mut medium.open(path)?.seen;
            let end = offset as usize + bytes.len();
            content.resize(content.len().max(end), 0);
            content[offset as usize..end].copy_from_slice(bytes);
            Ok(())
        })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.act(|medium| {
            let inode = medium.inode(path)?;
            let file = medium.files.entry(inode).or_default();
            file.kept = file.seen.clone();
            Ok(())
        })
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
