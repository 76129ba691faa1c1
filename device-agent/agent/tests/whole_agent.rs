//! The agent's binary on a data directory that is already enrolled, without a
//! broker: what it has, it runs.

mod support;

use durable_disk::{Disk, RealDisk};
use ed25519_dalek::SigningKey;
use farrier_agent::state::{Enrolment, Progress, State};
use farrier_agent::store::Store;
use module_package::{
    Accepted, AppEntry, ArtifactId, BLOCK_BYTES, BlobId, CompilePolicy, DOCUMENT_VERSION, DeviceId,
    Domain, Manifest, ManifestId, ModuleId, Release, ReleaseId, ReleaseLimits, ReleaseTarget, Root,
    RootId, Signer, TrustedRoot, seal, seal_root,
};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn trusted_root() -> (TrustedRoot, Vec<u8>) {
    let root = Root {
        version: DOCUMENT_VERSION,
        epoch: 1,
        root_version: 1,
        not_after_ms: None,
        root_keys: vec![key(1).public_key()],
        threshold: 1,
        release_keys: vec![key(2).public_key()],
        assign_keys: vec![key(3).public_key()],
        revoked: vec![],
        floors: vec![],
    };
    let sealed = seal_root(&root, &[&key(1)]);
    (TrustedRoot::pinned(&sealed, RootId::of(&sealed)).unwrap(), sealed)
}

fn release_of(artifact: &[u8]) -> Release {
    Release {
        version: DOCUMENT_VERSION,
        app: "filter".into(),
        app_version: 1,
        module: ModuleId::of(b"wasm"),
        artifact: ArtifactId::of(artifact),
        artifact_bytes: artifact.len() as u64,
        block_bytes: BLOCK_BYTES,
        block_hashes: vec![BlobId::of(artifact)],
        target: ReleaseTarget {
            id: "x86_64-linux".into(),
            abi: "sysv".into(),
            cpu_features: vec![],
            aot_version: 6,
            bounds_checks: "software".into(),
        },
        policy: CompilePolicy { metering: "none".into(), nan_canonicalization: "none".into() },
        imports: vec![],
        limits: ReleaseLimits {
            memory_bytes_max: 65_536,
            stack_bytes: 65_536,
            call_ms_max: 1_000,
            log_lines_per_s_max: 10,
            publishes_per_s_max: 10,
            ..ReleaseLimits::default()
        },
        known_answers: vec![],
        compiler: "test".into(),
        developer: None,
    }
}

/// Makes the directory of a device that has accepted a manifest of one
/// application and has all of it.
fn enrolled_device(data: &Path, artifact: &str) -> State {
    let disk: Rc<dyn Disk> = Rc::new(RealDisk);
    let state = State::open(disk.clone(), data).unwrap();
    let device = DeviceId::of_key(&state.key().unwrap().public_key().0);
    let (root, sealed_root) = trusted_root();
    // Nothing listens on the discard port.
    let broker_url = "mqtt://127.0.0.1:9".into();
    let device_of = device.clone();
    state.set_enrolment(&Enrolment { device, root, sealed_root, broker_url }).unwrap();

    let release = minicbor::to_vec(release_of(artifact.as_bytes())).unwrap();
    let release = seal(Domain::Release, release, &key(2));
    let mut store = Store::open(disk, &data.join("store"), 1 << 20).unwrap();
    store.put(&BlobId::of(&release), &release).unwrap();
    store.put(&BlobId::of(artifact.as_bytes()), artifact.as_bytes()).unwrap();

    let entry = AppEntry {
        app: "filter".into(),
        release: ReleaseId::of(&release),
        run: true,
        interval_ms: 1_000,
        sensors: vec![],
        channels: vec![],
        scheduling: None,
        class: "best-effort".into(),
        deployment: 1,
        health_window_ms: None,
        provisions: None,
        sharing: None,
    };
    let manifest = Manifest {
        version: DOCUMENT_VERSION,
        epoch: 1,
        seq: 1,
        device: device_of,
        issued_at_ms: 0,
        not_after_ms: None,
        apps: vec![entry],
    };
    let payload = minicbor::to_vec(manifest).unwrap();
    let accepted = Accepted { epoch: 1, seq: 1, manifest: ManifestId::of(&payload) };
    let sealed = seal(Domain::Manifest, payload, &key(3));
    let progress = Progress { accepted: Some((accepted, sealed)), ..Progress::default() };
    state.set_progress(&progress).unwrap();
    state
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    fn start(dir: &Path) -> Self {
        let worker = support::fake_worker();
        let config = format!(
            "data_dir = {:?}\ngateway_url = \"http://127.0.0.1:9\"\nname = \"bench\"\n\
             report_interval_ms = 200\n[runtime]\npath = \"ok\"\nlauncher = [{worker:?}]\n",
            dir.join("data")
        );
        let file = dir.join("agent.toml");
        std::fs::write(&file, config).unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_farrier-agent"));
        command.arg("--config").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    fn wait(&mut self, within: Duration) -> ExitStatus {
        wait_for("the agent's end", within, || self.0.try_wait().unwrap())
    }

    /// Children of the agent that are up: the last one started.
    fn worker(&self) -> i32 {
        wait_for("a worker", Duration::from_secs(20), || children(self.pid()).pop())
    }
}

fn children(parent: i32) -> Vec<i32> {
    let all = procfs::process::all_processes().unwrap().flatten();
    let stats = all.filter_map(|process| process.stat().ok());
    stats.filter(|stat| stat.ppid == parent && stat.state != 'Z').map(|stat| stat.pid).collect()
}

fn is_alive(pid: i32) -> bool {
    let process = procfs::process::Process::new(pid).and_then(|process| process.stat());
    process.is_ok_and(|stat| stat.state != 'Z')
}

fn wait_for<T>(what: &str, within: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < within, "no sign of {what} within {within:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

/// The probe's process is gone, and the one of the application is there.
fn running(dir: &Path, artifact: &str) -> (Agent, i32) {
    let state = enrolled_device(&dir.join("data"), artifact);
    let agent = Agent::start(dir);
    let found = || log_of(dir).contains("found the runtime").then_some(());
    wait_for("the runtime", Duration::from_secs(20), found);
    wait_for("the application's proof", Duration::from_secs(20), || {
        (!state.progress().unwrap().installed.proven.is_empty()).then_some(())
    });
    let worker = agent.worker();
    (agent, worker)
}

#[test]
fn a_restarted_device_runs_what_it_has_and_ends_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let (mut agent, worker) = running(dir.path(), "ok");
        let began = Instant::now();
        agent.signal(signal);
        assert!(agent.wait(Duration::from_secs(3)).success(), "{}", log_of(dir.path()));
        assert!(!is_alive(worker), "the worker outlived the agent");
        assert!(began.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn a_worker_that_does_not_stop_holds_the_agents_end_up_for_less_than_three_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let (mut agent, worker) = running(dir.path(), "does-not-stop");
    agent.signal(Signal::TERM);
    assert!(agent.wait(Duration::from_secs(3)).success());
    assert!(!is_alive(worker));
}

#[test]
fn workers_do_not_outlive_an_agent_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut agent, worker) = running(dir.path(), "ok");
    agent.signal(Signal::KILL);
    agent.wait(Duration::from_secs(3));
    wait_for("the worker's end", Duration::from_secs(5), || (!is_alive(worker)).then_some(()));
}

#[test]
fn a_killed_worker_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let (agent, worker) = running(dir.path(), "ok");
    let line = procfs::process::Process::new(worker).unwrap().cmdline().unwrap();
    assert_eq!(line[1..4], ["ok", "--app", "filter"], "a process list shows what it hosts");
    kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    wait_for("another worker", Duration::from_secs(10), || {
        children(agent.pid()).into_iter().find(|pid| *pid != worker)
    });
}

#[test]
fn a_second_agent_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_agent, _) = running(dir.path(), "ok");
    let mut second = Agent::start(dir.path());
    assert!(!second.wait(Duration::from_secs(30)).success());
    assert!(log_of(dir.path()).contains("another agent uses"), "{}", log_of(dir.path()));
}

#[test]
fn an_agent_that_is_not_enrolled_says_what_to_do_and_ends_on_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path());
    let told = || log_of(dir.path()).contains("check gateway_url").then_some(());
    wait_for("the advice", Duration::from_secs(20), told);
    agent.signal(Signal::TERM);
    assert!(agent.wait(Duration::from_secs(3)).success());
}

#[test]
fn the_files_of_the_device_are_for_the_agent_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    enrolled_device(&dir.path().join("data"), "ok");
    let mode =
        |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("data/device.key"), 0o600);
}
