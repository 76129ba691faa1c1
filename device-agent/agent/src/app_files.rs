//! Directories of programs: those of their own, on this device's disk, and those that its
//! owner has named for them.
//!
//! A program's own are below `app-files` in the data directory, by hashes of the
//! application's name and of the path that the program has for it. They survive restarts
//! and new versions, and go when the application leaves the manifest. What they may hold is
//! kept by the worker, which measures them; here it is only added up what was granted.
//!
//! Nobody but the agent gets at `app-files`; a worker gets a descriptor of its own. So the
//! mode of what is inside lets everybody write: two versions of one application, each under
//! a user id of its own, share it.

use crate::config::{Config, DirectoryConfig};
use crate::refusal::Refusal;
use device_protocol::RefusalCode;
use module_package::{AppEntry, BlobId, WasiDirectory, WasiPlace};
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

const FOLDER: &str = "app-files";

/// Open, for a worker.
pub struct OpenDirectory {
    pub file: File,
    pub is_writable: bool,
}

/// What is granted of a directory, on this device.
pub struct Granted<'a> {
    pub guest: &'a str,
    /// `None` where it may only be read.
    pub bytes_max: Option<u64>,
    pub is_private: bool,
}

pub fn directories_of(entry: &AppEntry) -> &[WasiDirectory] {
    let wasi = entry.provisions.as_ref().and_then(|given| given.wasi.as_ref());
    wasi.map_or(&[], |wasi| &wasi.directories)
}

pub fn granted<'a>(directory: &'a WasiDirectory, config: &Config) -> Granted<'a> {
    let guest = directory.guest.as_str();
    match &directory.place {
        WasiPlace::Private { bytes_max } => {
            Granted { guest, bytes_max: Some(u64::from(*bytes_max)), is_private: true }
        }
        WasiPlace::Host { name, read_only } => {
            let named = config.directories.iter().find(|named| named.name == *name);
            let writable = named.filter(|named| named.writable && !read_only);
            let bytes_max = writable.map(|named| named.bytes_max);
            Granted { guest, bytes_max, is_private: false }
        }
    }
}

/// Whether the device's owner lets it have them. `all`: of the manifest, of which those
/// before it in the alphabet come first.
pub fn check(entry: &AppEntry, all: &[AppEntry], config: &Config) -> Result<(), Refusal> {
    for directory in directories_of(entry) {
        let WasiPlace::Host { name, read_only } = &directory.place else { continue };
        let Some(named) = config.directories.iter().find(|named| named.name == *name) else {
            let has: Vec<&str> = config.directories.iter().map(|d| d.name.as_str()).collect();
            let detail = format!("no directory {name}; this device has [{}]", has.join(", "));
            return Err(Refusal::new(RefusalCode::NotGranted, detail));
        };
        if !read_only && !named.writable {
            let detail = format!(
                "directory {name} may only be read on this device; deploy with read_only = true"
            );
            return Err(Refusal::new(RefusalCode::NotGranted, detail));
        }
    }
    let bytes_of = |entry: &AppEntry| -> u64 {
        let places = directories_of(entry).iter().map(|directory| match directory.place {
            WasiPlace::Private { bytes_max } => u64::from(bytes_max),
            WasiPlace::Host { .. } => 0,
        });
        places.sum()
    };
    let wanted_bytes = bytes_of(entry);
    let others = all.iter().filter(|other| other.app < entry.app);
    let sum_bytes = others.map(bytes_of).sum::<u64>() + wanted_bytes;
    let bytes_max = config.app_files_bytes_max;
    if wanted_bytes == 0 || sum_bytes <= bytes_max {
        return Ok(());
    }
    let detail = format!(
        "{wanted_bytes} bytes of directories are asked for, {sum_bytes} together with other \
         applications; this device allows {bytes_max}"
    );
    Err(Refusal::new(RefusalCode::FilesNotGranted, detail))
}

/// Makes what is missing, and opens them in the order of the manifest.
pub fn open(entry: &AppEntry, config: &Config) -> Result<Vec<OpenDirectory>, Refusal> {
    let open = |directory: &WasiDirectory| {
        let path = match &directory.place {
            WasiPlace::Private { .. } => make_own(&config.data_dir, &entry.app, &directory.guest),
            WasiPlace::Host { name, .. } => path_of(&config.directories, name),
        };
        let opened = path.and_then(|path| {
            let file = File::open(&path)?;
            match file.metadata()?.is_dir() {
                true => Ok(file),
                false => Err(io::ErrorKind::NotADirectory.into()),
            }
        });
        let file = opened.map_err(|e| {
            let detail = format!("open the directory {} of {}: {e}", directory.guest, entry.app);
            Refusal::new(RefusalCode::Storage, detail)
        })?;
        Ok(OpenDirectory { file, is_writable: granted(directory, config).bytes_max.is_some() })
    };
    directories_of(entry).iter().map(open).collect()
}

fn path_of(directories: &[DirectoryConfig], name: &str) -> io::Result<PathBuf> {
    let found = directories.iter().find(|named| named.name == name);
    found.map(|named| named.path.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Names come from manifests; a hash is a safe name for any of them.
fn hashed(name: &str) -> String {
    BlobId::of(name.as_bytes()).to_string()
}

fn make_own(data_dir: &Path, app: &str, guest: &str) -> io::Result<PathBuf> {
    let all = data_dir.join(FOLDER);
    DirBuilder::new().recursive(true).mode(0o700).create(&all)?;
    let own = all.join(hashed(app)).join(hashed(guest));
    DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
    // Whatever the agent's own umask is.
    std::fs::set_permissions(&own, Permissions::from_mode(0o777))?;
    Ok(own)
}

/// Removes those of applications that are no longer on the device.
pub fn keep_only(data_dir: &Path, apps: &[&str]) -> Result<(), Refusal> {
    let kept: Vec<String> = apps.iter().map(|app| hashed(app)).collect();
    let remove = || -> io::Result<()> {
        let entries = match std::fs::read_dir(data_dir.join(FOLDER)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if !kept.iter().any(|kept| *kept == *entry.file_name().to_string_lossy()) {
                // It follows no links.
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    };
    remove().map_err(|e| {
        let detail = format!("remove the files of applications that have left: {e}");
        Refusal::new(RefusalCode::Storage, detail)
    })
}

#[cfg(test)]
#[path = "app_files_tests.rs"]
mod tests;
