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
        let mut child = Self::command(dir).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    /// An HTTP answer, head and body.
    fn ask(&self, request: &str) -> String {
        let addr = self.ready["http"].as_str().unwrap().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&addr).unwrap();
        write!(stream, "{request}\r\nHost: {addr}\r\nConnection: close\r\n\r\n").unwrap();
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
