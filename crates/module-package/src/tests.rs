//! Each refusal by its name, and the golden bytes of each document.

use super::*;
use ed25519_dalek::SigningKey;
use known_answer::{Step, Value};
use proptest::prelude::*;

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// Key 1 is root, 2 release, 3 assign, 4 a device, 9 a stranger.
fn root() -> Root {
    Root {
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
    }
}

fn trust(root: &Root) -> TrustedRoot {
    let sealed = seal_root(root, &[&key(1)]);
    TrustedRoot::pinned(&sealed, RootId::of(&sealed)).unwrap()
}

fn device() -> DeviceId {
    DeviceId::of_key(&key(4).public_key().0)
}

fn release() -> Release {
    Release {
        version: DOCUMENT_VERSION,
        app: "filter".into(),
        app_version: 3,
        module: ModuleId::of(b"wasm"),
        artifact: ArtifactId::of(b"aot"),
        artifact_bytes: 3,
        block_bytes: BLOCK_BYTES,
        block_hashes: vec![BlobId::of(b"aot")],
        target: ReleaseTarget {
            id: "riscv64-linux".into(),
            abi: "lp64d".into(),
            cpu_features: vec!["m".into()],
            aot_version: 6,
            bounds_checks: "software".into(),
        },
        policy: CompilePolicy { metering: "none".into(), nan_canonicalization: "none".into() },
        imports: vec!["farrier.log".into()],
        limits: ReleaseLimits {
            memory_bytes_max: 65_536,
            stack_bytes: 65_536,
            call_ms_max: 1_000,
            log_lines_per_s_max: 10,
            publishes_per_s_max: 10,
            ..ReleaseLimits::default()
        },
        known_answers: vec![Step::Call {
            export: "f".into(),
            args: vec![],
            expect: Some(vec![Value::I32(1)]),
        }],
        compiler: "aot-compiler 0.1.0".into(),
        developer: None,
    }
}

fn manifest() -> Manifest {
    Manifest {
        version: DOCUMENT_VERSION,
        epoch: 1,
        seq: 7,
        device: device(),
        issued_at_ms: 1_000,
        not_after_ms: None,
        apps: vec![AppEntry {
            app: "filter".into(),
            release: ReleaseId::of(b"release"),
            run: true,
            interval_ms: 1_000,
            sensors: vec!["temperature".into()],
            channels: vec!["average".into()],
            scheduling: None,
            class: "best-effort".into(),
            deployment: 1,
            health_window_ms: None,
            provisions: None,
            sharing: None,
        }],
    }
}

fn seal_by<T: minicbor::Encode<()>>(domain: Domain, document: &T, by: u8) -> Vec<u8> {
    seal(domain, minicbor::to_vec(document).unwrap(), &key(by))
}

fn open_manifest_now(sealed: &[u8]) -> Result<(Manifest, ManifestId), DocumentError> {
    open_manifest(sealed, &trust(&root()), &device(), None)
}

fn open_release_of(sealed: &[u8], root: &Root) -> Result<Release, DocumentError> {
    open_release(sealed, ReleaseId::of(sealed), &trust(root))
}

#[test]
fn a_good_manifest_is_opened() {
    let sealed = seal_by(Domain::Manifest, &manifest(), 3);
    let (opened, id) = open_manifest_now(&sealed).unwrap();
    assert_eq!(opened, manifest());
    assert_eq!(id, ManifestId::of(&minicbor::to_vec(manifest()).unwrap()));
    assert!(sealed.len() < 400, "a manifest of one application is {} bytes", sealed.len());
}

#[test]
fn a_good_release_is_opened() {
    let sealed = seal_by(Domain::Release, &release(), 2);
    assert_eq!(open_release_of(&sealed, &root()).unwrap(), release());
}

#[test]
fn a_manifest_by_a_strange_key_is_refused() {
    let sealed = seal_by(Domain::Manifest, &manifest(), 9);
    let stranger = key(9).public_key().id();
    assert_eq!(
        open_manifest_now(&sealed),
        Err(DocumentError::Seal(SealError::UnknownKey(stranger)))
    );
}

#[test]
fn a_manifest_by_the_release_key_is_refused() {
    let sealed = seal_by(Domain::Manifest, &manifest(), 2);
    let id = key(2).public_key().id();
    assert_eq!(open_manifest_now(&sealed), Err(DocumentError::Seal(SealError::WrongRole(id))));
}

#[test]
fn a_manifest_by_a_revoked_key_is_refused() {
    let id = key(3).public_key().id();
    let root = Root { revoked: vec![id], ..root() };
    let sealed = seal_by(Domain::Manifest, &manifest(), 3);
    assert_eq!(
        open_manifest(&sealed, &trust(&root), &device(), None),
        Err(DocumentError::Seal(SealError::RevokedKey(id)))
    );
}

#[test]
fn a_document_of_another_domain_is_refused() {
    let sealed = seal_by(Domain::Report, &manifest(), 3);
    assert_eq!(open_manifest_now(&sealed), Err(DocumentError::Seal(SealError::BadSignature)));
}

#[test]
fn a_manifest_for_another_device_is_refused() {
    let other = DeviceId::of_key(&[5; 32]);
    let sealed = seal_by(Domain::Manifest, &Manifest { device: other.clone(), ..manifest() }, 3);
    assert_eq!(open_manifest_now(&sealed), Err(DocumentError::WrongDevice(other)));
}

#[test]
fn an_expired_manifest_is_refused_only_by_a_device_that_knows_the_time() {
    let sealed = seal_by(Domain::Manifest, &Manifest { not_after_ms: Some(10), ..manifest() }, 3);
    assert!(open_manifest_now(&sealed).is_ok());
    let late = open_manifest(&sealed, &trust(&root()), &device(), Some(11));
    assert_eq!(late, Err(DocumentError::Expired { not_after_ms: 10 }));
}

#[test]
fn a_manifest_of_another_version_or_with_doubled_applications_is_refused() {
    let sealed = seal_by(Domain::Manifest, &Manifest { version: 2, ..manifest() }, 3);
    assert_eq!(open_manifest_now(&sealed), Err(DocumentError::Version(2)));
    let mut doubled = manifest();
    doubled.apps.push(doubled.apps[0].clone());
    let sealed = seal_by(Domain::Manifest, &doubled, 3);
    assert!(matches!(open_manifest_now(&sealed), Err(DocumentError::Inconsistent(_))));
}

#[test]
fn other_encodings_of_the_same_content_are_refused() {
    // The same map with its version number in a longer form: 0x18 0x01 for 0x01.
    let mut payload = minicbor::to_vec(manifest()).unwrap();
    assert_eq!(payload[1..3], [0, 1]);
    payload.splice(2..3, [0x18, 0x01]);
    let sealed = seal(Domain::Manifest, payload, &key(3));
    assert_eq!(
        open_manifest_now(&sealed),
        Err(DocumentError::Seal(SealError::Malformed("the CBOR is not deterministic".into())))
    );
}

#[test]
fn any_flipped_bit_is_refused() {
    let sealed = seal_by(Domain::Manifest, &manifest(), 3);
    for index in 0..sealed.len() * 8 {
        let mut forged = sealed.clone();
        forged[index / 8] ^= 1 << (index % 8);
        assert!(open_manifest_now(&forged).is_err(), "bit {index}");
    }
}

#[test]
fn a_manifest_over_the_limit_is_refused_before_it_is_parsed() {
    let sealed = vec![0; MANIFEST_BYTES_MAX + 1];
    let too_long = SealError::TooLong { len: MANIFEST_BYTES_MAX + 1, max: MANIFEST_BYTES_MAX };
    assert_eq!(open_manifest_now(&sealed), Err(DocumentError::Seal(too_long)));
}

#[test]
fn the_order_of_manifests_refuses_rollback_and_equivocation() {
    let id = ManifestId::of(b"a");
    let stored = Accepted { epoch: 1, seq: 7, manifest: id };
    let at = |epoch, seq| Manifest { epoch, seq, ..manifest() };
    assert_eq!(order_manifest(None, &at(1, 1), id), Ok(Order::Newer));
    assert_eq!(order_manifest(Some(&stored), &at(1, 8), id), Ok(Order::Newer));
    assert_eq!(order_manifest(Some(&stored), &at(2, 1), id), Ok(Order::Newer));
    assert_eq!(order_manifest(Some(&stored), &at(1, 7), id), Ok(Order::Repeat));
    let other = ManifestId::of(b"b");
    assert_eq!(
        order_manifest(Some(&stored), &at(1, 7), other),
        Err(OrderRefusal::Equivocation { epoch: 1, seq: 7 })
    );
    assert!(matches!(
        order_manifest(Some(&stored), &at(1, 6), id),
        Err(OrderRefusal::Rollback { .. })
    ));
}

#[test]
fn a_release_of_another_hash_below_the_floor_or_with_lost_blocks_is_refused() {
    let sealed = seal_by(Domain::Release, &release(), 2);
    let other = ReleaseId::of(b"other");
    assert_eq!(open_release(&sealed, other, &trust(&root())), Err(DocumentError::WrongHash));
    let floors = vec![Floor { app: "filter".into(), app_version_min: 4 }];
    let refused = open_release_of(&sealed, &Root { floors, ..root() });
    assert!(matches!(refused, Err(DocumentError::BelowFloor { version: 3, floor: 4, .. })));
    let lost = Release { block_hashes: vec![], ..release() };
    let refused = open_release_of(&seal_by(Domain::Release, &lost, 2), &root());
    assert!(matches!(refused, Err(DocumentError::Inconsistent(_))));
}

#[test]
fn a_release_is_checked_against_the_runtime() {
    let runtime = RuntimeProfile {
        target: "riscv64-linux".into(),
        bounds_checks: "software".into(),
        aot_version: 6,
        cpu_features: vec!["m".into()],
        imports: vec!["farrier.log".into()],
    };
    assert_eq!(runtime.check(&release()), Ok(()));
    let other = RuntimeProfile { target: "x86_64-linux".into(), ..runtime.clone() };
    assert!(matches!(other.check(&release()), Err(Mismatch::Target { .. })));
    let other = RuntimeProfile { bounds_checks: "hardware".into(), ..runtime.clone() };
    assert!(matches!(other.check(&release()), Err(Mismatch::BoundsChecks { .. })));
    let other = RuntimeProfile { aot_version: 5, ..runtime.clone() };
    assert!(matches!(other.check(&release()), Err(Mismatch::AotVersion { .. })));
    let other = RuntimeProfile { cpu_features: vec![], ..runtime.clone() };
    assert_eq!(other.check(&release()), Err(Mismatch::CpuFeature("m".into())));
    let other = RuntimeProfile { imports: vec![], ..runtime };
    assert!(matches!(other.check(&release()), Err(Mismatch::Import { .. })));
}

#[test]
fn a_root_is_pinned_and_stepped_with_both_thresholds() {
    let two_of_three = |root_version| Root {
        root_version,
        root_keys: vec![key(1).public_key(), key(5).public_key(), key(6).public_key()],
        threshold: 2,
        ..root()
    };
    let one = seal_root(&two_of_three(1), &[&key(1)]);
    assert_eq!(
        TrustedRoot::pinned(&one, RootId::of(&one)),
        Err(DocumentError::Seal(SealError::BelowThreshold { valid: 1, threshold: 2 }))
    );
    let twice = seal_root(&two_of_three(1), &[&key(1), &key(1)]);
    assert!(TrustedRoot::pinned(&twice, RootId::of(&twice)).is_err());
    let first = seal_root(&two_of_three(1), &[&key(1), &key(5)]);
    assert_eq!(TrustedRoot::pinned(&first, RootId::of(b"")), Err(DocumentError::WrongHash));
    let first = TrustedRoot::pinned(&first, RootId::of(&first)).unwrap();

    let other_keys = Root { root_version: 2, root_keys: vec![key(7).public_key()], ..root() };
    assert!(first.step(&seal_root(&other_keys, &[&key(7)])).is_err());
    assert!(first.step(&seal_root(&other_keys, &[&key(1), &key(5)])).is_err());
    let both = seal_root(&other_keys, &[&key(1), &key(5), &key(7)]);
    assert_eq!(first.step(&both).unwrap().document(), &other_keys);
    assert!(first.step(&seal_root(&two_of_three(3), &[&key(1), &key(5)])).is_err());
}

#[test]
fn the_bytes_of_the_documents_are_what_they_have_been() {
    let hash = |bytes: &[u8]| BlobId::of(bytes).to_string();
    let hashes = [
        hash(&seal_root(&root(), &[&key(1)])),
        hash(&seal_by(Domain::Release, &release(), 2)),
        hash(&seal_by(Domain::Manifest, &manifest(), 3)),
    ];
    // A change here means that devices in the field cannot read the document:
    // raise DOCUMENT_VERSION instead.
    assert_eq!(
        hashes,
        [
            "7c1fc768e2b27753f0cb1c2f1786addd97bf8f8beaa71d7603d103027d5e7847",
            "808c38412548f6144a6e372c57376fd637a0d6d7572cc19425656b9815e419e2",
            "8b339d5266ceca71d756092ef42d41401c1614a4c91a02ff1583d3d55980d6e3"
        ]
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(open_manifest_now(&bytes).is_err());
        prop_assert!(open_release_of(&bytes, &root()).is_err());
        prop_assert!(TrustedRoot::pinned(&bytes, RootId::of(&bytes)).is_err());
    }

    #[test]
    fn a_signed_payload_of_arbitrary_bytes_is_refused_without_panic(
        payload in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        prop_assert!(open_manifest_now(&seal(Domain::Manifest, payload.clone(), &key(3))).is_err());
        prop_assert!(open_release_of(&seal(Domain::Release, payload, &key(2)), &root()).is_err());
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        version: DOCUMENT_VERSION,
        device: device(),
        time_ms: 1_000,
        epoch: 1,
        seq: 7,
        manifest: Some(ManifestId([5; 32])),
        root_version: 2,
        nonce: Some([6; NONCE_BYTES]),
    }
}

#[test]
fn a_heartbeat_is_opened_for_its_device_and_under_an_assign_key_alone() {
    let trusted = trust(&root());
    let open = |sealed: &[u8]| open_heartbeat(sealed, &trusted, &device());
    assert_eq!(open(&seal_by(Domain::Heartbeat, &heartbeat(), 3)).unwrap(), heartbeat());
    let plain = Heartbeat { nonce: None, manifest: None, ..heartbeat() };
    assert_eq!(open(&seal_by(Domain::Heartbeat, &plain, 3)).unwrap(), plain);
    let by_release_key = open(&seal_by(Domain::Heartbeat, &heartbeat(), 2));
    assert!(matches!(by_release_key, Err(DocumentError::Seal(SealError::WrongRole(_)))));
    let as_manifest = open(&seal_by(Domain::Manifest, &heartbeat(), 3));
    assert_eq!(as_manifest, Err(DocumentError::Seal(SealError::BadSignature)));
    let other = Heartbeat { device: DeviceId::of_key(&[8; 32]), ..heartbeat() };
    let of_another = open(&seal_by(Domain::Heartbeat, &other, 3));
    assert!(matches!(of_another, Err(DocumentError::WrongDevice(_))));
}

#[test]
fn the_bytes_of_a_heartbeat_are_what_they_have_been() {
    let hex = hex::encode(minicbor::to_vec(heartbeat()).unwrap());
    let expected = format!(
        "a80001017664{}021903e80301040705{}0602{}",
        &hex::encode(device().as_str())[2..],
        format_args!("5820{}", "05".repeat(32)),
        format_args!("0750{}", "06".repeat(16)),
    );
    assert_eq!(hex, expected);
}

/// What is not there is not written: a release from before there was the field has
/// the same bytes.
#[test]
fn a_release_without_a_developer_has_no_such_key() {
    let bytes = minicbor::to_vec(release()).unwrap();
    assert_eq!(bytes[0], 0xae);
    let signed = Release { developer: Some(KeyId([1; 32])), ..release() };
    assert_eq!(minicbor::to_vec(signed).unwrap()[0], 0xaf);
}

#[test]
fn signatures_are_added_one_by_one_and_each_key_counts_once() {
    let root = Root {
        root_keys: vec![key(1).public_key(), key(5).public_key(), key(6).public_key()],
        threshold: 2,
        ..root()
    };
    let unsigned = seal_root(&root, &[]);
    let signed_by = |sealed: &[u8]| {
        let draft = RootDraft::read(sealed).unwrap();
        draft.signed_by(&root.root_keys).into_iter().map(PublicKey::id).collect::<Vec<_>>()
    };
    assert!(signed_by(&unsigned).is_empty());
    let one = add_root_signature(&unsigned, &key(5)).unwrap();
    let again = add_root_signature(&one, &key(5)).unwrap();
    assert_eq!(one, again);
    assert_eq!(signed_by(&one), [key(5).public_key().id()]);
    assert!(TrustedRoot::pinned(&one, RootId::of(&one)).is_err());
    let both = add_root_signature(&one, &key(1)).unwrap();
    let other_order = add_root_signature(&add_root_signature(&unsigned, &key(1)).unwrap(), &key(5));
    assert_eq!(Ok(&both), other_order.as_ref(), "the order of signing does not show");
    assert!(TrustedRoot::pinned(&both, RootId::of(&both)).is_ok());
    // A stranger's signature is carried and counts for nothing.
    let strange = add_root_signature(&one, &key(9)).unwrap();
    assert_eq!(RootDraft::read(&strange).unwrap().claimed_signers().len(), 2);
    assert!(TrustedRoot::pinned(&strange, RootId::of(&strange)).is_err());
    assert!(add_root_signature(b"no document", &key(1)).is_err());
}

#[test]
fn a_developers_statement_holds_for_its_module_and_known_developers_only() {
    let statement = ModuleStatement::new("filter", ModuleId::of(b"wasm"));
    let sealed = statement.seal(&key(7));
    let developers = [key(8).public_key(), key(7).public_key()];
    assert_eq!(
        open_module_statement(&sealed, &developers),
        Ok((statement.clone(), key(7).public_key()))
    );
    let unknown = SealError::UnknownKey(key(7).public_key().id());
    assert_eq!(open_module_statement(&sealed, &developers[..1]), Err(DocumentError::Seal(unknown)));
    // The same payload sealed for another purpose.
    let other = seal_by(Domain::Release, &statement, 7);
    assert!(open_module_statement(&other, &developers).is_err());
    let newer = ModuleStatement { version: 2, ..statement };
    let newer = newer.seal(&key(7));
    assert_eq!(open_module_statement(&newer, &developers), Err(DocumentError::Version(2)));
    // A change here means that signatures of developers' tools are refused.
    assert_eq!(
        BlobId::of(&sealed).to_string(),
        "184341e41b5e339a24d9232b2641d35abd0b012a2a06cd79e34052ab5efbb09e"
    );
}

fn membership() -> Membership {
    Membership {
        version: DOCUMENT_VERSION,
        device: device(),
        issued_at_ms: 1_000,
        broker_url: "mqtts://b:1".into(),
        broker_ca: vec![vec![1, 2].into()],
        broker_name: Some("n".into()),
        certificate: Some(vec![3].into()),
        certificate_not_after_ms: Some(9),
        nonce: Some([6; NONCE_BYTES]),
    }
}

#[test]
fn a_membership_is_opened_for_its_device_and_under_an_assign_key_alone() {
    let trusted = trust(&root());
    let open = |sealed: &[u8]| open_membership(sealed, &trusted, &device());
    assert_eq!(open(&seal_by(Domain::Membership, &membership(), 3)).unwrap(), membership());
    let by_release_key = open(&seal_by(Domain::Membership, &membership(), 2));
    assert!(matches!(by_release_key, Err(DocumentError::Seal(SealError::WrongRole(_)))));
    let as_heartbeat = open(&seal_by(Domain::Heartbeat, &membership(), 3));
    assert_eq!(as_heartbeat, Err(DocumentError::Seal(SealError::BadSignature)));
    let other = Membership { device: DeviceId::of_key(&[8; 32]), ..membership() };
    let of_another = open(&seal_by(Domain::Membership, &other, 3));
    assert!(matches!(of_another, Err(DocumentError::WrongDevice(_))));
}

#[test]
fn the_bytes_of_a_membership_are_what_they_have_been() {
    let hex = hex::encode(minicbor::to_vec(membership()).unwrap());
    let expected = format!(
        "a90001017664{}021903e8036b6d717474733a2f2f623a31048142010205616e0641030709{}",
        &hex::encode(device().as_str())[2..],
        format_args!("0850{}", "06".repeat(16)),
    );
    assert_eq!(hex, expected);
}

proptest! {
    #[test]
    fn arbitrary_statements_and_drafts_are_refused_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400)
    ) {
        let developers = [key(7).public_key()];
        prop_assert!(open_module_statement(&bytes, &developers).is_err());
        prop_assert!(RootDraft::read(&bytes).is_err());
        prop_assert!(check_release(&bytes).is_err());
        let sealed = seal(Domain::Module, bytes, &key(7));
        prop_assert!(open_module_statement(&sealed, &developers).is_err());
    }

    #[test]
    fn any_bytes_are_a_membership_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let trusted = trust(&root());
        let _ = open_membership(&bytes, &trusted, &device());
        let _ = open_membership(&seal(Domain::Membership, bytes, &key(3)), &trusted, &device());
    }
}

#[test]
fn limits_that_a_release_cannot_have_are_inconsistent() {
    let refused = |change: fn(&mut Release)| {
        let mut release = release();
        change(&mut release);
        let opened = open_release_of(&seal_by(Domain::Release, &release, 2), &root());
        matches!(opened, Err(DocumentError::Inconsistent(_)))
    };
    assert!(refused(|release| release.limits.gas_per_call_max = Some(1)));
    assert!(!refused(|release| {
        release.limits.gas_per_call_max = Some(1);
        release.policy.metering = METERING_GAS.into();
    }));
    assert!(refused(|release| {
        let call_time = Some(module_limits::LimitAction::Warn);
        let actions = module_limits::LimitActions { call_time, ..Default::default() };
        release.limits.actions = Some(actions);
    }));
}
