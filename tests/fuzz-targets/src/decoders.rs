//! Decoders of what comes from developers, devices, gateways and workers.

use crate::Outcome;
use audit_chain::{Chain, Head, Position};
use device_protocol::{
    Bitmap, Block, ClaimToken, EnrolPending, EnrolRequest, EnrolResponse, EnrolStatement,
    LogMessage, Login, PublishedMessage, Refused, RenewRequest, RenewResponse, Renewal, Report,
    SiteName, Topic, Want, decode_sealed, encode_sealed, parse_fingerprint,
};
use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};
use module_package::{
    ChannelMessage, DeviceId, Domain, Heartbeat, Manifest, Membership, ModuleStatement, Release,
    ReleaseId, Root, RootDraft, RootId, Signer, TrustedRoot, add_root_signature, decode_exact,
    open_channel_message, open_heartbeat, open_manifest, open_membership, open_module_statement,
    open_release, payload_of, read_unverified, seal, seal_root, signers_of,
};
use std::fmt::Debug;
use std::sync::LazyLock;
use worker_protocol::{Command, Event, GuestId, read_guest_frame, write_guest_frame};

/// Text is read or refused; steps that are read survive their way over the wire.
pub fn known_answer_toml(data: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(data) else { return Outcome::of("not text") };
    let steps = known_answer::from_toml(text);
    if let Ok(steps) = &steps {
        let bytes = minicbor::to_vec(steps).expect("steps can be encoded");
        let again: Vec<known_answer::Step> = minicbor::decode(&bytes).expect("their own bytes");
        // By their text, because a NaN is not equal to itself.
        assert_eq!(format!("{steps:?}"), format!("{again:?}"));
        assert!(known_answer::check_bounds(steps).is_ok(), "beyond the bounds of its reader");
    }
    Outcome::of_result(&steps)
}

/// Text is read, or every error has its place in it.
pub fn application_file(data: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(data) else { return Outcome::of("not text") };
    let errors = match application_file::read(text) {
        Ok(file) => {
            assert!((1..=application_file::MODULES_MAX).contains(&file.modules.len()));
            for module in &file.modules {
                assert!(application_file::is_name(&module.name.value), "{module:?}");
                assert!(!module.builds.is_empty(), "{module:?}");
            }
            return Outcome::sized("modules", file.modules.len());
        }
        Err(errors) => errors,
    };
    assert!((1..=application_file::ERRORS_MAX).contains(&errors.len()));
    let lines: Vec<&str> = text.split('\n').collect();
    let mut outcome = Outcome::sized("errors", errors.len());
    for error in &errors {
        let line = lines.get(error.at.line as usize - 1).expect("a line of the text");
        assert!(error.at.column as usize <= line.chars().count() + 1, "{error}");
        assert!(!error.what.is_empty() && error.what.len() < 4_096, "{error}");
        outcome = outcome.and(Outcome::of(&error.what));
    }
    outcome
}

/// What decodes encodes, and decodes to the same again.
fn check_cbor<T>(data: &[u8]) -> Outcome
where
    T: Encode<()> + for<'b> Decode<'b, ()> + Debug,
{
    let decoded: Result<T, _> = minicbor::decode(data);
    if let Ok(value) = &decoded {
        let bytes = minicbor::to_vec(value).expect("what was decoded can be encoded");
        let again: T = minicbor::decode(&bytes).expect("and decoded again");
        assert_eq!(format!("{value:?}"), format!("{again:?}"));
    }
    Outcome::of_result(&decoded)
}

pub fn device_protocol(data: &[u8]) -> Outcome {
    let mut outcome = check_cbor::<Report>(data)
        .and(check_cbor::<LogMessage>(data))
        .and(check_cbor::<PublishedMessage>(data))
        .and(check_cbor::<Refused>(data))
        .and(check_cbor::<Want>(data))
        .and(check_cbor::<Block>(data))
        .and(check_cbor::<EnrolStatement>(data))
        .and(check_cbor::<Renewal>(data))
        .and(check_cbor::<Login>(data));
    if let Ok(block) = minicbor::decode::<Block>(data)
        && let Ok(bytes) = block.unpack()
    {
        assert!(bytes.len() <= module_package::BLOCK_BYTES as usize, "{} bytes", bytes.len());
    }
    outcome = outcome
        .and(Outcome::of_result(&serde_json::from_slice::<EnrolRequest>(data)))
        .and(Outcome::of_result(&serde_json::from_slice::<EnrolResponse>(data)))
        .and(Outcome::of_result(&serde_json::from_slice::<EnrolPending>(data)))
        .and(Outcome::of_result(&serde_json::from_slice::<RenewRequest>(data)))
        .and(Outcome::of_result(&serde_json::from_slice::<RenewResponse>(data)));
    let bitmap = Bitmap(data.to_vec());
    assert_eq!(bitmap.iter().count(), bitmap.count() as usize);
    assert_eq!(bitmap.is_empty(), bitmap.count() == 0);
    let _ = bitmap.contains(u32::MAX);
    if let Ok(text) = std::str::from_utf8(data) {
        outcome = outcome.and(Outcome::of_result(&text.parse::<ClaimToken>()));
        outcome = outcome.and(Outcome::of_result(&text.parse::<SiteName>()));
        if let Some(fingerprint) = parse_fingerprint(text) {
            assert_eq!(parse_fingerprint(&fingerprint).as_ref(), Some(&fingerprint));
        }
        let topic = Topic::parse(text);
        if let Some(topic) = &topic {
            assert_eq!(Topic::parse(&topic.to_string()).as_ref(), Some(topic));
        }
        outcome = outcome.and(Outcome::of(match topic {
            Some(_) => "topic",
            None => "no topic",
        }));
        if let Some(sealed) = decode_sealed(text) {
            assert_eq!(decode_sealed(&encode_sealed(&sealed)), Some(sealed));
        }
    }
    outcome
}

pub(crate) static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[1; 32]));

pub(crate) fn root() -> Root {
    let key = KEY.public_key();
    Root {
        version: module_package::DOCUMENT_VERSION,
        epoch: 1,
        root_version: 1,
        not_after_ms: None,
        root_keys: vec![key],
        threshold: 1,
        release_keys: vec![key],
        assign_keys: vec![key],
        revoked: Vec::new(),
        floors: Vec::new(),
    }
}

static TRUST: LazyLock<TrustedRoot> = LazyLock::new(|| {
    let sealed = seal_root(&root(), &[&*KEY]);
    TrustedRoot::pinned(&sealed, RootId::of(&sealed)).expect("a root signed by its own key")
});

/// Documents as they come, and documents with these contents under a good signature:
/// a key can be stolen, and the gateway can have bugs.
pub fn module_package(data: &[u8]) -> Outcome {
    let device = DeviceId::of_key(&KEY.public_key().0);
    let manifest = seal(Domain::Manifest, data.to_vec(), &*KEY);
    let release = seal(Domain::Release, data.to_vec(), &*KEY);
    let heartbeat = seal(Domain::Heartbeat, data.to_vec(), &*KEY);
    let message = seal(Domain::ChannelMessage, data.to_vec(), &*KEY);
    let statement = seal(Domain::Module, data.to_vec(), &*KEY);
    let membership = seal(Domain::Membership, data.to_vec(), &*KEY);
    let developers = [KEY.public_key()];
    let outcomes = [
        Outcome::of_result(&open_manifest(data, &TRUST, &device, Some(1))),
        Outcome::of_result(&open_manifest(&manifest, &TRUST, &device, Some(1))),
        Outcome::of_result(&open_release(data, ReleaseId::of(data), &TRUST)),
        Outcome::of_result(&open_release(&release, ReleaseId::of(&release), &TRUST)),
        Outcome::of_result(&TrustedRoot::pinned(data, RootId::of(data))),
        Outcome::of_result(&TRUST.step(data)),
        Outcome::of_result(&decode_exact::<Manifest>(data)),
        Outcome::of_result(&decode_exact::<Release>(data)),
        Outcome::of_result(&decode_exact::<Root>(data)),
        Outcome::of_result(&open_heartbeat(data, &TRUST, &device)),
        Outcome::of_result(&open_heartbeat(&heartbeat, &TRUST, &device)),
        Outcome::of_result(&decode_exact::<Heartbeat>(data)),
        Outcome::of_result(&open_channel_message(data, &TRUST, &device)),
        Outcome::of_result(&open_channel_message(&message, &TRUST, &device)),
        Outcome::of_result(&decode_exact::<ChannelMessage>(data)),
        Outcome::of_result(&open_membership(data, &TRUST, &device)),
        Outcome::of_result(&open_membership(&membership, &TRUST, &device)),
        Outcome::of_result(&decode_exact::<Membership>(data)),
        Outcome::of_result(&open_module_statement(data, &developers)),
        Outcome::of_result(&open_module_statement(&statement, &developers)),
        Outcome::of_result(&decode_exact::<ModuleStatement>(data)),
        Outcome::of_result(&RootDraft::read(data)),
        Outcome::of_result(&signers_of(data)),
        Outcome::of_result(&read_unverified(data)),
    ];
    let _ = payload_of(data);
    if let Ok(signed) = add_root_signature(data, &*KEY) {
        let draft = RootDraft::read(&signed).expect("a root that was signed is read again");
        assert!(draft.claimed_signers().contains(&KEY.public_key().id()));
    }
    let outcome = outcomes.into_iter().reduce(Outcome::and);
    outcome.unwrap_or(Outcome::of("nothing"))
}

pub fn worker_protocol(data: &[u8]) -> Outcome {
    let command: Result<(GuestId, Command), _> = read_guest_frame(data);
    let event: Result<(GuestId, Event), _> = read_guest_frame(data);
    if let Ok((guest, command)) = &command {
        let mut frame = Vec::new();
        let written = write_guest_frame(&mut frame, *guest, command);
        written.expect("a frame that was read can be written");
        let again: (GuestId, Command) = read_guest_frame(frame.as_slice()).expect("and read again");
        assert_eq!(format!("{:?}", (guest, command)), format!("{again:?}"));
    }
    if let Ok((guest, event)) = &event {
        let mut frame = Vec::new();
        let written = write_guest_frame(&mut frame, *guest, event);
        written.expect("a frame that was read can be written");
        let again: (GuestId, Event) = read_guest_frame(frame.as_slice()).expect("and read again");
        assert_eq!(format!("{:?}", (guest, event)), format!("{again:?}"));
    }
    let body = data.get(4..).unwrap_or_default();
    Outcome::of_result(&command)
        .and(Outcome::of_result(&event))
        .and(check_cbor::<Command>(body))
        .and(check_cbor::<Event>(body))
}

/// Frames between gateway and signer, and what the signer is asked to believe.
pub fn signer_protocol(data: &[u8]) -> Outcome {
    let ask: Result<signer_protocol::Ask, _> = signer_protocol::read_frame(data);
    let answer: Result<signer_protocol::Answer, _> = signer_protocol::read_frame(data);
    let body = data.get(4..).unwrap_or_default();
    Outcome::of_result(&ask)
        .and(Outcome::of_result(&answer))
        .and(check_cbor::<signer_protocol::Ask>(body))
        .and(check_cbor::<signer_protocol::Answer>(body))
}

/// The audit log's heads: what is read is written back to the same bytes, or they were
/// not the bytes of that head.
pub fn audit_chain(data: &[u8]) -> Outcome {
    let head = Head::from_bytes(data);
    if let Ok(head) = &head {
        let again = Head::from_bytes(&head.to_bytes());
        assert_eq!(again.as_ref(), Ok(head));
    }
    let mut chain = Chain::from_the_start();
    let mut kept = Chain::from_what_is_kept();
    let mut outcome = Outcome::of_result(&head)
        .and(Outcome::of_result(&chain.take(data)))
        .and(Outcome::of_result(&kept.take(data)));
    if let Ok(text) = std::str::from_utf8(data) {
        let position = text.parse::<Position>();
        if let Ok(position) = &position {
            assert_eq!(position.to_string().parse(), Ok(*position));
        }
        outcome = outcome.and(Outcome::of_result(&position));
    }
    outcome
}
