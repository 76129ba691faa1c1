//! Readiness, version and metrics, and what is written about them.

use super::{Client, problem, text};
use crate::app::tests::fleet::{FakeDevice, app_report, plain_wasm};
use crate::http::{HttpState, router};
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use device_protocol::AppState;
use gateway_api::ProblemCode;
use module_package::ReleaseId;
use std::collections::BTreeSet;
use tower::ServiceExt;

const DOCUMENT: &str = include_str!("../../../../docs/metrics.md");
const BOARD: &str = include_str!("../../../../deploy/grafana/farrier.json");
const ALERTS: &str = include_str!("../../../../deploy/prometheus/alerts.yml");

fn bare(path: &str) -> Request<Body> {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}

fn with_token(path: &str, token: &str) -> Request<Body> {
    let request = Request::builder().uri(path).header(AUTHORIZATION, format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

/// The value of one series.
#[track_caller]
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
}

/// Names as their samples have them, without what a histogram puts behind them.
fn served_names(metrics: &str) -> BTreeSet<String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let name = |(name, kind)| match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => String::from(name),
    };
    types.map(name).collect()
}

fn names_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("farrier_"));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_that_is_served_is_documented_and_the_reverse() {
    let client = Client::new();
    client.get("/api/v1/session").await;
    let metrics = text(client.get("/metrics").await).await;
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let rows =
        DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `farrier_")?.split_once('`'));
    let documented: BTreeSet<_> = rows.map(|(name, _)| format!("farrier_{name}")).collect();
    assert_eq!(served_names(&metrics), documented);
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let all: BTreeSet<_> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();
    for name in names_in(BOARD).iter().chain(&names_in(ALERTS)) {
        assert!(all.contains(name.as_str()), "{name} is used in deploy/ and not served");
    }
    assert!(names_in(BOARD).len() > 20 && names_in(ALERTS).len() > 10);
    serde_json::from_str::<serde_json::Value>(BOARD).unwrap();
}

#[tokio::test]
async fn what_happens_is_counted_once_and_no_label_names_a_device() {
    let client = Client::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    client.fleet.enrol(&device);
    client.upload("answer", plain_wasm(1)).await;
    client.fleet.deploy("answer");
    client.fleet.work_well();
    let report = |counter: u64, calls: u64, gas: u64| {
        let mut app = app_report("answer", ReleaseId([1; 32]), AppState::Running);
        (app.calls, app.gas_used) = (calls, Some(gas));
        client.fleet.report(&device, &device.report(counter, 1, vec![app]));
    };
    report(1, 1_000, 1_000);
    report(2, 1_005, 1_700);
    // The worker began anew.
    report(3, 4, 20);
    for reference in [&device.name, &device.id.to_string()] {
        client.get(&format!("/api/v1/devices/{reference}")).await;
    }
    client.get("/api/v1/devices/none").await;
    let metrics = text(client.get("/metrics").await).await;
    assert_eq!(value(&metrics, "farrier_devices{state=\"online\"}"), 1.0);
    assert_eq!(value(&metrics, "farrier_placed_modules{state=\"running\"}"), 1.0);
    assert_eq!(value(&metrics, "farrier_module_calls_total"), 9.0);
    assert_eq!(value(&metrics, "farrier_module_gas_total"), 720.0);
    let taken = "farrier_device_messages_total{kind=\"report\",result=\"taken\"}";
    assert_eq!(value(&metrics, taken), 3.0);
    let compiled = "farrier_compile_jobs_total{target=\"x86_64-linux\",result=\"compiled\"}";
    assert_eq!(value(&metrics, compiled), 1.0);
    let seconds = "farrier_compile_duration_seconds_count{target=\"x86_64-linux\"}";
    assert_eq!(value(&metrics, seconds), 1.0);
    let route = "method=\"GET\",route=\"/api/v1/devices/{reference}\"";
    let of_route = |status: u16| {
        value(&metrics, &format!("farrier_http_requests_total{{{route},status=\"{status}\"}}"))
    };
    assert_eq!((of_route(200), of_route(404)), (2.0, 1.0));
    assert!(!metrics.contains(&device.name) && !metrics.contains(&device.id.to_string()));
}

#[tokio::test]
async fn metrics_need_a_login_or_their_own_secret_which_opens_nothing_else() {
    let client = Client::new();
    let (_ending, is_ending) = tokio::sync::watch::channel(false);
    let state = HttpState::new(client.fleet.app.clone(), is_ending);
    let router = router(state.with_metrics_token(Some("a-secret-of-a-scraper")));
    let send = |request| router.clone().oneshot(request);
    for request in [bare("/metrics"), with_token("/metrics", "a-secret-of-a-scrape")] {
        let refused = send(request).await.unwrap();
        assert_eq!(problem(refused).await.code, ProblemCode::LoginRequired);
    }
    for token in ["a-secret-of-a-scraper", &client.token] {
        let answer = send(with_token("/metrics", token)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    }
    let other = send(with_token("/api/v1/session", "a-secret-of-a-scraper")).await.unwrap();
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn readiness_names_what_is_missing_and_version_needs_no_login() {
    let client = Client::new();
    let not_ready = client.send(bare("/readyz")).await;
    assert_eq!(not_ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let not_ready = text(not_ready).await;
    assert!(not_ready.contains("\"reasons\":[\"broker: "), "{not_ready}");
    assert!(not_ready.contains("0 of 4 compile and check workers"), "{not_ready}");
    let metrics = client.fleet.app.metrics().clone();
    metrics.note_broker(true);
    let _workers: Vec<_> = (0..4).map(|_| metrics.open_worker()).collect();
    let ready = client.send(bare("/readyz")).await;
    assert_eq!(ready.status(), StatusCode::OK);
    assert_eq!(text(ready).await, "{\"ready\":true}");
    client.fleet.fill_disk(true);
    client.post_json("/api/v1/claim-tokens", "{}").await;
    let full = problem(client.send(bare("/readyz")).await).await;
    assert_eq!((full.status, full.code), (503, ProblemCode::Unavailable));
    let version = text(client.send(bare("/version")).await).await;
    assert!(version.starts_with("{\"name\":\"farrier-gateway\",\"version\":\""), "{version}");
}
