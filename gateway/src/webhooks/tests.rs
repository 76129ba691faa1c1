//! Webhooks against receivers that behave and that do not.

use super::{Pace, Webhook, start};
use crate::app::tests::fleet::{FakeDevice, Fleet, plain_wasm};
use crate::config::WebhookConfig;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use ring::hmac;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECRET: &[u8] = b"a secret of sixteen or more";
const PACE: Pace = Pace {
    timeout: Duration::from_secs(5),
    again_min: Duration::from_millis(5),
    again_max: Duration::from_millis(20),
    repeats_max: 3,
};

/// Answers as it is told, then 200; remembers what it got.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<u16>>,
    got: Mutex<Vec<(HeaderMap, String)>>,
    /// Never answers.
    is_stuck: bool,
}

async fn receive(State(script): State<Arc<Script>>, headers: HeaderMap, body: String) -> Response {
    script.got.lock().unwrap().push((headers, body));
    if script.is_stuck {
        std::future::pending::<()>().await;
    }
    let status = script.answers.lock().unwrap().pop_front().unwrap_or(200);
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::LOCATION, "/elsewhere")]).into_response()
}

async fn receiver(script: Script) -> (String, Arc<Script>) {
    let script = Arc::new(script);
    let router = Router::new().fallback(any(receive)).with_state(script.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, script)
}

fn answering(answers: &[u16]) -> Script {
    Script { answers: Mutex::new(answers.iter().copied().collect()), ..Script::default() }
}

fn webhook(url: &str, events: &[&str]) -> Webhook {
    let events = events.iter().map(|event| (*event).to_owned()).collect();
    let config =
        WebhookConfig { name: "ops".into(), url: url.into(), secret_file: "/s".into(), events };
    Webhook { config, secret: SECRET.to_vec() }
}

/// Waits for the state, for as long as a busy machine may take.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} never came");
}

fn count(fleet: &Fleet, result: &str) -> u64 {
    let text = fleet.app.metrics().text(&fleet.app.standing()).unwrap();
    let series = format!("farrier_webhook_deliveries_total{{result=\"{result}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

fn kinds(script: &Script) -> Vec<String> {
    let of =
        |(headers, _): &(HeaderMap, String)| headers["farrier-event"].to_str().unwrap().to_owned();
    script.got.lock().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn what_was_there_at_the_start_is_not_told_again() {
    let before = Fleet::new();
    before.enrol(&FakeDevice::new(1, "x86_64-linux"));
    before.upload("answer", &plain_wasm(1));
    before.deploy("answer");
    before.work_well();
    let fleet = before.restart();
    let (url, script) = receiver(Script::default()).await;
    let _tasks = start(&fleet.app, vec![webhook(&url, &[])], PACE).unwrap();
    tokio::task::yield_now().await;
    // Shows watchers each deployment.
    fleet.app.tick();
    fleet.upload("other", &plain_wasm(2));
    until("the module", || kinds(&script).iter().any(|kind| kind == "module-changed")).await;
    assert_eq!(kinds(&script), ["module-changed"]);
}

#[tokio::test]
async fn a_receiver_hears_of_changes_once_each_and_can_check_who_speaks() {
    let fleet = Fleet::new();
    let (url, script) = receiver(Script::default()).await;
    let _tasks = start(&fleet.app, vec![webhook(&url, &[])], PACE).unwrap();
    tokio::task::yield_now().await;
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    for counter in 1..=3 {
        fleet.report(&device, &device.report(counter, 1, vec![]));
    }
    until("online", || kinds(&script).len() >= 2).await;
    fleet.pass_ms(11_000);
    fleet.app.tick();
    fleet.upload("answer", &plain_wasm(1));
    until("the module", || kinds(&script).iter().any(|kind| kind == "module-changed")).await;
    let heard = kinds(&script);
    let expected = ["device-enrolled", "device-online", "device-offline", "module-changed"];
    assert_eq!(heard, expected);
    let got = script.got.lock().unwrap().clone();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    for (headers, body) in &got {
        let signed = headers["farrier-signature"].to_str().unwrap();
        let (time, given) = signed.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let signed = format!("{time}.{body}");
        hmac::verify(&key, signed.as_bytes(), &hex::decode(given).unwrap()).unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["id"], headers["farrier-delivery"].to_str().unwrap());
        assert_eq!(body["type"], headers["farrier-event"].to_str().unwrap());
    }
    assert!(got[1].1.contains("\"name\":\"device-1\""), "{}", got[1].1);
    until("the count", || count(&fleet, "delivered") == 4).await;
}

#[tokio::test]
async fn a_broken_receiver_gets_it_again_and_a_refusing_one_does_not() {
    let fleet = Fleet::new();
    let (url, script) = receiver(answering(&[500, 429, 200])).await;
    let _tasks = start(&fleet.app, vec![webhook(&url, &["module-changed"])], PACE).unwrap();
    tokio::task::yield_now().await;
    fleet.upload("a", &plain_wasm(1));
    until("the third", || count(&fleet, "delivered") == 1).await;
    assert_eq!((script.got.lock().unwrap().len(), count(&fleet, "repeated")), (3, 2));
    let ids: Vec<_> =
        script.got.lock().unwrap().iter().map(|(h, _)| h["farrier-delivery"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "one notice has one number");
    for (number, refusal) in [400, 302, 410].into_iter().enumerate() {
        script.answers.lock().unwrap().push_back(refusal);
        fleet.upload("a", &plain_wasm(10 + number as u32));
        until("the end", || count(&fleet, "dead") == number as u64 + 1).await;
    }
    assert_eq!(script.got.lock().unwrap().len(), 6, "no redirect was followed");
}

#[tokio::test]
async fn one_that_is_away_or_stuck_is_given_up_and_holds_nobody_up() {
    let fleet = Fleet::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let (stuck, _) = receiver(Script { is_stuck: true, ..Script::default() }).await;
    let (well, script) = receiver(Script::default()).await;
    let hooks = [&away, &stuck, &well].map(|url| webhook(url, &["module-changed"]));
    let pace = Pace { timeout: Duration::from_millis(200), ..PACE };
    let _tasks = start(&fleet.app, hooks.into_iter().collect(), pace).unwrap();
    tokio::task::yield_now().await;
    fleet.upload("a", &plain_wasm(1));
    until("the good one", || script.got.lock().unwrap().len() == 1).await;
    until("two dead ones", || count(&fleet, "dead") == 2).await;
    assert_eq!(count(&fleet, "repeated"), 2 * PACE.repeats_max as u64);
}

#[tokio::test]
async fn the_queue_of_one_that_is_stuck_is_bounded() {
    let fleet = Fleet::new();
    let (stuck, _) = receiver(Script { is_stuck: true, ..Script::default() }).await;
    let pace = Pace { timeout: Duration::from_secs(600), ..PACE };
    let _tasks = start(&fleet.app, vec![webhook(&stuck, &["deployment-removed"])], pace).unwrap();
    tokio::task::yield_now().await;
    for number in 0..1_100 {
        let id = number.to_string();
        fleet.app.events().send(gateway_api::Event::DeploymentRemoved { id });
    }
    until("the oldest dropped", || count(&fleet, "dropped") >= 99).await;
}
