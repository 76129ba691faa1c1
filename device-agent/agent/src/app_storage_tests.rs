//! Stored values under power cuts, damage and full disks.

use super::*;
use durable_disk::sim::SimDisk;
use proptest::prelude::*;

const DIR: &str = "/data/storage";
const QUOTA: usize = 1_000;

fn open(disk: &Rc<SimDisk>) -> AppStorage {
    AppStorage::open(disk.clone(), Path::new(DIR)).unwrap()
}

fn set(storage: &AppStorage, app: &str, key: &str, value: &[u8]) -> Result<bool, StorageError> {
    storage.change(app, key, Some(value.to_vec()), QUOTA)
}

fn path(app: &str) -> PathBuf {
    Path::new(DIR).join(file_name(app))
}

#[test]
fn values_come_back_after_a_restart_and_belong_to_their_application() {
    let disk = Rc::new(SimDisk::default());
    let storage = open(&disk);
    assert!(set(&storage, "a", "count", b"1").unwrap());
    assert!(set(&storage, "a", "unit", b"K").unwrap());
    assert!(set(&storage, "b", "count", b"9").unwrap());
    assert!(storage.change("a", "unit", None, QUOTA).unwrap());
    disk.restart(1);
    let storage = open(&disk);
    assert_eq!(storage.read("a").unwrap(), Values::from([("count".into(), b"1".to_vec())]));
    assert_eq!(storage.read("b").unwrap(), Values::from([("count".into(), b"9".to_vec())]));
    assert_eq!(storage.read("../a").unwrap(), Values::new());
}

#[test]
fn a_power_cut_at_any_step_leaves_the_old_value_or_the_new_one() {
    let steps = {
        let disk = Rc::new(SimDisk::default());
        let storage = open(&disk);
        set(&storage, "a", "k", b"old").unwrap();
        let before = disk.operations();
        set(&storage, "a", "k", b"new").unwrap();
        disk.operations() - before
    };
    let mut seen = [0; 2];
    for cut in 0..=steps {
        for seed in 0..64 {
            let disk = Rc::new(SimDisk::default());
            let storage = open(&disk);
            set(&storage, "a", "k", b"old").unwrap();
            disk.cut_power_after(cut);
            let changed = set(&storage, "a", "k", b"new").is_ok();
            disk.restart(seed);
            let storage = open(&disk);
            let found = storage.read("a").unwrap().remove("k").unwrap();
            assert!(found == b"new" || (found == b"old" && !changed), "cut {cut} seed {seed}");
            seen[usize::from(found == b"new")] += 1;
            assert!(set(&storage, "a", "k", b"later").unwrap(), "it goes on");
            assert_eq!(storage.read("a").unwrap()["k"], b"later");
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

#[test]
fn a_power_cut_while_an_application_leaves_takes_nothing_from_another() {
    for cut in 0..4 {
        for seed in 0..16 {
            let disk = Rc::new(SimDisk::default());
            let storage = open(&disk);
            set(&storage, "gone", "k", b"1").unwrap();
            set(&storage, "stays", "k", b"2").unwrap();
            disk.cut_power_after(cut);
            let _ = storage.keep_only(&["stays"]);
            disk.restart(seed);
            let storage = open(&disk);
            storage.keep_only(&["stays"]).unwrap();
            assert_eq!(storage.read("gone").unwrap(), Values::new());
            assert_eq!(storage.read("stays").unwrap()["k"], b"2");
        }
    }
}

#[test]
fn damage_is_noticed_and_told_once_and_the_file_put_aside() {
    let disk = Rc::new(SimDisk::default());
    let storage = open(&disk);
    set(&storage, "a", "k", b"1").unwrap();
    disk.damage(&path("a"));
    let error = storage.read("a").unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    assert_eq!(Refusal::from(&error).code, RefusalCode::StoredValuesDamaged);
    assert_eq!(storage.read("a").unwrap(), Values::new());
    let aside = Path::new(DIR).join(format!("{}.damaged", file_name("a")));
    assert!(disk.exists(&aside));
    storage.keep_only(&["a"]).unwrap();
    assert!(disk.exists(&aside), "for people to look at");
    storage.keep_only(&[]).unwrap();
    assert!(!disk.exists(&aside));
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    let values = Values::from([("k".to_owned(), b"value".to_vec())]);
    let bytes = to_bytes("a", &values);
    assert_eq!(parse("a", &bytes), Some(values));
    assert_eq!(parse("b", &bytes), None, "a file of another application");
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        assert_eq!(parse("a", &changed), None);
        assert_eq!(parse("a", &bytes[..index]), None);
    }
}

#[test]
fn the_quota_is_kept_to_the_byte_and_what_is_there_may_shrink() {
    let disk = Rc::new(SimDisk::default());
    let storage = open(&disk);
    let change = |value: Option<usize>, quota| {
        let value = value.map(|len| vec![7; len]);
        storage.change("a", "key", value, quota).unwrap()
    };
    assert!(!change(Some(82), 100) && change(Some(81), 100));
    assert!(!change(Some(82), 100), "more than before");
    assert!(change(Some(50), 10), "less than before, under a lowered quota");
    assert!(change(None, 0));
    assert_eq!(storage.read("a").unwrap(), Values::new());
}

#[test]
fn a_full_disk_keeps_the_old_values_and_says_so() {
    let disk = Rc::new(SimDisk::default());
    let storage = open(&disk);
    set(&storage, "a", "k", b"old").unwrap();
    disk.limit(Some(disk.bytes() + 10));
    let error = set(&storage, "a", "k", &[0; 500]).unwrap_err();
    assert_eq!(Refusal::from(&error).code, RefusalCode::NoSpace);
    assert_eq!(storage.read("a").unwrap()["k"], b"old");
    disk.limit(None);
    assert!(set(&storage, "a", "k", b"new").unwrap());
}

proptest! {
    #[test]
    fn no_bytes_of_a_disk_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse("a", &bytes);
        let with_hash = [bytes.as_slice(), &BlobId::of(&bytes).0].concat();
        let _ = parse("a", &with_hash);
    }
}
