//! The simulated disk is worth what it has in common with a real one.

use crate::sim::SimDisk;
use crate::{Disk, PART_SUFFIX, RealDisk, put_file, sweep_parts};
use proptest::prelude::*;
use std::io;
use std::path::Path;

const BYTES_MAX: u64 = 300;

#[derive(Debug, Clone)]
enum Step {
    Write(u8, Vec<u8>),
    WriteAt(u8, u64, Vec<u8>),
    Append(u8, u64, Vec<u8>),
    SetLen(u8, u64),
    Sync(u8),
    Rename(u8, u8),
    Remove(u8),
    Put(u8, Vec<u8>),
    Sweep,
    Read(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (name, bytes, at) = (0..4u8, prop::collection::vec(any::<u8>(), 0..200), 0..200u64);
    let step = prop_oneof![
        (name.clone(), bytes.clone()).prop_map(|(n, b)| Step::Write(n, b)),
        (name.clone(), at.clone(), bytes.clone()).prop_map(|(n, a, b)| Step::WriteAt(n, a, b)),
        (name.clone(), at.clone(), bytes.clone()).prop_map(|(n, a, b)| Step::Append(n, a, b)),
        (name.clone(), at).prop_map(|(n, a)| Step::SetLen(n, a)),
        name.clone().prop_map(Step::Sync),
        (name.clone(), name.clone()).prop_map(|(a, b)| Step::Rename(a, b)),
        name.clone().prop_map(Step::Remove),
        (name.clone(), bytes).prop_map(|(n, b)| Step::Put(n, b)),
        Just(Step::Sweep),
        name.prop_map(Step::Read),
    ];
    prop::collection::vec(step, 1..40)
}

/// What a program sees of a step.
fn take(disk: &dyn Disk, dir: &Path, step: &Step) -> Result<Option<Vec<u8>>, io::ErrorKind> {
    // The last name is one that is swept.
    let name = |n: &u8| if *n == 3 { format!("3{PART_SUFFIX}") } else { n.to_string() };
    let path = |n: &u8| dir.join(name(n));
    let done = match step {
        Step::Write(n, bytes) => disk.write(&path(n), bytes),
        Step::WriteAt(n, at, bytes) => disk.write_at(&path(n), *at, bytes),
        Step::Append(n, at, bytes) => disk.append(&path(n), *at, bytes),
        Step::SetLen(n, len) => disk.set_len(&path(n), *len),
        Step::Sync(n) => disk.sync(&path(n)),
        Step::Rename(from, to) => disk.rename(&path(from), &path(to)),
        Step::Remove(n) => disk.remove(&path(n)),
        Step::Put(n, bytes) => put_file(disk, dir, &name(n), bytes),
        Step::Sweep => sweep_parts(disk, dir),
        Step::Read(n) => return disk.read(&path(n), BYTES_MAX).map_err(|e| e.kind()),
    };
    done.map(|()| None).map_err(|e| e.kind())
}

fn listed(disk: &dyn Disk, dir: &Path) -> Vec<(String, u64)> {
    let mut files = disk.list(dir).unwrap();
    files.sort();
    files
}

proptest! {
    #[test]
    fn a_program_cannot_tell_the_simulated_disk_from_a_real_one(steps in steps()) {
        let temp = tempfile::tempdir().unwrap();
        let (dir, sim) = (temp.path().join("data"), SimDisk::default());
        prop_assert_eq!(listed(&RealDisk, &dir), listed(&sim, &dir));
        for disk in [&RealDisk as &dyn Disk, &sim] {
            disk.create_dir(&dir).unwrap();
        }
        for step in &steps {
            prop_assert_eq!(take(&RealDisk, &dir, step), take(&sim, &dir, step), "{:?}", step);
            prop_assert_eq!(listed(&RealDisk, &dir), listed(&sim, &dir), "{:?}", step);
        }
    }

    #[test]
    fn what_was_put_is_the_old_or_the_new_file_after_a_cut(
        old in prop::collection::vec(any::<u8>(), 0..2_000),
        new in prop::collection::vec(any::<u8>(), 0..2_000),
        cut_after in 0..6u64,
        seed: u64,
    ) {
        let (dir, disk) = (Path::new("/data"), SimDisk::default());
        put_file(&disk, dir, "name", &old).unwrap();
        disk.cut_power_after(cut_after);
        let put = put_file(&disk, dir, "name", &new);
        disk.restart(seed);
        let found = disk.read(&dir.join("name"), 1 << 20).unwrap();
        let found = found.expect("a file that was put is never gone");
        prop_assert!(found == new || (found == old && put.is_err()));
        sweep_parts(&disk, dir).unwrap();
        prop_assert_eq!(listed(&disk, dir).len(), 1);
    }
}
