//! A `farrier-runtime` as the agent starts it: process, socket and all.

use crate::median;
use anyhow::{Context, bail, ensure};
use aot_compiler::{CompileOptions, compile};
use harness::{DeviceClass, Kit};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};
use target_spec::Registry;
use worker_protocol::{
    Command, Event, GuestId, Limits, Load, read_frame, write_frame, write_guest_frame,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(30);

const GUEST: &str = r#"(module (memory 1) (func (export "tick") (result i32)
  (i32.store (i32.const 0) (i32.const NUMBER)) (i32.const 0)))"#;

pub struct Measured {
    /// Milliseconds from starting the process to its hello, self-tests and all.
    pub start_to_hello_ms: f64,
    /// Microseconds from verified bytes to the return of the first tick, both ways over
    /// the socket.
    pub bytes_to_tick_us: f64,
    pub resident_bytes: f64,
}

/// Of a module that does as little as a module can.
pub fn artifact_for(bounds_checks: &str) -> anyhow::Result<Vec<u8>> {
    artifact_numbered(bounds_checks, 1)
}

/// Another number makes another artifact.
pub fn artifact_numbered(bounds_checks: &str, number: u32) -> anyhow::Result<Vec<u8>> {
    let target = Registry::built_in().find("x86_64-linux")?;
    let options = CompileOptions::new(bounds_checks.parse()?);
    let guest = GUEST.replace("NUMBER", &number.to_string());
    Ok(compile(&wat::parse_str(guest)?, target, &options)?.aot)
}

pub fn measure(kit: &Kit, runs: usize) -> anyhow::Result<Measured> {
    let target = Registry::built_in().find("x86_64-linux")?;
    let artifact = artifact_for(target.default_bounds_checks().as_str())?;
    let (mut hellos, mut ticks, mut resident) = (vec![], vec![], vec![]);
    for _ in 0..runs * 4 {
        let began = Instant::now();
        let mut worker = Worker::start(&kit.runtime(DeviceClass::X86_64))?;
        hellos.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        worker.run_once(artifact.clone())?;
        ticks.push(began.elapsed().as_secs_f64() * 1e6);
        resident.push(harness::resident_bytes(worker.child.id())? as f64);
    }
    Ok(Measured {
        start_to_hello_ms: median(hellos),
        bytes_to_tick_us: median(ticks),
        resident_bytes: median(resident),
    })
}

pub struct Worker {
    child: Child,
    socket: UnixStream,
    pub modules: u32,
}

impl Worker {
    pub fn start(runtime: &Path) -> anyhow::Result<Self> {
        let (socket, its_end) = UnixStream::pair()?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        let mut process = Process::new(runtime);
        process.env_clear().current_dir("/").stdin(Stdio::from(OwnedFd::from(its_end)));
        let child = process.spawn().context("start the runtime")?;
        drop(process);
        let worker = Self { child, socket, modules: 0 };
        match worker.next()? {
            Event::Hello(hello) => ensure!(hello.self_test_failure.is_none(), "{hello:?}"),
            other => bail!("{other:?}"),
        }
        Ok(worker)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One more module, which ticks once a second from now on.
    pub fn begin(&mut self, guest: GuestId, artifact: Vec<u8>) -> anyhow::Result<()> {
        let load = Command::Load(load_of(artifact));
        write_guest_frame(&self.socket, guest, &load)?;
        let start = Command::Start { interval_ms: 1_000, stored: Some(vec![]) };
        write_guest_frame(&self.socket, guest, &start)?;
        loop {
            match self.next()? {
                Event::Started => break,
                Event::Loaded { .. } => {}
                other => bail!("{other:?}"),
            }
        }
        self.modules += 1;
        Ok(())
    }

    pub fn instance_bytes(&self, guest: GuestId) -> anyhow::Result<u64> {
        write_guest_frame(&self.socket, guest, &Command::ReportUsage)?;
        loop {
            if let Event::Usage(usage) = self.next()? {
                return usage.overhead_bytes.context("the runtime does not say");
            }
        }
    }

    fn run_once(&mut self, artifact: Vec<u8>) -> anyhow::Result<()> {
        write_frame(&self.socket, &Command::Load(load_of(artifact)))?;
        write_frame(&self.socket, &Command::RunTicks { ticks: 1 })?;
        loop {
            match self.next()? {
                Event::TicksDone { ticks: 1 } => return Ok(()),
                Event::Loaded { .. } | Event::Started => {}
                other => bail!("{other:?}"),
            }
        }
    }

    fn next(&self) -> anyhow::Result<Event> {
        read_frame(&self.socket).context("the worker's next word")
    }
}

fn load_of(artifact: Vec<u8>) -> Load {
    let limits = Limits {
        memory_bytes_max: 1 << 20,
        stack_bytes: 64 << 10,
        call_ms_max: 1_000,
        log_lines_per_s_max: 20,
        publishes_per_s_max: 20,
        gas_per_call_max: None,
        gas_per_s_max: None,
        actions: None,
    };
    Load { artifact, app: "bench".into(), limits, ..Load::default() }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Harmless if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
