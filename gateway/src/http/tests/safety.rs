//! Conditions and idempotency keys, over HTTP.

use super::{Client, problem, text};
use crate::app::tests::fleet::plain_wasm;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{Method, Response, StatusCode};
use gateway_api::{Page, ProblemCode};
use serde_json::Value;

async fn send(client: &Client, method: Method, path: &str, header: (&str, &str)) -> Response<Body> {
    let request = client.request(method, path).header(header.0, header.1);
    client.send(request.body(Body::empty()).unwrap()).await
}

fn tag(response: &Response<Body>) -> String {
    response.headers()[ETAG].to_str().unwrap().to_owned()
}

async fn post(client: &Client, path: &str, key: &str, json: &str) -> Response<Body> {
    let request = client.request(Method::POST, path).header("idempotency-key", key);
    let request = request.header(CONTENT_TYPE, "application/json");
    client.send(request.body(Body::from(json.to_owned())).unwrap()).await
}

async fn deployments(client: &Client) -> u64 {
    let body = text(client.get("/api/v1/deployments").await).await;
    serde_json::from_str::<Page<Value>>(&body).unwrap().total
}

#[tokio::test]
async fn an_answer_that_the_asker_has_is_not_sent_again() {
    let client = Client::new();
    client.upload("answer", plain_wasm(1)).await;
    let path = "/api/v1/modules/answer";
    let first = client.get(path).await;
    let known = tag(&first);
    assert!(text(first).await.contains("\"name\":\"answer\""));
    for listed in [known.clone(), format!("\"x\", W/{known}"), "*".to_owned()] {
        let same = send(&client, Method::GET, path, (IF_NONE_MATCH.as_str(), &listed)).await;
        assert_eq!(
            (same.status(), tag(&same)),
            (StatusCode::NOT_MODIFIED, known.clone()),
            "{listed}"
        );
        assert_eq!(text(same).await, "");
    }
    client.upload("answer", plain_wasm(2)).await;
    let changed = send(&client, Method::GET, path, (IF_NONE_MATCH.as_str(), &known)).await;
    assert_eq!(changed.status(), StatusCode::OK);
    assert_ne!(tag(&changed), known);
}

#[tokio::test]
async fn a_change_of_what_was_changed_meanwhile_is_refused() {
    let client = Client::new();
    client.upload("answer", plain_wasm(1)).await;
    let path = "/api/v1/modules/answer/known-answers";
    let put = async |condition: &str| {
        let request = client.request(Method::PUT, path).header(IF_MATCH, condition);
        let steps = "format = 1\n[[step]]\ncall = \"answer\"\nexpect = [\"i32:1\"]\n";
        client.send(request.body(Body::from(steps)).unwrap()).await
    };
    let seen = tag(&client.get("/api/v1/modules/answer").await);
    for wrong in ["\"0123\"", "W/\"0123\"", &format!("W/{seen}")] {
        let refused = problem(put(wrong).await).await;
        assert_eq!(
            (refused.status, refused.code),
            (412, ProblemCode::PreconditionFailed),
            "{wrong}"
        );
    }
    let first = put(&seen).await;
    let status = first.status();
    assert_eq!(status, StatusCode::OK, "{}", text(first).await);
    assert_eq!(problem(put(&seen).await).await.status, 412, "it is another one now");

    let made =
        client.post_json("/api/v1/deployments", r#"{"module":"answer","devices":"all"}"#).await;
    let id = serde_json::from_str::<Value>(&text(made).await).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v1/deployments/{id}");
    let seen = tag(&client.get(&path).await);
    let refused = send(&client, Method::DELETE, &path, (IF_MATCH.as_str(), "\"other\"")).await;
    assert_eq!(refused.status(), StatusCode::PRECONDITION_FAILED);
    let removed = send(&client, Method::DELETE, &path, (IF_MATCH.as_str(), &seen)).await;
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    let gone = send(&client, Method::DELETE, &path, (IF_MATCH.as_str(), "*")).await;
    assert_eq!(gone.status(), StatusCode::PRECONDITION_FAILED);
    let nowhere = send(&client, Method::POST, "/api/v1/logout", (IF_MATCH.as_str(), "*")).await;
    assert_eq!(problem(nowhere).await.code, ProblemCode::BadRequest);
}

#[tokio::test]
async fn a_request_that_is_sent_twice_happens_once() {
    let client = Client::new();
    client.upload("answer", plain_wasm(1)).await;
    let new = r#"{"module":"answer","devices":"all"}"#;
    let first = post(&client, "/api/v1/deployments", "k1", new).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let first = text(first).await;
    let second = post(&client, "/api/v1/deployments", "k1", new).await;
    assert_eq!(second.status(), StatusCode::CREATED);
    assert_eq!(second.headers()["idempotency-replayed"], "true");
    assert_eq!(text(second).await, first);
    assert_eq!(deployments(&client).await, 1);
    post(&client, "/api/v1/deployments", "k2", new).await;
    assert_eq!(deployments(&client).await, 2);

    let other = r#"{"module":"answer","devices":{"these":[]}}"#;
    let reused = problem(post(&client, "/api/v1/deployments", "k1", other).await).await;
    assert_eq!((reused.status, reused.code), (422, ProblemCode::KeyReused));
    let elsewhere = post(&client, "/api/v1/application-plans", "k1", new).await;
    assert_eq!(elsewhere.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_refusal_is_replayed_and_a_fault_is_tried_again() {
    let client = Client::new();
    client.upload("answer", plain_wasm(1)).await;
    let missing = r#"{"module":"none","devices":"all"}"#;
    for _ in 0..2 {
        let refused = problem(post(&client, "/api/v1/deployments", "k1", missing).await).await;
        assert_eq!(refused.code, ProblemCode::NotFound);
    }
    let new = r#"{"module":"answer","devices":"all"}"#;
    client.fleet.fill_disk(true);
    let full = post(&client, "/api/v1/deployments", "k2", new).await;
    assert_eq!(full.status(), StatusCode::INSUFFICIENT_STORAGE);
    client.fleet.fill_disk(false);
    let done = post(&client, "/api/v1/deployments", "k2", new).await;
    assert_eq!(done.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn an_answer_with_a_secret_is_not_kept() {
    let client = Client::new();
    let first = text(post(&client, "/api/v1/claim-tokens", "k1", "{}").await).await;
    assert!(first.contains("\"token\""), "{first}");
    let second = problem(post(&client, "/api/v1/claim-tokens", "k1", "{}").await).await;
    assert_eq!(second.code, ProblemCode::Conflict);
    for key in ["", &"k".repeat(256)] {
        let refused = problem(post(&client, "/api/v1/claim-tokens", key, "{}").await).await;
        assert_eq!(refused.code, ProblemCode::BadRequest);
    }
}
