//! Every kind of failure is its own value, with what to try.

mod stub;

use gateway_api::{HistoryMetric, HistoryQuery, ProblemCode};
use gateway_client::{Client, ClientError};
use std::time::Duration;
use stub::{NO_ITEMS, Stub, answer, json, problem};

#[tokio::test]
async fn a_problem_is_kept_as_a_value() {
    let stub = Stub::start(|_, _| problem(404, "not-found")).await;
    let error = stub.client().module("filter@3").await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.problem().unwrap().code, ProblemCode::NotFound);
    assert_eq!((error.status(), error.request_id()), (Some(404), Some("r-1")));
    assert_eq!(error.to_string(), "The title: The detail.");
}

#[tokio::test]
async fn a_problem_of_a_newer_gateway_is_still_a_problem() {
    let stub = Stub::start(|_, _| problem(422, "too-green")).await;
    let error = stub.client().ps().await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, ProblemCode::Other);
}

#[tokio::test]
async fn a_missing_login_is_known_as_such() {
    let stub = Stub::start(|_, _| problem(401, "login-required")).await;
    let error = stub.client().ps().await.unwrap_err();
    assert!(error.is_login_required());
    assert!(error.advice().unwrap().contains("token"));
}

#[tokio::test]
async fn a_refusal_that_is_no_problem_shows_status_and_start() {
    let stub = Stub::start(|_, _| {
        let mut page = answer(502, "text/html", "<h1>Bad\n gateway</h1>\u{1b}[31m");
        page.headers_mut().insert("x-request-id", "r-9".parse().unwrap());
        page
    })
    .await;
    let error = stub.builder().retries_max(0).build().unwrap().ps().await.unwrap_err();
    assert_eq!((error.status(), error.request_id()), (Some(502), Some("r-9")));
    let text = error.to_string();
    assert!(text.contains("502") && text.contains("<h1>Bad gateway</h1>[31m"), "{text}");
    assert!(error.problem().is_none());
}

#[tokio::test]
async fn a_broken_problem_does_not_hide_the_status() {
    let stub =
        Stub::start(|_, _| answer(409, "application/problem+json", "{\"title\": \"x\"")).await;
    let error = stub.client().ps().await.unwrap_err();
    assert!(matches!(error, ClientError::UnexpectedStatus { status: 409, .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_but_named() {
    let stub = Stub::start(|_, _| {
        let mut moved = answer(308, "text/plain", "");
        moved.headers_mut().insert("location", "https://example.org/".parse().unwrap());
        moved
    })
    .await;
    let error = stub.client().ps().await.unwrap_err();
    assert!(error.advice().unwrap().contains("https://example.org/"));
    assert_eq!(stub.asked().len(), 1);
}

#[tokio::test]
async fn another_servers_page_is_no_answer() {
    let stub = Stub::start(|_, _| answer(200, "text/html", "<html>")).await;
    let error = stub.client().ps().await.unwrap_err();
    assert!(matches!(error, ClientError::UnexpectedAnswer { .. }), "{error:?}");
    assert!(error.to_string().contains("a list of applications"));
}

#[tokio::test]
async fn an_unreachable_gateway_is_named_with_its_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::new(&url).unwrap().ps().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("cannot reach the gateway at {url}"));
    assert!(error.advice().unwrap().contains("start the gateway"));
}

#[tokio::test]
async fn a_silent_gateway_ends_in_a_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::builder(&url)
        .request_timeout(Duration::from_millis(50))
        .retries_max(1)
        .build()
        .unwrap();
    assert!(client.ps().await.unwrap_err().is_timeout());
    assert!(client.events().await.err().unwrap().is_timeout());
}

#[tokio::test]
async fn nothing_but_a_204_is_nothing() {
    let stub = Stub::start(|_, _| answer(204, "text/plain", "")).await;
    stub.client().delete_deployment("d1").await.unwrap();
    stub.client().logout().await.unwrap();
    stub.client().healthz().await.unwrap();
    let error = stub.client().ps().await.unwrap_err();
    assert!(matches!(error, ClientError::UnexpectedAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn a_reference_is_one_segment_and_never_a_way() {
    let stub = Stub::start(|_, _| problem(404, "not-found")).await;
    for reference in ["", ".", ".."] {
        let error = stub.client().device(reference).await.unwrap_err();
        assert!(matches!(error, ClientError::InvalidReference(_)), "{error:?}");
    }
    stub.client().device("../a/b?c#ä").await.unwrap_err();
    assert_eq!(stub.asked()[0].path, "/api/v1/devices/..%2Fa%2Fb%3Fc%23%C3%A4");
    assert_eq!(stub.asked().len(), 1);
}

#[tokio::test]
async fn the_token_is_sent_and_the_query_escaped() {
    let stub = Stub::start(|_, _| json(NO_ITEMS)).await;
    let client = stub.builder().token("secret").build().unwrap();
    let query = gateway_client::LogQuery {
        device: Some("a&b".to_owned()),
        limit: Some(5),
        since: Some(gateway_client::Since::LastS(600)),
        ..Default::default()
    };
    client.logs(&query).await.unwrap();
    let asked = stub.asked().remove(0);
    assert_eq!(asked.path, "/api/v1/logs?device=a%26b&last_s=600&limit=5");
    assert_eq!(asked.headers["authorization"], "Bearer secret");
}

#[tokio::test]
async fn a_history_is_asked_for_as_a_range() {
    const RANGE: &str = r#"{"from_ms":0,"step_ms":1000,"points":1,"series":[{"metric":
        "gas_per_s","unit":"/s","min":[1],"avg":[1.5],"max":[2],"p95":[null]}]}"#;
    let stub = Stub::start(|_, _| json(RANGE)).await;
    let metrics = vec![HistoryMetric::GasPerS];
    let query = HistoryQuery { metrics, app: Some("a b".into()), ..HistoryQuery::default() };
    let range = stub.client().device_history_range("pi", &query).await.unwrap();
    assert_eq!((range.series[0].avg[0], range.series[0].p95[0]), (Some(1.5), None));
    stub.client().fleet_history(&HistoryQuery::default()).await.unwrap();
    let paths: Vec<String> = stub.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths[0], "/api/v1/devices/pi/history?series=gas_per_s&app=a+b&points=300");
    assert_eq!(paths[1], "/api/v1/fleet/history?points=300");
}
