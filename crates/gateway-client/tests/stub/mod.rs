//! A server that answers as a test says and keeps what it was asked.
#![allow(dead_code)] // Each test binary uses a part of it.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use gateway_client::{Client, ClientBuilder};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

pub struct Stub {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    /// `answer` gets the request and how many came before it.
    pub async fn start(answer: impl Fn(&Asked, usize) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        let answer = Arc::new(answer);
        let serve = move |request: Request| {
            let (kept, answer) = (kept.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let path = parts.uri.path_and_query().unwrap().to_string();
                let body = to_bytes(body, 8 << 20).await.unwrap().to_vec();
                let asked = Asked { method: parts.method, path, headers: parts.headers, body };
                let count = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(asked.clone());
                    kept.len() - 1
                };
                answer(&asked, count)
            }
        };
        let app = axum::Router::new().fallback(serve);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked }
    }

    pub fn builder(&self) -> ClientBuilder {
        Client::builder(&self.url).request_timeout(Duration::from_secs(5))
    }

    pub fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub fn answer(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into())
        .unwrap()
}

pub fn json(body: &str) -> Response {
    answer(200, "application/json", body.to_owned())
}

pub fn problem(status: u16, code: &str) -> Response {
    let body = format!(
        r#"{{"type": "/problems/{code}", "title": "The title", "status": {status},
            "detail": "The detail.", "code": "{code}", "request_id": "r-1"}}"#
    );
    answer(status, "application/problem+json", body)
}

pub const NO_ITEMS: &str = r#"{"items": []}"#;
