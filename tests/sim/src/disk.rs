//! A disk in memory that keeps equal blocks of different devices once: a thousand
//! devices with the same artifact of a megabyte take hardly more than one.

use durable_disk::Disk;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// As agents write: a block of an artifact at a time.
const PIECE_BYTES: usize = module_package::BLOCK_BYTES as usize;

/// What the disks of one thread share.
#[derive(Default)]
pub struct Pool(RefCell<HashMap<Sample, Vec<Rc<[u8]>>>>);

/// Length, first and last bytes: a hash of everything would cost as much as the
/// verification that is to be measured.
type Sample = (usize, [u8; 8], [u8; 8]);

fn sample_of(bytes: &[u8]) -> Sample {
    let (mut first, mut last) = ([0; 8], [0; 8]);
    let len = bytes.len().min(8);
    first[..len].copy_from_slice(&bytes[..len]);
    last[..len].copy_from_slice(&bytes[bytes.len() - len..]);
    (bytes.len(), first, last)
}

impl Pool {
    fn share(&self, bytes: &[u8]) -> Rc<[u8]> {
        let mut pool = self.0.borrow_mut();
        let alike = pool.entry(sample_of(bytes)).or_default();
        if let Some(known) = alike.iter().find(|known| ***known == *bytes) {
            return known.clone();
        }
        let new: Rc<[u8]> = bytes.into();
        alike.push(new.clone());
        new
    }
}

/// A file's pieces of [`PIECE_BYTES`], the last one shorter.
type Pieces = Vec<Rc<[u8]>>;

pub struct MemoryDisk {
    pool: Rc<Pool>,
    files: RefCell<BTreeMap<PathBuf, Pieces>>,
}

impl MemoryDisk {
    pub fn new(pool: Rc<Pool>) -> Self {
        Self { pool, files: RefCell::default() }
    }

    fn split(&self, bytes: &[u8]) -> Pieces {
        bytes.chunks(PIECE_BYTES).map(|piece| self.pool.share(piece)).collect()
    }
}

fn len_of(pieces: &Pieces) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

impl Disk for MemoryDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let files = self.files.borrow();
        let inside = files.iter().filter(|(path, _)| path.parent() == Some(dir));
        let entry = |(path, pieces): (&PathBuf, &Pieces)| {
            Some((path.file_name()?.to_str()?.to_owned(), len_of(pieces)))
        };
        Ok(inside.filter_map(entry).collect())
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let files = self.files.borrow();
        let Some(pieces) = files.get(path) else { return Ok(None) };
        if len_of(pieces) > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(pieces.concat()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let pieces = self.split(bytes);
        self.files.borrow_mut().insert(path.to_owned(), pieces);
        Ok(())
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files.borrow_mut();
        let pieces = files.entry(path.to_owned()).or_default();
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let (first, within) = (offset / PIECE_BYTES, offset % PIECE_BYTES);
        if within == 0 && bytes.len() <= PIECE_BYTES {
            while pieces.len() <= first {
                pieces.push(self.pool.share(&[0; PIECE_BYTES]));
            }
            let old = &pieces[first];
            let is_whole = bytes.len() == PIECE_BYTES || first + 1 == pieces.len();
            if is_whole || bytes.len() >= old.len() {
                pieces[first] = self.pool.share(bytes);
                return Ok(());
            }
        }
        let mut whole = pieces.concat();
        whole.resize(whole.len().max(offset + bytes.len()), 0);
        whole[offset..offset + bytes.len()].copy_from_slice(bytes);
        *pieces = self.split(&whole);
        Ok(())
    }

    fn append(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(path, offset, bytes)
    }

    fn set_len(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut files = self.files.borrow_mut();
        let pieces = files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        let mut whole = pieces.concat();
        whole.resize(usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?, 0);
        *pieces = self.split(&whole);
        Ok(())
    }

    fn sync(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.borrow_mut();
        let pieces = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), pieces);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.borrow_mut().remove(path);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_in_any_order_make_the_file_and_equal_ones_are_kept_once() {
        let pool = Rc::new(Pool::default());
        let bytes: Vec<u8> = (0..PIECE_BYTES * 3 + 5).map(|n| (n / 11) as u8).collect();
        let path = Path::new("/a/b");
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let disk = MemoryDisk::new(pool.clone());
            for index in order {
                let block = bytes.chunks(PIECE_BYTES).nth(index).unwrap();
                disk.write_at(path, (index * PIECE_BYTES) as u64, block).unwrap();
            }
            assert!(disk.read(path, 1 << 20).unwrap().unwrap() == bytes);
            assert_eq!(disk.list(Path::new("/a")).unwrap(), [("b".into(), bytes.len() as u64)]);
            assert!(disk.read(path, 9).is_err());
            disk.rename(path, Path::new("/a/c")).unwrap();
            assert_eq!(disk.read(path, 9).unwrap(), None);
        }
        // And the empty piece that stood for what had not come yet.
        let kept: usize = pool.0.borrow().values().map(Vec::len).sum();
        assert!(kept <= 5, "{kept}");
    }
}
