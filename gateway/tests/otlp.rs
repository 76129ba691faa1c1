//! Traces of a gateway that was built with the feature `otlp`, as a collector gets them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes whatever is posted, and hands on path and body.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (taken, posts) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut path, mut len) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
                    break;
                }
                if let Some(rest) = line.strip_prefix("POST ") {
                    path = rest.split(' ').next().unwrap().to_owned();
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    len = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; len];
            stream.read_exact(&mut body).unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if taken.send((path, body)).is_err() {
                return;
            }
        }
    });
    (url, posts)
}

fn ask(addr: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "{request}\r\nHost: {addr}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_request_is_a_span_of_the_trace_that_it_names() {
    let (otlp_url, posts) = collector();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("gateway.toml");
    let text = format!(
        "data_dir = {:?}\nhttp_listen = \"127.0.0.1:0\"\nmqtt_listen = \"127.0.0.1:0\"\n\
         log_format = \"json\"\n[traces]\notlp_url = {otlp_url:?}\n",
        dir.path().join("data")
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_farrier-gateway"));
    command
        .arg("--config")
        .arg(config)
        .stdout(Stdio::piped())
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let log = dir.path().join("log");
    command.stderr(std::fs::File::create(&log).unwrap());
    let mut gateway = Gateway(command.spawn().unwrap());
    let mut ready = String::new();
    BufReader::new(gateway.0.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready)
        .unwrap_or_else(|_| panic!("{}", std::fs::read_to_string(&log).unwrap()));
    let addr = ready["http"].as_str().unwrap().trim_start_matches("http://").to_owned();

    let (trace_id, parent_id) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let head = format!("traceparent: 00-{trace_id}-{parent_id}-01");
    let answer = ask(&addr, &format!("GET /api/v1/devices/pi HTTP/1.1\r\n{head}"));
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // One that names no trace, and whose own is in the log.
    ask(&addr, "GET /api/v1/modules HTTP/1.1");

    let deadline = Instant::now() + Duration::from_secs(60);
    let mut bodies = Vec::new();
    let hex = |text: &str| hex::decode(text).unwrap();
    while !(holds(&bodies, &hex(trace_id)) && holds(&bodies, b"/api/v1/modules")) {
        let left = deadline.saturating_duration_since(Instant::now());
        let (path, body) = posts.recv_timeout(left).expect("the collector gets both spans");
        assert_eq!(path, "/v1/traces");
        bodies.extend(body);
    }
    assert!(holds(&bodies, &hex(parent_id)));
    for text in ["farrier-gateway", "http.route", "/api/v1/devices/{reference}", "request.id"] {
        assert!(holds(&bodies, text.as_bytes()), "{text}");
    }
    let log = std::fs::read_to_string(log).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let refused: Vec<_> = lines.filter(|line| line["message"] == "request refused").collect();
    assert_eq!(refused[0]["span"]["trace.id"], trace_id);
    let own = refused[1]["span"]["trace.id"].as_str().unwrap();
    assert!(own != trace_id && holds(&bodies, &hex(own)), "{own}");
}
