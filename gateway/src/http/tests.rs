//! The API as its users see it, without a port.

mod contract;
mod login;
mod operations;
mod paging;
mod rights;
mod safety;

use super::{HttpState, in_outer_layers, router};
use crate::app::tests::fleet::{FakeDevice, Fleet, plain_wasm};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{Method, Request, Response, StatusCode};
use axum::routing::get;
use contract::linked_upload;
use gateway_api::{PROBLEM_CONTENT_TYPE, Problem, ProblemCode};
use proptest::prelude::*;
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt;

struct Client {
    fleet: Fleet,
    router: Router,
    token: String,
    ending: watch::Sender<bool>,
}

impl Client {
    fn new() -> Self {
        let fleet = Fleet::new();
        let token = fleet.app.make_first_admin_token().unwrap().unwrap().0;
        let (ending, is_ending) = watch::channel(false);
        let router = router(HttpState::new(fleet.app.clone(), is_ending));
        Self { fleet, router, token, ending }
    }

    /// The gateway's process ends and starts again on the same data.
    fn restart(self) -> Self {
        let fleet = self.fleet.restart();
        let (ending, is_ending) = watch::channel(false);
        let router = router(HttpState::new(fleet.app.clone(), is_ending));
        Self { fleet, router, token: self.token, ending }
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let bearer = format!("Bearer {}", self.token);
        Request::builder().method(method).uri(path).header(AUTHORIZATION, bearer)
    }

    async fn get(&self, path: &str) -> Response<Body> {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    async fn post_json(&self, path: &str, json: &str) -> Response<Body> {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(json.to_owned())).unwrap()).await
    }

    async fn upload(&self, name: &str, wasm: Vec<u8>) -> Response<Body> {
        let path = format!("/api/v1/modules?name={name}");
        self.send(self.request(Method::POST, &path).body(Body::from(wasm)).unwrap()).await
    }
}

async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Checks that a response is a whole problem document.
#[track_caller]
fn check_headers(response: &Response<Body>) -> String {
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), PROBLEM_CONTENT_TYPE);
    assert_eq!(header("x-content-type-options"), "nosniff");
    header("x-request-id")
}

async fn problem(response: Response<Body>) -> Problem {
    let status = response.status().as_u16();
    let request_id = check_headers(&response);
    let problem: Problem = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(problem.status, status);
    assert_eq!(problem.request_id, Some(request_id));
    assert!(problem.kind.starts_with("/problems/") && problem.detail.len() > 3, "{problem:?}");
    problem
}

#[tokio::test]
async fn a_full_disk_is_507_and_every_page_can_say_so() {
    let client = Client::new();
    client.fleet.fill_disk(true);
    let refused = problem(client.post_json("/api/v1/claim-tokens", "{}").await).await;
    assert_eq!((refused.status, refused.code), (507, ProblemCode::StorageFull));
    let session = text(client.get("/api/v1/session").await).await;
    assert!(session.contains("\"storage_full\":true"), "{session}");
    client.fleet.fill_disk(false);
    let made = client.post_json("/api/v1/claim-tokens", "{}").await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let session = text(client.get("/api/v1/session").await).await;
    assert!(session.contains("\"storage_full\":false"), "{session}");
}

#[tokio::test]
async fn the_audit_log_names_the_token_and_comes_in_pages() {
    let client = Client::new();
    client.post_json("/api/v1/claim-tokens", "{}").await;
    let page = text(client.get("/api/v1/audit?limit=500").await).await;
    let page: gateway_api::AuditPage = serde_json::from_str(&page).unwrap();
    let last = page.records.last().unwrap();
    assert_eq!((last.actor.as_str(), last.actions.len()), ("token admin", 1));
    let behind = text(client.get(&format!("/api/v1/audit?after={}", last.seq - 1)).await).await;
    let behind: gateway_api::AuditPage = serde_json::from_str(&behind).unwrap();
    assert_eq!(behind.records, std::slice::from_ref(last));
    let refused = problem(client.get("/api/v1/audit?from=1").await).await;
    assert_eq!(refused.code, ProblemCode::BadRequest);
}

#[tokio::test]
async fn nothing_but_health_login_and_enrolment_is_open() {
    let client = Client::new();
    let closed = [
        (Method::GET, "/api/v1/session"),
        (Method::POST, "/api/v1/login-links"),
        (Method::POST, "/api/v1/logout"),
        (Method::POST, "/api/v1/claim-tokens"),
        (Method::GET, "/api/v1/overview"),
        (Method::POST, "/api/v1/modules?name=a"),
        (Method::GET, "/api/v1/modules"),
        (Method::GET, "/api/v1/modules/a"),
        (Method::PUT, "/api/v1/modules/a/known-answers"),
        (Method::POST, "/api/v1/deployments"),
        (Method::GET, "/api/v1/deployments"),
        (Method::GET, "/api/v1/deployments/a-1"),
        (Method::DELETE, "/api/v1/deployments/a-1"),
        (Method::GET, "/api/v1/devices"),
        (Method::GET, "/api/v1/devices/a"),
        (Method::GET, "/api/v1/devices/a/history"),
        (Method::GET, "/api/v1/ps"),
        (Method::GET, "/api/v1/logs"),
        (Method::GET, "/api/v1/published"),
        (Method::GET, "/api/v1/events"),
        (Method::GET, "/api/v1/nothing"),
    ];
    for (method, path) in closed {
        let bare = Request::builder().method(method.clone()).uri(path);
        let response = client.send(bare.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_eq!(problem(response).await.code, ProblemCode::LoginRequired);
        let wrong = Request::builder().method(method).uri(path).header(AUTHORIZATION, "Bearer x");
        let response = client.send(wrong.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let open = Request::builder().uri("/healthz").body(Body::empty()).unwrap();
    assert_eq!(client.send(open).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_browser_logs_in_by_a_link_and_only_its_own_pages_change_things() {
    let client = Client::new();
    let link = client.fleet.app.new_login_link().unwrap().url;
    let path = link.strip_prefix("http://h").unwrap().to_owned();
    let open = || Request::builder().uri(path.as_str()).body(Body::empty()).unwrap();
    let response = client.send(open()).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[LOCATION], "/");
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(problem(client.send(open()).await).await.code, ProblemCode::LoginRequired);

    let by_cookie = |method, path: &str, site: &str| {
        let request = Request::builder().method(method).uri(path).header(COOKIE, &cookie);
        request.header("sec-fetch-site", site).body(Body::empty()).unwrap()
    };
    let response = client.send(by_cookie(Method::GET, "/api/v1/session", "same-origin")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let forged = client.send(by_cookie(Method::POST, "/api/v1/login-links", "cross-site")).await;
    assert_eq!(problem(forged).await.code, ProblemCode::Forbidden);
    let own = client.send(by_cookie(Method::POST, "/api/v1/logout", "same-origin")).await;
    assert_eq!(own.status(), StatusCode::NO_CONTENT);
    let after = client.send(by_cookie(Method::GET, "/api/v1/session", "same-origin")).await;
    assert_eq!(after.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn uploads_answer_with_their_kind() {
    let client = Client::new();
    let good = plain_wasm(1);
    assert_eq!(client.upload("answer", good.clone()).await.status(), StatusCode::CREATED);
    assert_eq!(client.upload("answer", good.clone()).await.status(), StatusCode::OK);
    let cases = [
        ("other", good.clone(), StatusCode::CONFLICT, ProblemCode::Conflict),
        ("A", good.clone(), StatusCode::BAD_REQUEST, ProblemCode::BadRequest),
        ("bad", b"hello".to_vec(), StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::NotWasm),
        (
            "bad",
            good[..20].to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            ProblemCode::TruncatedModule,
        ),
        ("bad", vec![0; (1 << 20) + 1], StatusCode::PAYLOAD_TOO_LARGE, ProblemCode::TooLarge),
    ];
    for (name, wasm, status, code) in cases {
        let response = client.upload(name, wasm).await;
        assert_eq!(response.status(), status);
        assert_eq!(problem(response).await.code, code);
    }
    let nameless = client.request(Method::POST, "/api/v1/modules").body(Body::empty()).unwrap();
    assert_eq!(problem(client.send(nameless).await).await.code, ProblemCode::BadRequest);
    let listed = text(client.get("/api/v1/modules").await).await;
    assert!(listed.starts_with("{\"items\":[{\"id\":\""), "{listed}");
}

#[tokio::test]
async fn a_series_that_does_not_exist_is_refused_with_those_that_do() {
    let client = Client::new();
    for of in ["fleet", "devices/pi"] {
        let path = format!("/api/v1/{of}/history?series=cpu_percent,height");
        let request = client.request(Method::GET, &path).body(Body::empty()).unwrap();
        let refused = problem(client.send(request).await).await;
        assert_eq!(refused.code, ProblemCode::BadRequest);
        assert!(refused.detail.contains("gas_per_s"), "{}", refused.detail);
    }
}

#[tokio::test]
async fn a_linked_upload_says_how_long_its_parts_are() {
    let client = Client::new();
    let send = async |body: Vec<u8>| {
        let request = client.request(Method::POST, "/api/v1/linked-modules");
        client.send(request.body(Body::from(body)).unwrap()).await
    };
    let wrong = problem(send(linked_upload(1)).await).await;
    assert_eq!(wrong.code, ProblemCode::BadRequest);
    assert!(wrong.detail.starts_with("The first line tells of "), "{}", wrong.detail);
    let headless = problem(send(plain_wasm(1)).await).await;
    assert_eq!(headless.code, ProblemCode::BadRequest);
    for status in [StatusCode::CREATED, StatusCode::OK] {
        let answer = send(linked_upload(0)).await;
        assert_eq!(answer.status(), status);
        let module: gateway_api::Module = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!((module.name.as_str(), module.linked.len()), ("answer", 2));
    }
}

#[tokio::test]
async fn whatever_the_framework_refuses_is_a_problem_document_too() {
    let client = Client::new();
    let patch = client.request(Method::PATCH, "/api/v1/modules").body(Body::empty()).unwrap();
    assert_eq!(problem(client.send(patch).await).await.code, ProblemCode::MethodNotAllowed);
    for path in ["/api/v1/nothing", "/api/v2/modules", "/api/"] {
        assert_eq!(problem(client.get(path).await).await.code, ProblemCode::NotFound, "{path}");
    }
    assert_eq!(
        problem(client.get("/api/v1/logs?limit=many").await).await.code,
        ProblemCode::BadRequest
    );
    for json in ["", "{", "[]", "{\"module\":1,\"devices\":\"all\"}", "{\"modul\":\"a\"}"] {
        let refused = problem(client.post_json("/api/v1/deployments", json).await).await;
        assert_eq!(refused.code, ProblemCode::BadRequest, "{json}");
    }
    let long = format!("{{\"module\":\"{}\"}}", "a".repeat(300_000));
    let refused = client.post_json("/api/v1/deployments", &long).await;
    assert_eq!(problem(refused).await.code, ProblemCode::TooLarge);
    let enrol = client.post_json("/api/v1/enroll", "{\"claim_token\":\"x\",\"statement\":\"\"}");
    assert_eq!(problem(enrol.await).await.code, ProblemCode::ClaimRefused);
}

#[tokio::test]
async fn a_panic_is_a_problem_with_an_id_and_without_its_text() {
    async fn fail() -> &'static str {
        panic!("secret detail")
    }
    let router = in_outer_layers(Router::new().route("/", get(fail)), Arc::default());
    let request = Request::builder().uri("/").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = text(response).await;
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert!(problem.request_id.is_some());
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn the_event_stream_resumes_behind_the_last_id_or_asks_to_read_again() {
    let client = Client::new();
    let before = *client.fleet.app.events().subscribe().borrow();
    client.fleet.enrol(&FakeDevice::new(1, "x86_64-linux"));
    client.fleet.upload("answer", &plain_wasm(1));
    let stream = |id: String| {
        let request = client.request(Method::GET, "/api/v1/events").header("last-event-id", id);
        client.send(request.body(Body::empty()).unwrap())
    };
    let resumed = stream((before + 1).to_string()).await;
    assert_eq!(resumed.headers()[CONTENT_TYPE], "text/event-stream");
    let lost = stream("5".into()).await;
    let foreign = stream("abc".into()).await;
    let request = client.request(Method::GET, "/api/v1/events?devices=d-none,d-other");
    let request = request.header("last-event-id", before.to_string());
    let of_others = client.send(request.body(Body::empty()).unwrap()).await;
    client.ending.send_replace(true);
    let resumed = text(resumed).await;
    assert!(resumed.contains("event: module") && !resumed.contains("event: device"), "{resumed}");
    assert!(resumed.contains(&format!("id: {}", before + 2)), "{resumed}");
    let of_others = text(of_others).await;
    assert!(of_others.contains("event: module") && !of_others.contains("event: device"));
    assert!(text(lost).await.contains("event: resync"));
    assert!(text(foreign).await.contains("event: resync"));
}

#[tokio::test]
async fn pages_have_their_headers_and_deep_links_work() {
    let client = Client::new();
    for path in ["/", "/devices/d-1", "/deployments"] {
        let response = client.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe-inline"), "{policy}");
        assert_eq!(response.headers()["x-frame-options"], "DENY");
        assert!(text(response).await.to_lowercase().starts_with("<!doctype html>"));
    }
    let missing = client.get("/assets/missing.js").await;
    assert_eq!(problem(missing).await.code, ProblemCode::NotFound);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_upload_is_answered_with_a_fault(
        name in "[a-zA-Z0-9%-]{0,12}",
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        with_magic in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let wasm = if with_magic { [b"\0asm\x01\0\0\0", bytes.as_slice()].concat() } else { bytes };
        let client = Client::new();
        let path = format!("/api/v1/modules?name={name}");
        // Names that are no URI are refused before they reach us.
        if let Ok(request) = client.request(Method::POST, &path).body(Body::from(wasm)) {
            let status = runtime.block_on(client.send(request)).status();
            prop_assert!(!status.is_server_error(), "{status}");
        }
    }
}

#[tokio::test]
async fn a_deployment_beyond_the_queue_is_told_when_to_come_back() {
    let client = Client::new();
    client.fleet.enrol(&FakeDevice::new(1, "x86_64-linux"));
    let mut last = client.get("/api/v1/modules").await;
    for number in 0..=4 {
        let name = format!("app-{number}");
        client.upload(&name, plain_wasm(number)).await;
        let new = format!(r#"{{"module": "{name}", "devices": "all"}}"#);
        last = client.post_json("/api/v1/deployments", &new).await;
    }
    assert_eq!(last.headers()["retry-after"], "30");
    let problem = problem(last).await;
    assert_eq!((problem.status, problem.code), (503, ProblemCode::QueueFull));
    assert!(problem.kind.ends_with("queue-full"), "{}", problem.kind);
    let list = text(client.get("/api/v1/deployments").await).await;
    assert_eq!(list.matches("\"app\":").count(), 4, "nothing of it is kept: {list}");
}

#[tokio::test]
async fn the_record_of_a_compilation_can_be_read() {
    let client = Client::new();
    client.fleet.enrol(&FakeDevice::new(1, "x86_64-linux"));
    client.upload("answer", plain_wasm(1)).await;
    client.fleet.deploy("answer");
    client.fleet.work(|_| Err("no memory".into()), |_| Ok(0));
    let records = text(client.get("/api/v1/modules/answer/compiles").await).await;
    assert!(records.contains("\"refusal\":\"no memory\""), "{records}");
    assert_eq!(client.get("/api/v1/modules/other/compiles").await.status(), 404);
}
