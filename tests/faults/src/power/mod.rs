//! A disk whose power can be cut: what was written to it, block by block, and every
//! state that a cut may leave.
//!
//! ext4 lies on a loop device, whose backing file lies on a file system of our own in
//! user space (FUSE). So each block that ext4 writes and each flush that it asks the
//! disk for arrives here, in order. Nothing else was to be had: the kernels that these
//! tests meet have no device mapper, no NBD and no ublk.

mod image;
mod mount;
mod recorder;

pub use image::{cut_image, make_image};
pub use mount::{Mounted, Tmpfs, missing, tmpfs_missing};
pub use recorder::{Entry, Recorder};

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use std::fs::File;
    use std::io::Write;

    /// The cuts would prove nothing if they lost nothing, or lost what was synced.
    #[test]
    fn cuts_lose_what_was_not_synced_and_never_what_was() {
        if let Some(why) = missing() {
            return println!("skipped: {why}");
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let image = make_image(&at("new"), 16 << 20).unwrap();
        let recorder = Recorder::start(&at("blocks"), image.clone()).unwrap();
        let mounted = Mounted::start(recorder.file(), &at("mounted")).unwrap();
        let write = |name: &str| {
            let mut file = File::create(at("mounted").join(name)).unwrap();
            file.write_all(&[7; 40_000]).unwrap();
            file
        };
        write("synced").sync_all().unwrap();
        File::open(at("mounted")).unwrap().sync_all().unwrap();
        let promised = recorder.count();
        write("not-synced");
        // The unmounting writes it out, and so do cuts that come late enough find it.
        drop(mounted);
        let entries = recorder.entries();
        let mut lost = 0;
        for seed in 0..12 {
            let mut random = Rng::with_seed(seed);
            let cut = random.usize(promised..=entries.len());
            let left = cut_image(image.clone(), &entries[..cut], &mut random);
            std::fs::write(at("disk"), left).unwrap();
            let mounted = Mounted::start(&at("disk"), &at("mounted")).unwrap();
            let read = |name: &str| std::fs::read(at("mounted").join(name)).unwrap_or_default();
            assert_eq!(read("synced"), [7; 40_000], "seed {seed}");
            lost += u32::from(read("not-synced") != [7; 40_000]);
            drop(mounted);
        }
        assert!(lost > 0, "no cut of 12 lost what was not synced");
    }
}
