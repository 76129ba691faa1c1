//! What every store must do, run against each of them.

use super::memory::{MemoryBlobs, MemoryStore};
use super::note::as_actor;
use super::record::{ArtifactKey, ClaimRecord, CompileRecord, CounterRecord, DeviceRecord};
use super::{Blobs, Change, FileBlobs, LocalStore, Store};
use audit_chain::{Chain, Head};
use module_package::{BlobId, CompilePolicy, DeviceId, ModuleId, PublicKey};

pub fn device(number: u8) -> DeviceRecord {
    DeviceRecord {
        device: DeviceId::of_key(&[number; 32]),
        public_key: PublicKey([number; 32]),
        name: format!("device-{number}"),
        target: "x86_64-linux".into(),
        bounds_checks: "software".into(),
        aot_version: 6,
        cpu_features: vec![],
        imports: vec!["farrier.log".into()],
        agent: "agent".into(),
        runtime: "runtime".into(),
        emulated: false,
        sensors: vec!["temperature".into()],
        revoked_at_ms: None,
        admission: None,
        scheduling: None,
        enrolled_at_ms: 5,
        capabilities: None,
        capabilities_at_ms: None,
    }
}

fn claim(number: u8) -> ClaimRecord {
    ClaimRecord { secret_hash: BlobId([number; 32]), expires_at_ms: 9, used_by: None }
}

pub fn compile(number: u64) -> CompileRecord {
    CompileRecord {
        number,
        key: ArtifactKey {
            module: ModuleId([7; 32]),
            target: "x86_64-linux".into(),
            bounds_checks: "hardware".into(),
            policy: CompilePolicy { metering: "none".into(), nan_canonicalization: "none".into() },
            compiler: "compiler 1".into(),
            aot_version: 6,
            cpu_features: Some(vec!["sse3".into()]),
        },
        module_bytes: 8,
        started_at_ms: 1,
        compile_ms: 2,
        threads: 3,
        function_count: None,
        code_bytes: None,
        aot_bytes: None,
        stack_bytes: None,
        refusal: Some("too large".into()),
        log: "log".into(),
    }
}

fn check_store(store: &dyn Store) {
    assert_eq!(store.load().unwrap().devices, []);
    store.commit(&[Change::Device(device(1)), Change::Claim(claim(1))]).unwrap();
    let renamed = DeviceRecord { name: "other".into(), ..device(1) };
    store
        .commit(&[
            Change::Device(renamed.clone()),
            Change::Device(device(2)),
            Change::DeleteClaim(claim(1).secret_hash),
            Change::Counter(CounterRecord { last_deployment: 4 }),
        ])
        .unwrap();
    store.commit(&[Change::Compile(compile(1)), Change::Compile(compile(2))]).unwrap();
    store.commit(&[Change::DeleteCompile(compile(1).key.module, 1)]).unwrap();
    let records = store.load().unwrap();
    assert_eq!(records.compiles, [compile(2)]);
    let mut devices = records.devices;
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(devices, [device(2), renamed]);
    assert_eq!(records.claims, []);
    assert_eq!(records.counter.unwrap().last_deployment, 4);
    let before = store.audit(0, 1).unwrap().end;
    store.commit(&[]).unwrap();
    assert_eq!(store.audit(0, 1).unwrap().end, before, "nothing is not a record");
    check_audit(store);
    store.probe().unwrap();
}

/// Who did what is told of every commit, by pages of any size.
fn check_audit(store: &dyn Store) {
    let device = device(9);
    as_actor("token admin".into(), || store.commit(&[Change::Device(device.clone())])).unwrap();
    let end = store.audit(0, 1).unwrap().end;
    let page = store.audit(end.seq - 1, 10).unwrap();
    assert_eq!(page.heads.len(), 1);
    let head = Head::from_bytes(&page.heads[0]).unwrap();
    assert_eq!((head.seq, head.actor.as_str()), (end.seq, "token admin"));
    assert!(head.actions[0].subject.contains(device.device.as_str()), "{head:?}");
    assert!(store.audit(end.seq, 10).unwrap().heads.is_empty());
    assert!(store.audit(u64::MAX, 10).unwrap().heads.is_empty());
    check_chain(store);
}

pub fn check_chain(store: &dyn Store) {
    let mut chain = Chain::from_the_start();
    loop {
        let after = chain.last().map_or(0, |last| last.seq);
        let page = store.audit(after, 2).unwrap();
        if page.heads.is_empty() {
            chain.check_end(page.end).unwrap();
            return;
        }
        page.heads.iter().for_each(|head| drop(chain.take(head).unwrap()));
    }
}

fn check_blobs(blobs: &dyn Blobs) {
    let bytes: Vec<u8> = (0..=255).collect();
    let blob = blobs.put(&bytes).unwrap();
    assert_eq!(blob, BlobId::of(&bytes));
    assert_eq!(blobs.put(&bytes).unwrap(), blob);
    assert_eq!(blobs.get(blob).unwrap(), bytes);
    assert_eq!(blobs.size(blob), Some(256));
    assert_eq!(blobs.get_range(blob, 250, 10).unwrap(), bytes[250..]);
    assert!(blobs.get_range(blob, 300, 10).unwrap().is_empty());
    let absent = BlobId::of(b"absent");
    assert!(blobs.get(absent).is_err());
    assert_eq!(blobs.size(absent), None);
}

#[test]
fn the_fakes_conform() {
    check_store(&MemoryStore::default());
    check_blobs(&MemoryBlobs::default());
}

#[test]
fn the_local_store_and_files_conform() {
    let dir = tempfile::tempdir().unwrap();
    check_store(&LocalStore::open(dir.path(), true).unwrap());
    check_blobs(&FileBlobs::open(&dir.path().join("blobs")).unwrap());
}

#[test]
fn the_local_store_conforms_on_a_simulated_disk_without_an_index() {
    check_store(&super::faults::open_simulated(&Default::default(), true).unwrap());
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalStore::open(dir.path(), true).unwrap();
    store.commit(&[Change::Device(device(1))]).unwrap();
    let end = store.audit(0, 100).unwrap().end;
    drop(store);
    let store = LocalStore::open(dir.path(), false).unwrap();
    assert_eq!(store.load().unwrap().devices, [device(1)]);
    assert_eq!(store.audit(0, 100).unwrap().end, end);
    store.commit(&[Change::Device(device(2))]).unwrap();
    check_chain(&store);
}

#[test]
fn a_damaged_or_unfinished_blob_is_never_read_as_whole() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(dir.path()).unwrap();
    let blob = blobs.put(b"artifact").unwrap();
    std::fs::write(dir.path().join(blob.to_string()), b"artifacT").unwrap();
    std::fs::write(dir.path().join("x-1.part"), b"rest of a power cut").unwrap();
    assert!(blobs.get(blob).is_err());
    blobs.put(b"artifact").unwrap();
    assert_eq!(blobs.get(blob).unwrap(), b"artifact");
    FileBlobs::open(dir.path()).unwrap();
    assert!(!dir.path().join("x-1.part").exists());
}
