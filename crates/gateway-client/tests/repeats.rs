//! What is sent twice, and what never is.

mod stub;

use gateway_api::{DeviceSelector, ModuleLimits, NewDeployment, Provisions};
use gateway_client::Upload;
use std::sync::{Arc, Mutex};
use stub::{NO_ITEMS, Stub, answer, json, problem};

fn deployment() -> NewDeployment {
    NewDeployment {
        module: "filter".to_owned(),
        devices: DeviceSelector::All,
        interval_ms: None,
        call_ms_max: None,
        memory_bytes_max: None,
        sensors: vec![],
        channels: vec![],
        metering: false,
        canonical_nans: false,
        health_window_ms: None,
        provisions: Provisions::default(),
        limits: ModuleLimits::default(),
        placement: None,
        scheduling: Default::default(),
    }
}

#[tokio::test]
async fn a_get_is_repeated_until_the_gateway_is_ready() {
    let stub = Stub::start(|_, before| match before {
        0 => problem(503, "unavailable"),
        1 => answer(502, "text/html", "proxy"),
        _ => json(NO_ITEMS),
    })
    .await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let client = stub
        .builder()
        .observer(move |exchange| kept.lock().unwrap().push((exchange.attempt, exchange.status)))
        .build()
        .unwrap();
    client.ps().await.unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, [(1, Some(503)), (2, Some(502)), (3, Some(200))]);
}

#[tokio::test]
async fn repeats_end() {
    let stub = Stub::start(|_, _| problem(503, "unavailable")).await;
    stub.builder().retries_max(2).build().unwrap().ps().await.unwrap_err();
    assert_eq!(stub.asked().len(), 3);
}

#[tokio::test]
async fn a_refusal_is_final() {
    for (status, code) in [(400, "bad-request"), (404, "not-found"), (500, "internal")] {
        let stub = Stub::start(move |_, _| problem(status, code)).await;
        stub.client().ps().await.unwrap_err();
        assert_eq!(stub.asked().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_post_is_sent_once() {
    let stub = Stub::start(|_, _| problem(503, "unavailable")).await;
    stub.client().create_deployment(&deployment()).await.unwrap_err();
    stub.client().create_login_link().await.unwrap_err();
    let upload = Upload::from_bytes(*b"\0asm");
    stub.client().push_module(None, &upload, |_, _| {}).await.unwrap_err();
    assert_eq!(stub.asked().len(), 3);
}

#[tokio::test]
async fn a_put_is_repeated_with_its_body() {
    let stub = Stub::start(|_, _| problem(503, "unavailable")).await;
    let client = stub.builder().retries_max(1).build().unwrap();
    client.put_known_answers("filter@1", "format = 1").await.unwrap_err();
    let asked = stub.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.body == b"format = 1"));
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_has_succeeded() {
    let stub = Stub::start(|_, before| match before {
        0 => problem(503, "unavailable"),
        _ => problem(404, "not-found"),
    })
    .await;
    stub.client().delete_deployment("d1").await.unwrap();
    let error = stub.client().delete_deployment("d1").await.unwrap_err();
    assert!(error.is_not_found());
}

#[tokio::test]
async fn the_gateways_wish_to_wait_is_kept() {
    let stub = Stub::start(|_, before| match before {
        0 => {
            let mut busy = problem(429, "rate-limited");
            busy.headers_mut().insert("retry-after", "1".parse().unwrap());
            busy
        }
        _ => json(NO_ITEMS),
    })
    .await;
    let started = std::time::Instant::now();
    stub.client().ps().await.unwrap();
    assert!(started.elapsed() >= std::time::Duration::from_secs(1));
}
