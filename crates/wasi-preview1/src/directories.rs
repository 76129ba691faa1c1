//! What a program begins with, and what is in a directory.

use crate::descriptors::{Descriptors, Kind, Listed, file_type, rights};
use crate::files::{file_type_of, put_cut};
use crate::guest::Guest;
use crate::{Errno, Failure, Outcome};
use cap_std::fs::{Dir, MetadataExt};

/// Most names that are told of one directory.
const LISTED_MAX: usize = 10_000;
/// `dirent`: number of the next, inode, length of the name at 16, kind at 20; the name
/// follows.
const DIRENT_BYTES: usize = 24;

fn preopened<'a>(descriptors: &'a Descriptors, guest: &Guest<'_>) -> Result<&'a str, Errno> {
    let descriptor = descriptors.get(guest.u32(0))?;
    match &descriptor.kind {
        Kind::Directory(directory) if directory.is_preopened => {
            let root = descriptors.roots.get(descriptor.root);
            root.map(|root| root.guest()).ok_or(Errno::Badf)
        }
        _ => Err(Errno::Badf),
    }
}

/// `prestat`: 0 for a directory, and the length of its path.
pub fn prestat(descriptors: &Descriptors, guest: &mut Guest<'_>) -> Outcome {
    // A manifest is far shorter than 4 GiB.
    let len = preopened(descriptors, guest)?.len() as u32;
    guest.put_u32(guest.u32(1), 0)?;
    guest.put_u32(guest.u32(1).saturating_add(4), len)
}

pub fn prestat_name(descriptors: &Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let path = preopened(descriptors, guest)?;
    let (address, len) = (guest.u32(1), guest.u32(2));
    if path.len() > len as usize {
        return Err(Errno::Nametoolong.into());
    }
    guest.put(address, path.as_bytes())
}

/// Entries from a number on, as many as fit; the last may be cut, and is then asked for
/// again. The number 0 looks into the directory, others go on in what was found then.
pub fn read(descriptors: &mut Descriptors, guest: &mut Guest<'_>) -> Outcome {
    let (fd, buffer, from) = (guest.u32(0), (guest.u32(1), guest.u32(2)), guest.u64(3));
    guest.check(buffer.0, buffer.1)?;
    let (dir, _) = descriptors.directory(fd, rights::FD_READDIR)?;
    let Kind::Directory(directory) = &mut descriptors.get_mut(fd)?.kind else {
        return Err(Errno::Notdir.into());
    };
    if from == 0 {
        directory.listing = list(&dir)?;
    }
    let mut written = 0;
    let skipped = usize::try_from(from).unwrap_or(usize::MAX);
    for (entry, next) in directory.listing.iter().zip(1u64..).skip(skipped) {
        let mut dirent = [0; DIRENT_BYTES];
        dirent[..8].copy_from_slice(&next.to_le_bytes());
        dirent[8..16].copy_from_slice(&entry.inode.to_le_bytes());
        dirent[16..20].copy_from_slice(&(entry.name.len() as u32).to_le_bytes());
        dirent[20] = entry.file_type;
        let fits = put_cut(guest, buffer, &mut written, &dirent)?
            && put_cut(guest, buffer, &mut written, entry.name.as_bytes())?;
        if !fits {
            break;
        }
    }
    guest.put_u32(guest.u32(4), written)
}

/// By name, so that two devices with the same files tell them in one order. A name that
/// is not UTF-8 cannot be said and is left out.
fn list(dir: &Dir) -> Result<Vec<Listed>, Failure> {
    let own = dir.dir_metadata()?.ino();
    let mut listing = Vec::new();
    for entry in dir.entries()? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Removed in the meantime.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let (inode, file_type) = (metadata.ino(), file_type_of(metadata.file_type()));
        listing.push(Listed { name, inode, file_type });
        if listing.len() > LISTED_MAX {
            return Err(Errno::Overflow.into());
        }
    }
    listing.sort_by(|a, b| a.name.cmp(&b.name));
    let dots = [".", ".."].map(|name| Listed {
        name: name.to_owned(),
        inode: own,
        file_type: file_type::DIRECTORY,
    });
    listing.splice(0..0, dots);
    Ok(listing)
}
