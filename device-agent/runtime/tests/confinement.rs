//! That each layer around a worker really holds, tried by a process that has put them
//! on and then does what no worker may.
//!
//! The process is this program again, with what to try in its environment: the layers
//! cannot be taken off once they are on.

#[path = "../src/confine.rs"]
mod confine;
// What is tried here has none.
#[allow(dead_code)]
#[path = "../src/directories.rs"]
mod directories;
#[path = "../src/syscall_filter.rs"]
mod syscall_filter;

use confine::Asked;
use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

const ATTEMPT: &str = "FARRIER_TEST_ATTEMPT";
const SIGSYS: i32 = 31;
/// What an attempt ends with that was refused by an error and not by a signal.
const REFUSED: i32 = 77;
/// What it ends with where nothing refused it. Not 0, which says nothing of an attempt.
const DONE: i32 = 76;
/// What it ends with where the kernel has no such layer.
const NOT_OFFERED: i32 = 78;

/// Runs one attempt in a process of its own.
fn attempt(what: &str) -> ExitStatus {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "what_a_worker_does_is_allowed", "--test-threads", "1"]);
    command.env(ATTEMPT, what);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// What `attempt` starts, too: there is no other way into this program.
#[test]
fn what_a_worker_does_is_allowed() {
    match std::env::var(ATTEMPT) {
        Ok(what) => try_it(&what),
        Err(_) => assert_eq!(attempt("nothing").code(), Some(DONE)),
    }
}

fn try_it(what: &str) {
    if what == "open-under-landlock" {
        if confine::restrict_access(&[]).unwrap() == landlock::RulesetStatus::NotEnforced {
            std::process::exit(NOT_OFFERED);
        }
        std::process::exit(if File::open("/etc/passwd").is_err() { REFUSED } else { DONE });
    }
    if what == "files-under-their-limit" {
        let mut in_force = Vec::new();
        confine::limit_files(false, &mut in_force);
        let mut files = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
            if files.len() > 100 {
                std::process::exit(DONE);
            }
        }
        std::process::exit(REFUSED);
    }
    let data_bytes_max = Some(64 << 20);
    let mut in_force = Vec::new();
    if what == "reach" {
        // This thread leaves alone: only root may take one of several along.
        confine::leave_network(&mut in_force);
        let devices = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        let has_others = devices.lines().skip(2).any(|line| !line.trim().starts_with("lo:"));
        let is_alone = !has_others && TcpStream::connect("127.0.0.1:9").is_err();
        std::process::exit(if in_force.is_empty() || is_alone { REFUSED } else { DONE });
    }
    let asked = Asked { data_bytes_max, ..Asked::default() };
    confine::confine(asked, &[], &mut in_force);
    let is_refused = match what {
        "nothing" => {
            // All that a worker does: threads, memory, waiting, time.
            let thread = std::thread::Builder::new().name("one".into()).spawn(|| {
                std::thread::sleep(Duration::from_millis(5));
                vec![1_u8; 1 << 20].len()
            });
            thread.unwrap().join().unwrap() != 1 << 20
        }
        "memory" => Vec::<u8>::new().try_reserve_exact(256 << 20).is_err(),
        "open" => File::open("/etc/passwd").is_err(),
        "make" => fs::create_dir("/tmp/farrier-attempt").is_err(),
        "socket" => TcpStream::connect("127.0.0.1:9").is_err(),
        "listen" => TcpListener::bind("127.0.0.1:0").is_err(),
        "process" => Command::new("/bin/true").spawn().is_err(),
        "signal" => {
            let parent = rustix::process::getppid().unwrap();
            rustix::process::kill_process(parent, rustix::process::Signal::CONT).is_err()
        }
        "network" => nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err(),
        "limits" => {
            let limit = rustix::process::Rlimit { current: Some(1), maximum: Some(1) };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).is_err()
        }
        other => panic!("nobody knows how to try {other}"),
    };
    std::process::exit(if is_refused { REFUSED } else { DONE });
}

/// As CONTRIBUTING.md says.
fn skip(name: &str, why: &str) {
    println!("{name} is skipped: {why}");
    if let Some(path) = std::env::var_os("FARRIER_SKIPS") {
        let file = File::options().append(true).create(true).open(path);
        let line = format!("farrier-runtime: {name}: {why}\n");
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("write FARRIER_SKIPS");
    }
}

/// Whether this system has such filters; then the attempts must end by them.
fn has_filters() -> bool {
    fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
        .is_ok_and(|actions| actions.contains("kill_process"))
}

#[test]
fn a_system_call_that_no_worker_makes_ends_the_process() {
    if !has_filters() {
        return skip("a_system_call_that_no_worker_makes_ends_the_process", "no seccomp filters");
    }
    for what in ["open", "make", "socket", "listen", "process", "signal", "network", "limits"] {
        let ended = attempt(what);
        assert_eq!(ended.signal(), Some(SIGSYS), "{what}: {ended}");
    }
}

#[test]
fn landlock_alone_refuses_files() {
    match attempt("open-under-landlock").code() {
        Some(NOT_OFFERED) => skip("landlock_alone_refuses_files", "the kernel has no Landlock"),
        ended => assert_eq!(ended, Some(REFUSED)),
    }
}

#[test]
fn a_network_of_its_own_has_nothing_in_it() {
    assert_eq!(attempt("reach").code(), Some(REFUSED));
}

#[test]
fn more_files_and_memory_than_the_limits_are_refused() {
    assert_eq!(attempt("files-under-their-limit").code(), Some(REFUSED));
    assert_eq!(attempt("memory").code(), Some(REFUSED));
}
