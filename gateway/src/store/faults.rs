//! What the store does when the power goes, the disk is full, or files are damaged:
//! it has everything that it answered for, or it refuses to open and says why.

use super::conformance::{check_chain, device};
use super::index::IndexPlace;
use super::index::memory::MemoryPlace;
use super::journal::{Journal, JournalLimits, NewRecord, verify_journal};
use super::local::{LocalConfig, LocalStore, OpenError};
use super::record::DeviceRecord;
use super::sled_index::SledPlace;
use super::{Change, Note, Store};
use crate::surroundings::Surroundings;
use durable_disk::RealDisk;
use durable_disk::sim::{Chance, SimDisk};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const SIM_DIR: &str = "/data/journal";

/// Small, so that segments and snapshots come and go.
const SMALL: JournalLimits = JournalLimits { segment_bytes: 2_000, history_bytes_max: 1 << 40 };

pub fn open_simulated(disk: &Arc<SimDisk>, may_create: bool) -> Result<LocalStore, OpenError> {
    LocalStore::open_with(LocalConfig {
        disk: disk.clone(),
        journal: PathBuf::from(SIM_DIR),
        place: Box::new(MemoryPlace),
        limits: SMALL,
        clock: Surroundings::of_the_system().clock,
        may_create,
    })
}

fn open_small(dir: &Path) -> Result<LocalStore, OpenError> {
    LocalStore::open_with(LocalConfig {
        disk: Arc::new(RealDisk),
        journal: dir.join("journal"),
        place: Box::new(SledPlace { path: dir.join("store") }),
        limits: SMALL,
        clock: Surroundings::of_the_system().clock,
        may_create: !dir.join("journal").exists(),
    })
}

fn named(number: u8, name: u64) -> DeviceRecord {
    DeviceRecord { name: name.to_string(), ..device(number) }
}

/// The names that devices have in the store, by device.
fn names(store: &dyn Store) -> BTreeMap<String, u64> {
    let devices = store.load().unwrap().devices;
    devices.into_iter().map(|d| (d.device.to_string(), d.name.parse().unwrap())).collect()
}

/// Each device's last acknowledged name, and the one that was asked for after it.
#[derive(Default)]
struct Promised(BTreeMap<String, (u64, u64)>);

impl Promised {
    fn commit(&mut self, store: &dyn Store, number: u8, name: u64) -> bool {
        let record = named(number, name);
        let promised = self.0.entry(record.device.to_string()).or_default();
        promised.1 = name;
        let done = store.commit(&[Change::Device(record)]).is_ok();
        if done {
            promised.0 = name;
        }
        done
    }

    fn check(&self, store: &dyn Store, case: &str) {
        let found = names(store);
        for (device, (acknowledged, asked)) in &self.0 {
            let name = found.get(device).copied().unwrap_or(0);
            assert!(name >= *acknowledged, "{case}: {device} lost {acknowledged}, it has {name}");
            assert!(name <= *asked, "{case}: {device} has {name}, which nobody asked for");
        }
    }
}

#[test]
fn a_power_cut_before_any_operation_loses_nothing_that_was_answered_for() {
    let mut cuts = 0;
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let disk = Arc::new(SimDisk::default());
        let mut promised = Promised::default();
        let mut has_started = false;
        for round in 0..12 {
            disk.cut_power_after(chance.roll(if round == 0 { 12 } else { 60 }));
            if let Ok(store) = open_simulated(&disk, !has_started) {
                for name in 0..20 {
                    let number = chance.roll(5) as u8;
                    if !promised.commit(&store, number, round * 100 + name + 1) {
                        break;
                    }
                }
            }
            disk.restart(chance.roll(u64::MAX));
            cuts += 1;
            // A first start that was cut off is done again.
            let opened = open_simulated(&disk, promised.0.values().all(|(done, _)| *done == 0));
            let store = opened.unwrap_or_else(|e| panic!("seed {seed} round {round}: {e}"));
            has_started = true;
            promised.check(&store, &format!("seed {seed} round {round}"));
            check_chain(&store);
            // What was found counts from now on.
            for (device, name) in names(&store) {
                promised.0.entry(device).or_default().0 = name;
            }
        }
    }
    assert_eq!(cuts, 480);
}

#[test]
fn a_full_disk_refuses_and_heals_when_there_is_space() {
    let disk = Arc::new(SimDisk::default());
    let store = open_simulated(&disk, true).unwrap();
    let mut promised = Promised::default();
    for name in 1..10 {
        assert!(promised.commit(&store, 1, name));
    }
    for room in [0, 10, 100, 200] {
        disk.limit(Some(disk.bytes() + room));
        let error = store.commit(&[Change::Device(named(1, 77))]).unwrap_err();
        assert!(error.is_full(), "{room}: {error}");
        assert!(store.probe().unwrap_err().is_full());
        promised.check(&store, "while the disk is full");
        disk.limit(None);
        store.probe().unwrap();
        assert!(promised.commit(&store, 1, 10 + room as u64));
        check_chain(&store);
    }
    drop(store);
    let store = open_simulated(&disk, false).unwrap();
    promised.check(&store, "after a restart");
    assert_eq!(names(&store).len(), 1, "nothing of what was refused is there");
    check_chain(&store);
}

#[test]
fn many_committers_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), true).unwrap();
    let per_second = |committers: u64, each: u64| {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for committer in 0..committers {
                let store = &store;
                scope.spawn(move || {
                    for name in 0..each {
                        let change = Change::Device(named(committer as u8, name));
                        store.commit(&[change]).unwrap();
                    }
                });
            }
        });
        (committers * each) as f64 / started.elapsed().as_secs_f64()
    };
    let (alone, together) = (per_second(1, 200), per_second(32, 50));
    eprintln!(
        "commits a second: {alone:.0} by one, {together:.0} by 32 ({:.1} times)",
        together / alone
    );
    check_chain(&store);
    assert!(together > alone, "32 committers share syncs: {together} against {alone}");
}

/// A copy of all files below a directory.
fn files_of(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

fn put_files(files: &BTreeMap<PathBuf, Vec<u8>>, from: &Path, to: &Path) {
    for (path, bytes) in files {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Some of the sectors that the next commit wrote, and some of its length.
fn torn(before: &[u8], after: &[u8], chance: &mut Chance) -> Vec<u8> {
    let (short, long) = (before.len().min(after.len()), before.len().max(after.len()));
    let length = short + chance.roll((long - short) as u64 + 1) as usize;
    let sector = |at: usize| at / 512;
    let mut takes_new = BTreeMap::new();
    let mut byte = |at: usize| {
        let new = *takes_new.entry(sector(at)).or_insert_with(|| chance.roll(2) == 0);
        let source = if new { after } else { before };
        source.get(at).copied().unwrap_or(0)
    };
    (0..length)
        .map(|at| if before.get(at) == after.get(at) { after[at] } else { byte(at) })
        .collect()
}

/// The trial that made the journal the truth: docs/decisions/the-journal-wins.md.
#[test]
fn after_200_torn_writes_the_journal_has_what_sled_alone_may_not() {
    let work = tempfile::tempdir().unwrap();
    let place = SledPlace { path: work.path().join("store") };
    let journal_dir = work.path().join("journal");
    let mut journal =
        Journal::create(Arc::new(RealDisk), &journal_dir, JournalLimits::default()).unwrap();
    let mut index = place.open().unwrap();
    let mut states = vec![];
    for name in 1..=40_u64 {
        let record = DeviceRecord {
            sensors: vec!["s".repeat(name as usize * 40)],
            ..named(name as u8 % 7, name)
        };
        let entries = vec![Change::Device(record).to_entry()];
        journal
            .append(vec![NewRecord {
                time_ms: name,
                note: Note::default(),
                entries: entries.clone(),
            }])
            .unwrap();
        index.apply(&entries, journal.head()).unwrap();
        index.flush().unwrap();
        fs::File::open(place.path.join("db")).unwrap().sync_data().unwrap();
        states.push(files_of(work.path()));
    }
    drop(index);

    let mut chance = Chance(4);
    let (mut whole, mut lost, mut refused) = (0, 0, 0);
    for case in 0..200 {
        let last = chance.roll(39) as usize;
        let (before, after) = (&states[last], &states[last + 1]);
        // The index and the mark are written when the journal's sync is done.
        let is_behind_the_sync = case % 2 == 0;
        let empty = vec![];
        let mut cut: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        let mut bare_cut = BTreeMap::new();
        for (path, new) in after {
            let old = before.get(path).unwrap_or(&empty);
            let half = torn(old, new, &mut chance);
            let is_journal = path.extension().is_some_and(|e| e == "journal");
            let found = match (is_journal, is_behind_the_sync) {
                (true, true) => new.clone(),
                (false, false) => old.clone(),
                (true, false) | (false, true) => half.clone(),
            };
            cut.insert(path.clone(), found);
            bare_cut.insert(path.clone(), half);
        }
        let expected = last as u64 + 1;
        let bare = tempfile::tempdir().unwrap();
        put_files(&bare_cut, work.path(), bare.path());
        let opened = SledPlace { path: bare.path().join("store") }.open();
        match opened.and_then(|index| index.applied()) {
            Ok(Some(applied)) if applied.seq >= expected => whole += 1,
            Ok(_) => lost += 1,
            Err(_) => refused += 1,
        }
        let both = tempfile::tempdir().unwrap();
        put_files(&cut, work.path(), both.path());
        let store = LocalStore::open(both.path(), false)
            .unwrap_or_else(|e| panic!("case {case} after record {expected}: {e}"));
        let newest = names(&store).into_values().max().unwrap();
        assert!(
            newest == expected || newest == expected + 1,
            "case {case}: {newest} of {expected}"
        );
    }
    eprintln!(
        "200 torn writes: sled alone whole {whole}, lost {lost}, did not open {refused}; with the journal 200 whole"
    );
}

/// What is broken in a copy of the files.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Truncate,
    Remove,
    Zero,
}

fn damage(path: &Path, how: Damage, chance: &mut Chance) {
    let mut bytes = fs::read(path).unwrap();
    let at = chance.roll(bytes.len().max(1) as u64) as usize;
    match how {
        Damage::Flip if !bytes.is_empty() => bytes[at] ^= 1 << chance.roll(8),
        Damage::Truncate => bytes.truncate(at),
        Damage::Zero => {
            let end = (at + 600).min(bytes.len());
            bytes[at..end].fill(0);
        }
        Damage::Remove => return fs::remove_file(path).unwrap(),
        Damage::Flip => {}
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_store_is_recovered_whole_or_refused_and_never_silently_less() {
    let work = tempfile::tempdir().unwrap();
    let store = open_small(work.path()).unwrap();
    for name in 1..=60 {
        store.commit(&[Change::Device(named(name as u8 % 9, name))]).unwrap();
    }
    let expected = names(&store);
    drop(store);
    let files = files_of(work.path());
    let is_index = |path: &Path| path.starts_with(work.path().join("store"));
    let all: Vec<&PathBuf> = files.keys().collect();
    let (mut recovered, mut refused) = (0, 0);
    let (mut index_damaged, mut index_less) = (0, 0);
    let index_entries = |dir: &Path| {
        SledPlace { path: dir.join("store") }.open().and_then(|index| index.entries()).ok()
    };
    let whole_index = index_entries(work.path());
    assert!(whole_index.is_some());
    for case in 0..480_u64 {
        let mut chance = Chance(case);
        let how = [Damage::Flip, Damage::Truncate, Damage::Remove, Damage::Zero][case as usize % 4];
        let victim = all[chance.roll(all.len() as u64) as usize];
        let copy = tempfile::tempdir().unwrap();
        put_files(&files, work.path(), copy.path());
        damage(&copy.path().join(victim.strip_prefix(work.path()).unwrap()), how, &mut chance);
        if is_index(victim) {
            index_damaged += 1;
            index_less += usize::from(index_entries(copy.path()) != whole_index);
        }
        match open_small(copy.path()) {
            Ok(store) => {
                assert_eq!(names(&store), expected, "case {case}: {how:?} of {victim:?}");
                store.commit(&[Change::Device(named(200, 1))]).unwrap();
                recovered += 1;
            }
            Err(error) => {
                assert!(!is_index(victim), "case {case}: {how:?} of {victim:?}: {error}");
                let text = error.to_string();
                assert!(text.contains("backup") || text.contains("journal"), "{text}");
                refused += 1;
            }
        }
    }
    eprintln!(
        "sled alone: {index_less} of {index_damaged} damaged did not open or had other entries"
    );
    eprintln!("480 damaged stores: {recovered} recovered whole, {refused} refused");
    assert!(recovered > 0 && refused > 0);
}

#[test]
fn a_damaged_record_in_the_middle_is_named() {
    let work = tempfile::tempdir().unwrap();
    let store = LocalStore::open(work.path(), true).unwrap();
    for name in 1..=9 {
        store.commit(&[Change::Device(named(1, name))]).unwrap();
    }
    drop(store);
    let journal = work.path().join("journal");
    let verified = verify_journal(&RealDisk, &journal).unwrap();
    assert_eq!((verified.records, verified.first_seq), (10, 1));
    let path = journal.join(format!("{:020}.journal", 1));
    let mut bytes = fs::read(&path).unwrap();
    // The fifth record: each is one frame here, and the first is the journal's beginning.
    let starts: Vec<usize> =
        (0..bytes.len() - 4).filter(|at| &bytes[*at..at + 4] == b"FJR1").collect();
    bytes[starts[4] + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let refusal = LocalStore::open(work.path(), false).err().unwrap().to_string();
    assert!(refusal.contains("record 5") && refusal.contains("restore"), "{refusal}");
    assert!(verify_journal(&RealDisk, &journal).unwrap_err().to_string().contains("record 5"));
}

#[test]
fn a_store_of_before_there_were_journals_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let db = sled::open(dir.path().join("store")).unwrap();
    let (key, value) = Change::Device(device(1)).to_entry();
    db.insert(key, value.unwrap()).unwrap();
    drop(db);
    let store = LocalStore::open(dir.path(), false).unwrap();
    assert_eq!(store.load().unwrap().devices, [device(1)]);
    drop(store);
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    let store = LocalStore::open(dir.path(), false).unwrap();
    assert_eq!(store.load().unwrap().devices, [device(1)], "now the journal has it");
    drop(store);
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    assert!(matches!(LocalStore::open(dir.path(), false), Err(OpenError::Missing { .. })));
}

#[test]
fn the_oldest_history_is_deleted_beyond_its_bound_and_the_chain_holds_from_there() {
    let disk = Arc::new(SimDisk::default());
    let limits = JournalLimits { segment_bytes: 2_000, history_bytes_max: 8_000 };
    let dir = Path::new(SIM_DIR);
    let mut journal = Journal::create(disk.clone(), dir, limits).unwrap();
    for name in 1..=200_u64 {
        let entries = vec![Change::Device(named(name as u8 % 3, name)).to_entry()];
        journal.append(vec![NewRecord { time_ms: name, note: Note::default(), entries }]).unwrap();
        if journal.is_segment_full() {
            journal.turn().unwrap();
        }
    }
    let verified = verify_journal(&*disk, dir).unwrap();
    assert!(verified.first_seq > 1, "old segments are gone");
    assert_eq!(verified.head, journal.head());
    assert_eq!(verified.entries.len(), 3);
    assert!(disk.bytes() < 20_000, "{}", disk.bytes());
}
