//! The table of what is open: streams, directories and files, by number.

use crate::guest::Guest;
use crate::quota::Root;
use crate::{Errno, Outcome, Stream};
use cap_std::fs::{Dir, File};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Most of a program at a time. Its process may hold some more, see the worker's
/// `open-files-limit`.
pub const DESCRIPTORS_MAX: usize = 64;

/// `rights`, by the bits of `typenames.witx`.
pub mod rights {
    pub const FD_DATASYNC: u64 = 1 << 0;
    pub const FD_READ: u64 = 1 << 1;
    pub const FD_SEEK: u64 = 1 << 2;
    pub const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub const FD_SYNC: u64 = 1 << 4;
    pub const FD_TELL: u64 = 1 << 5;
    pub const FD_WRITE: u64 = 1 << 6;
    pub const FD_ADVISE: u64 = 1 << 7;
    pub const PATH_CREATE_DIRECTORY: u64 = 1 << 9;
    pub const PATH_CREATE_FILE: u64 = 1 << 10;
    pub const PATH_LINK_SOURCE: u64 = 1 << 11;
    pub const PATH_LINK_TARGET: u64 = 1 << 12;
    pub const PATH_OPEN: u64 = 1 << 13;
    pub const FD_READDIR: u64 = 1 << 14;
    pub const PATH_READLINK: u64 = 1 << 15;
    pub const PATH_RENAME_SOURCE: u64 = 1 << 16;
    pub const PATH_RENAME_TARGET: u64 = 1 << 17;
    pub const PATH_FILESTAT_GET: u64 = 1 << 18;
    pub const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
    pub const PATH_FILESTAT_SET_TIMES: u64 = 1 << 20;
    pub const FD_FILESTAT_GET: u64 = 1 << 21;
    pub const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    pub const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
    pub const PATH_SYMLINK: u64 = 1 << 24;
    pub const PATH_REMOVE_DIRECTORY: u64 = 1 << 25;
    pub const PATH_UNLINK_FILE: u64 = 1 << 26;
    pub const POLL_FD_READWRITE: u64 = 1 << 27;

    pub const OF_INPUT: u64 = FD_READ | FD_FILESTAT_GET | POLL_FD_READWRITE;
    pub const OF_OUTPUT: u64 = FD_WRITE | FD_FILESTAT_GET | POLL_FD_READWRITE;
    pub const READ_FILE: u64 = FD_READ
        | FD_SEEK
        | FD_TELL
        | FD_ADVISE
        | FD_FDSTAT_SET_FLAGS
        | FD_FILESTAT_GET
        | POLL_FD_READWRITE;
    pub const WRITE_FILE: u64 =
        FD_WRITE | FD_DATASYNC | FD_SYNC | FD_FILESTAT_SET_SIZE | FD_FILESTAT_SET_TIMES;
    pub const READ_DIRECTORY: u64 =
        PATH_OPEN | FD_READDIR | PATH_READLINK | PATH_FILESTAT_GET | FD_FILESTAT_GET | FD_SYNC;
    pub const WRITE_DIRECTORY: u64 = PATH_CREATE_DIRECTORY
        | PATH_CREATE_FILE
        | PATH_RENAME_SOURCE
        | PATH_RENAME_TARGET
        | PATH_FILESTAT_SET_SIZE
        | PATH_FILESTAT_SET_TIMES
        | PATH_REMOVE_DIRECTORY
        | PATH_UNLINK_FILE;
    /// Where nobody but the program follows what it makes.
    pub const LINK: u64 = PATH_LINK_SOURCE | PATH_LINK_TARGET | PATH_SYMLINK;
}

/// `filetype`.
pub mod file_type {
    pub const UNKNOWN: u8 = 0;
    pub const CHARACTER_DEVICE: u8 = 2;
    pub const DIRECTORY: u8 = 3;
    pub const REGULAR_FILE: u8 = 4;
    pub const SYMBOLIC_LINK: u8 = 7;
}

/// `fdflags`.
pub const FLAG_APPEND: u16 = 1;
pub const FLAG_NONBLOCK: u16 = 4;

pub enum Kind {
    Input,
    Output(Stream),
    Directory(Directory),
    File(OpenFile),
}

pub struct Directory {
    pub dir: Rc<Dir>,
    /// One of those that the program began with.
    pub is_preopened: bool,
    /// What was in it when it was last read from the beginning.
    pub listing: Vec<Listed>,
}

/// An entry of a directory.
pub struct Listed {
    pub name: String,
    pub inode: u64,
    pub file_type: u8,
}

pub struct OpenFile {
    pub file: File,
    pub position: u64,
    /// `fdflags`.
    pub flags: u16,
}

pub struct Descriptor {
    pub kind: Kind,
    pub rights: u64,
    pub inheriting: u64,
    /// In which of the roots it is; streams are in none.
    pub root: usize,
}

pub struct Descriptors {
    open: BTreeMap<u32, Descriptor>,
    pub roots: Vec<Root>,
}

impl Descriptors {
    pub fn new(has_output: bool, roots: Vec<Root>) -> Self {
        let stream = |kind, rights| Descriptor { kind, rights, inheriting: 0, root: usize::MAX };
        let mut open = BTreeMap::from([(0, stream(Kind::Input, rights::OF_INPUT))]);
        if has_output {
            open.insert(1, stream(Kind::Output(Stream::Output), rights::OF_OUTPUT));
            open.insert(2, stream(Kind::Output(Stream::Error), rights::OF_OUTPUT));
        }
        for (root, number) in roots.iter().zip(3..) {
            let index = (number - 3) as usize;
            open.insert(number, Descriptor::of_root(index, root));
        }
        Self { open, roots }
    }

    pub fn has(&self, fd: u32) -> bool {
        self.open.contains_key(&fd)
    }

    pub fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.open.get(&fd).ok_or(Errno::Badf)
    }

    pub fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.open.get_mut(&fd).ok_or(Errno::Badf)
    }

    /// The file behind it, if it may be used for all of this.
    pub fn file(&mut self, fd: u32, rights: u64) -> Result<&mut OpenFile, Errno> {
        let descriptor = self.open.get_mut(&fd).ok_or(Errno::Badf)?;
        descriptor.require(rights)?;
        match &mut descriptor.kind {
            Kind::File(file) => Ok(file),
            Kind::Directory(_) => Err(Errno::Isdir),
            Kind::Input | Kind::Output(_) => Err(Errno::Spipe),
        }
    }

    /// The directory behind it, and the number of its root.
    pub fn directory(&self, fd: u32, rights: u64) -> Result<(Rc<Dir>, usize), Errno> {
        let descriptor = self.get(fd)?;
        let Kind::Directory(directory) = &descriptor.kind else { return Err(Errno::Notdir) };
        descriptor.require_in(rights, self.roots.get(descriptor.root))?;
        Ok((Rc::clone(&directory.dir), descriptor.root))
    }

    /// Takes room of a root's quota, for so many more bytes and names.
    pub fn reserve(&mut self, root: usize, bytes: u64, entries: u64) -> Result<(), Errno> {
        let Self { open, roots } = self;
        let open_files = open.values().filter_map(|descriptor| match &descriptor.kind {
            Kind::File(open) if descriptor.root == root => Some(&open.file),
            _ => None,
        });
        roots.get_mut(root).ok_or(Errno::Badf)?.reserve(bytes, entries, open_files)
    }

    /// Makes sure that there is room for one more before anything is opened.
    pub fn check_room(&self) -> Result<(), Errno> {
        if self.open.len() < DESCRIPTORS_MAX { Ok(()) } else { Err(Errno::Mfile) }
    }

    /// Under the lowest free number.
    pub fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        self.check_room()?;
        let free = (0..).find(|number| !self.open.contains_key(number)).ok_or(Errno::Mfile)?;
        self.open.insert(free, descriptor);
        Ok(free)
    }

    pub fn close(&mut self, fd: u32) -> Outcome {
        self.open.remove(&fd).map(drop).ok_or(Errno::Badf.into())
    }

    /// The second number is the first one's afterwards, and what it was is closed.
    pub fn renumber(&mut self, from: u32, to: u32) -> Outcome {
        self.get(to)?;
        let moved = self.open.remove(&from).ok_or(Errno::Badf)?;
        self.open.insert(to, moved);
        Ok(())
    }

    /// `fdstat`: kind at 0, flags at 2, rights at 8 and, for what it opens, at 16.
    pub fn stat(&self, guest: &mut Guest<'_>) -> Outcome {
        let descriptor = self.get(guest.u32(0))?;
        let (file_type, flags) = match &descriptor.kind {
            // What a terminal would be, and so never buffered by whole blocks.
            Kind::Input | Kind::Output(_) => (file_type::CHARACTER_DEVICE, 0),
            Kind::Directory(_) => (file_type::DIRECTORY, 0),
            Kind::File(open) => (file_type::REGULAR_FILE, open.flags),
        };
        let mut stat = [0; 24];
        stat[0] = file_type;
        stat[2..4].copy_from_slice(&flags.to_le_bytes());
        stat[8..16].copy_from_slice(&descriptor.rights.to_le_bytes());
        stat[16..24].copy_from_slice(&descriptor.inheriting.to_le_bytes());
        guest.put(guest.u32(1), &stat)
    }

    /// Appending can be switched, and nothing blocks in any case.
    pub fn set_flags(&mut self, guest: &mut Guest<'_>) -> Outcome {
        let flags = guest.u32(1);
        let descriptor = self.get_mut(guest.u32(0))?;
        let allowed = u32::from(FLAG_APPEND | FLAG_NONBLOCK);
        match &mut descriptor.kind {
            Kind::Input | Kind::Output(_) if flags & !u32::from(FLAG_NONBLOCK) == 0 => Ok(()),
            Kind::File(open) if flags & !allowed == 0 => {
                if descriptor.rights & rights::FD_FDSTAT_SET_FLAGS == 0 {
                    return Err(Errno::Notcapable.into());
                }
                open.flags = flags as u16;
                Ok(())
            }
            _ => Err(Errno::Notsup.into()),
        }
    }

    /// Rights are given up and never gained.
    pub fn set_rights(&mut self, guest: &mut Guest<'_>) -> Outcome {
        let (rights, inheriting) = (guest.u64(1), guest.u64(2));
        let descriptor = self.get_mut(guest.u32(0))?;
        if rights & !descriptor.rights != 0 || inheriting & !descriptor.inheriting != 0 {
            return Err(Errno::Notcapable.into());
        }
        (descriptor.rights, descriptor.inheriting) = (rights, inheriting);
        Ok(())
    }

    /// What can be read before the end.
    pub fn bytes_left(&self, fd: u32) -> Result<u64, Errno> {
        match &self.get(fd)?.kind {
            Kind::File(open) => {
                let len = open.file.metadata().map_err(|e| Errno::from(&e))?.len();
                Ok(len.saturating_sub(open.position))
            }
            Kind::Input | Kind::Output(_) | Kind::Directory(_) => Ok(0),
        }
    }
}

impl Descriptor {
    fn of_root(index: usize, root: &Root) -> Self {
        let mut own = rights::READ_DIRECTORY;
        let mut of_files = rights::READ_FILE;
        if root.is_writable() {
            own |= rights::WRITE_DIRECTORY;
            of_files |= rights::WRITE_FILE;
        }
        if root.is_private() {
            own |= rights::LINK;
        }
        let directory = Directory { dir: root.dir(), is_preopened: true, listing: Vec::new() };
        Self {
            kind: Kind::Directory(directory),
            rights: own,
            inheriting: own | of_files,
            root: index,
        }
    }

    fn require(&self, rights: u64) -> Result<(), Errno> {
        if self.rights & rights == rights { Ok(()) } else { Err(Errno::Notcapable) }
    }

    /// What a directory cannot be written for is said as a file system would.
    fn require_in(&self, rights: u64, root: Option<&Root>) -> Result<(), Errno> {
        let writes = rights & (rights::WRITE_DIRECTORY | rights::LINK) != 0;
        if writes && root.is_some_and(|root| !root.is_writable()) {
            return Err(Errno::Rofs);
        }
        self.require(rights)
    }
}
