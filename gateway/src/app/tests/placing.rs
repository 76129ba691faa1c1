//! Which devices a deployment is for by what they have, and why others refuse.

use super::fleet::{FakeDevice, Fleet, deployment_of, plain_wasm, refusal};
use device_protocol::{Capabilities, Label, RefusalCode, Unavailable};
use gateway_api::{
    AskedOfDevices, DeviceSelector, NewApplication, NewDeployment, Placement, ProblemCode,
    ProgressState, Provisions,
};

fn has(labels: &[(&str, &str)], accelerators: &[&str]) -> Capabilities {
    let label =
        |(key, value): &(&str, &str)| Label { key: (*key).to_owned(), value: (*value).to_owned() };
    Capabilities {
        sensors: vec!["probe".into()],
        actuators: vec!["lamp".into()],
        accelerators: accelerators.iter().map(|name| (*name).to_owned()).collect(),
        labels: labels.iter().map(label).collect(),
        unavailable: vec![],
    }
}

fn tell(fleet: &Fleet, device: &FakeDevice, counter: u64, capabilities: &Capabilities) {
    let mut report = device.report(counter, 0, vec![]);
    report.capabilities = Some(capabilities.clone());
    fleet.report(device, &report);
}

fn placement(labels: &[(&str, &str)], accelerators: &[&str]) -> Placement {
    Placement {
        labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        accelerators: accelerators.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn fleet_of_two() -> (Fleet, FakeDevice, FakeDevice) {
    let fleet = Fleet::new();
    let devices = [1, 2].map(|number| FakeDevice::new(number, "x86_64-linux"));
    devices.iter().for_each(|device| fleet.enrol(device));
    fleet.upload("answer", &plain_wasm(1));
    let [hall, cellar] = devices;
    tell(&fleet, &hall, 1, &has(&[("room", "hall")], &["npu:x"]));
    tell(&fleet, &cellar, 1, &has(&[("room", "cellar")], &[]));
    (fleet, hall, cellar)
}

fn runs_on(fleet: &Fleet, device: &FakeDevice) -> bool {
    fleet.manifest(device).is_some_and(|manifest| !manifest.apps.is_empty())
}

#[test]
fn a_deployment_for_all_devices_is_for_those_that_have_what_it_asks_for() {
    let (fleet, hall, cellar) = fleet_of_two();
    let asked = Some(placement(&[("room", "hall")], &["npu:x"]));
    let new = NewDeployment { placement: asked, ..deployment_of("answer") };
    fleet.app.deploy(&new).unwrap();
    fleet.work_well();
    assert!(runs_on(&fleet, &hall) && !runs_on(&fleet, &cellar));

    // A device that is told to be elsewhere gets it, without enrolling again.
    fleet.clock.set(1_060_000);
    tell(&fleet, &cellar, 2, &has(&[("room", "hall")], &["npu:x", "npu:y"]));
    fleet.work_well();
    assert!(runs_on(&fleet, &cellar));
}

#[test]
fn what_follows_from_a_new_label_comes_also_after_a_full_disk() {
    let (fleet, hall, cellar) = fleet_of_two();
    let asked = Some(placement(&[("room", "hall")], &[]));
    fleet.app.deploy(&NewDeployment { placement: asked, ..deployment_of("answer") }).unwrap();
    fleet.work_well();
    fleet.pass_ms(60_000);
    // The label still fits, the manifest does not.
    fleet.fill_disk_after(1);
    tell(&fleet, &cellar, 2, &has(&[("room", "hall")], &[]));
    assert!(runs_on(&fleet, &hall) && !runs_on(&fleet, &cellar));
    fleet.fill_disk(false);
    fleet.pass_ms(60_000);
    fleet.app.tick();
    assert!(runs_on(&fleet, &cellar));
}

#[test]
fn a_device_that_is_named_and_lacks_something_refuses_by_its_name() {
    let (fleet, hall, cellar) = fleet_of_two();
    let new = |placement: Placement| NewDeployment {
        devices: DeviceSelector::These(vec![cellar.id.to_string()]),
        placement: Some(placement),
        ..deployment_of("answer")
    };
    let deployment = fleet.app.deploy(&new(placement(&[("room", "hall")], &["npu:x"]))).unwrap();
    let progress = fleet.progress(&deployment.id, &cellar);
    assert_eq!(progress.state, ProgressState::Refused);
    assert!(
        progress.detail.contains("has not the label room = \"hall\" and the accelerator \"npu:x\"; it declares room = \"cellar\""),
        "{}",
        progress.detail
    );
    let (code, detail) = refusal(fleet.app.deploy(&new(placement(&[("", "x")], &[]))));
    assert_eq!(code, ProblemCode::BadRequest);
    assert!(detail.contains("is no label"), "{detail}");

    let asked = AskedOfDevices {
        sensors: vec!["probe".into()],
        actuators: vec!["pump".into()],
        placement: placement(&[], &["npu:x"]),
    };
    let checked = fleet.app.eligibility("answer", None, &asked).unwrap();
    let codes = |device: &FakeDevice| {
        let found = checked.devices.iter().find(|d| d.device == device.id.to_string()).unwrap();
        found.obstacles.iter().map(|o| o.code.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(codes(&hall), [19], "the pump alone: {:?}", checked.devices);
    assert_eq!(codes(&cellar), [19, 80]);
}

#[test]
fn what_is_declared_and_not_there_is_refused_with_the_reason() {
    let (fleet, hall, cellar) = fleet_of_two();
    let why = "there is no GPIO chip pinctrl";
    let unavailable = vec![Unavailable { name: "lamp".into(), why: why.into() }];
    fleet.clock.set(1_060_000);
    tell(&fleet, &hall, 2, &Capabilities { unavailable, ..has(&[], &[]) });
    let provisions = Provisions { actuators: vec!["lamp".into()], ..Provisions::default() };
    let deployment =
        fleet.app.deploy(&NewDeployment { provisions, ..deployment_of("answer") }).unwrap();
    let progress = fleet.progress(&deployment.id, &hall);
    assert_eq!(progress.state, ProgressState::Refused);
    assert!(progress.detail.contains(why), "{}", progress.detail);
    fleet.work_well();
    assert!(runs_on(&fleet, &cellar));
    let view = fleet.app.device(&hall.id.to_string()).unwrap();
    assert_eq!(view.capabilities.unwrap().unavailable["lamp"], why);
}

#[test]
fn a_flood_of_changes_makes_no_flood_of_records() {
    let (fleet, hall, _) = fleet_of_two();
    let records = || fleet.app.audit(0, Some(500)).unwrap().records.len();
    let plain = FakeDevice::new(3, "x86_64-linux");
    fleet.enrol(&plain);
    let before = records();
    let enrolled = Capabilities { sensors: plain.sensors.clone(), ..Capabilities::default() };
    tell(&fleet, &plain, 1, &enrolled);
    assert_eq!(records(), before, "it has told nothing new");
    for counter in 2..50 {
        let name = format!("npu:{counter}");
        tell(&fleet, &hall, counter, &has(&[], &[&name]));
    }
    assert_eq!(records(), before);
    let many = vec!["x".to_owned(); 100];
    fleet.clock.set(1_060_000);
    tell(&fleet, &hall, 50, &Capabilities { sensors: many, ..has(&[], &[]) });
    assert_eq!(records(), before, "and one that is too long counts for nothing");
}

#[test]
fn an_application_file_chooses_devices_by_its_placement() {
    let (fleet, hall, cellar) = fleet_of_two();
    let file = |placement: &str| NewApplication {
        file: format!(
            "format = 1\nname = \"climate\"\ndevices = \"all\"\n{placement}\n[[module]]\n\
             name = \"answer\"\nversion = 1\n"
        ),
        ..NewApplication::default()
    };
    let hall_only = file("[placement]\nlabels = { room = \"hall\" }\naccelerators = [\"npu:x\"]");
    fleet.app.apply_application(&hall_only).unwrap();
    fleet.work_well();
    assert!(runs_on(&fleet, &hall) && !runs_on(&fleet, &cellar));
    let anywhere = file("");
    let plan = fleet.app.plan_application(&anywhere).unwrap();
    let difference = &plan.modules[0].differences[0];
    assert_eq!(difference.what, "placement");
    assert_eq!(difference.before.as_deref(), Some("room = hall, npu:x"));
    assert!(plan.asks_for_more, "it would run on further devices");
    let accepted = NewApplication { accept_more: true, ..anywhere };
    fleet.app.apply_application(&accepted).unwrap();
    fleet.work_well();
    assert!(runs_on(&fleet, &cellar));
}

#[test]
fn clients_know_a_device_that_is_not_meant_by_the_number_of_its_refusal() {
    assert_eq!(gateway_api::NOT_PLACED, RefusalCode::NotPlaced.number());
}
