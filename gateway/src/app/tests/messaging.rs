//! What deployments give beside sensors and channels, and messages to modules.

use super::fleet::{FakeDevice, Fleet, deployment_of, plain_wasm, refusal};
use crate::app::AppError;
use device_protocol::Topic;
use gateway_api::{NewDeployment, NewMessage, ProblemCode, Provisions, SentMessage};
use module_package::{ChannelMessage, Manifest, open_channel_message, open_manifest};
use std::collections::BTreeMap;

fn provisions() -> Provisions {
    Provisions {
        config: BTreeMap::from([("unit".to_owned(), "K".to_owned())]),
        storage_bytes: Some(4_096),
        subscriptions: vec!["speed".into()],
        ..Provisions::default()
    }
}

/// A gateway with one device that runs one application, and has reported.
fn running() -> (Fleet, FakeDevice) {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(42));
    let new = NewDeployment { provisions: provisions(), ..deployment_of("answer") };
    fleet.app.deploy(&new).unwrap();
    fleet.work_well();
    let report = device.report(1, 1, vec![]);
    let topic = Topic::Report(device.id.clone()).to_string();
    fleet.app.take_up(&topic, &device.sealed_report(&report)).unwrap();
    (fleet, device)
}

fn manifest(fleet: &Fleet, device: &FakeDevice) -> Manifest {
    let sealed = fleet.app.sealed_manifest(&device.id).unwrap();
    open_manifest(&sealed, &fleet.root(), &device.id, None).unwrap().0
}

fn send(
    fleet: &Fleet,
    device: &str,
    change: impl Fn(&mut NewMessage),
) -> Result<SentMessage, AppError> {
    let (app, channel) = ("answer".into(), "speed".into());
    let mut new = NewMessage { app, channel, payload: "00ff".into() };
    change(&mut new);
    fleet.app.send_message(device, &new)
}

fn sent(fleet: &Fleet, device: &FakeDevice) -> Vec<ChannelMessage> {
    let messages = fleet.outbox.messages.lock().unwrap();
    let open = |(to, sealed): &(_, Vec<u8>)| {
        assert_eq!(*to, device.id);
        open_channel_message(sealed, &fleet.root(), &device.id).unwrap()
    };
    messages.iter().map(open).collect()
}

#[test]
fn what_is_given_is_signed_in_the_manifest_and_shown() {
    let (fleet, device) = running();
    let entry = manifest(&fleet, &device).apps.remove(0);
    let given = entry.provisions.unwrap();
    assert_eq!((given.config[0].key.as_str(), given.config[0].value.as_str()), ("unit", "K"));
    assert_eq!((given.storage_bytes, given.subscriptions), (Some(4_096), vec!["speed".to_owned()]));
    assert_eq!(fleet.app.deployments()[0].provisions, provisions());
    // Another deployment without them takes them away.
    fleet.deploy("answer");
    fleet.work_well();
    assert_eq!(manifest(&fleet, &device).apps[0].provisions, None);
}

#[test]
fn what_is_beyond_its_bounds_is_refused_with_the_bound() {
    let fleet = Fleet::new();
    fleet.upload("answer", &plain_wasm(42));
    let detail = |provisions| {
        let new = NewDeployment { provisions, ..deployment_of("answer") };
        let (code, detail) = refusal(fleet.app.deploy(&new));
        assert_eq!(code, ProblemCode::BadRequest);
        detail
    };
    let config = |value: usize| BTreeMap::from([("k".to_owned(), "v".repeat(value))]);
    let none = Provisions::default;
    assert!(detail(Provisions { config: config(513), ..none() }).contains("the most is 512"));
    let storage_bytes = Some(300_000);
    assert!(detail(Provisions { storage_bytes, ..none() }).contains("the most is 262144"));
    let subscriptions = vec!["a b".to_owned()];
    assert!(detail(Provisions { subscriptions, ..none() }).contains("\"a b\" in subscriptions"));
}

#[test]
fn a_message_is_signed_for_the_device_and_its_present_start() {
    let (fleet, device) = running();
    let first = send(&fleet, "device-1", |_| {}).unwrap();
    let second = send(&fleet, device.id.as_str(), |new| new.payload = String::new()).unwrap();
    assert!(second.counter > first.counter);
    let sent = sent(&fleet, &device);
    assert_eq!((sent[0].app.as_str(), sent[0].channel.as_str()), ("answer", "speed"));
    assert_eq!(
        (sent[0].payload.as_slice(), sent[1].payload.as_slice()),
        (&b"\0\xff"[..], &b""[..])
    );
    assert_eq!((sent[0].counter, sent[1].counter), (first.counter, second.counter));
    assert_eq!(sent[0].boot_id, device.report(1, 1, vec![]).boot_id);
}

#[test]
fn a_message_that_nobody_would_take_is_refused_with_the_reason() {
    let (fleet, device) = running();
    let refused =
        |device: &str, change: &dyn Fn(&mut NewMessage)| refusal(send(&fleet, device, change));
    let (code, detail) = refused("device-1", &|new| new.channel = "average".into());
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("it subscribes to speed"), "{detail}");
    assert_eq!(refused("device-1", &|new| new.app = "other".into()).0, ProblemCode::NotFound);
    assert_eq!(refused("nobody", &|_| {}).0, ProblemCode::NotFound);
    assert_eq!(refused("device-1", &|new| new.payload = "0g".into()).0, ProblemCode::BadRequest);
    let long = |new: &mut NewMessage| new.payload = "00".repeat(1_025);
    assert!(refused("device-1", &long).1.contains("the most is 1024"));
    assert_eq!(sent(&fleet, &device), []);
    // A device that is away would not get it.
    fleet.pass_ms(60_000);
    let (code, detail) = refused("device-1", &|_| {});
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("not online"), "{detail}");
}

#[test]
fn messages_to_a_device_are_bounded_in_a_second() {
    let (fleet, device) = running();
    let results: Vec<_> = (0..40).map(|_| send(&fleet, "device-1", |_| {})).collect();
    let taken = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(sent(&fleet, &device).len(), taken);
    assert_eq!(taken, 20);
    let last = results.into_iter().next_back().unwrap();
    assert_eq!(refusal(last).0, ProblemCode::RateLimited);
}
