//! The agent's files from changed bytes: each is read, moved aside or refused.

use super::*;
use durable_disk::sim::SimDisk;
use fuzzer::{Outcome, Target, check_for, seconds_or};
use module_package::{DOCUMENT_VERSION, Root, Signer, seal_root};

const SECONDS: u32 = 3;
const DIR: &str = "/data";

#[test]
fn files_of_any_bytes_are_read_or_moved_aside() {
    let target = Target { name: "device_state", check: read_files, seeds: files, share: 1 };
    check_for(seconds_or(SECONDS), target);
}

/// As they come, and behind the hash of their content. What was read is written back
/// and reads the same again; what was not is not read as anything from then on.
fn read_files(data: &[u8]) -> Outcome {
    let hashed = [&Sha256::digest(data)[..], data].concat();
    let mut outcome = Outcome::of("files");
    for content in [data, &hashed] {
        let state_of = |name: &str| {
            let disk = Rc::new(SimDisk::default());
            disk.write(&Path::new(DIR).join(name), content).unwrap();
            State::open(disk, Path::new(DIR)).unwrap()
        };
        outcome = outcome.and(Outcome::of_result(&state_of(KEY_FILE).key().map(drop)));
        let state = state_of(ENROLMENT_FILE);
        let read = state.enrolment();
        if let Ok(Some(enrolment)) = &read {
            state.set_enrolment(enrolment).unwrap();
            let again = state.enrolment().unwrap().unwrap();
            assert_eq!(again.sealed_root, enrolment.sealed_root);
            assert_eq!(again.device, enrolment.device);
        }
        outcome = outcome.and(found(&read.map(|enrolment| enrolment.is_some())));
        let state = state_of(PROGRESS_FILE);
        let read = state.progress();
        if let Ok(progress) = &read {
            state.set_progress(progress).unwrap();
            assert_eq!(&state.progress().unwrap(), progress);
        }
        outcome = outcome.and(found(&read.map(|progress| progress != Progress::default())));
        let read = state_of(TIME_FILE).time_floor_ms();
        outcome = outcome.and(found(&read.map(|floor_ms| floor_ms > 0)));
    }
    outcome
}

fn found(read: &Result<bool, StateError>) -> Outcome {
    match read {
        Ok(true) => Outcome::of("found"),
        Ok(false) => Outcome::of("nothing"),
        Err(error) => Outcome::of(&error.to_string()),
    }
}

fn enrolment() -> Enrolment {
    let key = |number: u8| SigningKey::from_bytes(&[number; 32]);
    let root = Root {
        version: DOCUMENT_VERSION,
        epoch: 1,
        root_version: 1,
        not_after_ms: None,
        root_keys: vec![key(1).public_key()],
        threshold: 1,
        release_keys: vec![key(2).public_key()],
        assign_keys: vec![key(3).public_key()],
        revoked: vec![],
        floors: vec![],
    };
    let sealed_root = seal_root(&root, &[&key(1)]);
    let root = TrustedRoot::pinned(&sealed_root, RootId::of(&sealed_root)).unwrap();
    let device = DeviceId::of_key(&key(4).public_key().0);
    Enrolment { device, root, sealed_root, broker_url: "mqtt://127.0.0.1:1883".into() }
}

/// Of an agent that is enrolled and has accepted something. Without the hash, which
/// the function puts there itself, and with it.
fn files() -> Vec<Vec<u8>> {
    let disk = Rc::new(SimDisk::default());
    let state = State::open(disk.clone(), Path::new(DIR)).unwrap();
    state.set_enrolment(&enrolment()).unwrap();
    let accepted = Accepted { epoch: 1, seq: 7, manifest: ManifestId::of(b"manifest") };
    let progress = Progress { accepted: Some((accepted, vec![1; 40])), ..Progress::default() };
    state.set_progress(&progress).unwrap();
    state.set_time_floor(1_000).unwrap();
    let names = [ENROLMENT_FILE, PROGRESS_FILE, TIME_FILE];
    let stored = names.map(|name| {
        let path = Path::new(DIR).join(name);
        disk.read(&path, FILE_BYTES_MAX).unwrap().unwrap()
    });
    let bare = stored.iter().map(|bytes| bytes[32..].to_vec());
    bare.chain(stored.clone()).chain([vec![7; 32]]).collect()
}
