//! The store under power cuts, damage and want of room.

use super::*;
use crate::samples;
use durable_disk::sim::SimDisk;
use module_package::BLOCK_BYTES;

const DIR: &str = "/data/store";

fn artifact(fill: u8) -> Vec<u8> {
    (0..BLOCK_BYTES * 2 + 100).map(|index| (index % 251) as u8 ^ fill).collect()
}

fn release_of(bytes: &[u8]) -> Release {
    samples::release_of("a", 1, bytes)
}

fn open(disk: &Rc<SimDisk>) -> Store {
    Store::open(disk.clone(), Path::new(DIR), 1 << 20).unwrap()
}

/// Fetches what is missing, as the agent does.
fn fetch(store: &mut Store, bytes: &[u8]) -> Result<u32, StoreError> {
    let release = release_of(bytes);
    let missing = store.resume_artifact(&release)?;
    for index in missing.iter() {
        let block = bytes.chunks(BLOCK_BYTES as usize).nth(index as usize).unwrap();
        store.write_block(&release, index, block)?;
    }
    store.finish_artifact(release.artifact)?;
    Ok(missing.count())
}

fn blob_path(bytes: &[u8]) -> PathBuf {
    Path::new(DIR).join("blobs").join(BlobId::of(bytes).to_string())
}

#[test]
fn a_fetched_artifact_is_whole_and_comes_back() {
    let disk = Rc::new(SimDisk::default());
    let mut store = open(&disk);
    let bytes = artifact(0);
    assert_eq!(fetch(&mut store, &bytes).unwrap(), 3);
    assert_eq!(store.read(&BlobId::of(&bytes), 1 << 20).unwrap(), Some(bytes.clone()));
    assert_eq!(store.used_bytes(), bytes.len() as u64);
}

#[test]
fn power_cut_at_any_step_of_a_fetch_leaves_the_whole_artifact_or_none() {
    let (old, new) = (artifact(0), artifact(1));
    let disk = Rc::new(SimDisk::default());
    fetch(&mut open(&disk), &old).unwrap();
    let before = disk.operations();
    fetch(&mut open(&disk), &new).unwrap();
    let steps = disk.operations() - before;

    for cut in 0..steps {
        for seed in 0..16 {
            let disk = Rc::new(SimDisk::default());
            fetch(&mut open(&disk), &old).unwrap();
            disk.cut_power_after(cut);
            let cut_off = Store::open(disk.clone(), Path::new(DIR), 1 << 20)
                .and_then(|mut store| fetch(&mut store, &new));
            disk.restart(seed);
            let mut store = open(&disk);
            assert_eq!(store.read(&BlobId::of(&old), 1 << 20).unwrap(), Some(old.clone()));
            match store.read(&BlobId::of(&new), 1 << 20).unwrap() {
                Some(found) => assert_eq!(found, new),
                None => assert!(cut_off.is_err(), "cut {cut} seed {seed}"),
            }
            fetch(&mut store, &new).unwrap();
            assert_eq!(store.read(&BlobId::of(&new), 1 << 20).unwrap(), Some(new.clone()));
        }
    }
}

#[test]
fn power_cut_at_any_step_of_a_put_leaves_the_whole_blob_or_none() {
    let bytes = b"a sealed release".to_vec();
    for cut in 0..8 {
        for seed in 0..40 {
            let disk = Rc::new(SimDisk::default());
            let mut store = open(&disk);
            disk.cut_power_after(cut);
            let put = store.put(&BlobId::of(&bytes), &bytes).is_ok();
            disk.restart(seed);
            let found = open(&disk).read(&BlobId::of(&bytes), 1 << 20).unwrap();
            assert!(found == Some(bytes.clone()) || (found.is_none() && !put));
        }
    }
}

#[test]
fn an_interrupted_fetch_costs_only_the_missing_blocks() {
    let disk = Rc::new(SimDisk::default());
    let mut store = open(&disk);
    let bytes = artifact(0);
    let release = release_of(&bytes);
    store.resume_artifact(&release).unwrap();
    store.write_block(&release, 1, &bytes[BLOCK_BYTES as usize..2 * BLOCK_BYTES as usize]).unwrap();
    let mut store = open(&disk);
    let missing = store.resume_artifact(&release).unwrap();
    assert!(missing.iter().eq([0, 2]));
    assert_eq!(fetch(&mut store, &bytes).unwrap(), 2);
}

#[test]
fn a_partial_file_that_was_tampered_with_is_not_believed() {
    let disk = Rc::new(SimDisk::default());
    let mut store = open(&disk);
    let bytes = artifact(0);
    let release = release_of(&bytes);
    store.resume_artifact(&release).unwrap();
    store.write_block(&release, 0, &bytes[..BLOCK_BYTES as usize]).unwrap();
    disk.damage(&Path::new(DIR).join("partial").join(BlobId::of(&bytes).to_string()));
    assert_eq!(store.resume_artifact(&release).unwrap().count(), 3);
}

#[test]
fn an_artifact_changed_on_the_disk_is_refused_and_removed() {
    let disk = Rc::new(SimDisk::default());
    let mut store = open(&disk);
    let bytes = artifact(0);
    fetch(&mut store, &bytes).unwrap();
    disk.damage(&blob_path(&bytes));
    // The first read is of what was hashed a moment ago and is still in memory.
    assert!(store.read(&BlobId::of(&bytes), 1 << 20).unwrap() == Some(bytes.clone()));
    let refused = store.read(&BlobId::of(&bytes), 1 << 20).unwrap_err();
    assert_eq!(Refusal::from(&refused).code, RefusalCode::DamagedArtifact);
    assert!(!disk.exists(&blob_path(&bytes)));
    assert_eq!(store.read(&BlobId::of(&bytes), 1 << 20).unwrap(), None);
    assert_eq!(store.used_bytes(), 0);
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_fetched() {
    let disk = Rc::new(SimDisk::default());
    let mut store = Store::open(disk, Path::new(DIR), 100_000).unwrap();
    fetch(&mut store, &artifact(0)).unwrap();
    let refused = store.resume_artifact(&release_of(&artifact(1))).unwrap_err();
    assert_eq!(Refusal::from(&refused).code, RefusalCode::NoSpace);
    store.keep_only(&BTreeSet::new()).unwrap();
    assert_eq!(fetch(&mut store, &artifact(1)).unwrap(), 3);
}

#[test]
fn a_full_disk_and_a_broken_one_have_numbers_of_their_own() {
    let disk = Rc::new(SimDisk::default());
    let mut store = open(&disk);
    disk.fail_writes(Some(io::ErrorKind::StorageFull));
    let refused = fetch(&mut store, &artifact(0)).unwrap_err();
    assert_eq!(Refusal::from(&refused).code, RefusalCode::NoSpace);
    disk.fail_writes(Some(io::ErrorKind::PermissionDenied));
    let refused = fetch(&mut store, &artifact(0)).unwrap_err();
    assert_eq!(Refusal::from(&refused).code, RefusalCode::Storage);
    disk.fail_writes(None);
    fetch(&mut store, &artifact(0)).unwrap();
}

#[test]
fn bytes_of_another_hash_are_not_stored() {
    let disk = Rc::new(SimDisk::default());
    let refused = open(&disk).put(&BlobId::of(b"a"), b"b").unwrap_err();
    assert_eq!(Refusal::from(&refused).code, RefusalCode::WrongHash);
}
