//! Starts the real worker on a socket pair, as the agent does, with std alone.
//!
//! Natively it is the binary that cargo just built. For another architecture name
//! a built one and what runs it:
//!
//! ```sh
//! FARRIER_TEST_RUNTIME=target/aarch64-unknown-linux-gnu/device/farrier-runtime \
//! FARRIER_TEST_LAUNCHER="qemu-aarch64-static -L /usr/aarch64-linux-gnu" \
//! FARRIER_TEST_TARGET=aarch64-linux cargo test -p farrier-runtime --test worker
//! ```

// Each test program uses its part.
#![allow(dead_code)]

use aot_compiler::{CompileOptions, Metering, compile};
use std::env;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use target_spec::{BoundsChecks, Registry};
use worker_protocol::{
    Command, ConfigEntry, Event, Grants, GuestId, Hello, Limits, Load, Sensor, SensorSource, Usage,
    read_frame, read_guest_frame, write_frame, write_guest_frame,
};

/// An emulator on a loaded machine needs a while.
const DEADLINE: Duration = Duration::from_secs(60);

pub const SEED: u64 = 42;

pub const STORAGE_BYTES: u32 = 200;

pub struct Worker {
    child: Child,
    pub socket: UnixStream,
    pub hello: Hello,
}

impl Worker {
    pub fn start() -> Self {
        Self::start_as(&[])
    }

    pub fn start_as(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// With these directories, which it may read (`r`) or write (`w`).
    pub fn start_in(directories: &[File], letters: &str) -> Self {
        let directories: Vec<_> = directories.iter().map(File::as_fd).collect();
        Self::start_with(&["--directories", letters], &directories)
    }

    fn start_with(arguments: &[&str], directories: &[BorrowedFd<'_>]) -> Self {
        let mut command = runtime();
        command.args(arguments);
        Self::start_and_give(command, directories)
    }

    /// The same with what else the command says.
    pub fn start_by(command: Process) -> Self {
        Self::start_and_give(command, &[])
    }

    fn start_and_give(mut command: Process, directories: &[BorrowedFd<'_>]) -> Self {
        let (socket, its_end) = UnixStream::pair().unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        command.stdin(Stdio::from(OwnedFd::from(its_end)));
        let child = command.spawn().unwrap();
        // Its copy of the worker's end would keep the socket open.
        drop(command);
        worker_protocol::send_directories(&socket, directories).unwrap();
        let first: Event = read_frame(&socket).expect("the worker says hello");
        let Event::Hello(hello) = first else { panic!("expected a hello, got {first:?}") };
        Self { child, socket, hello }
    }

    /// A worker with this module loaded.
    pub fn with(wat: &str, limits: Limits) -> Self {
        let mut worker = Self::start();
        let artifact = worker.compile(wat);
        assert!(matches!(worker.load(artifact, limits), Event::Loaded { .. }));
        worker
    }

    pub fn compile(&self, wat: &str) -> Vec<u8> {
        self.compile_wasm(&wat::parse_str(wat).unwrap())
    }

    /// The same with a module that counts its gas.
    pub fn metered(wat: &str, limits: Limits) -> Self {
        let mut worker = Self::start();
        let artifact = worker.compile_metered(wat);
        assert!(matches!(worker.load(artifact, limits), Event::Loaded { .. }));
        worker
    }

    pub fn compile_metered(&self, wat: &str) -> Vec<u8> {
        let target = Registry::built_in().find(&self.hello.target).unwrap();
        let bounds_checks = self.hello.bounds_checks.parse().unwrap();
        let options =
            CompileOptions { metering: Metering::Gas, ..CompileOptions::new(bounds_checks) };
        compile(&wat::parse_str(wat).unwrap(), target, &options).unwrap().aot
    }

    /// Compiles for what the worker says that it is.
    pub fn compile_wasm(&self, wasm: &[u8]) -> Vec<u8> {
        let bounds_checks = self.hello.bounds_checks.parse().unwrap();
        compile_for(wasm, &self.hello.target, bounds_checks)
    }

    /// Sends the artifact and returns the answer.
    pub fn load(&mut self, artifact: Vec<u8>, limits: Limits) -> Event {
        self.load_with(artifact, limits, grants())
    }

    pub fn load_with(&mut self, artifact: Vec<u8>, limits: Limits, grants: Grants) -> Event {
        let app = "test".into();
        self.send(&Command::Load(Load { artifact, app, limits, grants, ..Load::default() }));
        self.find(|event| matches!(event, Event::Loaded { .. } | Event::LoadFailed { .. }))
    }

    pub fn send(&self, command: &Command) {
        write_frame(&self.socket, command).unwrap();
    }

    pub fn send_to(&self, guest: u32, command: &Command) {
        write_guest_frame(&self.socket, GuestId(guest), command).unwrap();
    }

    /// Loads a module as this guest, which has to succeed.
    pub fn load_as(&self, guest: u32, load: Load) {
        let (grants, limits) =
            (grants(), if load.limits == Limits::default() { limits() } else { load.limits });
        self.send_to(
            guest,
            &Command::Load(Load { app: format!("guest-{guest}"), limits, grants, ..load }),
        );
        let loaded = self.find_of(guest, |event| {
            matches!(event, Event::Loaded { .. } | Event::LoadFailed { .. })
        });
        assert!(matches!(loaded, Event::Loaded { .. }), "{loaded:?}");
    }

    /// The next event of whichever guest.
    pub fn next_of_any(&self) -> (u32, Event) {
        let (guest, event) =
            read_guest_frame(&self.socket).expect("the worker sends another event in time");
        (guest.0, event)
    }

    /// The next event of this guest that this holds for; others are skipped.
    pub fn find_of(&self, guest: u32, is_it: impl Fn(&Event) -> bool) -> Event {
        let end = Instant::now() + DEADLINE;
        let mut skipped = Vec::new();
        while Instant::now() < end {
            let (of, event) = self.next_of_any();
            if of == guest && is_it(&event) {
                return event;
            }
            skipped.push((of, event));
        }
        panic!("the expected event of guest {guest} did not come; others were {skipped:?}");
    }

    /// The same of the only one.
    pub fn find(&self, is_it: impl Fn(&Event) -> bool) -> Event {
        self.find_of(GuestId::ONLY.0, is_it)
    }

    pub fn usage_of(&self, guest: u32) -> Usage {
        self.send_to(guest, &Command::ReportUsage);
        match self.find_of(guest, |event| matches!(event, Event::Usage(_))) {
            Event::Usage(usage) => usage,
            _ => unreachable!("only a Usage is found"),
        }
    }

    pub fn usage(&self) -> Usage {
        self.usage_of(GuestId::ONLY.0)
    }

    /// Asks for a guest's usage until this holds.
    pub fn usage_when_of(&self, guest: u32, holds: impl Fn(&Usage) -> bool) -> Usage {
        let end = Instant::now() + DEADLINE;
        loop {
            let usage = self.usage_of(guest);
            if holds(&usage) {
                return usage;
            }
            assert!(Instant::now() < end, "the usage of guest {guest} stays at {usage:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn usage_when(&self, holds: impl Fn(&Usage) -> bool) -> Usage {
        self.usage_when_of(GuestId::ONLY.0, holds)
    }

    pub fn next_event(&self) -> Event {
        read_frame(&self.socket).expect("the worker sends another event in time")
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub fn exit_status(mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the worker does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Closes our end and returns how the worker ended.
    pub fn close(self) -> ExitStatus {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
        self.exit_status()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Harmless if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts the worker, without its standard input.
pub fn runtime() -> Process {
    let binary =
        env::var("FARRIER_TEST_RUNTIME").unwrap_or(env!("CARGO_BIN_EXE_farrier-runtime").into());
    let launcher = env::var("FARRIER_TEST_LAUNCHER").unwrap_or_default();
    let mut words = launcher.split_whitespace();
    let Some(program) = words.next() else { return Process::new(binary) };
    let mut process = Process::new(program);
    process.args(words).arg(binary);
    process
}

/// The target that the worker under test is expected to be.
pub fn expected_target() -> String {
    let native = format!("{}-{}", env::consts::ARCH, env::consts::OS);
    env::var("FARRIER_TEST_TARGET").unwrap_or(native)
}

pub fn compile_for(wasm: &[u8], target: &str, bounds_checks: BoundsChecks) -> Vec<u8> {
    let target = Registry::built_in().find(target).unwrap();
    compile(wasm, target, &CompileOptions::new(bounds_checks)).unwrap().aot
}

/// The text of a module in `firmware-examples/misbehaving`.
pub fn misbehaving(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware-examples/misbehaving");
    std::fs::read_to_string(folder.join(name).with_extension("wat")).unwrap()
}

/// A module whose ticks do nothing but count to this.
pub fn busy(turns: u32) -> String {
    format!(
        r#"(module
          (func (export "tick") (result i32)
            (local $i i32)
            (loop $again
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $again (i32.lt_u (local.get $i) (i32.const {turns}))))
            (i32.const 0)))"#
    )
}

pub fn limits() -> Limits {
    Limits {
        memory_bytes_max: 4 * 65_536,
        stack_bytes: 64 * 1024,
        call_ms_max: 10_000,
        log_lines_per_s_max: 20,
        publishes_per_s_max: 50,
        ..Limits::default()
    }
}

fn grants() -> Grants {
    let source = SensorSource::Simulated { seed: SEED };
    Grants {
        sensors: vec![
            Sensor { name: "temperature".into(), source },
            Sensor { name: "cpu".into(), source: SensorSource::Device },
        ],
        channels: vec!["average".into(), "flood".into()],
        config: vec![ConfigEntry { key: "unit".into(), value: "celsius".into() }],
        storage_bytes: STORAGE_BYTES,
        subscriptions: vec!["speed".into()],
        actuators: vec!["fan".into()],
        wasi: None,
    }
}
