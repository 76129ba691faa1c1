//! stdout holds the data and nothing else, in the format that was asked for.

mod stub;

use gateway_api::{AppStatus, Deployment, Device, List, Module};
use serde_json::Value;
use stub::{Gateway, Ran, problem, run};

const APPS: &str = include_str!("data/apps.json");
const DEVICES: &str = include_str!("data/devices.json");
const MODULE: &str = include_str!("data/module.json");
const ELIGIBILITY: &str = include_str!("data/eligibility.json");
const DEPLOYMENT: &str = include_str!("data/deployment.json");

fn list_of(items: &str) -> (u16, String) {
    (200, format!(r#"{{"items": {items}}}"#))
}

fn gateway() -> Gateway {
    Gateway::start(|method, path| match (method, path) {
        ("GET", "/api/v1/ps") => list_of(APPS),
        ("GET", "/api/v1/devices") => list_of(DEVICES),
        ("GET", "/api/v1/modules") => list_of(&format!("[{MODULE}]")),
        ("POST", "/api/v1/modules?name=filter") => (201, MODULE.to_owned()),
        ("PUT", path) if path.ends_with("/known-answers") => (200, MODULE.to_owned()),
        ("GET", "/api/v1/deployments") => list_of(&format!("[{DEPLOYMENT}]")),
        ("POST", "/api/v1/deployments") => (201, DEPLOYMENT.to_owned()),
        ("DELETE", "/api/v1/deployments/d-0007") => (204, String::new()),
        ("GET", "/api/v1/events") => (200, ": hello\n\n".to_owned()),
        ("POST", "/api/v1/claim-tokens") => {
            (201, r#"{"token": "farrier-claim.aa.bb", "expires_at_ms": 4000000000000}"#.to_owned())
        }
        ("POST", "/api/v1/login-links") => {
            let link = r#"{"url": "http://x/login?token=t", "expires_at_ms": 4000000000000}"#;
            (201, link.to_owned())
        }
        _ => problem(404, "not-found"),
    })
}

fn ok(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

#[test]
fn json_is_the_apis_answer_and_nothing_else() {
    let gateway = gateway();
    for args in [&["ps", "-o", "json"][..], &["ps", "--json"], &["ps", "--json", "-v"]] {
        let ran = ok(gateway.run(args));
        let shown: List<AppStatus> = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(shown.items, serde_json::from_str::<Vec<AppStatus>>(APPS).unwrap());
    }
    // A gateway that leaves out what is newer than it gives what the fields default to.
    let ran = ok(gateway.run(&["device", "ls", "--json"]));
    let shown: List<Device> = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown.items, serde_json::from_str::<Vec<Device>>(DEVICES).unwrap());
    let ran = ok(gateway.run(&["deployment", "ls", "--json"]));
    let shown: List<Deployment> = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown.items, [serde_json::from_str::<Deployment>(DEPLOYMENT).unwrap()]);
}

#[test]
fn an_empty_list_is_empty_on_stdout_and_advice_on_stderr() {
    let gateway = Gateway::start(|_, _| list_of("[]"));
    let ran = ok(gateway.run(&["device", "ls"]));
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("farrier device enrol-token"), "{}", ran.stderr);
    let ran = ok(gateway.run(&["device", "ls", "-q", "--json"]));
    assert_eq!(ran.stderr, "");
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["items"], Value::Array(vec![]));
}

#[test]
fn names_come_one_a_line() {
    let gateway = gateway();
    assert_eq!(ok(gateway.run(&["module", "ls", "-o", "name"])).stdout, "filter@2\n");
    assert_eq!(ok(gateway.run(&["device", "ls", "-o", "name"])).stdout, "pi\nvision\n");
    let ps = ok(gateway.run(&["ps", "-o", "name"])).stdout;
    assert_eq!(ps, "pi/filter@2\nvision/xxhash@1\n");
    assert_eq!(gateway.run(&["logs", "-o", "name"]).code, 2);
}

#[test]
fn colours_come_only_when_wanted() {
    let gateway = gateway();
    let has_color = |ran: &Ran| ran.stdout.contains('\x1b');
    assert!(!has_color(&ok(gateway.run(&["ps"]))), "a pipe is no terminal");
    assert!(has_color(&ok(gateway.run(&["ps", "--color", "always"]))));
    assert!(has_color(&ok(run(gateway.command(&["ps"]).env("CLICOLOR_FORCE", "1")))));
    let mut both = gateway.command(&["ps"]);
    assert!(!has_color(&ok(run(both.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")))));
    let json = ok(gateway.run(&["ps", "--json", "--color", "always"]));
    assert!(!has_color(&json));
}

#[test]
fn secrets_stand_alone_on_stdout() {
    let gateway = gateway();
    let token = ok(gateway.run(&["device", "enrol-token", "--valid-s", "60"]));
    assert_eq!(token.stdout, "farrier-claim.aa.bb\n");
    assert!(token.stderr.contains("not shown again"));
    let link = ok(gateway.run(&["dashboard", "-q"]));
    assert_eq!((link.stdout.as_str(), link.stderr.as_str()), ("http://x/login?token=t\n", ""));
    assert_eq!(gateway.asked()[0].1, r#"{"valid_s":60}"#);
}

#[test]
fn a_push_sends_the_file_and_its_known_answers() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = folder.path().join("filter.wasm");
    let answers = folder.path().join("answers.toml");
    std::fs::write(&wasm, "\0asm").unwrap();
    std::fs::write(&answers, "format = 1").unwrap();
    let gateway = gateway();
    let (wasm, answers) = (wasm.to_str().unwrap(), answers.to_str().unwrap());
    let ran = ok(gateway.run(&["module", "push", wasm, "--known-answers", answers, "--json"]));
    serde_json::from_str::<Module>(&ran.stdout).unwrap();
    let asked = gateway.asked();
    assert_eq!(asked[0].0, "POST /api/v1/modules?name=filter");
    assert_eq!(asked[0].1, "\0asm");
    assert!(asked[1].0.starts_with("PUT /api/v1/modules/9f86d0") && asked[1].1 == "format = 1");

    let ran = gateway.run(&["module", "push", wasm, "--known-answers", "/nowhere"]);
    assert_eq!(ran.code, 1);
    assert_eq!(gateway.asked().len(), 2, "nothing was pushed");
    let ran = ok(gateway.run(&["module", "push", wasm]));
    assert_eq!(ran.stdout, "filter@2  9f86d081884c  18.0 KiB  pushed\n");
}

#[test]
fn deploy_sends_what_was_asked_for_and_no_more() {
    let gateway = gateway();
    ok(gateway.run(&["deploy", "filter", "--all"]));
    ok(gateway.run(&[
        "deploy",
        "filter@2",
        "--device",
        "pi",
        "-d",
        "vision",
        "--memory-bytes-max",
        "64KiB",
        "--sensor",
        "s",
        "--channel",
        "c",
        "--call-ms-max",
        "5",
    ]));
    let asked = gateway.asked();
    let posted = asked.iter().filter(|(request, _, _)| request.starts_with("POST"));
    let bodies: Vec<Value> =
        posted.map(|(_, body, _)| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(bodies[0]["devices"], "all");
    assert_eq!(bodies[0]["interval_ms"], Value::Null);
    assert_eq!(bodies[1]["devices"]["these"], serde_json::json!(["pi", "vision"]));
    assert_eq!(bodies[1]["memory_bytes_max"], 65_536);
    assert_eq!(bodies[1]["call_ms_max"], 5);
}

#[test]
fn deploy_says_beforehand_which_device_cannot_run_it_and_deploys() {
    let gateway = Gateway::start(|method, path| match (method, path) {
        ("GET", "/api/v1/modules/filter/eligibility") => (200, ELIGIBILITY.to_owned()),
        ("POST", "/api/v1/deployments") => (201, DEPLOYMENT.to_owned()),
        _ => problem(404, "not-found"),
    });
    let ran = ok(gateway.run(&["deploy", "filter", "--all"]));
    let warning = "warning: gate cannot run filter@2 because the module uses";
    assert!(ran.stderr.contains(warning) && !ran.stderr.contains("pi cannot"), "{ran:?}");
    let ran = ok(gateway.run(&["deploy", "filter", "--device", "pi"]));
    assert!(!ran.stderr.contains("warning"), "it is not meant: {ran:?}");
    let ran = ok(gateway.run(&["module", "check", "filter", "-o", "name"]));
    assert_eq!(ran.stdout, "pi\n");
    assert_eq!(gateway.run(&["module", "check", "other"]).code, 3);
}

#[test]
fn waiting_tells_part_from_whole_from_never() {
    // The answer to the POST has ended already: one device runs, one refused.
    let partial = gateway();
    let ran = partial.run(&["deploy", "filter", "--all", "--wait", "--json"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    serde_json::from_str::<Deployment>(&ran.stdout).unwrap();
    assert!(ran.stderr.contains("error: filter@2 runs on 1 of 2 devices"), "{}", ran.stderr);
    let ran = partial.run(&["deploy", "filter", "--all", "--wait"]);
    assert!(ran.stdout.contains("refusal 15: The device's store has no room."), "{}", ran.stdout);
    assert!(ran.stdout.contains("try: Remove an application"), "{}", ran.stdout);

    let waiting = || {
        let mut deployment: Deployment = serde_json::from_str(DEPLOYMENT).unwrap();
        deployment.progress.clear();
        deployment.state = gateway_api::DeploymentState::Waiting;
        serde_json::to_string(&deployment).unwrap()
    };
    let done = || {
        let mut deployment: Deployment = serde_json::from_str(DEPLOYMENT).unwrap();
        deployment.progress.truncate(1);
        deployment.state = gateway_api::DeploymentState::Done;
        let deployment = serde_json::to_value(deployment).unwrap();
        let event = serde_json::json!({ "type": "deployment", "deployment": deployment });
        format!("id: 1\nevent: deployment\ndata: {event}\n\n")
    };
    let whole = Gateway::start(move |_, path| match path {
        "/api/v1/events" => (200, done()),
        _ => (201, waiting()),
    });
    ok(whole.run(&["deploy", "filter", "--all", "--wait"]));

    let never = Gateway::start(move |_, path| match path {
        "/api/v1/events" => (200, String::new()),
        _ => (201, waiting()),
    });
    let ran = never.run(&["deploy", "filter", "--all", "--wait", "--timeout", "1"]);
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(ran.stderr.contains("enrol a device"), "{}", ran.stderr);
}

#[test]
fn undeploy_takes_an_application_or_says_that_there_is_none() {
    let gateway = gateway();
    let ran = ok(gateway.run(&["undeploy", "filter"]));
    assert_eq!(ran.stdout, "removed filter@2 (deployment d-0007)\n");
    let ran = gateway.run(&["undeploy", "other"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("try: farrier deployment ls"), "{}", ran.stderr);
}

#[test]
fn following_a_log_shows_each_line_once_and_skips_other_devices() {
    let line = |device: &str, text: &str| {
        format!(
            r#"{{"device": "id", "device_name": "{device}", "app": "filter", "level": "info",
                "text": "{text}", "time_ms": 0}}"#
        )
        .replace('\n', " ")
    };
    let event = move |id: u32, device: &str, text: &str| {
        let line = line(device, text);
        format!("id: {id}\nevent: log\ndata: {{\"type\": \"log\", \"line\": {line}}}\n\n")
    };
    let count = std::sync::atomic::AtomicU32::new(0);
    let gateway = Gateway::start(move |_, path| match path {
        "/api/v1/events" if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => {
            let events =
                [event(1, "pi", "old"), event(2, "gate", "foreign"), event(3, "pi", "new")];
            (200, events.concat())
        }
        // The token was taken back meanwhile, which ends the following.
        "/api/v1/events" => problem(401, "login-required"),
        _ => list_of(&format!("[{}]", line("pi", "old"))),
    });
    let ran = gateway.run(&["logs", "-f", "--device", "pi"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_eq!(ran.stdout, "00:00:00.000 pi filter info: old\n00:00:00.000 pi filter info: new\n");
}

#[test]
fn a_command_is_one_trace_or_goes_on_with_its_callers() {
    let gateway = gateway();
    let ids = |trace: &str| {
        let fields: Vec<&str> = trace.split('-').collect();
        (fields[1].to_owned(), fields[2].to_owned())
    };
    let ran = ok(gateway.run(&["deploy", "filter", "--all", "-v"]));
    let traces = gateway.traces();
    let (trace_id, span_id) = ids(&traces[0]);
    assert!(traces.len() > 1 && traces.iter().all(|trace| *trace == traces[0]), "{traces:?}");
    assert!(ran.stderr.starts_with(&format!("trace id: {trace_id}\n")), "{}", ran.stderr);

    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (variable, is_taken) in [(caller, true), ("nonsense", false)] {
        ok(run(gateway.command(&["ps"]).env("TRACEPARENT", variable)));
        let (id, span) = ids(gateway.traces().last().unwrap());
        assert_eq!(id == "4bf92f3577b34da6a3ce929d0e0e4736", is_taken, "{variable}");
        assert!(id != trace_id && span != span_id && span != "00f067aa0ba902b7");
    }
}
