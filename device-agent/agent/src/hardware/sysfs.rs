//! Files that hold one number or one name, and the directories of sysfs that they are in.
//!
//! All is bounded: so many entries of a directory are looked at, and so much of a file.

use super::HardwareError;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A number or a name, with a line break.
const TEXT_BYTES_MAX: u64 = 64;
const ENTRIES_MAX: usize = 256;

/// What is in a directory and begins so, in order.
pub fn entries(dir: &Path, prefix: &str) -> Result<Vec<PathBuf>, HardwareError> {
    let entries = std::fs::read_dir(dir).map_err(on("list", dir))?;
    let begins = |entry: &std::fs::DirEntry| {
        entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes())
    };
    let found = entries.take(ENTRIES_MAX).filter_map(Result::ok).filter(begins);
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    // What ends in a number goes by that.
    paths.sort_by_cached_key(|path| (path.as_os_str().len(), path.clone()));
    Ok(paths)
}

/// The directories in this one of which one of these files holds the name.
pub fn named(dir: &Path, files: &[&str], name: &str) -> Result<Vec<PathBuf>, HardwareError> {
    let holds = |path: PathBuf| read_text(&path).is_ok_and(|text| text.trim() == name);
    let mut found = entries(dir, "")?;
    found.retain(|path| files.iter().any(|file| holds(path.join(file))));
    Ok(found)
}

pub fn read_number(path: &Path) -> Result<f64, HardwareError> {
    let number = read_text(path)?.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| HardwareError::NoNumber { path: path.into() })
}

pub fn read_text(path: &Path) -> Result<String, HardwareError> {
    let file = open(path, OpenOptions::new().read(true))?;
    let mut text = String::new();
    file.take(TEXT_BYTES_MAX).read_to_string(&mut text).map_err(on("read", path))?;
    Ok(text)
}

/// Without waiting, as a named pipe would have us do.
pub fn open(path: &Path, options: &mut OpenOptions) -> Result<File, HardwareError> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.custom_flags(flags).open(path).map_err(on("open", path))?;
    let metadata = file.metadata().map_err(on("look at", path))?;
    if metadata.is_file() {
        return Ok(file);
    }
    let source = io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file");
    Err(HardwareError::File { operation: "use", path: path.into(), source })
}

pub fn on(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HardwareError {
    let path = path.to_owned();
    move |source| HardwareError::File { operation, path, source }
}
