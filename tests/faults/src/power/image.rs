//! From an image and what was written to it since to what a cut leaves of it.

use super::Entry;
use anyhow::{Context, ensure};
use fastrand::Rng;
use std::path::Path;
use std::process::Command;

const SECTOR_BYTES: usize = 512;

/// A new ext4 of so many bytes. The file is a place to work in.
pub fn make_image(file: &Path, bytes: u64) -> anyhow::Result<Vec<u8>> {
    std::fs::File::create(file)?.set_len(bytes)?;
    let mut command = Command::new("/usr/sbin/mkfs.ext4");
    // Tables are written now and not in the background, so that all writes that are
    // recorded come from what was done.
    command.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(file);
    let output = command.output().context("start mkfs.ext4")?;
    ensure!(output.status.success(), "mkfs.ext4: {}", String::from_utf8_lossy(&output.stderr));
    let image = std::fs::read(file)?;
    std::fs::remove_file(file)?;
    Ok(image)
}

/// The image after a cut behind these entries: all that came before the last flush, and
/// of each later write all, nothing or some sectors.
pub fn cut_image(mut image: Vec<u8>, entries: &[Entry], random: &mut Rng) -> Vec<u8> {
    let flushed = entries.iter().rposition(|entry| matches!(entry, Entry::Flush)).unwrap_or(0);
    // In one cut nearly all of the later writes arrived, in another nearly none.
    let lost_percent = random.u8(0..=100);
    for (index, entry) in entries.iter().enumerate() {
        let Entry::Write { offset, bytes } = entry else { continue };
        let is_lost = |random: &mut Rng| random.u8(0..100) < lost_percent;
        if index < flushed {
            write(&mut image, *offset, bytes);
        } else if random.u8(0..4) == 0 {
            for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                if !is_lost(random) {
                    write(&mut image, offset + (number * SECTOR_BYTES) as u64, sector);
                }
            }
        } else if !is_lost(random) {
            write(&mut image, *offset, bytes);
        }
    }
    image
}

/// The recorder let no write through that does not fit.
fn write(image: &mut [u8], offset: u64, bytes: &[u8]) {
    let start = offset as usize;
    image[start..start + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_of(offset: u64, byte: u8) -> Entry {
        Entry::Write { offset, bytes: vec![byte; 1_024] }
    }

    #[test]
    fn what_was_flushed_is_always_there_and_the_rest_not_always() {
        let entries = [write_of(0, 1), Entry::Flush, write_of(1_024, 2)];
        let (mut whole, mut lost, mut torn) = (0, 0, 0);
        for seed in 0..200 {
            let image = cut_image(vec![0; 2_048], &entries, &mut Rng::with_seed(seed));
            assert!(image[..1_024].iter().all(|byte| *byte == 1));
            match (image[1_024], image[2_047]) {
                (2, 2) => whole += 1,
                (0, 0) => lost += 1,
                _ => torn += 1,
            }
        }
        assert!(whole > 20 && lost > 20 && torn > 2, "{whole} {lost} {torn}");
    }
}
