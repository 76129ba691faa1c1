//! The document of the API is true: it has the router's routes and no others, its
//! examples are what the gateway takes and gives, and what is wrong with a request is said
//! by a problem document and never by a fault.
//!
//! `UPDATE_EXPECT=1 cargo test -p farrier-gateway contract` writes docs/openapi.json anew.

mod document;
mod operations;

use super::{Client, text};
use crate::app::tests::fleet::{FakeDevice, app_report, plain_wasm};
use crate::http::{open_routes, root_routes, routes_behind_login};
use axum::body::{Body, to_bytes};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{Method, Request, Response};
use device_protocol::AppState;
use document::{Body as RequestBody, Operation};
use gateway_api::{PROBLEM_CONTENT_TYPE, Problem, ProblemCode};
use module_package::ReleaseId;
pub use operations::linked_upload;
use serde_json::Value;
use std::collections::BTreeSet;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

/// A gateway in which every sample finds what it asks for.
fn populated() -> Client {
    let client = Client::new();
    let fleet = &client.fleet;
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.enrol(&FakeDevice::new(2, "riscv64-linux"));
    fleet.upload("filter", &plain_wasm(1));
    fleet.deploy("filter");
    fleet.work_well();
    let app = app_report("filter", ReleaseId([1; 32]), AppState::Running);
    fleet.report(&device, &device.report(1, 1, vec![app]));
    fleet.app.keep_history();
    fleet.log(&device, "all is well");
    for number in [8, 9] {
        fleet.app.ask_to_enrol(&FakeDevice::new(number, "x86_64-linux").ask_request()).unwrap();
    }
    fleet.app.metrics().note_broker(true);
    for _ in 0..4 {
        // They work until the gateway ends.
        std::mem::forget(fleet.app.metrics().open_worker());
    }
    client
}

fn request(operation: &Operation, path: &str, token: Option<&str>, body: &[u8]) -> Request<Body> {
    let mut request = Request::builder().method(operation.method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let kind = operation.body.as_ref().map(RequestBody::content_type);
    if let Some(kind) = kind {
        request = request.header(CONTENT_TYPE, kind);
    }
    request.body(Body::from(body.to_vec())).unwrap()
}

/// Sends each sample in turn; gives the JSON answers, which are the document's examples.
async fn take_samples(operations: &[Operation]) -> Vec<Option<Value>> {
    let client = populated();
    let mut examples = Vec::new();
    for operation in operations {
        let Some(path) = &operation.sample else {
            examples.push(None);
            continue;
        };
        let body = operation.body.as_ref().map(RequestBody::sample).unwrap_or_default();
        let path = operation.concrete(path);
        let answer = client.send(request(operation, &path, Some(&client.token), &body)).await;
        let (status, name) = (answer.status().as_u16(), operation.name());
        if operation.is_stream {
            assert_eq!(status, 200, "{name}");
            examples.push(None);
            continue;
        }
        let kind = answer.headers().get(CONTENT_TYPE).map(|k| k.to_str().unwrap().to_owned());
        // Signed documents are no text.
        let bytes = to_bytes(answer.into_body(), 1 << 24).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let documented = operation.answers.iter().find(|answer| answer.status == status);
        let documented = documented.unwrap_or_else(|| panic!("{name} gives {status}: {text}"));
        examples.push(match &documented.content {
            None => {
                assert!(text.is_empty(), "{name}: {text}");
                None
            }
            Some(content) => {
                let kind = kind.unwrap_or_default();
                assert!(kind.starts_with(content.kind), "{name} gives {kind}");
                content.check.map(|check| {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    check(&value).unwrap_or_else(|e| panic!("{name}: {e}: {text}"));
                    value
                })
            }
        });
        client.fleet.work_well();
    }
    examples
}

#[tokio::test]
async fn the_document_is_what_is_checked_in_and_its_examples_are_real() {
    let operations = operations::all();
    for operation in &operations {
        if let Some(RequestBody::Json { example, check, .. }) = &operation.body {
            check(example).unwrap_or_else(|e| panic!("{}: {e}", operation.name()));
        }
    }
    let examples = take_samples(&operations).await;
    let document = document::of(&operations, &examples);
    let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(PATH, &text).unwrap();
    }
    let kept = std::fs::read_to_string(PATH).unwrap();
    let first = text.lines().zip(kept.lines()).position(|(new, kept)| new != kept);
    assert!(
        text == kept,
        "docs/openapi.json is not what the types and routes say (line {:?}): look at the \
         difference after UPDATE_EXPECT=1 cargo test -p farrier-gateway contract",
        first.map(|line| line + 1)
    );
}

#[tokio::test]
async fn every_route_of_the_router_is_in_the_document_and_the_reverse() {
    let client = Client::new();
    let below = |path: &&str| format!("/api/v1{path}");
    let (inner, open) = (routes_behind_login(), open_routes());
    let api = inner.iter().chain(&open).map(|(path, _)| below(path));
    let all: Vec<String> =
        api.chain(root_routes().iter().map(|(path, _)| (*path).to_owned())).collect();
    let mut served = BTreeSet::new();
    for template in all {
        // A method that nothing has is answered with those that there are.
        let path = template.replace(['{', '}'], "");
        let refused =
            client.send(client.request(Method::PATCH, &path).body(Body::empty()).unwrap());
        let refused = refused.await;
        let allowed = refused.headers().get(ALLOW).unwrap_or_else(|| panic!("{path}"));
        let methods = allowed.to_str().unwrap().split(',').filter(|method| *method != "HEAD");
        served.extend(methods.map(|method| format!("{method} {template}")));
    }
    let documented: BTreeSet<String> = operations::all().iter().map(Operation::name).collect();
    assert_eq!(served, documented);
}

/// Their things have no page of their own, and so no ETag.
const WITHOUT_TAG: [&str; 5] =
    ["setRole", "setPassword", "removeUser", "revokeToken", "endSession"];

/// With the test before this one, of every route that the router has.
#[test]
fn what_replaces_or_removes_one_thing_can_depend_on_how_it_was() {
    for operation in operations::all() {
        let is_change =
            matches!(operation.method, "PUT" | "DELETE") && !WITHOUT_TAG.contains(&operation.id);
        let is_revocation = operation.id == "revokeDevice";
        assert_eq!(operation.takes_condition(), is_change || is_revocation, "{}", operation.name());
    }
}

/// Whether it is a refusal that the document knows, with a whole problem document.
async fn check_refusal(operation: &Operation, what: &str, answer: Response<Body>) -> Problem {
    let (status, name) = (answer.status(), operation.name());
    assert!(status.is_client_error(), "{name} with {what}: {status}");
    let kind = answer.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
    assert_eq!(kind.as_deref(), Some(PROBLEM_CONTENT_TYPE), "{name} with {what}");
    let text = text(answer).await;
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_ne!(problem.code, ProblemCode::Other, "{name} with {what}: {text}");
    assert!(problem.detail.len() > 10, "{name} with {what}: {text}");
    problem
}

#[tokio::test]
async fn without_a_login_nothing_is_done_but_what_is_open() {
    let client = populated();
    for operation in operations::all().iter().filter(|operation| !operation.is_open) {
        let path = operation.concrete(operation.sample.as_deref().unwrap_or_default());
        for token in [None, Some("wrong")] {
            let answer = client.send(request(operation, &path, token, b"{}")).await;
            let problem = check_refusal(operation, "no login", answer).await;
            assert_eq!((problem.status, problem.code), (401, ProblemCode::LoginRequired));
        }
    }
}

#[tokio::test]
async fn bodies_of_wrong_types_and_sizes_are_problems_and_never_faults() {
    let client = populated();
    let huge = format!("{{\"a\":\"{}\"}}", "a".repeat(300_000));
    for operation in &operations::all() {
        let Some(RequestBody::Json { .. }) = &operation.body else { continue };
        let path = operation.concrete(operation.sample.as_deref().unwrap_or_default());
        for body in ["", "{", "[]", "null", "7", "\"x\"", "{\"no such field\":1}", "\u{0}"] {
            let request = request(operation, &path, Some(&client.token), body.as_bytes());
            check_refusal(operation, body, client.send(request).await).await;
        }
        let request = request(operation, &path, Some(&client.token), huge.as_bytes());
        let problem = check_refusal(operation, "a long body", client.send(request).await).await;
        assert_eq!(problem.code, ProblemCode::TooLarge, "{}", operation.name());
        for (field, wrong) in wrong_types(operation) {
            let request = request_of(operation, &path, &client, &wrong);
            check_refusal(operation, &field, client.send(request).await).await;
        }
    }
}

fn request_of(operation: &Operation, path: &str, client: &Client, body: &Value) -> Request<Body> {
    request(operation, path, Some(&client.token), body.to_string().as_bytes())
}

/// The example with each of its fields in turn of another type.
fn wrong_types(operation: &Operation) -> Vec<(String, Value)> {
    let Some(RequestBody::Json { example: Value::Object(fields), .. }) = &operation.body else {
        return Vec::new();
    };
    let change = |(name, value): (&String, &Value)| {
        let mut changed = fields.clone();
        let other = if value.is_array() { Value::from(7) } else { Value::from(vec![vec![1]]) };
        changed.insert(name.clone(), other);
        (name.clone(), Value::Object(changed))
    };
    fields.iter().map(change).collect()
}

#[tokio::test]
async fn wrong_parameters_are_problems_and_never_faults() {
    let client = populated();
    for operation in &operations::all() {
        let body = operation.body.as_ref().map(RequestBody::sample).unwrap_or_default();
        let path = operation.concrete(operation.sample.as_deref().unwrap_or_default());
        let bare = path.split('?').next().unwrap_or_default().to_owned();
        if operation.path.contains('{') {
            for odd in ["%00", "..%2f..", &"x".repeat(3_000), "%F0%9F%92%A9", "-1", "%20"] {
                let path = operation.with_parameter(odd);
                let sent = request(operation, &path, Some(&client.token), &body);
                check_refusal(operation, odd, client.send(sent).await).await;
            }
        }
        for parameter in operation.query.iter().filter(|parameter| parameter.is_number) {
            for value in ["x", "-1", "1.5", "99999999999999999999999"] {
                let path = format!("{bare}?{}={value}", parameter.name);
                let sent = request(operation, &path, Some(&client.token), &body);
                check_refusal(operation, &path, client.send(sent).await).await;
            }
        }
        if !operation.query.is_empty() && operation.path != "/login" {
            let path = format!("{bare}?no_such_parameter=1");
            let sent = request(operation, &path, Some(&client.token), &body);
            check_refusal(operation, &path, client.send(sent).await).await;
        }
    }
}

#[tokio::test]
async fn the_document_is_served_as_it_is_and_needs_nothing_from_outside() {
    let client = Client::new();
    let bare = Request::builder().uri("/api/v1/openapi.json").body(Body::empty()).unwrap();
    let served = text(client.send(bare).await).await;
    assert_eq!(served, include_str!("../../../../../docs/openapi.json"));
    assert!(!served.contains("https://"), "it names another host");
    let document: Value = serde_json::from_str(&served).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for reference in served.split("\"$ref\": \"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is not there");
    }
}
