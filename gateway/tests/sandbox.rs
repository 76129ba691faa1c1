//! What a process inside `check-sandbox` can and cannot do, tried by a shell.

use std::net::TcpListener;
use std::process::{Command, Output};

fn in_sandbox(script: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farrier-gateway"))
        .args(["check-sandbox", "--", "/bin/bash", "-c", script])
        .output()
        .unwrap()
}

#[track_caller]
fn check_denied(script: &str) {
    let output = in_sandbox(script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the sandbox let this happen: {script}");
    assert_ne!(output.status.code(), Some(125), "this machine cannot confine: {said}");
}

#[test]
fn the_runtime_starts_in_it() {
    let output = in_sandbox("echo started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "started\n", "{said}");
}

#[test]
fn keys_cannot_be_read_and_nothing_written() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("release.key");
    std::fs::write(&key, "secret\n").unwrap();
    let (dir, key) = (dir.path().display(), key.display());
    check_denied(&format!("read -r line < {key}"));
    check_denied(&format!("echo x > {dir}/new"));
    check_denied("read -r line < /etc/passwd");
    check_denied("read -r line < /proc/1/status");
    check_denied("exec /usr/bin/id");
}

#[test]
fn there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    check_denied(&format!("exec 3<>/dev/tcp/127.0.0.1/{port}"));
}

#[test]
fn a_process_outside_cannot_be_signalled() {
    check_denied(&format!("kill -0 {}", std::process::id()));
}
