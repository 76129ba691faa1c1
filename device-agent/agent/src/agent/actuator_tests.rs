//! Sensors and actuators of the device, through the whole loop.

use super::bench::Bench;
use super::number;
use device_protocol::AppState;
use module_package::{AppEntry, Provisions};
use worker_protocol::{Ask, Asked, Event, Outcome};

fn actuators(names: &[&str]) -> Provisions {
    let actuators = names.iter().map(ToString::to_string).collect();
    Provisions { actuators, ..Provisions::default() }
}

fn set(name: &str, value: f64) -> Event {
    Event::Asked(Asked { id: 1, ask: Ask::SetActuator { name: name.into(), value } })
}

fn read(name: &str) -> Event {
    Event::Asked(Asked { id: 1, ask: Ask::ReadSensor { name: name.into() } })
}

#[test]
fn an_actuator_takes_what_is_granted_and_in_its_range() {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy_with(1, "filter", "ok", actuators(&["fan", "lamp"]));
    for (event, outcome) in [
        (set("fan", 80.0), Outcome::Done),
        (set("fan", 100.1), Outcome::OutOfRange),
        (set("fan", f64::NAN), Outcome::OutOfRange),
        (set("lamp", 1.0), Outcome::Unavailable),
        (set("heater", 1.0), Outcome::Denied),
    ] {
        bench.say(0, event);
        assert_eq!(bench.outcomes().last(), Some(&outcome));
    }
    bench.advance(1_000);
    let lines = bench.log_lines();
    assert!(lines.contains(&"filter info actuator fan set to 80".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("actuator lamp: open /nothing/here")));
    bench.deploy_with(2, "filter", "ok 2", actuators(&[]));
    bench.say(0, set("fan", 80.0));
    assert_eq!(bench.outcomes().last(), Some(&Outcome::Denied));
}

#[test]
fn a_sensor_is_read_for_whom_it_is_granted_to() {
    let mut bench = Bench::new();
    bench.connect();
    let release = bench.release("filter", 1, "ok");
    let release = bench.offer_release(&release);
    let sensors = vec!["gone".to_owned(), "temperature".to_owned()];
    bench.give(1, vec![AppEntry { release, sensors, ..super::entry("filter") }]);
    for (name, outcome) in
        [("gone", Outcome::Unavailable), ("temperature", Outcome::Denied), ("cpu", Outcome::Denied)]
    {
        bench.say(0, read(name));
        assert_eq!(bench.outcomes().last(), Some(&outcome), "{name}");
    }
}

#[test]
fn an_actuator_that_the_device_does_not_have_is_refused() {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy_with(1, "filter", "ok", actuators(&["fan", "door"]));
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(19)));
    assert_eq!(app.detail, "no actuator door; this device has [fan, lamp]");
}

#[test]
fn an_output_that_is_declared_and_not_there_is_refused_with_the_reason() {
    let mut bench = Bench::with_gpio_output("valve", "farrier-test-chip");
    bench.connect();
    bench.deploy_with(1, "filter", "ok", actuators(&["valve"]));
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(19)));
    assert!(app.detail.contains("valve is not available: there is no GPIO chip farrier-test-chip"));
}

#[test]
fn a_sensor_is_not_read_more_often_than_its_value_is_good_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("level");
    std::fs::write(&path, "7").unwrap();
    let mut bench = Bench::with_sensor_file(&path);
    bench.connect();
    let release = bench.release("filter", 1, "ok");
    let release = bench.offer_release(&release);
    let sensors = vec!["level".to_owned()];
    bench.give(1, vec![AppEntry { release, sensors, ..super::entry("filter") }]);
    let mut read_after = |ms, text: &str| {
        std::fs::write(&path, text).unwrap();
        bench.advance(ms);
        bench.say(0, read("level"));
        *bench.outcomes().last().unwrap()
    };
    assert_eq!(read_after(0, "7"), Outcome::Number(7.0));
    assert_eq!(read_after(0, "8"), Outcome::Number(7.0), "it is good for a moment");
    // However long a busy machine takes to read a file.
    assert_eq!(read_after(60_000, "8"), Outcome::Number(8.0));
    assert_eq!(read_after(60_000, "none"), Outcome::Unavailable);
    assert_eq!(read_after(0, "9"), Outcome::Unavailable);
    assert_eq!(read_after(60_000, "9"), Outcome::Number(9.0));
}
