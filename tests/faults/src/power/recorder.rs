//! A file system in user space with one file, the disk, which remembers every write
//! and every flush.

use anyhow::Context;
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyWrite, Request, WriteFlags,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

#[derive(Debug, Clone)]
pub enum Entry {
    Write {
        offset: u64,
        bytes: Vec<u8>,
    },
    /// All writes before it are on the medium.
    Flush,
}

#[derive(Debug)]
struct Recording {
    image: Vec<u8>,
    entries: Vec<Entry>,
}

/// Ends the file system with its value, if nothing uses it any more.
pub struct Recorder {
    recording: Arc<Mutex<Recording>>,
    file: PathBuf,
    _session: BackgroundSession,
}

const NAME: &str = "disk";
const DISK: INodeNo = INodeNo(2);
/// Nothing changes behind the kernel's back.
const TTL: Duration = Duration::from_secs(3_600);

impl Recorder {
    /// A disk that begins with this image, below an empty folder.
    pub fn start(folder: &Path, image: Vec<u8>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let recording = Arc::new(Mutex::new(Recording { image, entries: vec![] }));
        let disk = Disk { recording: recording.clone() };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("farrier-faults".into())];
        let session = fuser::spawn_mount(disk, folder, &config)
            .with_context(|| format!("mount a file system at {}", folder.display()))?;
        Ok(Self { recording, file: folder.join(NAME), _session: session })
    }

    /// The disk as a file, for a loop device.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How many writes and flushes there were.
    pub fn count(&self) -> usize {
        lock(&self.recording).entries.len()
    }

    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.recording).entries.clone()
    }
}

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Disk {
    recording: Arc<Mutex<Recording>>,
}

impl Disk {
    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (size, kind, perm) = match inode {
            INodeNo::ROOT => (0, FileType::Directory, 0o700),
            DISK => (lock(&self.recording).image.len() as u64, FileType::RegularFile, 0o600),
            _ => return None,
        };
        Some(FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4_096,
        })
    }
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.attributes(DISK).filter(|_| name == NAME) {
            Some(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&TTL, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let recording = lock(&self.recording);
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(recording.image.len());
        let end = start.saturating_add(size as usize).min(recording.image.len());
        reply.data(&recording.image[start..end]);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut recording = lock(&self.recording);
        let range = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(data.len())?;
            (end <= recording.image.len()).then_some(start..end)
        });
        let Some(range) = range else { return reply.error(Errno::ENOSPC) };
        recording.image[range].copy_from_slice(data);
        recording.entries.push(Entry::Write { offset, bytes: data.to_vec() });
        // A write has no more than the kernel's largest request.
        reply.written(data.len() as u32);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A closed descriptor is no flush of the disk.
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        lock(&self.recording).entries.push(Entry::Flush);
        reply.ok();
    }
}
