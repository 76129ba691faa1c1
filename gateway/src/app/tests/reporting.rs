//! What devices say, and how it shows.

use super::fleet::{FakeDevice, Fleet, app_report, plain_wasm};
use crate::app::{LogQuery, PageRequest, PublishedQuery, Since, UpRefusal};
use device_protocol::{
    AppState, Bitmap, LogLine, LogMessage, PublishedMessage, RefusalCode, Refused, Topic,
    TrapReport, Want,
};
use gateway_api::{Connection, Event, ProgressState};
use module_package::{ArtifactId, BlobId, ReleaseId};
use module_traps::TrapKind;

fn encode(message: impl minicbor::Encode<()>) -> Vec<u8> {
    minicbor::to_vec(message).unwrap()
}

#[test]
fn a_report_counts_only_under_the_devices_own_seal_and_on_its_own_topic() {
    let fleet = Fleet::new();
    let (device, other) = (FakeDevice::new(1, "x86_64-linux"), FakeDevice::new(2, "x86_64-linux"));
    let topic = Topic::Report(device.id.clone()).to_string();
    let report = device.report(1, 0, vec![]);
    let refused = fleet.app.take_up(&topic, &device.sealed_report(&report));
    assert!(matches!(refused, Err(UpRefusal::UnknownDevice(_))), "{refused:?}");
    fleet.enrol(&device);
    fleet.enrol(&other);
    let forged = fleet.app.take_up(&topic, &other.sealed_report(&report));
    assert!(matches!(forged, Err(UpRefusal::Seal(_))), "{forged:?}");
    let misnamed = other.report(1, 0, vec![]);
    let refused = fleet.app.take_up(&topic, &device.sealed_report(&misnamed));
    assert!(matches!(refused, Err(UpRefusal::OtherDevice(_))), "{refused:?}");
    fleet.app.take_up(&topic, &device.sealed_report(&report)).unwrap();
    let replayed = fleet.app.take_up(&topic, &device.sealed_report(&report));
    assert!(matches!(replayed, Err(UpRefusal::Report(_))), "{replayed:?}");
    for (topic, payload) in [("farrier/1/d/x/up/report", &b""[..]), ("#", b""), (&topic, b"junk")] {
        assert!(fleet.app.take_up(topic, payload).is_err());
    }
}

#[test]
fn reports_become_figures_samples_and_events() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    let seen = *fleet.app.events().subscribe().borrow();
    for counter in 1..=2 {
        let mut app = app_report("answer", ReleaseId([1; 32]), AppState::Running);
        app.cpu_us = counter * 25_000;
        fleet.report(&device, &device.report(counter, 0, vec![app]));
    }
    let ps = fleet.app.ps();
    assert_eq!(ps.len(), 1);
    assert_eq!((ps[0].cpu_percent, ps[0].report_counter), (Some(2.5), 2));
    assert_eq!(ps[0].report_boot_id, "01".repeat(16));
    assert_eq!(fleet.app.history("device-1").unwrap().apps.len(), 2);
    let overview = fleet.app.overview();
    assert_eq!((overview.devices_online, overview.apps_running), (1, 1));
    let events = fleet.app.events().after(seen).unwrap();
    let names: Vec<_> = events.iter().map(|e| e.event.name()).collect();
    assert_eq!(names, ["device", "samples", "device", "samples"]);

    fleet.pass_ms(10_001);
    fleet.app.tick();
    assert_eq!(fleet.app.device("device-1").unwrap().connection, Connection::Offline);
    let events = fleet.app.events().after(seen + 4).unwrap();
    let offline = events.iter().any(|e| {
        matches!(&*e.event, Event::Device { device } if device.connection == Connection::Offline)
    });
    assert!(offline, "watchers are told without asking");
}

#[test]
fn what_runs_is_known_although_the_one_full_report_was_lost() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    let module = fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    fleet.work_well();
    let manifest = fleet.manifest(&device).unwrap();
    let brief = |counter, release| {
        let app = app_report("answer", release, AppState::Running);
        assert_eq!((app.module, app.artifact), (None, None));
        let mut report = device.report(counter, manifest.seq, vec![app]);
        report.brief = Some(true);
        fleet.report(&device, &report);
        fleet.app.ps().remove(0)
    };
    let status = brief(1, manifest.apps[0].release);
    assert_eq!(status.module, Some(module.id));
    assert_eq!(status.artifact, Some(fleet.release(&device).artifact.to_string()));
    assert!(status.artifact_bytes.is_some());
    // Nothing is made up of a release that another gateway has signed.
    let status = brief(2, ReleaseId([9; 32]));
    assert_eq!((status.module, status.artifact), (None, None));
}

#[test]
fn a_refused_manifest_is_explained_by_number() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let deployment = fleet.deploy("answer");
    fleet.work_well();
    let mut report = device.report(1, 0, vec![]);
    report.refused = Some(Refused {
        code: RefusalCode::BadSignature,
        detail: "changed".into(),
        count: 1,
        seq: Some(1),
    });
    fleet.report(&device, &report);
    let refusal = fleet.app.device("device-1").unwrap().refusal.unwrap();
    assert_eq!((refusal.code, refusal.detail.as_str()), (7, "changed"));
    assert!(refusal.advice.ends_with('.'));
    let progress = fleet.progress(&deployment.id, &device);
    assert_eq!((progress.state, progress.refusal.unwrap().code), (ProgressState::Refused, 7));
}

#[test]
fn log_lines_and_values_are_listed_oldest_first_and_cut_to_size() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    let line = |text: String| LogLine { app: "a".into(), level: "info".into(), text, time_ms: 0 };
    let lines = vec![line("one".into()), line("x".repeat(5_000))];
    let topic = Topic::Log(device.id.clone()).to_string();
    fleet.app.take_up(&topic, &encode(LogMessage { version: 1, lines, dropped: 0 })).unwrap();
    let logs = fleet.app.logs_page(&LogQuery::default()).unwrap().items;
    assert_eq!((logs[0].text.as_str(), logs[1].text.len()), ("one", 1_024));
    let page = PageRequest { limit: Some(1), cursor: None };
    let query = LogQuery { page, ..LogQuery::default() };
    assert_eq!(fleet.app.logs_page(&query).unwrap().items.len(), 1);
    let query = LogQuery { app: Some("b".into()), ..LogQuery::default() };
    assert_eq!(fleet.app.logs_page(&query).unwrap().items, []);
    let came_ms = logs[0].time_ms;
    fleet.pass_ms(60_000);
    for (since_ms, last_s, count) in [
        (Some(came_ms), None, 2),
        (Some(came_ms + 1), None, 0),
        (None, Some(60), 2),
        (None, Some(59), 0),
        (Some(0), Some(u64::MAX), 2),
        (Some(came_ms), Some(59), 0),
    ] {
        let since = Since { since_ms, last_s };
        let query = LogQuery { since, ..LogQuery::default() };
        assert_eq!(fleet.app.logs_page(&query).unwrap().items.len(), count, "{since:?}");
    }

    let topic = Topic::Published(device.id.clone()).to_string();
    for seq in 1..=3 {
        let value = PublishedMessage {
            version: 1,
            app: "a".into(),
            channel: "average".into(),
            seq,
            payload: vec![seq as u8],
            time_ms: 0,
        };
        fleet.app.take_up(&topic, &encode(value)).unwrap();
    }
    let query = PublishedQuery { device: Some("device-1".into()), ..PublishedQuery::default() };
    let values = fleet.app.published_page(&query).unwrap().items;
    assert_eq!(values.iter().map(|v| v.payload.as_str()).collect::<Vec<_>>(), ["01", "02", "03"]);
    let since = Since { since_ms: Some(values[0].time_ms + 1), last_s: None };
    let query = PublishedQuery { since, ..query };
    assert_eq!(fleet.app.published_page(&query).unwrap().items, []);
}

#[test]
fn a_device_gets_only_blobs_that_its_manifests_name_and_only_blocks_that_exist() {
    let fleet = Fleet::new();
    let (device, stranger) =
        (FakeDevice::new(1, "x86_64-linux"), FakeDevice::new(2, "aarch64-linux"));
    fleet.enrol(&device);
    fleet.enrol(&stranger);
    let module = fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    fleet.work(|target| Ok([&[7; 40_000], target.as_bytes()].concat()), |_| Ok(0));
    let want = |device: &FakeDevice, blob, missing| {
        let topic = Topic::Want(device.id.clone()).to_string();
        let (abilities, restarted, site) = (None, None, None);
        let want = Want { version: 1, blob, missing, abilities, restarted, site };
        fleet.app.take_up(&topic, &encode(want))
    };
    let of_module: BlobId = module.id.parse().unwrap();
    let of_nothing = want(&device, of_module, None);
    assert!(matches!(of_nothing, Err(UpRefusal::UnknownBlob(_))), "modules stay here");

    let artifact = fleet.release(&device).artifact;
    let of_another = want(&stranger, artifact.into(), None);
    assert!(matches!(of_another, Err(UpRefusal::NoRight(_))), "{of_another:?}");

    want(&device, artifact.into(), Some(Bitmap::full(4_000))).unwrap();
    let (due, _) = fleet.app.blocks_due();
    assert_eq!(due.iter().map(|d| d.index).collect::<Vec<_>>(), [0, 1]);
    let block: device_protocol::Block =
        minicbor::decode(&fleet.app.block_message(&due[1]).unwrap()).unwrap();
    assert_eq!((block.blob_bytes, block.bytes.len()), (40_012, 40_012 - 32_768));

    // Of the version before, to which it may have to go back.
    fleet.upload("answer", &plain_wasm(2));
    fleet.deploy("answer");
    fleet.work(|_| Ok(vec![8; 40_000]), |_| Ok(0));
    assert_ne!(fleet.release(&device).artifact, artifact);
    want(&device, artifact.into(), None).unwrap();
}

#[test]
fn a_trap_is_told_by_function_and_offset_of_the_module_that_was_uploaded() {
    let fleet = Fleet::new();
    let pi = FakeDevice::new(1, "aarch64-linux");
    fleet.enrol(&pi);
    let text = r#"(module
        (func $update (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
        (func (export "tick") (result i32) (call $update (i32.const 0))))"#;
    let wasm = wat::parse_str(text).unwrap();
    fleet.upload("filter", &wasm);
    fleet.deploy("filter");
    fleet.work_well();
    let manifest = fleet.manifest(&pi).unwrap();
    let artifact = fleet.release(&pi).artifact;
    // The operator in the body of the first function: locals, two operands before it.
    let offset = wasm.windows(2).position(|bytes| bytes == [0x6e, 0x0b]).unwrap();
    let report = |counter, place, of| {
        let mut app = app_report("filter", manifest.apps[0].release, AppState::Running);
        app.artifact = Some(artifact);
        let (export, kind) = ("tick".into(), Some(TrapKind::DivideByZero));
        let detail = "integer divide by zero".into();
        app.last_trap = Some(TrapReport { export, kind, place, artifact: of, detail });
        fleet.report(&pi, &pi.report(counter, manifest.seq, vec![app]));
    };
    let told = || fleet.app.device(&pi.name).unwrap().apps.remove(0).last_trap.unwrap();
    report(1, Some(4 << 26 | offset as u32), artifact);
    let trap = told();
    assert_eq!(
        (trap.kind, trap.detail.as_str()),
        (Some(TrapKind::DivideByZero), "integer divide by zero")
    );
    let place = trap.place.unwrap();
    assert_eq!((place.function, place.name.as_deref()), (0, Some("update")));
    assert_eq!((place.offset, place.is_line), (Some(offset as u64), false));
    // The same from `ps`, and from a listing.
    assert_eq!(fleet.app.ps()[0].last_trap.as_ref().unwrap().place, Some(place));
    // A device may say anything: beyond the code, and of code that is not its own.
    report(2, Some(u32::MAX), artifact);
    assert_eq!(told().place, None);
    report(3, Some(9), ArtifactId([9; 32]));
    assert_eq!(told().place, None);
    report(4, None, artifact);
    assert_eq!(told().place, None);
}
