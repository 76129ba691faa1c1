//! The program itself: its first line, its directory, its end.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Gateway {
    child: Child,
    ready: serde_json::Value,
}

impl Gateway {
    fn command(dir: &Path) -> Command {
        let config = dir.join("gateway.toml");
        let text = format!(
            "data_dir = {:?}\nhttp_listen = \"127.0.0.1:0\"\nmqtt_listen = \"127.0.0.1:0\"\n",
            dir.join("data")
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_farrier-gateway"));
        command.arg("--config").arg(config).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(dir: &Path) -> Self {
        let mut command = Self::command(dir);
        command.stderr(Stdio::null());
        Self::started(command)
    }

    fn started(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    /// An HTTP answer, head and body.
    fn ask(&self, request: &str) -> String {
        self.ask_with(request, "")
    }

    fn ask_with(&self, request: &str, body: &str) -> String {
        let addr = self.ready["http"].as_str().unwrap().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&addr).unwrap();
        write!(stream, "{request}\r\nHost: {addr}\r\nConnection: close\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let started = Instant::now();
        let status = self.child.wait().unwrap();
        assert!(started.elapsed() < Duration::from_secs(10), "it ends soon");
        status.code()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the program says when it refuses to start.
fn refusal(dir: &Path) -> String {
    let mut child = Gateway::command(dir).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "it was never ready");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_says_when_it_is_ready_serves_and_ends_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    assert_eq!(gateway.ready["ready"], true);
    assert_eq!(gateway.ready["pid"], gateway.child.id());
    assert!(gateway.ready["mqtt"].as_str().unwrap().starts_with("mqtts://127.0.0.1:"));
    assert!(gateway.ask("GET /healthz HTTP/1.1").starts_with("HTTP/1.1 200"));
    let data = dir.path().join("data");
    let mode = |path: &str| std::fs::metadata(data.join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode(""), mode("keys"), mode("admin.token")), (0o700, 0o700, 0o600));
    assert_eq!(gateway.end(Signal::TERM), Some(0));
    assert_eq!(Gateway::start(dir.path()).end(Signal::INT), Some(0));
}

#[test]
fn a_login_outlives_a_kill_and_an_open_event_stream_delays_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let token = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    assert_eq!(gateway.end(Signal::KILL), None);
    let gateway = Gateway::start(dir.path());
    let session = format!("GET /api/v1/session HTTP/1.1\r\nAuthorization: Bearer {}", token.trim());
    let answer = gateway.ask(&session);
    assert!(answer.contains("\"root_key_count\":1"), "{answer}");
    let addr = gateway.ready["http"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&addr).unwrap();
    let events = session.replace("session", "events");
    write!(stream, "{events}\r\nHost: {addr}\r\n\r\n").unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    assert_eq!(gateway.end(Signal::TERM), Some(0));
}

#[test]
fn one_directory_is_for_one_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let refusal = refusal(dir.path());
    assert!(refusal.contains("another gateway uses"), "{refusal}");
    drop(gateway);
}

#[test]
fn a_damaged_index_is_made_again_and_a_damaged_journal_stops_each_start() {
    let dir = tempfile::tempdir().unwrap();
    Gateway::start(dir.path()).end(Signal::TERM);
    let token = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let store = dir.path().join("data/store");
    let len = std::fs::metadata(store.join("db")).unwrap().len();
    std::fs::write(store.join("db"), vec![0; len as usize]).unwrap();
    let gateway = Gateway::start(dir.path());
    assert!(dir.path().join("data/store.damaged-1/db").exists(), "nothing is deleted");
    let request = format!("GET /api/v1/audit HTTP/1.1\r\nAuthorization: Bearer {}", token.trim());
    assert!(gateway.ask(&request).starts_with("HTTP/1.1 200"), "the token is still known");
    gateway.end(Signal::TERM);

    let journal = dir.path().join("data/journal/00000000000000000001.journal");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[120] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();
    for _ in 0..2 {
        let text = refusal(dir.path());
        assert!(text.contains("record 1") && text.contains("restore"), "{text}");
    }
    assert_eq!(std::fs::read(&journal).unwrap(), bytes, "nothing was changed");
}

#[test]
fn a_history_outlives_a_restart_and_a_damaged_one_hinders_no_start() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let data = dir.path().join("data");
    let token = std::fs::read_to_string(data.join("admin.token")).unwrap();
    let is_there = |gateway: &Gateway, range: &str| {
        let answer = gateway.ask(&format!(
            "GET /api/v1/fleet/history?series=devices_online{range} HTTP/1.1\r\nAuthorization: Bearer {}",
            token.trim()
        ));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.contains("\"metric\":\"devices_online\"")
    };
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what} never came");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("a figure", &|| is_there(&gateway, ""));
    gateway.end(Signal::TERM);
    let file = data.join("history.redb");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let before = format!("&to={0}&from={1}", now.as_millis(), now.as_millis() - 120_000);

    let gateway = Gateway::start(dir.path());
    until("what the first run has seen", &|| is_there(&gateway, &before));
    gateway.end(Signal::TERM);

    std::fs::write(&file, b"no history".repeat(1_000)).unwrap();
    let gateway = Gateway::start(dir.path());
    until("a new figure", &|| is_there(&gateway, ""));
    until("the damaged file", &|| data.join("history.damaged.redb").exists());
    assert_eq!(gateway.end(Signal::TERM), Some(0));
}

#[test]
fn a_running_gateway_is_backed_up_checked_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    let token = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let config = dir.path().join("gateway.toml");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farrier-gateway"));
        let output = command.args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let config = config.to_str().unwrap();
    let backup = dir.path().join("backup");
    let backup = backup.to_str().unwrap();
    let (done, text) = run(&["backup", "--config", config, "--with-keys", backup]);
    assert!(done && text.contains("keys are in it"), "{text}");
    let (done, text) = run(&["verify", "--config", config]);
    assert!(done && text.contains("hold together"), "{text}");
    let (done, text) = run(&["verify", "--backup", backup]);
    assert!(done && text.contains("whole"), "{text}");
    let (done, text) = run(&["restore", "--config", config, backup]);
    assert!(!done && text.contains("not empty"), "{text}");
    gateway.end(Signal::KILL);
    std::fs::remove_dir_all(dir.path().join("data")).unwrap();
    let (done, text) = run(&["restore", "--config", config, backup]);
    assert!(done, "{text}");
    let gateway = Gateway::start(dir.path());
    let request = format!("GET /api/v1/session HTTP/1.1\r\nAuthorization: Bearer {}", token.trim());
    assert!(gateway.ask(&request).starts_with("HTTP/1.1 200"), "the token is known after it");
}

/// The lines of the log of a gateway that writes JSON, as far as they have this text.
fn lines_with(log: &Path, text: &str) -> Vec<serde_json::Value> {
    let log = std::fs::read_to_string(log).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["message"].as_str().is_some_and(|m| m.contains(text))).collect()
}

#[test]
fn each_line_that_a_request_logs_has_its_id_and_its_trace() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut command = Gateway::command(dir.path());
    let config = dir.path().join("gateway.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("log_format = \"json\"\n{text}")).unwrap();
    // Without the lines below a warning: the ids must not hang on the level.
    command.env("RUST_LOG", "info").stderr(std::fs::File::create(&log).unwrap());
    let gateway = Gateway::started(command);
    let token = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let head = format!(
        "Authorization: Bearer {}\r\ntraceparent: 00-{trace_id}-00f067aa0ba902b7-01",
        token.trim()
    );
    let id_of = |answer: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        line.trim().to_owned()
    };
    // On another thread than the request's, and on a task of its own.
    let new_key = format!(
        "POST /api/v1/trust/keys HTTP/1.1\r\n{head}\r\nIdempotency-Key: k1\r\n\
         Content-Type: application/json\r\nContent-Length: 17"
    );
    let made = gateway.ask_with(&new_key, "{\"role\":\"assign\"}");
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    let refused = gateway.ask(&format!("GET /api/v1/devices/nobody HTTP/1.1\r\n{head}"));
    assert!(refused.starts_with("HTTP/1.1 404"), "{refused}");
    let without = gateway.ask("GET /api/v1/devices HTTP/1.1\r\ntraceparent: 00-0-0-0");
    assert_eq!(gateway.end(Signal::TERM), Some(0));

    let made_line = &lines_with(&log, "made a key for the next root document")[0];
    assert_eq!(made_line["span"]["request.id"], id_of(&made), "{made_line}");
    assert_eq!(made_line["span"]["trace.id"], trace_id);
    let lines = lines_with(&log, "request refused");
    assert_eq!(lines[0]["span"]["request.id"], id_of(&refused));
    assert_eq!(
        (&lines[0]["span"]["trace.id"], &lines[0]["status"]),
        (&trace_id.into(), &404.into())
    );
    assert_eq!(lines[1]["span"]["request.id"], id_of(&without));
    let own = lines[1]["span"]["trace.id"].as_str().unwrap();
    assert!(own.len() == 32 && own != trace_id, "{own}");
}

/// Every line that the program wrote to stdout until now, which has to hold this one.
fn line_of(gateway: &mut Gateway, beginning: &str) -> String {
    let mut stdout = BufReader::new(gateway.child.stdout.as_mut().unwrap());
    for _ in 0..4 {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        if let Some((_, rest)) =
            line.split_once(": ").filter(|(said, _)| said.starts_with(beginning))
        {
            return rest.trim().to_owned();
        }
    }
    panic!("it printed no {beginning}");
}

#[test]
fn a_session_outlives_the_process_and_no_secret_is_in_the_log_of_a_whole_run() {
    const PASSWORD: &str = "four words of mine";
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let start = || {
        let log = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Gateway::command(dir.path());
        command.env("RUST_LOG", "trace,h2=off,rustls=off").stderr(log);
        let mut child = command.spawn().unwrap();
        // Byte by byte: what follows the first line is read by `line_of`.
        let mut line = Vec::new();
        let stdout = child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while line.last() != Some(&b'\n') {
            stdout.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        Gateway { child, ready: serde_json::from_slice(&line).unwrap() }
    };
    let ask = |gateway: &Gateway, method: &str, path: &str, headers: &str, body: &str| {
        let len = body.len();
        gateway.ask(&format!(
            "{method} {path} HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: {len}\r\nConnection: close\r\nHost: h\r\n\r\n{body}"
        ))
    };
    let mut gateway = start();
    let set_up = line_of(&mut gateway, "set-up token");
    let body = format!(r#"{{"setup_token":"{set_up}","name":"anna","password":"{PASSWORD}"}}"#);
    let answer = ask(&gateway, "POST", "/api/v1/login", "", &body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let cookie = answer.split("farrier_session=").nth(1).unwrap()[..64].to_owned();
    let by_cookie = format!("Cookie: farrier_session={cookie}\r\n");
    let wrong = r#"{"name":"anna","password":"wrong words of mine"}"#;
    assert!(ask(&gateway, "POST", "/api/v1/login", "", wrong).starts_with("HTTP/1.1 401"));
    // A password where the name belongs, as people do.
    let swapped = r#"{"name":"swapped words of mine","password":"anna"}"#;
    assert!(ask(&gateway, "POST", "/api/v1/login", "", swapped).starts_with("HTTP/1.1 401"));
    let answer = ask(&gateway, "POST", "/api/v1/tokens", &by_cookie, r#"{"label":"ci"}"#);
    let token = answer.split("farrier-token.").nth(1).unwrap()[..64].to_owned();
    let answer = ask(&gateway, "POST", "/api/v1/claim-tokens", &by_cookie, "{}");
    let claim = answer.split("\"token\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(gateway.end(Signal::KILL), None);

    let mut gateway = start();
    let link = line_of(&mut gateway, "login link");
    let answer = ask(&gateway, "GET", "/api/v1/me", &by_cookie, "");
    assert!(answer.contains(r#""user":"anna","role":"admin""#), "{answer}");
    let by_token = format!("Authorization: Bearer farrier-token.{token}\r\n");
    assert!(ask(&gateway, "GET", "/api/v1/me", &by_token, "").starts_with("HTTP/1.1 200"));
    let link_token = link.split("token=").nth(1).unwrap().to_owned();
    let opened = ask(&gateway, "GET", &format!("/login?token={link_token}"), "", "");
    assert!(opened.starts_with("HTTP/1.1 303"), "{opened}");
    let second = opened.split("farrier_session=").nth(1).unwrap()[..64].to_owned();
    let changed = r#"{"password":"five words of mine now","present":"four words of mine"}"#;
    let answer = ask(&gateway, "PUT", "/api/v1/users/anna/password", &by_cookie, changed);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(gateway.end(Signal::TERM), Some(0));

    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("/api/v1/login") && log.contains("a login was refused"), "it logs: {log}");
    let admin = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let secrets = [
        set_up.as_str(),
        &cookie,
        &second,
        &token,
        &claim,
        &link_token,
        admin.trim(),
        PASSWORD,
        "wrong words of mine",
        "swapped words",
        "five words of mine",
        "$argon2",
    ];
    for secret in secrets {
        assert!(secret.len() > 6 && !log.contains(secret), "a secret is in the log: {secret}");
    }
}
