//! Functions on a path below an open directory.

use crate::descriptors::{
    Descriptor, Descriptors, Directory, FLAG_APPEND, FLAG_NONBLOCK, Kind, OpenFile, rights,
};
use crate::files::{Times, filestat_bytes, put_cut};
use crate::guest::Guest;
use crate::{Errno, Failure, Outcome};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use std::rc::Rc;

/// `lookupflags.symlink_follow`.
const FOLLOW: u32 = 1;
/// `oflags`.
const CREATE: u32 = 1;
const DIRECTORY: u32 = 2;
const EXCLUSIVE: u32 = 4;
const TRUNCATE: u32 = 8;

pub fn create_directory(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let path = guest.path(1, 2)?;
    let (dir, root) = descriptors.directory(guest.u32(0), rights::PATH_CREATE_DIRECTORY)?;
    descriptors.reserve(root, 0, 1)?;
    Ok(dir.create_dir(path)?)
}

pub fn filestat(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let path = guest.path(2, 3)?;
    let (dir, _) = descriptors.directory(guest.u32(0), rights::PATH_FILESTAT_GET)?;
    let metadata = match guest.u32(1) & FOLLOW {
        0 => dir.symlink_metadata(path)?,
        _ => dir.metadata(path)?,
    };
    guest.put(guest.u32(4), &filestat_bytes(&metadata))
}

pub fn set_times(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let path = guest.path(2, 3)?;
    let times = Times::of(guest, 4)?;
    let (dir, _) = descriptors.directory(guest.u32(0), rights::PATH_FILESTAT_SET_TIMES)?;
    if guest.u32(1) & FOLLOW == 0 && dir.symlink_metadata(&path)?.is_symlink() {
        // A link's own times are of no use to anybody.
        return Err(Errno::Notsup.into());
    }
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(NO_WAIT);
    times.set(&dir.open_with(path, &options)?)
}

/// Opening a pipe in a directory of the device's owner would wait for its other end.
const NO_WAIT: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// Within one directory alone: a second name elsewhere could be one that may be written.
pub fn link(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let (from, to) = (guest.path(2, 3)?, guest.path(5, 6)?);
    let (from_dir, from_root) = descriptors.directory(guest.u32(0), rights::PATH_LINK_SOURCE)?;
    let (to_dir, to_root) = descriptors.directory(guest.u32(4), rights::PATH_LINK_TARGET)?;
    if from_root != to_root {
        return Err(Errno::Xdev.into());
    }
    if guest.u32(1) & FOLLOW != 0 {
        return Err(Errno::Inval.into());
    }
    descriptors.reserve(to_root, 0, 1)?;
    Ok(from_dir.hard_link(from, &to_dir, to)?)
}

pub fn open(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let (fd, lookup, path) = (guest.u32(0), guest.u32(1), guest.path(2, 3)?);
    let (oflags, flags) = (guest.u32(4), guest.u32(7));
    let (asked, asked_inheriting) = (guest.u64(5), guest.u64(6));
    guest.check(guest.u32(8), 4)?;
    let (dir, root) = descriptors.directory(fd, rights::PATH_OPEN)?;
    let inheriting = descriptors.get(fd)?.inheriting;
    if flags & !u32::from(FLAG_APPEND | FLAG_NONBLOCK) != 0 {
        // Whatever is to be on the disk at once is synced by the program.
        return Err(Errno::Notsup.into());
    }
    descriptors.check_room()?;
    if lookup & FOLLOW == 0 && dir.symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
        return Err(Errno::Loop.into());
    }
    let found = dir.metadata(&path).ok();
    let exists = found.is_some();
    let is_directory = found.as_ref().is_some_and(|found| found.is_dir());
    let writes = asked & rights::FD_WRITE != 0 || oflags & (CREATE | TRUNCATE) != 0;
    let descriptor = if is_directory || oflags & DIRECTORY != 0 {
        if oflags & EXCLUSIVE != 0 && is_directory {
            return Err(Errno::Exist.into());
        }
        if writes && (is_directory || oflags & CREATE != 0) {
            let errno = if oflags & DIRECTORY != 0 { Errno::Inval } else { Errno::Isdir };
            return Err(errno.into());
        }
        let dir = Rc::new(dir.open_dir(&path)?);
        let directory = Directory { dir, is_preopened: false, listing: Vec::new() };
        Descriptor {
            kind: Kind::Directory(directory),
            rights: asked & inheriting,
            inheriting: asked_inheriting & inheriting,
            root,
        }
    } else {
        if found.is_some_and(|found| !found.is_file()) {
            // Devices and pipes of the owner's.
            return Err(Errno::Notsup.into());
        }
        let open =
            open_file(descriptors, (&dir, root), (&path, exists), oflags, (asked, inheriting))?;
        let file = OpenFile { file: open, position: 0, flags: flags as u16 };
        Descriptor { kind: Kind::File(file), rights: asked & inheriting, inheriting: 0, root }
    };
    let number = descriptors.insert(descriptor)?;
    guest.put_u32(guest.u32(8), number)
}

fn open_file(
    descriptors: &mut Descriptors,
    (dir, root): (&Dir, usize),
    (path, exists): (&str, bool),
    oflags: u32,
    (asked, inheriting): (u64, u64),
) -> Result<cap_std::fs::File, Failure> {
    let writes = asked & rights::FD_WRITE != 0;
    let has = |flag: u32| oflags & flag != 0;
    let is_writable = descriptors.roots.get(root).is_some_and(|root| root.is_writable());
    if (writes || has(CREATE) || has(TRUNCATE)) && !is_writable {
        // Many a library asks to create what is there already; it then only reads.
        let only_reads = !writes && !has(TRUNCATE) && !has(EXCLUSIVE) && exists;
        if !only_reads {
            return Err(Errno::Rofs.into());
        }
    }
    let may = |right: u64| inheriting & right == right;
    if writes && !may(rights::FD_WRITE)
        || has(TRUNCATE) && !may(rights::FD_FILESTAT_SET_SIZE)
        || has(CREATE) && !may(rights::PATH_CREATE_FILE) && !exists
    {
        return Err(Errno::Notcapable.into());
    }
    let creates = has(CREATE) && is_writable;
    if creates && !exists {
        descriptors.reserve(root, 0, 1)?;
    }
    let mut options = OpenOptions::new();
    // The kernel wants one of the two, and writing to create or to cut.
    options.read(asked & rights::FD_READ != 0 || !writes);
    options.write(writes || creates || has(TRUNCATE));
    options.create(creates && !has(EXCLUSIVE)).create_new(creates && has(EXCLUSIVE));
    options.truncate(has(TRUNCATE)).custom_flags(NO_WAIT);
    let file = dir.open_with(path, &options)?;
    if !file.metadata()?.is_file() {
        return Err(Errno::Notsup.into());
    }
    Ok(file)
}

/// As much of the link's text as fits.
pub fn read_link(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let path = guest.path(1, 2)?;
    let buffer = (guest.u32(3), guest.u32(4));
    guest.check(buffer.0, buffer.1)?;
    let (dir, _) = descriptors.directory(guest.u32(0), rights::PATH_READLINK)?;
    // One that leads out of the directory is refused here, too.
    let target = dir.read_link(path)?;
    let target = target.to_str().ok_or(Errno::Ilseq)?;
    let mut written = 0;
    put_cut(guest, buffer, &mut written, target.as_bytes())?;
    guest.put_u32(guest.u32(5), written)
}

pub fn remove_directory(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let path = guest.path(1, 2)?;
    let (dir, _) = descriptors.directory(guest.u32(0), rights::PATH_REMOVE_DIRECTORY)?;
    Ok(dir.remove_dir(path)?)
}

/// Within one directory alone, as if each were a disk of its own: quotas are theirs.
pub fn rename(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let (from, to) = (guest.path(1, 2)?, guest.path(4, 5)?);
    let (from_dir, from_root) = descriptors.directory(guest.u32(0), rights::PATH_RENAME_SOURCE)?;
    let (to_dir, to_root) = descriptors.directory(guest.u32(3), rights::PATH_RENAME_TARGET)?;
    if from_root != to_root {
        return Err(Errno::Xdev.into());
    }
    Ok(from_dir.rename(from, &to_dir, to)?)
}

/// In private directories alone: others are read by who does not expect a link there.
pub fn symlink(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let (target, path) = (guest.path(0, 1)?, guest.path(3, 4)?);
    let (dir, root) = descriptors.directory(guest.u32(2), rights::PATH_SYMLINK)?;
    descriptors.reserve(root, target.len() as u64, 1)?;
    // `cap-std` refuses a target that begins at the system's root.
    Ok(dir.symlink(target, path)?)
}

pub fn unlink_file(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let path = guest.path(1, 2)?;
    let (dir, _) = descriptors.directory(guest.u32(0), rights::PATH_UNLINK_FILE)?;
    Ok(dir.remove_file(path)?)
}
