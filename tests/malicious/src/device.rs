//! A device in a thread: the agent's own loop, with real worker processes and a broker
//! in the test's hand. Everything that it may ever run is in its store from the start;
//! manifests then say what runs.

use anyhow::{Context, anyhow, ensure};
use device_protocol::{AppReport, PublishedMessage, REPORT_BYTES_MAX, Report, Topic};
use durable_disk::{Disk, RealDisk};
use ed25519_dalek::SigningKey;
use farrier_agent::agent::{Agent, Event, Parts};
use farrier_agent::app_storage::AppStorage;
use farrier_agent::config::Config;
use farrier_agent::mqtt::{Broker, LinkNews};
use farrier_agent::state::{Enrolment, Progress, State};
use farrier_agent::store::Store;
use farrier_agent::workers::{Launcher, ProcessWorkers, probe};
use harness::{DeviceClass, Kit};
use module_package::{
    Accepted, AppEntry, ArtifactId, BLOCK_BYTES, BlobId, CompilePolicy, DOCUMENT_VERSION, DeviceId,
    Domain, METERING_GAS, Manifest, ManifestId, ModuleId, NO_POLICY, Release, ReleaseId,
    ReleaseLimits, ReleaseTarget, Root, RootId, SharedWith, Sharing, Signer, TrustedRoot, open,
    seal, seal_root,
};
use scheduling::Scheduling;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use target_spec::Registry;

const STORE_BYTES_MAX: u64 = 1 << 30;
const EVENTS_MAX: usize = 256;
/// An agent may report ten times in a second.
const REPORT_INTERVAL_MS: u32 = 100;
const CHANNEL: &str = "out";

/// What is to be in the store.
pub struct Program {
    pub name: String,
    pub class: DeviceClass,
    pub aot: Vec<u8>,
    pub is_metered: bool,
    pub limits: ReleaseLimits,
    pub interval_ms: u32,
    /// Whether it is in one process with all others that say so.
    pub is_shared: bool,
    pub scheduling: Option<Scheduling>,
}

/// What its owner says in the agent's configuration.
pub struct Ownership {
    pub report_interval_ms: u32,
    /// Further lines of TOML.
    pub tables: String,
}

impl Default for Ownership {
    fn default() -> Self {
        Self { report_interval_ms: REPORT_INTERVAL_MS, tables: String::new() }
    }
}

/// What the device said.
pub enum Said {
    Report(Box<Report>),
    Published(PublishedMessage),
}

pub struct Device {
    events: tokio::sync::mpsc::Sender<Event>,
    said: mpsc::Receiver<Said>,
    id: DeviceId,
    entries: Vec<AppEntry>,
    seq: u64,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    _dir: tempfile::TempDir,
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

impl Device {
    pub fn start(kit: &Kit, programs: &[Program]) -> anyhow::Result<Self> {
        Self::start_owned(kit, programs, &Ownership::default())
    }

    pub fn start_owned(
        kit: &Kit,
        programs: &[Program],
        ownership: &Ownership,
    ) -> anyhow::Result<Self> {
        let Ownership { report_interval_ms, tables } = ownership;
        let dir = tempfile::tempdir()?;
        let class = programs.first().context("a device without programs")?.class;
        ensure!(programs.iter().all(|program| program.class == class), "programs of two machines");
        let data = dir.path().join("data");
        let config = format!(
            "data_dir = {data:?}\ngateway_url = \"http://127.0.0.1:9\"\nname = \"victim\"\n\
             report_interval_ms = {report_interval_ms}\nclock_trusted = true\n[runtime]\npath = {:?}\nlauncher = {:?}\n{tables}",
            kit.runtime(class),
            class.launcher
        );
        let config = Config::parse(&config).map_err(anyhow::Error::msg)?;
        let disk: Rc<dyn Disk> = Rc::new(RealDisk);
        let state = State::open(disk.clone(), &data)?;
        let public = state.key()?.public_key();
        let id = DeviceId::of_key(&public.0);
        let root = seal_root(&root(), &[&key(1)]);
        let enrolment = Enrolment {
            device: id.clone(),
            root: TrustedRoot::pinned(&root, RootId::of(&root))?,
            sealed_root: root,
            broker_url: "mqtt://127.0.0.1:9".into(),
        };
        state.set_enrolment(&enrolment)?;
        let mut store = Store::open(disk, &data.join("store"), STORE_BYTES_MAX)?;
        let entries = programs.iter().map(|program| put(&mut store, program));
        let entries = entries.collect::<anyhow::Result<Vec<_>>>()?;
        // Else the agent would tidy the store up at its start.
        let (manifest, payload) = sealed_manifest(&id, 1, entries.clone())?;
        let accepted = Accepted { epoch: 1, seq: 1, manifest };
        state.set_progress(&Progress {
            accepted: Some((accepted, payload)),
            ..Progress::default()
        })?;
        drop((store, state));

        let (events, events_rx) = tokio::sync::mpsc::channel(EVENTS_MAX);
        let (said_tx, said) = mpsc::channel();
        let ear = Ear { said: said_tx, device: public };
        let of_thread = events.clone();
        let thread = std::thread::Builder::new().name("device".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(live(config, enrolment, ear, of_thread, events_rx))
        })?;
        let (seq, thread) = (1, Some(thread));
        Ok(Self { events, said, id, entries, seq, thread, _dir: dir })
    }

    /// These run from now on, and nothing else does.
    pub fn run_only(&mut self, names: &[&str]) -> anyhow::Result<()> {
        self.seq += 1;
        let entry = |entry: &AppEntry| {
            let run = names.contains(&entry.app.as_str());
            // Another deployment, so that what was stopped for its fault is tried again.
            let deployment = if entry.app == crate::neighbour::NAME { 1 } else { self.seq };
            AppEntry { run, deployment, ..entry.clone() }
        };
        let entries = self.entries.iter().map(entry).collect();
        let (_, payload) = sealed_manifest(&self.id, self.seq, entries)?;
        let topic = Topic::Manifest(self.id.clone());
        let event = Event::Link(LinkNews::Message { topic, payload });
        self.events.blocking_send(event).map_err(|_| anyhow!("the agent has ended"))
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The next thing that it says, if it does in this time.
    pub fn next(&self, within: Duration) -> Option<Said> {
        self.said.recv_timeout(within).ok()
    }

    /// Whether the agent's loop still runs.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits until what it reports of an application is as asked.
    pub fn wait_for(
        &self,
        app: &str,
        within: Duration,
        is_it: impl Fn(&AppReport) -> bool,
    ) -> anyhow::Result<AppReport> {
        let end = Instant::now() + within;
        let mut last = None;
        while Instant::now() < end {
            let Some(Said::Report(report)) = self.next(Duration::from_millis(200)) else {
                continue;
            };
            let found = report.apps.into_iter().find(|report| report.app == app);
            match found {
                Some(report) if is_it(&report) => return Ok(report),
                found => last = found,
            }
        }
        Err(anyhow!("{app} is not as expected after {within:?}: {last:?}"))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.events.blocking_send(Event::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn root() -> Root {
    Root {
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
    }
}

fn sealed_manifest(
    device: &DeviceId,
    seq: u64,
    apps: Vec<AppEntry>,
) -> anyhow::Result<(ManifestId, Vec<u8>)> {
    let manifest = Manifest {
        version: DOCUMENT_VERSION,
        epoch: 1,
        seq,
        device: device.clone(),
        issued_at_ms: 0,
        not_after_ms: None,
        apps,
    };
    let payload = minicbor::to_vec(manifest)?;
    Ok((ManifestId::of(&payload), seal(Domain::Manifest, payload, &key(3))))
}

fn put(store: &mut Store, program: &Program) -> anyhow::Result<AppEntry> {
    let metering = if program.is_metered { METERING_GAS } else { NO_POLICY };
    let target = Registry::built_in().find(program.class.target)?;
    let release = Release {
        version: DOCUMENT_VERSION,
        app: program.name.clone(),
        app_version: 1,
        module: ModuleId::of(program.name.as_bytes()),
        artifact: ArtifactId::of(&program.aot),
        artifact_bytes: program.aot.len() as u64,
        block_bytes: BLOCK_BYTES,
        block_hashes: program.aot.chunks(BLOCK_BYTES as usize).map(BlobId::of).collect(),
        target: ReleaseTarget {
            id: program.class.target.into(),
            abi: target.abi.clone(),
            cpu_features: vec![],
            aot_version: 6,
            bounds_checks: program.class.bounds_checks.into(),
        },
        policy: CompilePolicy { metering: metering.into(), nan_canonicalization: NO_POLICY.into() },
        // A deceived gateway would say so; the worker looks itself.
        imports: vec![],
        limits: program.limits,
        known_answers: vec![],
        compiler: "test".into(),
        developer: None,
    };
    let sealed = seal(Domain::Release, minicbor::to_vec(release)?, &key(2));
    store.put(&BlobId::of(&sealed), &sealed)?;
    store.put(&BlobId::of(&program.aot), &program.aot)?;
    Ok(AppEntry {
        app: program.name.clone(),
        release: ReleaseId::of(&sealed),
        run: false,
        interval_ms: program.interval_ms,
        sensors: vec![],
        channels: vec![CHANNEL.into()],
        class: match &program.scheduling {
            Some(Scheduling { real_time: Some(_), .. }) => scheduling::REAL_TIME.into(),
            _ => scheduling::BEST_EFFORT.into(),
        },
        scheduling: program.scheduling.clone(),
        deployment: 1,
        health_window_ms: None,
        provisions: None,
        sharing: program.is_shared.then_some(Sharing { with: SharedWith::Everybody, priority: 0 }),
    })
}

/// The agent's start as `start` does it, but for the enrolment and the broker.
async fn live(
    config: Config,
    enrolment: Enrolment,
    ear: Ear,
    events: tokio::sync::mpsc::Sender<Event>,
    events_rx: tokio::sync::mpsc::Receiver<Event>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let disk: Rc<dyn Disk> = Rc::new(RealDisk);
    let data: PathBuf = config.data_dir.clone();
    let state = State::open(disk.clone(), &data)?;
    let store = Store::open(disk.clone(), &data.join("store"), STORE_BYTES_MAX)?;
    let app_storage = AppStorage::open(disk, Path::new(&data.join("app-storage")))?;
    let launcher = Launcher::new(&config.runtime);
    let found = probe(&launcher).await.map_err(|refusal| anyhow!("{refusal}"));
    let found = found.context("start the kit's runtime: build it by `cargo xtask devices`")?;
    let workers = Box::new(ProcessWorkers::new(launcher, events).confined(&config));
    let key = state.key()?;
    let (seed, boot_id, wall_clock_ms) = (1, [1; 16], farrier_agent::wall_clock_ms as fn() -> u64);
    let mut agent = Agent::new(Parts {
        config,
        key,
        enrolment,
        state,
        store,
        app_storage,
        workers,
        seed,
        boot_id,
        wall_clock_ms,
    })?;
    agent.handle(Event::Probed(Ok(found)), began.elapsed());
    agent.handle(Event::Link(LinkNews::Connected(Box::new(ear))), began.elapsed());
    farrier_agent::agent::run(agent, events_rx, began).await;
    Ok(())
}

/// A broker that takes everything.
struct Ear {
    said: mpsc::Sender<Said>,
    device: module_package::PublicKey,
}

impl Broker for Ear {
    fn publish(&mut self, topic: &Topic, payload: Vec<u8>) -> bool {
        let said = match topic {
            Topic::Report(_) => {
                let opened = open(Domain::Report, &payload, REPORT_BYTES_MAX, |_| Ok(self.device));
                let report = opened.ok().and_then(|report| minicbor::decode(&report).ok());
                report.map(|report| Said::Report(Box::new(report)))
            }
            Topic::Published(_) => minicbor::decode(&payload).ok().map(Said::Published),
            _ => None,
        };
        if let Some(said) = said {
            // Nobody listens any more when the test has ended.
            let _ = self.said.send(said);
        }
        true
    }

    fn subscribe(&mut self, _: &Topic) -> bool {
        true
    }

    fn unsubscribe(&mut self, _: &Topic) -> bool {
        true
    }

    fn disconnect(&mut self) {}
}
