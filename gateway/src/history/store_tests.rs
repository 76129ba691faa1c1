use super::*;
use crate::history::{METRICS, Stats};
use std::time::Instant;

const DEVICES: u32 = 1_000;
/// Noon of some day, in minutes.
const START: u32 = 29_000_160;

fn row(figure: f32) -> Row {
    let mut whole = [None; METRICS];
    // As of a device with one module: most figures move, the limits stand still.
    for (place, stats) in whole.iter_mut().enumerate().take(4) {
        let (low, high) = (figure, figure + place as f32 % 3.0);
        *stats = Some(Stats { min: low, avg: (low + high) / 2.0, max: high, p95: high });
    }
    let mut module = [None; METRICS];
    for (place, stats) in module.iter_mut().enumerate().take(METRICS - 1) {
        let wide = if place % 2 == 0 { figure } else { 0.0 };
        *stats = Some(Stats { min: 1.0, avg: 1.0 + wide / 2.0, max: 1.0 + wide, p95: 1.0 + wide });
    }
    Row { values: 60, whole, apps: vec![("filter".into(), module)] }
}

fn subjects(count: u32) -> Vec<Subject> {
    (0..count).map(|number| Subject::device(&format!("d-{number}"))).collect()
}

fn cpu(rows: &[(u32, Row)]) -> Vec<(u32, f32)> {
    rows.iter().map(|(span, row)| (*span, row.whole[0].unwrap().avg.round())).collect()
}

/// Of the pages that something is in, or was in until the last write.
fn used_bytes(store: &Store) -> u64 {
    let stats = store.database.begin_write().unwrap().stats().unwrap();
    stats.allocated_pages() * stats.page_size() as u64
}

#[test]
fn minutes_become_hours_and_go_after_a_day() {
    let store = Store::in_memory(u64::MAX);
    let device = Subject::device("d-1");
    // Ten minutes of two hours, with an hour's absence between them.
    for minute in (START..START + 10).chain(START + 120..START + 130) {
        let figure = if minute < START + 60 { 10.0 } else { 30.0 };
        store.add_minute(minute, [(device, row(figure)), (Subject::FLEET, row(1.0))]).unwrap();
    }
    let hours = START / 60..START / 60 + 4;
    let rolled = store.rows(Tier::Hours, device, hours.clone()).unwrap();
    assert_eq!(cpu(&rolled), [(START / 60, 10.0)]);
    assert_eq!(rolled[0].1.values, 600);
    let minutes = store.rows(Tier::Minutes, device, START..START + 180).unwrap();
    assert_eq!(minutes.len(), 20);
    assert_eq!(store.rows(Tier::Minutes, Subject::device("d-2"), START..START + 9).unwrap(), []);

    // The third day: what was not put together yet is, before it goes.
    let later = START + 3 * 24 * 60;
    (0..3).for_each(|more| store.add_minute(later + more, [(device, row(5.0))]).unwrap());
    let rolled = store.rows(Tier::Hours, device, hours.clone()).unwrap();
    assert_eq!(cpu(&rolled), [(START / 60, 10.0), (START / 60 + 2, 30.0)]);
    assert_eq!(store.first_minute().unwrap(), Some(later));
    assert_eq!(store.rows(Tier::Hours, Subject::FLEET, hours.clone()).unwrap().len(), 2);

    let last = START + 91 * 24 * 60;
    (0..3).for_each(|more| store.add_minute(last + more, [(device, row(5.0))]).unwrap());
    assert_eq!(store.rows(Tier::Hours, device, hours).unwrap(), []);
}

#[test]
fn a_minute_that_comes_in_two_parts_is_one() {
    let store = Store::in_memory(u64::MAX);
    let device = Subject::device("d-1");
    store.add_minute(START, [(device, row(10.0))]).unwrap();
    store.add_minute(START, [(device, row(30.0))]).unwrap();
    let rows = store.rows(Tier::Minutes, device, START..START + 1).unwrap();
    assert_eq!(cpu(&rows), [(START, 20.0)]);
    assert_eq!(rows[0].1.values, 120);
    assert_eq!(store.rows_bytes(), (KEY_BYTES + rows[0].1.to_bytes().len()) as u64);
}

/// With `--nocapture` it prints the figures of docs/history.md.
#[test]
fn a_thousand_devices_take_the_room_that_is_said_and_never_more_than_there_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    let bytes_max = 16 * 1024 * 1024;
    let store = Store::open(&path, bytes_max).unwrap();
    let subjects = subjects(DEVICES);
    let add = |minute: u32| {
        let rows = subjects.iter().enumerate();
        let rows =
            rows.map(|(n, subject)| (*subject, row(1.0 + (n as u32 + minute) as f32 % 97.0)));
        store.add_minute(minute, rows).unwrap();
    };
    let file_bytes = || std::fs::metadata(&path).unwrap().len();
    (0..20).for_each(|minute| add(START + minute));
    let (rows, file) = (store.rows_bytes(), file_bytes());
    let per_minute = rows / 20 / u64::from(DEVICES);
    println!(
        "a minute of a device with one module: {per_minute} bytes; a day: {} kB; with 20 minutes \
         of {DEVICES} devices the file has {file} bytes for {rows} of rows",
        per_minute * (24 * 60 + 24) / 1_000
    );
    assert!(per_minute < 150, "{per_minute}");
    // Of an hour and a quarter there is room for two thirds.
    let mut minute = START + 20;
    let mut most = file;
    let started = Instant::now();
    while minute < START + 75 {
        add(minute);
        most = most.max(file_bytes());
        minute += 1;
    }
    println!("a minute of {DEVICES} devices is written in {:?}", started.elapsed() / 55);
    let started = Instant::now();
    let day = store.rows(Tier::Minutes, subjects[7], minute - 1_440..minute).unwrap();
    let (took, used) = (started.elapsed(), used_bytes(&store));
    println!(
        "{} minutes of 1,440 were there, in {took:?}; pages in use: {used} bytes for {} of rows",
        day.len(),
        store.rows_bytes()
    );
    assert!(used < store.rows_bytes() * 5 / 4, "{used}");
    println!("after {} minutes: {most} bytes at most, of {bytes_max}", minute - START);
    assert!(most <= bytes_max, "{most} bytes of {bytes_max}");
    assert!(store.first_minute().unwrap().unwrap() > START);
    let kept = store.rows(Tier::Hours, subjects[7], START / 60..START / 60 + 2).unwrap();
    assert_eq!(kept.len(), 1, "the hour of the minutes that had to go");
    drop(store);
    let is_there = |store: &Store| {
        store.rows(Tier::Minutes, subjects[7], minute - 1..minute).unwrap().len() == 1
    };
    let store = Store::open(&path, bytes_max).unwrap();
    assert!(is_there(&store));
    drop(store);
    // It gets less: the file shrinks at the next start, and the newest stays.
    let store = Store::open(&path, bytes_max / 4).unwrap();
    assert!(file_bytes() <= bytes_max / 4, "{}", file_bytes());
    assert!(is_there(&store));
}
