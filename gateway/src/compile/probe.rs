//! The body of `farrier-gateway confinement-probe`: confines itself as a compile
//! worker does, then tries what a worker must not be able to do, and says what
//! became of each try.
//!
//! For tests, and for operators who want to know what their system enforces.

use crate::confinement::CannotConfine;
use compile_worker::{WorkerLimits, confine_worker};
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

/// What to try, beside what needs no names: a datagram socket, and threads.
#[derive(Debug, Default)]
pub struct Tries {
    pub read: Vec<PathBuf>,
    pub create: Vec<PathBuf>,
    pub connect: Vec<SocketAddr>,
    pub connect_unix: Vec<PathBuf>,
    pub start: Vec<PathBuf>,
}

/// One line for each try: `read /etc/passwd: denied: …` or `read /etc/passwd: allowed`.
pub fn run_probe(limits: &WorkerLimits, tries: &Tries) -> Result<Vec<String>, CannotConfine> {
    confine_worker(limits)?;
    let mut lines = Vec::new();
    for path in &tries.read {
        lines.push(outcome(&format!("read {}", path.display()), File::open(path)));
    }
    for path in &tries.create {
        let created = OpenOptions::new().append(true).create(true).open(path);
        lines.push(outcome(&format!("create {}", path.display()), created));
    }
    for addr in &tries.connect {
        lines.push(outcome(&format!("connect {addr}"), TcpStream::connect(addr)));
        lines.push(outcome(&format!("send to {addr}"), send_datagram(*addr)));
    }
    for path in &tries.connect_unix {
        lines.push(outcome(&format!("connect {}", path.display()), UnixStream::connect(path)));
    }
    for path in &tries.start {
        lines.push(outcome(&format!("start {}", path.display()), Command::new(path).status()));
    }
    let threads: Vec<_> = (0..4).map(|_| std::thread::Builder::new().spawn(|| ())).collect();
    lines.push(outcome("start threads", threads.into_iter().collect::<Result<Vec<_>, _>>()));
    Ok(lines)
}

fn send_datagram(addr: SocketAddr) -> std::io::Result<usize> {
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", addr)
}

fn outcome<T>(what: &str, result: Result<T, impl Display>) -> String {
    match result {
        Ok(_) => format!("{what}: allowed"),
        Err(error) => format!("{what}: denied: {error}"),
    }
}
