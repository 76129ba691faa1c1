//! Where the fuzzer begins: good inputs, made here so that they follow the formats.

use crate::Random;
use crate::compiler::{LINK_MARK, module_of};
use crate::decoders::{KEY, root};
use aot_compiler::{CompileOptions, compile};
use device_protocol::{
    Bitmap, Block, LogLine, LogMessage, MESSAGE_VERSION, PublishedMessage, Topic, Want,
};
use known_answer::Step;
use module_package::{
    AppEntry, BlobId, ChannelMessage, ConfigEntry, DOCUMENT_VERSION, DeviceId, Manifest,
    Provisions, ReleaseId, SharedWith, Sharing, Signer, seal_root,
};
use target_spec::profile::{AotProfile, CodePolicy};
use target_spec::{BoundsChecks, Registry};
use worker_protocol::{
    Command, Event, FailedStep, Grants, GuestId, Limits, Load, LoadFailure, LogLevel,
};

/// Every section and every kind of segment.
const EVERYTHING: &str = include_str!("everything.wat");

/// Modules that `wasm-smith` makes of these seeds join the one written by hand.
const MADE_MODULES: u64 = 6;

pub(crate) fn nothing() -> Vec<Vec<u8>> {
    Vec::new()
}

pub(crate) fn application_files() -> Vec<Vec<u8>> {
    let whole = "format = 1\nname = \"climate\"\ndevices = \"all\"\n\n[[module]]\nname = \"filter\"\n\
                 file = \"filter.wasm\"\nversion = 3\ninterval_ms = 100\nclass = \"best-effort\"\n\
                 devices = [\"kitchen\"]\nsensors = [\"temperature\"]\nmetering = true\n\
                 [module.limits]\nmemory_bytes_max = 65536\ncall_ms_max = 10\n\
                 [[module.channel]]\nname = \"average\"\ndirection = \"publish\"\n";
    let any_of = "format = 1\nname = \"a\"\n[[module]]\nname = \"b\"\ndevices = \"all\"\n\
                  any_of = [{ file = \"a.wasm\" }, { version = 1 }]\n";
    let wrong = "format = 1\nname = 3\nlabels = []\nsensor = 1979-05-27\nmodule = 4\n";
    [whole, any_of, wrong].map(|text| text.as_bytes().to_vec()).into()
}

pub(crate) fn modules() -> Vec<Vec<u8>> {
    let made = (0..MADE_MODULES).filter_map(|seed| module_of(&Random::new(seed).bytes(600)));
    // Text that does not parse would leave the fuzzer without its best seed.
    let written = wat::parse_str(EVERYTHING).expect("the seed module is valid");
    let header = b"\0asm\x01\0\0\0".to_vec();
    made.chain([written, header]).collect()
}

/// A main module of each kind of import, and the library that has them all.
pub(crate) fn linked() -> Vec<Vec<u8>> {
    let library = r#"(module (import "farrier" "log" (func $log (param i32)))
        (memory (export "memory") 1) (data (i32.const 8) "ab") (data $late "c")
        (table (export "table") 2 4 funcref) (elem (i32.const 0) $both)
        (global (export "base") i32 (i32.const 3))
        (global $count (export "count") (mut i32) (i32.const 1))
        (func $both (export "both") (param f64 i32) (result f32)
            (memory.init $late (i32.const 0) (i32.const 0) (i32.const 1))
            (drop (ref.func $both)) (f32.const 1))
        (func $start (call $log (i32.const 1))) (start $start))"#;
    let mains = [
        r#"(module (import "lib" "both" (func $both (param f64 i32) (result f32)))
            (func (export "tick") (drop (call $both (f64.const 1) (i32.const 2)))))"#,
        r#"(module (import "lib" "memory" (memory 1)) (import "lib" "base" (global $base i32))
            (global i32 (i32.add (global.get $base) (i32.const 1)))
            (data (offset (global.get $base)) "x") (func (export "f") (result i32)
            (i32.load (i32.const 8))))"#,
        r#"(module (import "lib" "table" (table 1 funcref)) (type (func))
            (import "lib" "count" (global $count (mut i32))) (func $f (global.set $count (i32.const 2))
            (call_indirect (type 0) (i32.const 1))) (elem (i32.const 1) $f) (start $f))"#,
    ];
    let wasm = |text: &str| wat::parse_str(text).expect("a seed is valid");
    let pairs = mains.map(|main| [wasm(main).as_slice(), LINK_MARK, &wasm(library)].concat());
    let main = r#"(module (import "lib" "sum" (func $sum (param i32) (result i32)))
        (memory (export "memory") 1) (global $__stack_pointer (mut i32) (i32.const 4096))
        (data (i32.const 4096) "ab") (func (export "tick") (result i32) (call $sum (i32.const 4096))))"#;
    let library = r#"(module (import "env" "memory" (memory 2))
        (global $__stack_pointer (mut i32) (i32.const 66560)) (data (i32.const 65536) "c")
        (func (export "sum") (param i32) (result i32) (i32.load (local.get 0))))"#;
    let shared = [wasm(main).as_slice(), LINK_MARK, &wasm(library)].concat();
    pairs.into_iter().chain([shared]).chain(modules()).collect()
}

pub(crate) fn aot_files() -> Vec<Vec<u8>> {
    let options = CompileOptions::new(BoundsChecks::Software);
    let modules = modules();
    let compiled = modules.iter().flat_map(|wasm| {
        let targets = Registry::built_in().all().iter();
        targets.filter_map(|target| compile(wasm, target, &options).ok())
    });
    let files = compiled.map(|artifact| artifact.aot);
    // Large ones would be cut, so that only their beginnings were ever changed.
    let files = files.filter(|aot| aot.len() <= fuzzer::INPUT_BYTES_MAX);
    files.chain([b"\0aot\x06\0\0\0".to_vec()]).collect()
}

pub(crate) fn notes() -> Vec<Vec<u8>> {
    let targets = Registry::built_in().all().iter();
    let metered = CodePolicy { metering: Some(1), ..CodePolicy::default() };
    let notes = targets.flat_map(|target| {
        [CodePolicy::default(), metered].map(|policy| AotProfile {
            target: target.id.clone(),
            bounds_checks: target.default_bounds_checks(),
            cpu_features: target.cpu_features.clone(),
            compiler: aot_compiler::COMPILER_ID.to_owned(),
            policy,
        })
    });
    notes.map(|note| note.to_bytes()).collect()
}

const STEPS: &str = r#"format = 1

[[step]]
write = { address = 0, text = "hello" }

[[step]]
call = "xxh32"
args = ["i32:0", "i64:-5", "f32:1.5", "f64:nan:0x7ff8000000000000", "i32:0xfb0077f9"]
expect = ["i32:0xfb0077f9"]

[[step]]
read = { address = 0, hex = "68656c6c6f" }
"#;

pub(crate) fn known_answers() -> Vec<Vec<u8>> {
    vec![STEPS.as_bytes().to_vec(), STEPS.replace("nan:0x7ff8000000000000", "-inf").into_bytes()]
}

fn cbor<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("a seed can be encoded")
}

pub(crate) fn messages() -> Vec<Vec<u8>> {
    let line = LogLine {
        app: "filter".into(),
        level: "warn".into(),
        text: "warm".into(),
        time_ms: 1_772_373_787_250,
    };
    let published = PublishedMessage {
        version: MESSAGE_VERSION,
        app: "filter".into(),
        channel: "average".into(),
        seq: 7,
        payload: vec![1, 2, 3],
        time_ms: 5,
    };
    let want = Want {
        version: MESSAGE_VERSION,
        blob: BlobId::of(b"blob"),
        missing: Some(Bitmap::full(13)),
        abilities: Some(Want::READS_DEFLATE | Want::HAS_OWN_TOPIC),
        restarted: Some(true),
        site: "north".parse().ok(),
    };
    vec![
        cbor(&LogMessage { version: MESSAGE_VERSION, lines: vec![line; 2], dropped: 3 }),
        cbor(&published),
        cbor(&Want { missing: None, abilities: None, restarted: None, site: None, ..want.clone() }),
        cbor(&want),
        cbor(&Block::plain(1, 9, vec![4; 9])),
        cbor(&Block::packed(1, 900, vec![4; 900])),
        Topic::Heartbeat(DeviceId::of_key(&KEY.public_key().0)).to_string().into_bytes(),
    ]
}

pub(crate) fn documents() -> Vec<Vec<u8>> {
    let entry = AppEntry {
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
        sharing: Some(Sharing { with: SharedWith::Application("climate".into()), priority: 3 }),
        provisions: Some(Provisions {
            config: vec![ConfigEntry { key: "unit".into(), value: "K".into() }],
            storage_bytes: Some(4_096),
            subscriptions: vec!["speed".into()],
            actuators: vec!["fan".into()],
            wasi: None,
        }),
    };
    let manifest = Manifest {
        version: DOCUMENT_VERSION,
        epoch: 1,
        seq: 7,
        device: DeviceId::of_key(&KEY.public_key().0),
        issued_at_ms: 1_000,
        not_after_ms: None,
        apps: vec![entry],
    };
    let message = ChannelMessage {
        version: DOCUMENT_VERSION,
        device: DeviceId::of_key(&KEY.public_key().0),
        boot_id: [2; 16],
        counter: 3,
        app: "filter".into(),
        channel: "speed".into(),
        payload: vec![4],
    };
    vec![cbor(&manifest), cbor(&message), cbor(&root()), seal_root(&root(), &[&*KEY])]
}

pub(crate) fn frames() -> Vec<Vec<u8>> {
    let load = Load {
        artifact: vec![0, 1, 2],
        app: "filter".into(),
        limits: Limits {
            memory_bytes_max: 65_536,
            stack_bytes: 65_536,
            call_ms_max: 1_000,
            log_lines_per_s_max: 10,
            publishes_per_s_max: 10,
            ..Limits::default()
        },
        grants: Grants { channels: vec!["average".into()], ..Grants::default() },
        ..Load::default()
    };
    let step = Step::Read { address: 3, bytes: vec![1, 2] };
    let failed = LoadFailure::UnknownImport;
    let commands = [Command::Load(load), Command::RunChecks { steps: vec![step] }, Command::Stop];
    let log = worker_protocol::LogLine { level: LogLevel::Warn, text: "warm".into() };
    let events = [
        Event::LoadFailed { reason: failed, detail: "no".into() },
        Event::ChecksDone {
            passed: 1,
            failed: Some(FailedStep { number: 2, detail: "gave 3".into() }),
        },
        Event::Log(log),
    ];
    let mut frames = Vec::new();
    for command in &commands {
        let mut frame = Vec::new();
        worker_protocol::write_frame(&mut frame, command).expect("a seed can be written");
        frames.push(frame);
    }
    let mut of_guest = Vec::new();
    worker_protocol::write_guest_frame(&mut of_guest, GuestId(700), &Command::Unload)
        .expect("a seed can be written");
    frames.push(of_guest);
    for event in &events {
        let mut frame = Vec::new();
        worker_protocol::write_frame(&mut frame, event).expect("a seed can be written");
        frames.push(frame);
    }
    frames
}

pub(crate) fn signing() -> Vec<Vec<u8>> {
    use signer_protocol::{Answer, Ask, SignRequest};
    let request = SignRequest {
        release: vec![0xa0],
        wasm: Some(b"\0asm\x01\0\0\0".to_vec()),
        module_statement: None,
    };
    let mut frames = vec![Vec::new(); 3];
    let [about, sign, refused] = &mut frames[..] else { unreachable!("three were made") };
    let refusal = Answer::Refused { detail: "no".into() };
    let written = signer_protocol::write_frame(about, &Ask::About)
        .and(signer_protocol::write_frame(sign, &Ask::Sign(request)))
        .and(signer_protocol::write_frame(refused, &refusal));
    written.expect("a seed can be written");
    frames
}

pub(crate) fn heads() -> Vec<Vec<u8>> {
    use audit_chain::{Action, Head, Position, RECORD_VERSION, Signature};
    let first = Head {
        version: RECORD_VERSION,
        seq: 1,
        before: [0; 32],
        time_ms: 5,
        actor: "gateway".into(),
        actions: vec![Action { what: "manifest signed".into(), subject: "d-1".into() }],
        signatures: vec![Signature {
            document: "manifest".into(),
            document_hash: [4; 32],
            key_id: [5; 32],
            subject: "d-1".into(),
        }],
        body_hash: [6; 32],
        body_bytes: 7,
    };
    let position = Position::of(1, &first.to_bytes());
    let empty = Head { actions: vec![], signatures: vec![], ..first.clone() };
    vec![first.to_bytes(), empty.to_bytes(), position.to_string().into_bytes()]
}
