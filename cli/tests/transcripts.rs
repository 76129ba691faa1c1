//! What commands answer, word for word, with their exit codes.
//!
//! `TRYCMD=overwrite cargo test -p farrier --test transcripts` writes down what they
//! answer now; `[..]` stands for what differs from run to run.

mod stub;

use std::sync::atomic::{AtomicU32, Ordering};
use stub::{Gateway, READ_VARIABLES, problem};
use trycmd::TestCases;

fn cases() -> TestCases {
    let cases = TestCases::new();
    for name in READ_VARIABLES {
        // An empty one counts as none.
        cases.env(name, "");
    }
    cases.env("COLUMNS", "100");
    cases
}

fn list(items: &str) -> (u16, String) {
    (200, format!(r#"{{"items": {items}}}"#))
}

fn answer(method: &str, path: &str) -> (u16, String) {
    let path = path.split('?').next().unwrap();
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let one = |items: &str| {
        let items: Vec<serde_json::Value> = serde_json::from_str(items).unwrap();
        (200, items[0].to_string())
    };
    match (method, path) {
        ("GET", "/healthz") => (200, "ok".to_owned()),
        ("GET", "/session") => (200, include_str!("data/session.json").to_owned()),
        ("GET", "/trust") => (200, include_str!("data/trust.json").to_owned()),
        ("GET", "/devices") => list(include_str!("data/devices.json")),
        ("GET", "/devices/pi") => one(include_str!("data/devices.json")),
        ("GET", "/ps") => list(include_str!("data/apps.json")),
        ("GET", "/modules") => list(&format!("[{}]", include_str!("data/module.json"))),
        ("GET", "/deployments") => list(&format!("[{}]", include_str!("data/deployment.json"))),
        ("GET", "/deployments/5f0c21a9") => (200, include_str!("data/deployment.json").to_owned()),
        ("GET", "/modules/secret") => problem(403, "forbidden"),
        ("GET", "/modules/broken") => problem(500, "internal"),
        ("GET", "/enrolments") => {
            (200, r#"{"items": [], "items_max": 64, "turned_away": 0}"#.to_owned())
        }
        ("GET", "/me") => (200, include_str!("data/me.json").to_owned()),
        ("GET", "/users") => list(include_str!("data/users.json")),
        ("POST", "/users") => (
            201,
            r#"{"name": "nightly", "role": "developer", "has_password": false,
                "created_at_ms": 1, "tokens": 0, "sessions": 0}"#
                .to_owned(),
        ),
        ("PUT", "/users/anna/role") => one(include_str!("data/users.json")),
        ("GET", "/tokens") => list(include_str!("data/tokens.json")),
        ("POST", "/tokens") => (
            201,
            r#"{"secret": "farrier-token.aa", "token":
                {"id": "3f09c2d1a4b7", "label": "ci", "role": "viewer"}}"#
                .to_owned(),
        ),
        ("GET", "/sessions") => list("[]"),
        ("DELETE", "/users/nobody" | "/tokens/00") => problem(404, "not-found"),
        ("GET", "/logs" | "/published" | "/applications") => list("[]"),
        ("DELETE", _) => (204, String::new()),
        _ => problem(404, "not-found"),
    }
}

/// What the second transcript asks beside that.
fn answer_changes(method: &str, path: &str) -> (u16, String) {
    let devices = include_str!("data/devices.json");
    let text = |status: u16, text: &str| (status, text.to_owned());
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    if path.contains("device=nowhere") || path.starts_with("/devices/nowhere") {
        return problem(404, "not-found");
    }
    match (method, path) {
        ("POST", "/deployment-plans") => text(200, include_str!("data/deployment-plan.json")),
        ("POST", "/deployments") => text(201, include_str!("data/deployment.json")),
        ("GET", "/events") => text(200, ": hello\n\n"),
        ("GET", "/deployments/d-0007") => text(200, include_str!("data/deployment.json")),
        ("GET", "/modules/filter") => text(200, include_str!("data/module.json")),
        ("GET", "/modules/filter/compiles") => list("[]"),
        ("GET", "/modules/filter/eligibility") => text(200, include_str!("data/eligibility.json")),
        ("GET", "/devices?q=arch%3Anone&limit=500") => text(200, r#"{"items": [], "total": 0}"#),
        ("GET", "/devices?q=status%3A&limit=500") => problem(400, "bad-request"),
        ("GET", "/devices?q=status%3Aoffline&limit=500") => {
            (200, format!(r#"{{"items": {devices}, "total": 2}}"#))
        }
        ("GET", path) if path.starts_with("/logs") => list(include_str!("data/logs.json")),
        ("GET", "/published?app=other") => list("[]"),
        ("GET", path) if path.starts_with("/published") => {
            list(include_str!("data/published.json"))
        }
        ("POST", "/devices/pi/messages") => {
            text(202, r#"{"device": "0a1b", "counter": 7, "payload_bytes": 2}"#)
        }
        ("POST", "/claim-tokens") => {
            text(201, r#"{"token": "farrier-claim.aa.bb", "expires_at_ms": 4000000000000}"#)
        }
        ("POST", "/login-links") => {
            text(201, r#"{"url": "http://x/login?token=t", "expires_at_ms": 4000000000000}"#)
        }
        ("GET", "/enrolments") => text(200, include_str!("data/enrolments.json")),
        ("POST", "/enrolments/12ab/accept") => text(200, r#"{"fingerprint": "12ab"}"#),
        ("POST", "/enrolments/12ab/reject") => (204, String::new()),
        ("POST", "/application-plans") => text(200, include_str!("data/application-plan.json")),
        ("POST", "/applications") => problem(409, "conflict"),
        ("GET", "/releases/waiting") => list("[]"),
        _ => answer(method, path),
    }
}

/// A fleet where nothing ends: the stream of events breaks off each second time.
fn answer_slowly() -> impl Fn(&str, &str) -> (u16, String) {
    let streams = AtomicU32::new(0);
    move |method, path| match (method, path) {
        ("GET", "/api/v1/events") => match streams.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => (200, ": hello\n\n".to_owned()),
            _ => problem(403, "forbidden"),
        },
        (_, "/api/v1/deployments" | "/api/v1/deployments/d-0007") if method != "DELETE" => {
            let deployment = include_str!("data/deployment.json");
            let deployment = deployment.replace(r#""failed""#, r#""in-progress""#);
            let deployment = deployment.replace(r#""refused""#, r#""fetching""#);
            match method {
                "POST" => (201, deployment),
                _ if path.ends_with("/d-0007") => (200, deployment),
                _ => list(&format!("[{deployment}]")),
            }
        }
        _ => answer(method, path),
    }
}

fn run_with(answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static, name: &str) {
    let gateway = Gateway::start(answer);
    let file = format!("tests/transcripts/{name}.trycmd");
    cases().env("FARRIER_GATEWAY", &gateway.url).case(file).run();
}

#[test]
fn with_a_gateway() {
    run_with(answer, "gateway");
}

#[test]
fn with_a_gateway_that_changes_things() {
    run_with(answer_changes, "changes");
}

#[test]
fn with_a_gateway_where_nothing_ends() {
    run_with(answer_slowly(), "watching");
}

#[test]
fn without_a_gateway() {
    let settings = tempfile::tempdir().unwrap();
    cases()
        .env("XDG_CONFIG_HOME", settings.path().to_str().unwrap())
        .case("tests/transcripts/alone.trycmd")
        .run();
}
