//! Runs the real command, against a gateway that answers as a test says.
#![allow(dead_code)] // Each test binary uses a part of it.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// Method, path and query, and the body as text.
pub type Asked = (String, String, String);

pub struct Gateway {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    traces: Arc<Mutex<Vec<String>>>,
    // Ends the server when dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Gateway {
    /// `answer` gets method and path, and gives status and body.
    pub fn start(answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        let traces = Arc::new(Mutex::new(Vec::new()));
        let kept_traces = traces.clone();
        let answer = Arc::new(answer);
        let serve = move |request: Request| {
            let (kept, answer) = (kept.clone(), answer.clone());
            let kept_traces = kept_traces.clone();
            async move {
                let method = request.method().to_string();
                let path = request.uri().path_and_query().unwrap().to_string();
                let token = request.headers().get("authorization").cloned();
                let trace = request.headers().get("traceparent").map(|t| t.to_str().unwrap());
                kept_traces.lock().unwrap().push(trace.unwrap_or_default().to_owned());
                let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
                let body = String::from_utf8_lossy(&body).into_owned();
                let token = token.map(|t| t.to_str().unwrap().to_owned()).unwrap_or_default();
                let (status, text) = answer(&method, &path);
                kept.lock().unwrap().push((format!("{method} {path}"), body, token));
                let content_type = match status {
                    200 if path.ends_with("/events") => "text/event-stream",
                    200..=299 => "application/json",
                    _ => "application/problem+json",
                };
                Response::builder()
                    .status(StatusCode::from_u16(status).unwrap())
                    .header("content-type", content_type)
                    .body(axum::body::Body::from(text))
                    .unwrap()
            }
        };
        let app = axum::Router::new().fallback(serve);
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, asked, traces, _runtime: runtime }
    }

    /// Method with path, body, and `Authorization`.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The `traceparent` of each request.
    pub fn traces(&self) -> Vec<String> {
        self.traces.lock().unwrap().clone()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = farrier(args);
        command.env("FARRIER_GATEWAY", &self.url);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }
}

/// The command without anything of the caller's environment that it reads.
pub fn farrier(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farrier"));
    command.args(args).stdin(Stdio::null());
    for name in READ_VARIABLES {
        command.env_remove(name);
    }
    // Nobody's settings.
    command.env("XDG_CONFIG_HOME", "/nowhere");
    command
}

/// Of the environment, what the command reads.
pub const READ_VARIABLES: [&str; 9] = [
    "FARRIER_GATEWAY",
    "FARRIER_CONTEXT",
    "FARRIER_TOKEN",
    "FARRIER_TOKEN_FILE",
    "TRACEPARENT",
    "NO_COLOR",
    "CLICOLOR_FORCE",
    "HTTP_PROXY",
    "http_proxy",
];

#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ran {
        code: status.code().expect("ended by itself"),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

pub fn problem(status: u16, code: &str) -> (u16, String) {
    let body = format!(
        r#"{{"type": "/problems/{code}", "title": "Refused for a test", "status": {status},
            "detail": "Because of {code}.", "code": "{code}", "request_id": "r-17"}}"#
    );
    (status, body)
}
