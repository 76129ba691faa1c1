//! The event stream goes on where it ended.

mod stub;

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt;
use gateway_api::Event;
use gateway_client::{ClientError, EventOptions};
use std::sync::{Arc, Mutex};
use stub::{Asked, Stub, answer, problem};

fn removed(id: &str) -> Event {
    Event::DeploymentRemoved { id: id.to_owned() }
}

fn message(id: &str, deployment: &str) -> String {
    format!(
        "id: {id}\nevent: deployment-removed\ndata: {{\"type\": \"deployment-removed\", \
         \"id\": \"{deployment}\"}}\n\n"
    )
}

fn events(text: impl Into<Body>) -> Response {
    answer(200, "text/event-stream", text)
}

fn last_event_id(asked: &Asked) -> Option<&str> {
    asked.headers.get("last-event-id").map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_lost_stream_resumes_behind_the_last_event() {
    let stub = Stub::start(|asked, before| match before {
        0 => events(format!(": hello\n\n{}{}", message("7", "a"), message("8", "b"))),
        // Not ready for a while, in two ways.
        1 => problem(503, "unavailable"),
        2 => answer(500, "text/plain", "starting"),
        _ if last_event_id(asked) == Some("8") => events(message("9", "c")),
        _ => problem(400, "bad-request"),
    })
    .await;
    let interruptions = Arc::new(Mutex::new(0));
    let count = interruptions.clone();
    let options = EventOptions {
        on_interruption: Some(Arc::new(move |_, _| *count.lock().unwrap() += 1)),
        ..Default::default()
    };
    let mut stream = stub.client().events_with(options).await.unwrap();
    for deployment in ["a", "b", "c"] {
        assert_eq!(stream.next().await.unwrap().unwrap(), removed(deployment));
    }
    assert_eq!(*interruptions.lock().unwrap(), 3);
    assert_eq!(last_event_id(&stub.asked()[0]), None);
}

#[tokio::test]
async fn a_stream_starts_behind_a_given_event() {
    let stub = Stub::start(|_, _| events(message("43", "a"))).await;
    let options = EventOptions { last_event_id: Some("42".to_owned()), ..Default::default() };
    stub.client().events_with(options).await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(last_event_id(&stub.asked()[0]), Some("42"));
}

#[tokio::test]
async fn without_ids_a_reconnect_asks_to_read_everything_again() {
    let text = "event: resync\ndata: {\"type\": \"resync\"}\n\n";
    let stub = Stub::start(move |_, before| match before {
        0 => events(""),
        _ => events(text),
    })
    .await;
    let mut stream = stub.client().events().await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), Event::Resync);
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test]
async fn unknown_events_are_skipped_and_broken_ones_are_told() {
    let text = format!(
        "id: 1\nevent: eclipse\ndata: {{\"type\": \"eclipse\"}}\n\n\
         id: 2\nevent: log\ndata: {{\"type\": \"log\"}}\n\n{}",
        message("3", "a")
    );
    let stub = Stub::start(move |_, _| events(text.clone())).await;
    let mut stream = stub.client().events().await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("\"log\""), "{error}");
    assert_eq!(stream.next().await.unwrap().unwrap(), removed("a"));
}

#[tokio::test]
async fn a_final_refusal_ends_the_stream() {
    let stub = Stub::start(|_, before| match before {
        0 => events(message("1", "a")),
        _ => problem(401, "login-required"),
    })
    .await;
    let mut stream = stub.client().events().await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert!(stream.next().await.unwrap().unwrap_err().is_login_required());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn the_first_connection_must_succeed() {
    let stub = Stub::start(|_, _| problem(401, "login-required")).await;
    assert!(stub.client().events().await.err().unwrap().is_login_required());
    let stub = Stub::start(|_, _| answer(200, "text/html", "<html>")).await;
    let error = stub.client().events().await.err().unwrap();
    assert!(matches!(error, ClientError::UnexpectedAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn a_204_says_not_to_come_back() {
    let stub = Stub::start(|_, before| match before {
        0 => events(message("1", "a")),
        _ => answer(204, "text/plain", ""),
    })
    .await;
    let items: Vec<_> = stub.client().events().await.unwrap().collect().await;
    assert_eq!(items.len(), 1);
}
