//! Functions on an open file, and on the streams.

use crate::descriptors::{Descriptors, FLAG_APPEND, Kind, file_type, rights};
use crate::guest::{Guest, after};
use crate::{End, Errno, Failure, Outcome, World};
use cap_std::fs::{FileExt, FileType, Metadata, MetadataExt};
use std::fs::FileTimes;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub fn advise(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    // Advice is free not to be taken.
    let advice_max = 5;
    if guest.u32(3) > advice_max {
        return Err(Errno::Inval.into());
    }
    descriptors.file(guest.u32(0), rights::FD_ADVISE)?;
    Ok(())
}

/// Room is not promised: quotas count what is there.
pub fn allocate(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    descriptors.file(guest.u32(0), rights::FD_WRITE)?;
    Err(Errno::Notsup.into())
}

pub fn sync(descriptors: &mut Descriptors, guest: &mut Guest<'_>, all: bool) -> Outcome {
    let fd = guest.u32(0);
    if let Kind::Directory(_) = descriptors.get(fd)?.kind {
        // Names are not synced one by one; the next sync of a file does no more either.
        return Ok(());
    }
    let open = descriptors.file(fd, if all { rights::FD_SYNC } else { rights::FD_DATASYNC })?;
    if all {
        open.file.sync_all()?
    } else {
        open.file.sync_data()?
    }
    Ok(())
}

pub fn filestat(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let to = guest.u32(1);
    let descriptor = descriptors.get(guest.u32(0))?;
    if descriptor.rights & rights::FD_FILESTAT_GET == 0 {
        return Err(Errno::Notcapable.into());
    }
    let metadata = match &descriptor.kind {
        Kind::Input | Kind::Output(_) => {
            let mut stat = [0; FILESTAT_BYTES];
            (stat[16], stat[24]) = (file_type::CHARACTER_DEVICE, 1);
            return guest.put(to, &stat);
        }
        Kind::Directory(directory) => directory.dir.dir_metadata()?,
        Kind::File(open) => open.file.metadata()?,
    };
    guest.put(to, &filestat_bytes(&metadata))
}

const FILESTAT_BYTES: usize = 64;

/// `filestat`: device, inode, kind at 16, links at 24, size at 32, then the times of the
/// last access, of the last change of content, and of the file itself.
pub fn filestat_bytes(metadata: &Metadata) -> [u8; FILESTAT_BYTES] {
    let mut stat = [0; FILESTAT_BYTES];
    let mut put = |at: usize, number: u64| stat[at..at + 8].copy_from_slice(&number.to_le_bytes());
    put(0, metadata.dev());
    put(8, metadata.ino());
    put(24, metadata.nlink());
    put(32, metadata.len());
    put(40, to_ns(metadata.atime(), metadata.atime_nsec()));
    put(48, to_ns(metadata.mtime(), metadata.mtime_nsec()));
    put(56, to_ns(metadata.ctime(), metadata.ctime_nsec()));
    stat[16] = file_type_of(metadata.file_type());
    stat
}

pub fn file_type_of(found: FileType) -> u8 {
    match found {
        found if found.is_dir() => file_type::DIRECTORY,
        found if found.is_file() => file_type::REGULAR_FILE,
        found if found.is_symlink() => file_type::SYMBOLIC_LINK,
        _ => file_type::UNKNOWN,
    }
}

fn to_ns(s: i64, ns: i64) -> u64 {
    let s = u64::try_from(s).unwrap_or(0);
    s.saturating_mul(1_000_000_000).saturating_add(u64::try_from(ns).unwrap_or(0))
}

pub fn set_size(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let (fd, size) = (guest.u32(0), guest.u64(1));
    let open = descriptors.file(fd, rights::FD_FILESTAT_SET_SIZE)?;
    let before = open.file.metadata()?.len();
    grow(descriptors, fd, size.saturating_sub(before))?;
    let open = descriptors.file(fd, rights::FD_FILESTAT_SET_SIZE)?;
    Ok(open.file.set_len(size)?)
}

/// Takes room of the quota for what a file will be longer.
fn grow(descriptors: &mut Descriptors, fd: u32, bytes: u64) -> Result<(), Errno> {
    if bytes == 0 {
        return Ok(());
    }
    let index = descriptors.get(fd)?.root;
    descriptors.reserve(index, bytes, 0)
}

pub fn set_times(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let times = Times::of(guest, 1)?;
    let open = descriptors.file(guest.u32(0), rights::FD_FILESTAT_SET_TIMES)?;
    times.set(&open.file)
}

/// Two times and which of them are to be set, as three arguments say.
pub struct Times {
    access: Option<SystemTime>,
    change: Option<SystemTime>,
}

impl Times {
    pub fn of(guest: &Guest<'_>, at: usize) -> Result<Self, Errno> {
        let flags = guest.u32(at + 2);
        let of = |given: u64, set: u32, now: u32| match (flags & set != 0, flags & now != 0) {
            (true, true) => Err(Errno::Inval),
            (true, false) => {
                UNIX_EPOCH.checked_add(Duration::from_nanos(given)).map(Some).ok_or(Errno::Inval)
            }
            (false, true) => Ok(Some(SystemTime::now())),
            (false, false) => Ok(None),
        };
        if flags > 0b1111 {
            return Err(Errno::Inval);
        }
        Ok(Self { access: of(guest.u64(at), 1, 2)?, change: of(guest.u64(at + 1), 4, 8)? })
    }

    pub fn set(&self, file: &cap_std::fs::File) -> Outcome {
        let mut times = FileTimes::new();
        if let Some(access) = self.access {
            times = times.set_accessed(access);
        }
        if let Some(change) = self.change {
            times = times.set_modified(change);
        }
        Ok(file.try_clone()?.into_std().set_times(times)?)
    }
}

pub fn read(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let fd = guest.u32(0);
    let vectors = guest.vectors(1)?;
    // Its input is empty and has come to its end.
    let is_input = matches!(descriptors.get(fd)?.kind, Kind::Input);
    let read = if is_input {
        0
    } else {
        let open = descriptors.file(fd, rights::FD_READ).map_err(not_a_stream)?;
        let read = read_into(&open.file, open.position, &vectors, guest)?;
        open.position = open.position.saturating_add(read.into());
        read
    };
    guest.put_u32(guest.u32(3), read)
}

pub fn read_at(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let vectors = guest.vectors(1)?;
    let open = descriptors.file(guest.u32(0), rights::FD_READ | rights::FD_SEEK)?;
    let read = read_into(&open.file, guest.u64(3), &vectors, guest)?;
    guest.put_u32(guest.u32(4), read)
}

/// What cannot be read or written at all is no open file for that.
fn not_a_stream(errno: Errno) -> Errno {
    if errno == Errno::Spipe { Errno::Badf } else { errno }
}

fn read_into(
    file: &cap_std::fs::File,
    mut position: u64,
    vectors: &[(u32, u32)],
    guest: &mut Guest<'_>,
) -> Result<u32, Failure> {
    // Kernels count a file's places in an i64.
    if i64::try_from(position).is_err() {
        return Err(Errno::Inval.into());
    }
    let mut total = 0;
    for (address, len) in vectors {
        let place = guest.slice(*address, *len)?;
        let read = file.read_at(place, position)?;
        // At most `len`, and all of them at most a megabyte.
        total += read as u32;
        position = position.saturating_add(read as u64);
        if read < *len as usize {
            break;
        }
    }
    Ok(total)
}

pub fn write(
    descriptors: &mut Descriptors,
    guest: &mut Guest<'_>,
    world: &mut dyn World,
) -> Outcome {
    let fd = guest.u32(0);
    let vectors = guest.vectors(1)?;
    let descriptor = descriptors.get(fd)?;
    if let Kind::Output(stream) = descriptor.kind {
        if descriptor.rights & rights::FD_WRITE == 0 {
            return Err(Errno::Notcapable.into());
        }
        let mut total = 0;
        for (address, len) in vectors {
            let bytes = guest.slice(address, len)?;
            world.write(stream, bytes).map_err(|why| Failure::End(End::Trap(why)))?;
            total += len;
        }
        return guest.put_u32(guest.u32(3), total);
    }
    let open = descriptors.file(fd, rights::FD_WRITE).map_err(not_a_stream)?;
    let position = match open.flags & FLAG_APPEND {
        0 => open.position,
        _ => open.file.metadata()?.len(),
    };
    let written = write_from(descriptors, fd, position, &vectors, guest)?;
    let open = descriptors.file(fd, rights::FD_WRITE)?;
    open.position = position.saturating_add(written.into());
    guest.put_u32(guest.u32(3), written)
}

pub fn write_at(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let (fd, position) = (guest.u32(0), guest.u64(3));
    let vectors = guest.vectors(1)?;
    descriptors.file(fd, rights::FD_WRITE | rights::FD_SEEK)?;
    let written = write_from(descriptors, fd, position, &vectors, guest)?;
    guest.put_u32(guest.u32(4), written)
}

fn write_from(
    descriptors: &mut Descriptors,
    fd: u32,
    mut position: u64,
    vectors: &[(u32, u32)],
    guest: &mut Guest<'_>,
) -> Result<u32, Failure> {
    let len: u64 = vectors.iter().map(|(_, len)| u64::from(*len)).sum();
    let end = position.checked_add(len).ok_or(Errno::Fbig)?;
    if i64::try_from(end).is_err() {
        return Err(Errno::Fbig.into());
    }
    let open = descriptors.file(fd, rights::FD_WRITE)?;
    let before = open.file.metadata()?.len();
    if len > 0 {
        grow(descriptors, fd, end.saturating_sub(before))?;
    }
    let open = descriptors.file(fd, rights::FD_WRITE)?;
    let mut total = 0;
    for (address, len) in vectors {
        let bytes = guest.slice(*address, *len)?;
        let written = open.file.write_at(bytes, position)?;
        total += written as u32;
        position = position.saturating_add(written as u64);
        if written < *len as usize {
            break;
        }
    }
    Ok(total)
}

/// `whence`.
const FROM_START: u32 = 0;
const FROM_HERE: u32 = 1;
const FROM_END: u32 = 2;

pub fn seek(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let (offset, whence) = (guest.u64(1).cast_signed(), guest.u32(2));
    let open = descriptors.file(guest.u32(0), rights::FD_SEEK).map_err(|errno| match errno {
        Errno::Isdir => Errno::Badf,
        // A stream has no right to it because it has no place.
        Errno::Notcapable => Errno::Spipe,
        other => other,
    })?;
    let base = match whence {
        FROM_START => 0,
        FROM_HERE => open.position,
        FROM_END => open.file.metadata()?.len(),
        _ => return Err(Errno::Inval.into()),
    };
    let position = base.checked_add_signed(offset).filter(|at| i64::try_from(*at).is_ok());
    open.position = position.ok_or(Errno::Inval)?;
    let position = open.position;
    guest.put_u64(guest.u32(3), position)
}

pub fn tell(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let open = descriptors
        .file(guest.u32(0), rights::FD_TELL)
        .map_err(|errno| if errno == Errno::Notcapable { Errno::Spipe } else { errno })?;
    let position = open.position;
    guest.put_u64(guest.u32(1), position)
}

/// Into a buffer of the guest's, of which what fits is written; how much that was.
pub fn put_cut(
    guest: &mut Guest<'_>,
    (address, len): (u32, u32),
    written: &mut u32,
    bytes: &[u8],
) -> Result<bool, Failure> {
    let room = (len - *written) as usize;
    let fits = bytes.len().min(room);
    guest.put(after(address, *written), &bytes[..fits])?;
    // At most `len`.
    *written += fits as u32;
    Ok(fits == bytes.len())
}
