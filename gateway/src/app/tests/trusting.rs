//! Root documents, and releases that are signed elsewhere: what the gateway takes,
//! what follows, and what a thief cannot do. The tests of the threats' names are about
//! documents and the gateway; those on a real agent have the same names.

use super::fleet::{FakeDevice, Fleet, plain_wasm, refusal};
use super::uploading::parts;
use crate::app::{SigningPass, TrustRules};
use crate::config::Developer;
use crate::signing::{Envelope, KeyRing, NotSigned, ReleaseSigner, RemoteSigner, Signing, pae};
use ed25519_dalek::SigningKey;
use gateway_api::{ProblemCode, ProgressState, ReleaseKeyPlace};
use module_package::{
    DOCUMENT_VERSION, DocumentError, Domain, Floor, KeyId, ModuleId, ModuleStatement, PublicKey,
    ReleaseId, Root, RootId, SealError, Signer, TrustedRoot, open_release, read_unverified, seal,
    seal_root,
};
use signer_protocol::{About, SignRequest};
use std::sync::{Arc, Mutex};

const ROOTS: [u8; 3] = [101, 102, 103];
const RELEASE: u8 = 110;
const ASSIGN: u8 = 120;

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(number: u8) -> PublicKey {
    key(number).public_key()
}

fn root() -> Root {
    Root {
        version: DOCUMENT_VERSION,
        epoch: 1,
        root_version: 1,
        not_after_ms: None,
        root_keys: ROOTS.map(public).to_vec(),
        threshold: 2,
        release_keys: vec![public(RELEASE)],
        assign_keys: vec![public(ASSIGN)],
        revoked: vec![],
        floors: vec![],
    }
}

fn signed(root: &Root, by: &[u8]) -> Vec<u8> {
    let keys: Vec<SigningKey> = by.iter().map(|number| key(*number)).collect();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    seal_root(root, &signers)
}

/// A gateway whose root comes from outside; version 1 is not there yet.
fn gateway(release: ReleaseSigner) -> Fleet {
    Fleet::with_trust(Signing::with_keys(key(ASSIGN), release), TrustRules::default())
}

fn offline() -> Fleet {
    let fleet = gateway(ReleaseSigner::Offline);
    fleet.app.publish_root(&signed(&root(), &ROOTS[..2])).unwrap();
    fleet
}

fn in_process() -> Fleet {
    let fleet = gateway(ReleaseSigner::InProcess(KeyRing::new(vec![key(RELEASE)])));
    fleet.app.publish_root(&signed(&root(), &ROOTS[..2])).unwrap();
    fleet
}

/// Signs what waits, as people with the release key would.
fn sign_waiting(fleet: &Fleet, by: u8) -> Vec<Result<gateway_api::AcceptedRelease, String>> {
    let waiting = fleet.app.waiting_releases().unwrap();
    let sign = |payload: &str| seal(Domain::Release, hex::decode(payload).unwrap(), &key(by));
    waiting
        .iter()
        .map(|w| fleet.app.submit_release(&sign(&w.payload)).map_err(|e| e.to_string()))
        .collect()
}

#[test]
fn no_device_is_let_in_before_there_is_a_root_that_names_the_gateways_key() {
    let fleet = gateway(ReleaseSigner::Offline);
    let new = gateway_api::NewClaimToken { valid_s: None };
    let (code, detail) = refusal(fleet.app.new_claim_token(&new));
    assert_eq!(code, ProblemCode::Unavailable);
    assert!(detail.contains("farrier root publish"), "{detail}");
    assert!(fleet.app.session().trust.waits_for_root());

    let strange = Root { assign_keys: vec![public(121)], ..root() };
    let (code, detail) = refusal(fleet.app.publish_root(&signed(&strange, &ROOTS)));
    assert_eq!(code, ProblemCode::NotTrusted);
    assert!(detail.contains(&hex::encode(public(ASSIGN).0)), "{detail}");
    let second = Root { root_version: 2, ..root() };
    assert!(fleet.app.publish_root(&signed(&second, &ROOTS)).is_err(), "the first is version 1");

    let sealed = signed(&root(), &ROOTS[1..]);
    let (is_new, trust) = fleet.app.publish_root(&sealed).unwrap();
    assert!(is_new);
    assert_eq!((trust.summary.root_version, trust.summary.threshold), (1, 2));
    assert_eq!(trust.summary.release_key_place, ReleaseKeyPlace::Offline);
    assert!(!fleet.app.publish_root(&sealed).unwrap().0, "again changes nothing");
    fleet.enrol(&FakeDevice::new(1, "x86_64-linux"));
}

#[test]
fn a_root_below_its_threshold_is_refused_with_whose_signature_is_missing() {
    let fleet = gateway(ReleaseSigner::Offline);
    // One key twice is one signature.
    for by in [&[][..], &ROOTS[..1], &[ROOTS[0], ROOTS[0]], &[1, 2, 3]] {
        let (code, detail) = refusal(fleet.app.publish_root(&signed(&root(), by)));
        assert_eq!(code, ProblemCode::NotTrusted, "{by:?}");
        assert!(detail.contains("needs 2 signatures of its 3 root keys"), "{detail}");
        let missing = public(ROOTS[2]).id().to_string()[..12].to_owned();
        assert!(detail.contains(&missing), "{detail}");
    }
}

#[test]
fn fast_forward() {
    // Somebody wants devices to skip versions, or to end where no true one follows.
    let fleet = offline();
    let skipped = Root { root_version: 3, ..root() };
    assert!(fleet.app.publish_root(&signed(&skipped, &ROOTS)).is_err(), "a step is one version");
    let last = Root { root_version: u32::MAX, ..root() };
    assert!(fleet.app.publish_root(&signed(&last, &ROOTS)).is_err());
    let back = Root { root_version: 1, floors: vec![], threshold: 1, ..root() };
    assert!(fleet.app.publish_root(&signed(&back, &ROOTS)).is_err(), "nor back");
    let epoch = Root { root_version: 2, epoch: 0, ..root() };
    assert!(fleet.app.publish_root(&signed(&epoch, &ROOTS)).is_err(), "the epoch stays or grows");
    // Keys of the new version alone are not enough, nor those of the old one.
    let other_keys = Root { root_version: 2, root_keys: vec![public(1), public(2)], ..root() };
    for by in [&[1, 2][..], &[ROOTS[0], ROOTS[1]], &[ROOTS[0], 1, 2], &[ROOTS[0], ROOTS[1], 1]] {
        let (_, detail) = refusal(fleet.app.publish_root(&signed(&other_keys, by)));
        assert!(detail.contains("have not signed"), "{detail}");
    }
    assert_eq!(fleet.app.trust().summary.root_version, 1);
    fleet.app.publish_root(&signed(&other_keys, &[ROOTS[0], ROOTS[1], 1, 2])).unwrap();
    assert_eq!(fleet.app.root_documents().len(), 2, "both are kept for devices to walk");
    assert_eq!(fleet.root().document(), &other_keys);
}

#[test]
fn a_claim_token_from_before_a_rotation_brings_the_root_that_it_pins() {
    let fleet = offline();
    let token = fleet.claim_token();
    let first = fleet.app.sealed_root(1).unwrap();
    let second = signed(&Root { root_version: 2, ..root() }, &ROOTS[..2]);
    fleet.app.publish_root(&second).unwrap();
    let device = FakeDevice::new(1, "x86_64-linux");
    let response = fleet.app.enrol(&device.enrol_request(&token)).unwrap();
    let root = device_protocol::decode_sealed(&response.root).unwrap();
    assert_eq!(root, first);
    let walked = TrustedRoot::pinned(&root, RootId::of(&first)).unwrap().step(&second).unwrap();
    assert_eq!(walked.document().root_version, 2);
    let newer = FakeDevice::new(2, "x86_64-linux");
    let response = fleet.app.enrol(&newer.enrol_request(&fleet.claim_token())).unwrap();
    assert_eq!(device_protocol::decode_sealed(&response.root).unwrap(), second);
}

#[test]
fn an_offline_release_waits_until_its_signature_is_handed_in() {
    let fleet = offline();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let deployment = fleet.deploy("answer");
    fleet.work_well();
    let progress = fleet.progress(&deployment.id, &device);
    assert_eq!(progress.state, ProgressState::AwaitingReleaseSignature);
    assert!(progress.detail.contains("farrier release export"), "{}", progress.detail);
    assert!(fleet.manifest(&device).is_none(), "nothing is assigned before");
    let fleet = fleet.restart();
    assert_eq!(fleet.app.waiting_releases().unwrap().len(), 1, "it waits across a restart");

    let refused = sign_waiting(&fleet, ASSIGN);
    assert!(refused[0].as_ref().unwrap_err().contains("may not sign this kind"), "{refused:?}");
    let accepted = sign_waiting(&fleet, RELEASE);
    assert!(accepted[0].is_ok(), "{accepted:?}");
    assert!(fleet.app.waiting_releases().unwrap().is_empty());
    assert_eq!(fleet.manifest(&device).unwrap().seq, 1, "it goes on by itself");
    assert_eq!(fleet.release(&device).app, "answer");
    let (code, _) = refusal(fleet.app.submit_release(b"no release"));
    assert_eq!(code, ProblemCode::NotTrusted);
}

#[test]
fn a_new_assign_key_seals_the_manifests_again() {
    let fleet = in_process();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    fleet.work_well();
    let before = fleet.manifest(&device).unwrap();
    let new = gateway_api::NewGatewayKey { role: gateway_api::GatewayKeyRole::Assign };
    let made = fleet.app.new_gateway_key(&new).unwrap();
    let made = PublicKey(hex::decode(&made.public_key).unwrap().try_into().unwrap());
    let next = Root {
        root_version: 2,
        epoch: 2,
        assign_keys: vec![made],
        revoked: vec![public(ASSIGN).id()],
        ..root()
    };
    fleet.outbox.told.lock().unwrap().clear();
    fleet.app.publish_root(&signed(&next, &ROOTS[..2])).unwrap();
    let after = fleet.manifest(&device).unwrap();
    assert_eq!((after.epoch, after.seq), (2, before.seq + 1));
    assert_eq!(after.apps, before.apps, "the same applications");
    assert_eq!(*fleet.outbox.told.lock().unwrap(), std::slice::from_ref(&device.id));
    let sealed = fleet.app.sealed_manifest(&device.id).unwrap();
    assert_eq!(read_unverified(&sealed).unwrap().0, made.id());
    // And once only.
    let fleet = fleet.restart();
    assert_eq!(fleet.manifest(&device).unwrap(), after);
}

#[test]
fn key_compromise() {
    let fleet = offline();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let deployment = fleet.deploy("answer");
    fleet.work_well();
    assert!(sign_waiting(&fleet, RELEASE)[0].is_ok());
    let old = fleet.release(&device);
    let old_sealed = seal(Domain::Release, minicbor::to_vec(&old).unwrap(), &key(RELEASE));

    // A thief of the gateway has the assign key: for code it is the wrong one.
    let stolen = fleet.app.rooms.signing.stolen_assign_key();
    let forged = seal(Domain::Release, minicbor::to_vec(&old).unwrap(), &stolen);
    let refused = open_release(&forged, ReleaseId::of(&forged), &fleet.root());
    let wrong_role = SealError::WrongRole(stolen.public_key().id());
    assert_eq!(refused, Err(DocumentError::Seal(wrong_role)));
    assert_eq!(refusal(fleet.app.submit_release(&forged)).0, ProblemCode::NotTrusted);
    // Nor can he make a root document.
    let his = Root { root_version: 2, release_keys: vec![stolen.public_key()], ..root() };
    assert!(fleet.app.publish_root(&seal_root(&his, &[&stolen])).is_err());

    // The release key is stolen and revoked: what it signed counts no more.
    let next = Root {
        root_version: 2,
        release_keys: vec![public(RELEASE + 1)],
        revoked: vec![public(RELEASE).id()],
        ..root()
    };
    fleet.app.publish_root(&signed(&next, &ROOTS[..2])).unwrap();
    let revoked = SealError::RevokedKey(public(RELEASE).id());
    let refused = open_release(&old_sealed, ReleaseId::of(&old_sealed), &fleet.root());
    assert_eq!(refused, Err(DocumentError::Seal(revoked)));
    assert_eq!(
        fleet.progress_state(&deployment.id, &device),
        ProgressState::AwaitingReleaseSignature
    );
    assert!(sign_waiting(&fleet, RELEASE)[0].is_err(), "the revoked key signs nothing");
    assert!(sign_waiting(&fleet, RELEASE + 1)[0].is_ok());
    assert_eq!(fleet.release(&device).artifact, old.artifact, "the same code, signed anew");
    assert_eq!(fleet.manifest(&device).unwrap().seq, 2);
}

#[test]
fn a_revoked_release_key_of_the_gateway_itself_is_followed_by_its_new_one_at_once() {
    let fleet = in_process();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    fleet.work_well();
    let new = gateway_api::NewGatewayKey { role: gateway_api::GatewayKeyRole::Release };
    let made = fleet.app.new_gateway_key(&new).unwrap().public_key;
    let made = PublicKey(hex::decode(made).unwrap().try_into().unwrap());
    let revoked = vec![public(RELEASE).id()];
    let next = Root { root_version: 2, release_keys: vec![made], revoked, ..root() };
    fleet.app.publish_root(&signed(&next, &ROOTS[..2])).unwrap();
    assert!(fleet.app.waiting_releases().unwrap().is_empty());
    // Opened under the new root.
    assert_eq!(fleet.release(&device).app, "answer");
    assert_eq!(fleet.manifest(&device).unwrap().seq, 2);
}

#[test]
fn a_floor_is_honoured_where_it_is_deployed_and_where_it_runs() {
    let fleet = in_process();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let first = fleet.deploy("answer");
    fleet.work_well();
    assert_eq!(fleet.manifest(&device).unwrap().apps.len(), 1);
    let floors = vec![Floor { app: "answer".into(), app_version_min: 2 }];
    let next = Root { root_version: 2, floors, ..root() };
    fleet.app.publish_root(&signed(&next, &ROOTS[..2])).unwrap();
    assert!(fleet.manifest(&device).unwrap().apps.is_empty(), "the old version leaves the device");
    let progress = fleet.progress(&first.id, &device);
    assert_eq!(progress.state, ProgressState::Refused);
    assert_eq!(progress.refusal.unwrap().code, 12);
    let again = super::fleet::deployment_of("answer");
    let (code, detail) = refusal(fleet.app.deploy(&again));
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("from version 2 on"), "{detail}");
    fleet.upload("answer", &plain_wasm(2));
    fleet.deploy("answer");
    fleet.work_well();
    assert_eq!(fleet.release(&device).app_version, 2);
}

/// A signer that is away, refuses, or signs.
#[derive(Default)]
struct FakeSigner {
    problem: Mutex<Option<NotSigned>>,
    key: Mutex<u8>,
}

impl RemoteSigner for FakeSigner {
    fn about(&self) -> Result<About, NotSigned> {
        match &*self.problem.lock().unwrap() {
            Some(away @ NotSigned::Away { .. }) => Err(away.clone()),
            _ => Ok(About {
                version: 1,
                release_key: public(*self.key.lock().unwrap()),
                recompile: true,
                requires_developer: false,
            }),
        }
    }

    fn sign(&self, request: SignRequest) -> Result<Vec<u8>, NotSigned> {
        assert_eq!(
            request.wasm,
            Some(plain_wasm(1)),
            "a signer that compiles again gets the module"
        );
        match &*self.problem.lock().unwrap() {
            Some(problem) => Err(problem.clone()),
            None => Ok(seal(Domain::Release, request.release, &key(*self.key.lock().unwrap()))),
        }
    }

    fn place(&self) -> String {
        "/run/signer".into()
    }
}

#[test]
fn a_signer_that_is_away_is_waited_for_and_one_that_refuses_is_told() {
    let signer = Arc::new(FakeSigner { key: Mutex::new(RELEASE), ..FakeSigner::default() });
    let fleet = gateway(ReleaseSigner::Process(signer.clone()));
    fleet.app.publish_root(&signed(&root(), &ROOTS[..2])).unwrap();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let deployment = fleet.deploy("answer");
    fleet.work_well();
    let away = NotSigned::Away { place: "/run/signer".into(), why: "it sleeps".into() };
    *signer.problem.lock().unwrap() = Some(away);
    assert_eq!(fleet.app.ask_signer().unwrap(), SigningPass::Again);
    let progress = fleet.progress(&deployment.id, &device);
    assert_eq!(progress.state, ProgressState::AwaitingReleaseSignature);
    assert!(progress.detail.contains("it sleeps"), "{}", progress.detail);

    *signer.problem.lock().unwrap() = Some(NotSigned::Refused("another artifact".into()));
    assert_eq!(fleet.app.ask_signer().unwrap(), SigningPass::Done);
    let progress = fleet.progress(&deployment.id, &device);
    assert_eq!(progress.state, ProgressState::Refused);
    assert!(progress.detail.contains("another artifact"), "{}", progress.detail);

    // Deployed again, it is asked again; a key that the root does not name is no good.
    *signer.problem.lock().unwrap() = None;
    *signer.key.lock().unwrap() = 9;
    let deployment = fleet.deploy("answer");
    assert_eq!(fleet.app.ask_signer().unwrap(), SigningPass::Again);
    let progress = fleet.progress(&deployment.id, &device);
    assert!(progress.detail.contains("rotate the root"), "{}", progress.detail);

    *signer.key.lock().unwrap() = RELEASE;
    assert_eq!(fleet.app.ask_signer().unwrap(), SigningPass::Done);
    assert_eq!(fleet.progress_state(&deployment.id, &device), ProgressState::Published);
    assert_eq!(fleet.release(&device).app, "answer");
    assert!(fleet.app.trust().summary.signer_recompiles);
}

fn with_developer(require_developer_signature: bool) -> Fleet {
    let developers = vec![Developer { name: "alice".into(), key: public(7) }];
    let release = ReleaseSigner::InProcess(KeyRing::new(vec![key(RELEASE)]));
    let signing = Signing::with_keys(key(ASSIGN), release);
    let fleet = Fleet::with_trust(signing, TrustRules { developers, require_developer_signature });
    fleet.app.publish_root(&signed(&root(), &ROOTS[..2])).unwrap();
    fleet
}

#[test]
fn a_module_needs_a_developers_signature_where_the_policy_says_so() {
    let fleet = with_developer(true);
    let wasm = plain_wasm(1);
    let statement =
        |name: &str, by: u8| ModuleStatement::new(name, ModuleId::of(&wasm)).seal(&key(by));
    let push = |name: &str, statement: Option<&[u8]>| {
        fleet.app.upload_signed_module(name, &wasm, statement)
    };
    for (name, statement, why) in [
        ("answer", None, "--sign-key"),
        ("answer", Some(statement("answer", 8)), "no developer's key here"),
        ("other", Some(statement("answer", 7)), "for the name"),
        (
            "answer",
            Some(ModuleStatement::new("answer", ModuleId::of(b"")).seal(&key(7))),
            "another module",
        ),
        ("answer", Some(b"nonsense".to_vec()), "does not count"),
    ] {
        let (code, detail) = refusal(push(name, statement.as_deref()));
        assert_eq!(code, ProblemCode::SignatureRefused, "{detail}");
        assert!(detail.contains(why), "{detail}");
    }
    let (_, module) = push("answer", Some(&statement("answer", 7))).unwrap();
    assert_eq!(module.developer_name.as_deref(), Some("alice"));
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.deploy("answer");
    fleet.work_well();
    assert_eq!(fleet.release(&device).developer, Some(public(7).id()), "the release names the key");
}

#[test]
fn each_input_of_a_linked_module_needs_a_signature_where_the_policy_says_so() {
    let fleet = with_developer(true);
    let sign = |name: &str, wasm: &[u8], by: u8| {
        Some(ModuleStatement::new(name, ModuleId::of(wasm)).seal(&key(by)))
    };
    let push = |main: Option<u8>, library: (Option<u8>, &str)| {
        let mut parts = parts();
        parts[0].statement = main.and_then(|by| sign("answer", &parts[0].wasm, by));
        parts[1].statement = library.0.and_then(|by| sign(library.1, &parts[1].wasm, by));
        fleet.app.upload_linked_module("answer", None, &parts)
    };
    for (main, library, why) in [
        (None, (Some(7), "math"), "answer, which is to be linked: The module is not signed"),
        (Some(7), (None, "math"), "math, which is to be linked: The module is not signed"),
        (Some(7), (Some(8), "math"), "math, which is to be linked: The module is signed by key"),
        (
            Some(7),
            (Some(7), "answer"),
            "math, which is to be linked: The signature is for the name",
        ),
    ] {
        let (code, detail) = refusal(push(main, library));
        assert_eq!(code, ProblemCode::SignatureRefused, "{detail}");
        assert!(detail.contains(why), "{detail}");
    }
    let (_, module) = push(Some(7), (Some(7), "math")).unwrap();
    let alice = public(7).id().to_string();
    assert!(module.linked.iter().all(|input| input.developer.as_ref() == Some(&alice)));
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.deploy("answer");
    fleet.work_well();
    assert_eq!(fleet.release(&device).developer, Some(public(7).id()));

    let artifact = fleet.release(&device).artifact;
    let envelope = fleet.app.provenance(&artifact.to_string()).unwrap();
    let envelope: serde_json::Value = serde_json::from_slice(&envelope).unwrap();
    use base64::Engine;
    let payload = envelope["payload"].as_str().unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
    let statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let made_of = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    let digests: Vec<_> = (0..4).map(|index| made_of[index]["digest"]["sha256"].as_str()).collect();
    let id = |wasm: &[u8]| Some(ModuleId::of(wasm).to_string());
    let expected = [Some(module.id), id(&parts()[0].wasm), id(&parts()[1].wasm), None];
    assert_eq!(digests.iter().map(|d| d.map(str::to_owned)).collect::<Vec<_>>(), expected);
    assert_eq!(made_of[2]["annotations"]["linkName"], "math");
}

#[test]
fn an_artifacts_provenance_is_signed_and_names_all_that_made_it() {
    let fleet = with_developer(false);
    let wasm = plain_wasm(1);
    let statement = ModuleStatement::new("answer", ModuleId::of(&wasm)).seal(&key(7));
    fleet.app.upload_signed_module("answer", &wasm, Some(&statement)).unwrap();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.deploy("answer");
    fleet.work_well();
    let artifact = fleet.release(&device).artifact;
    let envelope = fleet.app.provenance(&artifact.to_string()).unwrap();
    // By hand: the JSON's own fields, base64, and the plain signature over the encoding
    // that the DSSE protocol describes.
    let envelope: serde_json::Value = serde_json::from_slice(&envelope).unwrap();
    let decode = |value: &serde_json::Value| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
    };
    let payload = decode(&envelope["payload"]);
    let kind = "application/vnd.in-toto+json";
    assert_eq!(envelope["payloadType"], kind);
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(&payload);
    let signature =
        ed25519_dalek::Signature::from_slice(&decode(&envelope["signatures"][0]["sig"]));
    let verifying = key(ASSIGN).verifying_key();
    verifying.verify_strict(&message, &signature.unwrap()).unwrap();
    assert_eq!(envelope["signatures"][0]["keyid"], public(ASSIGN).id().to_string());
    message.push(b' ');
    assert!(verifying.verify_strict(&message, &signature_of(&envelope)).is_err());

    let statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], artifact.to_string());
    let definition = &statement["predicate"]["buildDefinition"];
    let module = ModuleId::of(&wasm).to_string();
    assert_eq!(definition["resolvedDependencies"][0]["digest"]["sha256"], module);
    let parameters = &definition["externalParameters"];
    assert_eq!(parameters["target"], "x86_64-linux");
    let developer: KeyId = public(7).id();
    assert_eq!(parameters["developerKey"], developer.to_string());
    let versions = &statement["predicate"]["runDetails"]["builder"]["version"];
    assert_eq!(versions["compiler"], aot_compiler::COMPILER_ID);
    assert_eq!(refusal(fleet.app.provenance(&"0".repeat(64))).0, ProblemCode::NotFound);
    assert_eq!(refusal(fleet.app.provenance("x")).0, ProblemCode::BadRequest);
}

fn signature_of(envelope: &serde_json::Value) -> ed25519_dalek::Signature {
    use base64::Engine;
    let envelope: Envelope = serde_json::from_value(envelope.clone()).unwrap();
    let decoded = base64::engine::general_purpose::STANDARD.decode(&envelope.signatures[0].sig);
    assert!(pae("a", b"b").starts_with(b"DSSEv1 1 a 1 "));
    ed25519_dalek::Signature::from_slice(&decoded.unwrap()).unwrap()
}
