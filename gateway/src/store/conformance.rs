//! What every store must do, run against each of them.

use super::memory::{MemoryBlobs, MemoryStore};
use super::record::{ArtifactKey, ClaimRecord, CompileRecord, CounterRecord, DeviceRecord};
use super::{Blobs, Change, FileBlobs, OpenError, SledStore, Store};
use module_package::{BlobId, CompilePolicy, DeviceId, ModuleId, PublicKey};

fn device(number: u8) -> DeviceRecord {
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
        enrolled_at_ms: 5,
    }
}

fn claim(number: u8) -> ClaimRecord {
    ClaimRecord { secret_hash: BlobId([number; 32]), expires_at_ms: 9, used_by: None }
}

fn compile(number: u64) -> CompileRecord {
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
    store.commit(&[]).unwrap();
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
fn sled_and_files_conform() {
    let dir = tempfile::tempdir().unwrap();
    check_store(&SledStore::open(&dir.path().join("store"), true).unwrap());
    check_blobs(&FileBlobs::open(&dir.path().join("blobs")).unwrap());
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = SledStore::open(&path, true).unwrap();
    store.commit(&[Change::Device(device(1))]).unwrap();
    drop(store);
    let store = SledStore::open(&path, false).unwrap();
    assert_eq!(store.load().unwrap().devices, [device(1)]);
}

#[test]
fn a_damaged_store_is_moved_aside_and_the_start_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = SledStore::open(&path, true).unwrap();
    store.commit(&[Change::Device(device(1))]).unwrap();
    drop(store);
    let len = std::fs::metadata(path.join("db")).unwrap().len();
    std::fs::write(path.join("db"), vec![0; len as usize]).unwrap();

    let refusal = SledStore::open(&path, false).err().expect("a damaged store does not open");
    let OpenError::Damaged { moved_to, .. } = &refusal else { panic!("{refusal}") };
    assert!(moved_to.join("db").exists(), "nothing is deleted");
    assert!(refusal.to_string().contains("backup"), "{refusal}");
    // A second start must not begin with an empty store.
    assert!(matches!(SledStore::open(&path, false), Err(OpenError::Missing { .. })));
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
