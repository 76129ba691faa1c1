//! Heartbeats, ends of manifests, and alarms.

use super::fleet::{FakeDevice, Fleet, plain_wasm};
use device_protocol::{RefusalCode, Refused, Report, Topic};
use module_package::{DeviceId, Heartbeat, Manifest, open_heartbeat, open_manifest};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn heartbeat(fleet: &Fleet, device: &DeviceId) -> Heartbeat {
    let sealed = fleet.app.sealed_heartbeat(device).unwrap();
    open_heartbeat(&sealed, &fleet.root(), device).unwrap()
}

fn manifest(fleet: &Fleet, device: &DeviceId) -> Manifest {
    let sealed = fleet.app.sealed_manifest(device).unwrap();
    open_manifest(&sealed, &fleet.root(), device, None).unwrap().0
}

/// A gateway with one device that runs one application.
fn running() -> (Fleet, FakeDevice) {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(42));
    fleet.deploy("answer");
    fleet.work_well();
    (fleet, device)
}

fn report(device: &FakeDevice, boot: u8, counter: u64, seq: u64) -> Report {
    Report { boot_id: [boot; 16], ..device.report(counter, seq, vec![]) }
}

fn give(fleet: &Fleet, device: &FakeDevice, report: Report) -> bool {
    let topic = Topic::Report(device.id.clone()).to_string();
    fleet.app.take_up(&topic, &device.sealed_report(&report)).is_ok()
}

fn alarms(fleet: &Fleet) -> Vec<String> {
    let device = fleet.app.devices().remove(0);
    device.alarms.into_iter().map(|alarm| alarm.kind).collect()
}

#[test]
fn a_device_that_asks_for_the_time_is_answered_with_its_nonce_once() {
    let (fleet, device) = running();
    fleet.outbox.heartbeats.lock().unwrap().clear();
    give(&fleet, &device, Report { nonce: Some([7; 16]), ..report(&device, 1, 1, 1) });
    assert_eq!(*fleet.outbox.heartbeats.lock().unwrap(), std::slice::from_ref(&device.id));
    let answer = heartbeat(&fleet, &device.id);
    assert_eq!((answer.nonce, answer.time_ms), (Some([7; 16]), fleet.app.now_ms()));
    assert_eq!((answer.epoch, answer.seq, answer.root_version), (1, 1, 1));
    assert_eq!(heartbeat(&fleet, &device.id).nonce, None);
}

#[test]
fn a_device_that_reports_gets_heartbeats_and_a_silent_one_does_not() {
    let (fleet, device) = running();
    fleet.outbox.heartbeats.lock().unwrap().clear();
    for counter in 1..=130 {
        give(&fleet, &device, report(&device, 1, counter, 1));
        fleet.app.tick();
        fleet.pass_ms(1_000);
    }
    let heard = fleet.outbox.heartbeats.lock().unwrap().len();
    assert!((2..=3).contains(&heard), "{heard} in 130 s");
    fleet.pass_ms(600_000);
    fleet.app.tick();
    assert_eq!(fleet.outbox.heartbeats.lock().unwrap().len(), heard);
}

#[test]
fn an_idle_fleets_manifests_are_renewed_long_before_they_end() {
    let (fleet, device) = running();
    let first = manifest(&fleet, &device.id);
    assert_eq!(first.not_after_ms, Some(fleet.app.now_ms() + 30 * DAY_MS));
    let mut renewals = 0;
    let mut last = first.clone();
    for _ in 0..60 {
        fleet.pass_ms(DAY_MS);
        fleet.app.tick();
        let present = manifest(&fleet, &device.id);
        assert!(present.not_after_ms.unwrap() >= fleet.app.now_ms() + 19 * DAY_MS);
        assert_eq!(present.apps, first.apps);
        renewals += u32::from(present.seq > last.seq);
        last = present;
    }
    assert!((4..=6).contains(&renewals), "{renewals}");
}

#[test]
fn a_calendar_that_is_set_freezes_no_device_and_delays_no_manifest() {
    const TEN_YEARS_MS: u64 = 3_652 * DAY_MS;
    let (fleet, device) = running();
    give(&fleet, &device, report(&device, 1, 1, 0));
    fleet.app.tick();
    let right_ms = fleet.app.now_ms();
    for (counter, now_ms) in [(2, right_ms + TEN_YEARS_MS), (3, right_ms)] {
        fleet.clock.set(now_ms);
        give(&fleet, &device, report(&device, 1, counter, 0));
        fleet.app.tick();
        assert!(alarms(&fleet).is_empty(), "{:?}", alarms(&fleet));
        fleet.outbox.told.lock().unwrap().clear();
        fleet.pass_ms(10_000);
        fleet.app.tick();
        assert_eq!(*fleet.outbox.told.lock().unwrap(), vec![device.id.clone()]);
    }
    let login = |number: u8| {
        let token = device.login_token(fleet.app.now_ms(), number);
        fleet.app.check_login(device.id.as_str(), &token)
    };
    assert!(login(1).is_ok());
    fleet.clock.set(right_ms + TEN_YEARS_MS);
    for number in 2..200 {
        assert!(login(number).is_ok());
        fleet.pass_ms(1_000);
    }
    fleet.clock.set(right_ms);
    let mut refused = 0;
    fleet.pass_ms(700_000);
    for _ in 0..10 {
        for number in 0..=255 {
            refused += usize::from(login(number).is_err());
            fleet.pass_ms(3_000);
        }
    }
    assert_eq!(refused, 0, "what was noted in ten years is forgotten in time");
    fleet.clock.set(right_ms + TEN_YEARS_MS);
    let fleet = fleet.restart();
    fleet.clock.set(right_ms);
    fleet.pass_ms(1_000);
    let token = device.login_token(fleet.app.now_ms(), 1);
    assert!(fleet.app.check_login(device.id.as_str(), &token).is_ok(), "begun by a wrong clock");
}

#[test]
fn a_device_that_reports_and_stays_behind_raises_the_frozen_alarm_until_it_does_not() {
    let (fleet, device) = running();
    for counter in 1..=70 {
        give(&fleet, &device, report(&device, 1, counter, 0));
        fleet.app.tick();
        assert_eq!(alarms(&fleet).is_empty(), counter < 61, "{counter}");
        fleet.pass_ms(1_000);
    }
    assert_eq!(alarms(&fleet), ["frozen"]);
    let logs = fleet.app.logs_page(&Default::default()).unwrap().items;
    assert!(logs.iter().any(|line| line.text.contains("stays on generation 0 although 1")));
    give(&fleet, &device, report(&device, 1, 71, 1));
    fleet.app.tick();
    assert!(alarms(&fleet).is_empty());
    let refused =
        Refused { code: RefusalCode::Frozen, detail: "no heartbeat".into(), count: 1, seq: None };
    give(&fleet, &device, Report { refused: Some(refused), ..report(&device, 1, 72, 1) });
    assert_eq!(alarms(&fleet), ["frozen"], "its own word");
}

#[test]
fn forged_reports_and_clones_raise_alarms_and_change_nothing() {
    let (fleet, device) = running();
    let stranger = FakeDevice::new(2, "x86_64-linux");
    assert!(give(&fleet, &device, report(&device, 1, 1, 1)));
    let topic = Topic::Report(device.id.clone()).to_string();
    let forged = stranger.sealed_report(&report(&device, 1, 9, 5));
    assert!(fleet.app.take_up(&topic, &forged).is_err());
    assert_eq!(alarms(&fleet), ["forged-reports"]);
    assert_eq!(fleet.app.devices()[0].generation, 1);
    assert!(give(&fleet, &device, report(&device, 2, 1, 1)));
    for counter in 2..6 {
        assert!(!give(&fleet, &device, report(&device, 1, counter, 1)));
        assert!(give(&fleet, &device, report(&device, 2, counter, 1)));
    }
    assert_eq!(alarms(&fleet), ["cloned", "forged-reports"]);
    assert_eq!(fleet.app.devices()[0].reports_refused, 5);
}
