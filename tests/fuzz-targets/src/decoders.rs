//! Decoders of what comes from developers, devices, gateways and workers.

use crate::outcome::Outcome;
use device_protocol::{
    Bitmap, Block, ClaimToken, LogMessage, PublishedMessage, Refused, Report, Topic, Want,
    decode_sealed, encode_sealed,
};
use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};
use module_package::{
    DeviceId, Domain, Manifest, Release, ReleaseId, Root, RootId, Signer, TrustedRoot,
    decode_exact, open_manifest, open_release, seal, seal_root,
};
use std::fmt::Debug;
use std::sync::LazyLock;
use worker_protocol::{Command, Event, read_frame, write_frame};

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
        .and(check_cbor::<Block>(data));
    let bitmap = Bitmap(data.to_vec());
    assert_eq!(bitmap.iter().count(), bitmap.count() as usize);
    assert_eq!(bitmap.is_empty(), bitmap.count() == 0);
    let _ = bitmap.contains(u32::MAX);
    if let Ok(text) = std::str::from_utf8(data) {
        outcome = outcome.and(Outcome::of_result(&text.parse::<ClaimToken>()));
        outcome = outcome.and(Outcome::of(match Topic::parse(text) {
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
    ];
    let outcome = outcomes.into_iter().reduce(Outcome::and);
    outcome.unwrap_or(Outcome::of("nothing"))
}

pub fn worker_protocol(data: &[u8]) -> Outcome {
    let command: Result<Command, _> = read_frame(data);
    let event: Result<Event, _> = read_frame(data);
    if let Ok(command) = &command {
        let mut frame = Vec::new();
        write_frame(&mut frame, command).expect("a frame that was read can be written");
        let again: Command = read_frame(frame.as_slice()).expect("and read again");
        assert_eq!(format!("{command:?}"), format!("{again:?}"));
    }
    if let Ok(event) = &event {
        let mut frame = Vec::new();
        write_frame(&mut frame, event).expect("a frame that was read can be written");
        let again: Event = read_frame(frame.as_slice()).expect("and read again");
        assert_eq!(format!("{event:?}"), format!("{again:?}"));
    }
    let body = data.get(4..).unwrap_or_default();
    Outcome::of_result(&command)
        .and(Outcome::of_result(&event))
        .and(check_cbor::<Command>(body))
        .and(check_cbor::<Event>(body))
}
