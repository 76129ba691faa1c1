//! A worker for tests: it speaks `worker-protocol` and misbehaves to order.
//!
//! Its first argument says how it behaves before it has a module, the text of
//! the artifact how it behaves with one. It runs no code of anyone.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::time::Duration;
use worker_protocol::{
    Activity, Command, Event, FailedStep, GuestId, Hello, Load, LoadFailure, LogLevel, LogLine,
    PROTOCOL_VERSION, Published, Usage, read_guest_frame, write_guest_frame,
};

struct Worker {
    socket: UnixStream,
    /// Whose command it is obeying, and how that module is.
    guest: GuestId,
    behaviour: String,
    usage: Usage,
    /// Of the other modules.
    others: BTreeMap<GuestId, (String, Usage)>,
    notes_blame: bool,
}

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    // Standard input is the socket: a second handle to it, by its name.
    let socket = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
    let socket = UnixStream::from(socket.expect("standard input is open"));
    let (guest, behaviour, usage, others) = Default::default();
    let notes_blame = std::env::args().any(|word| word == "--blame");
    let mut worker = Worker { socket, guest, behaviour, usage, others, notes_blame };
    match mode.as_str() {
        "silent" => std::thread::sleep(Duration::from_secs(60)),
        "dies" => {
            eprintln!("cannot find my library");
            exit(3)
        }
        "babbles" => worker.say(&Event::Started),
        _ => {}
    }
    worker.say(&Event::Hello(hello(&mode)));
    while let Ok((guest, command)) = read_guest_frame(&worker.socket) {
        worker.turn_to(guest);
        worker.obey(command);
    }
}

fn hello(mode: &str) -> Hello {
    Hello {
        protocol_version: if mode == "old-protocol" { 0 } else { PROTOCOL_VERSION },
        runtime: "fake-worker 1".into(),
        wamr_version: "0".into(),
        aot_version: 6,
        target: if mode == "other-target" { "riscv64-linux" } else { "x86_64-linux" }.into(),
        bounds_checks: "software".into(),
        cpu_features: vec![],
        imports: vec!["farrier.log".into()],
        self_test_failure: (mode == "self-test").then(|| "load(70000) did not trap".into()),
        confinement: vec![],
    }
}

impl Worker {
    fn say(&mut self, event: &Event) {
        if write_guest_frame(&self.socket, self.guest, event).is_err() {
            exit(0);
        }
    }

    fn turn_to(&mut self, guest: GuestId) {
        let next = self.others.remove(&guest).unwrap_or_default();
        let before = std::mem::replace(&mut self.guest, guest);
        if before != guest {
            let behaviour = std::mem::replace(&mut self.behaviour, next.0);
            let usage = std::mem::replace(&mut self.usage, next.1);
            self.others.insert(before, (behaviour, usage));
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Load(load) => self.load(load),
            Command::RunChecks { .. } => self.check(),
            Command::Start { .. } => self.start(),
            Command::ReportUsage if self.behaviour == "no-usage" => {}
            Command::ReportUsage => {
                self.usage.calls += 1;
                self.usage.cpu_us += 1_000;
                let usage = self.usage.clone();
                self.say(&Event::Usage(usage));
            }
            Command::Stop if self.behaviour == "does-not-stop" => {}
            Command::Stop => exit(0),
            Command::Unload if self.behaviour == "does-not-stop" => {}
            Command::Unload => {
                (self.behaviour, self.usage) = Default::default();
                self.say(&Event::Unloaded);
            }
            Command::SetClock(_)
            | Command::RunTicks { .. }
            | Command::Answer(_)
            | Command::Deliver(_) => {}
        }
    }

    fn load(&mut self, load: Load) {
        let text = String::from_utf8_lossy(&load.artifact);
        // "ok 2" and "ok 3" are two artifacts of one behaviour.
        self.behaviour = text.split_whitespace().next().unwrap_or_default().into();
        let failure = match self.behaviour.as_str() {
            "malformed" => LoadFailure::Malformed,
            "wrong-profile" => LoadFailure::WrongProfile,
            "unknown-import" => LoadFailure::UnknownImport,
            "over-limit" => LoadFailure::OverLimit,
            "dies-loading" => exit(7),
            _ => {
                self.usage.activity = Activity::Loaded;
                return self.say(&Event::Loaded { has_init: true, has_tick: true });
            }
        };
        self.say(&Event::LoadFailed { reason: failure, detail: "as told".into() });
    }

    fn check(&mut self) {
        let fails = self.behaviour == "wrong-answer";
        self.usage.checks_passed += u64::from(!fails);
        let failed = fails.then(|| FailedStep { number: 2, detail: "5 is not 4".into() });
        self.say(&Event::ChecksDone { passed: 1, failed });
    }

    fn start(&mut self) {
        if self.notes_blame {
            let number = self.guest.0.to_le_bytes();
            rustix::io::pwrite(std::io::stdout(), &number, 0).expect("a file for it");
        }
        if self.behaviour == "overruns-init" {
            return self.say(&Event::Overrun { export: "init".into(), elapsed_ms: 1_001 });
        }
        self.usage.activity = Activity::Running;
        self.usage.memory_bytes = 65_536;
        self.say(&Event::Started);
        let text = "started".into();
        self.say(&Event::Log(LogLine { level: LogLevel::Info, text }));
        for channel in ["average", "not-granted"] {
            let (channel, payload) = (channel.into(), b"20.5".to_vec());
            self.say(&Event::Published(Published { channel, seq: 1, payload }));
        }
        match self.behaviour.as_str() {
            "dies" => exit(9),
            "overruns" => {
                self.say(&Event::Overrun { export: "tick".into(), elapsed_ms: 1_001 });
                std::thread::sleep(Duration::from_secs(60));
            }
            "traps" => {
                self.usage.activity = Activity::BackingOff;
                let (export, detail) = ("tick".into(), "unreachable".into());
                self.say(&Event::Trapped {
                    export,
                    detail,
                    restart_in_ms: 60_000,
                    kind: None,
                    place: None,
                });
            }
            _ => {}
        }
    }
}
