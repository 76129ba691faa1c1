//! Writes a command's result to the file that `-o` or `--object` names, whole or not at
//! all, and never over what the command has read.

use crate::failure::{Exit, Failure};
use std::fs::File;
use std::io::Write;
use std::path::Path;

pub fn write(input: &Path, output: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failure = || Failure::new(Exit::Failed, format!("write {}", output.display()));
    refuse_same(input, output)?;
    let mut file = File::create(output).map_err(|error| {
        failure().because(&error).or_try("a folder that exists and that you may write to")
    })?;
    file.write_all(bytes).map_err(|error| {
        // Half a file is worse than none; a device file or pipe stays.
        if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            let _ = std::fs::remove_file(output);
        }
        failure().because(&error)
    })
}

/// For a command that reads several files.
pub fn refuse_same(input: &Path, output: &Path) -> Result<(), Failure> {
    if !is_same_file(input, output) {
        return Ok(());
    }
    let message = format!("the output would replace the input {}", input.display());
    Err(Failure::new(Exit::Usage, message).or_try("another name for the output"))
}

/// Puts a file in place of one that may be there already, so that at every moment it is
/// the old one or the new one.
pub fn write_whole(output: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failure = || Failure::new(Exit::Failed, format!("write {}", output.display()));
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = output.with_file_name(name);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, output)
    });
    written.map_err(|error| {
        // Nothing of it stays; that it cannot be removed is no news.
        let _ = std::fs::remove_file(&part);
        failure().because(&error).or_try("a folder that exists and that you may write to")
    })
}

fn is_same_file(left: &Path, right: &Path) -> bool {
    match (left.canonicalize(), right.canonicalize()) {
        (Ok(left), Ok(right)) => left == right,
        // The output is yet to be made.
        _ => false,
    }
}
