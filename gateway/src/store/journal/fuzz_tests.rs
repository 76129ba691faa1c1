//! What the gateway reads back from its disk, from changed bytes: it is read or refused.

use super::*;
use crate::store::conformance::{compile, device};
use crate::store::record::CounterRecord;
use crate::store::{Change, Kind, Records};
use durable_disk::sim::SimDisk;
use fuzzer::{Outcome, Target, check_for, seconds_or};
use std::sync::Arc;

const SECONDS: u32 = 3;
const DIR: &str = "/data/journal";

#[test]
fn a_journal_of_any_bytes_is_opened_or_refused() {
    let target = Target { name: "journal", check: open_journal, seeds: journals, share: 1 };
    check_for(seconds_or(SECONDS), target);
}

#[test]
fn parts_of_a_journal_of_any_bytes_are_read_or_refused() {
    let target = Target { name: "journal_parts", check: read_parts, seeds: parts, share: 1 };
    check_for(seconds_or(SECONDS), target);
}

#[test]
fn records_of_any_bytes_are_read_or_refused() {
    let target = Target { name: "records", check: read_records, seeds: values, share: 1 };
    check_for(seconds_or(SECONDS), target);
}

fn segment() -> PathBuf {
    Path::new(DIR).join(files::segment_name(1))
}

fn note() -> Note {
    Note::of(&changes())
}

fn changes() -> Vec<Change> {
    vec![Change::Counter(CounterRecord { last_deployment: 3 }), Change::DeleteDeployment(2)]
}

fn entries() -> Vec<record::Entry> {
    changes().iter().map(Change::to_entry).collect()
}

/// The first segment: as it comes, behind a good beginning, and with one good frame.
/// What opens is written to, and opens with the same content again.
fn open_journal(data: &[u8]) -> Outcome {
    let head = files::to_segment_head(Position::default());
    let behind_head = [&head, data].concat();
    let in_frame = [head, frame::to_frame(data)].concat();
    let outcomes = [data, &behind_head, &in_frame].map(|bytes| {
        let disk = Arc::new(SimDisk::default());
        disk.write(&segment(), bytes).unwrap();
        let verified = verify_journal(&*disk, Path::new(DIR));
        let open = || Journal::open(disk.clone(), Path::new(DIR), JournalLimits::default());
        let opened = open();
        let outcome = Outcome::of_result(&opened.as_ref().map(drop));
        if let Ok((mut journal, found)) = opened {
            assert_eq!(verified.expect("what opens is without fault").entries, found);
            let record = NewRecord { time_ms: 1, note: note(), entries: entries() };
            journal.append(vec![record]).expect("it is written to");
            let seq = journal.head().seq;
            let (again, _) = open().expect("what was written to opens again");
            assert_eq!(again.head().seq, seq);
        }
        outcome
    });
    let outcome = outcomes.into_iter().reduce(Outcome::and);
    outcome.unwrap_or(Outcome::of("nothing"))
}

fn journals() -> Vec<Vec<u8>> {
    let disk = Arc::new(SimDisk::default());
    let dir = Path::new(DIR);
    let mut journal = Journal::create(disk.clone(), dir, JournalLimits::default()).unwrap();
    let record = || NewRecord { time_ms: 1, note: note(), entries: entries() };
    let mut seeds = Vec::new();
    for records in [1, 2] {
        journal.append((0..records).map(|_| record()).collect()).unwrap();
        let whole = disk.read(&segment(), 1 << 20).unwrap().unwrap();
        let frames = &whole[files::SEGMENT_HEAD_BYTES..];
        let payload = frame::read_frame(frames).unwrap();
        seeds.extend([payload.to_vec(), frames.to_vec(), whole.clone()]);
    }
    seeds
}

fn read_parts(data: &[u8]) -> Outcome {
    if let Some(payload) = frame::read_frame(data) {
        assert_eq!(frame::to_frame(payload), data[..payload.len() + frame::FRAME_HEAD_BYTES]);
    }
    let snapshot = read_snapshot(data);
    if let Ok((position, entries)) = &snapshot {
        let again = read_snapshot(&to_snapshot(*position, entries));
        assert_eq!(again.as_ref(), Ok(&(*position, entries.clone())));
        // Without the segment that goes on behind it, this is refused.
        let disk = Arc::new(SimDisk::default());
        let name = files::snapshot_name(position.seq);
        disk.write(&Path::new(DIR).join(name), data).unwrap();
        let opened = Journal::open(disk, Path::new(DIR), JournalLimits::default());
        assert!(opened.is_err() || position.seq == 0, "a snapshot alone was opened");
    }
    let body = record::to_entries(data);
    if let Ok(entries) = &body {
        assert_eq!(record::to_entries(&record::to_body(entries)).ok().as_ref(), Some(entries));
    }
    let known =
        |position: Option<Position>| Outcome::of(if position.is_some() { "whole" } else { "torn" });
    let names = files::Files::of(&[(String::from_utf8_lossy(data).into_owned(), 1)]);
    Outcome::of_result(&snapshot)
        .and(Outcome::of_result(&body))
        .and(Outcome::of_result(&record::to_records(data)))
        .and(known(files::read_segment_head(data)))
        .and(known(files::read_acknowledged(data)))
        .and(Outcome::sized("files", names.segments.len() + names.snapshots.len()))
}

fn parts() -> Vec<Vec<u8>> {
    let position = Position { seq: 6, hash: [2; 32] };
    let held: Entries =
        entries().into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let body = record::to_body(&entries());
    vec![
        to_snapshot(position, &held),
        to_snapshot(position, &Entries::new()),
        to_snapshot(Position { seq: u64::MAX, ..position }, &held),
        record::to_payload(&[(b"head".to_vec(), body.clone())]),
        frame::to_frame(&body),
        body,
        files::to_segment_head(position),
        files::to_acknowledged(position),
        files::segment_name(3).into_bytes(),
        files::snapshot_name(3).into_bytes(),
    ]
}

/// A value of each kind, and a key and a value that the first byte divides.
fn read_records(data: &[u8]) -> Outcome {
    let read = |key: &[u8], value: &[u8]| {
        let mut records = Records::default();
        Outcome::of_result(&records.add_entry(key, value))
    };
    let mut outcome = Outcome::of("records");
    for kind in Kind::ALL {
        outcome = outcome.and(read(format!("{}/x", kind.as_str()).as_bytes(), data));
    }
    let Some((&at, rest)) = data.split_first() else { return outcome };
    let (key, value) = rest.split_at(usize::from(at).min(rest.len()));
    outcome.and(read(key, value))
}

fn values() -> Vec<Vec<u8>> {
    let changes = [Change::Device(device(1)), Change::Compile(compile(1))];
    let entries = changes.iter().chain(&self::changes()).map(Change::to_entry).collect::<Vec<_>>();
    let mut seeds = Vec::new();
    for (key, value) in entries {
        let Some(value) = value else { continue };
        let length = u8::try_from(key.len()).unwrap();
        seeds.extend([[&[length][..], &key, &value].concat(), value]);
    }
    // A record of no fields, which every kind refuses in its own words.
    seeds.push(vec![0x82, 1, 0xa0]);
    seeds
}
