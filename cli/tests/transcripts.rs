//! What commands answer, word for word, with their exit codes.
//!
//! `TRYCMD=overwrite cargo test -p farrier --test transcripts` writes down what they
//! answer now; `[..]` stands for what differs from run to run.

mod stub;

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
        ("GET", "/logs" | "/published" | "/applications") => list("[]"),
        ("DELETE", _) => (204, String::new()),
        _ => problem(404, "not-found"),
    }
}

#[test]
fn with_a_gateway() {
    let gateway = Gateway::start(answer);
    cases().env("FARRIER_GATEWAY", &gateway.url).case("tests/transcripts/gateway.trycmd").run();
}

#[test]
fn without_a_gateway() {
    let settings = tempfile::tempdir().unwrap();
    cases()
        .env("XDG_CONFIG_HOME", settings.path().to_str().unwrap())
        .case("tests/transcripts/alone.trycmd")
        .run();
}
