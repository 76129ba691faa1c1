//! A test bench around one agent: it plays the broker, the gateway behind it, the
//! disk and the workers, and moves the clock.
//!
//! A worker behaves as the text of its artifact says, see `bench_workers.rs`.

use super::super::*;
use super::bench_workers::{FakeWorkers, Hands, Order, answers, hello, to_news};
use crate::app_storage::AppStorage;
use crate::samples;
use device_protocol::{AppReport, Bitmap, Block, LogMessage, PublishedMessage, Report, Want};
use durable_disk::sim::SimDisk;
use module_package::{
    BLOCK_BYTES, BlobId, ChannelMessage, DOCUMENT_VERSION, DeviceId, Domain, Floor, Heartbeat,
    Manifest, Provisions, Release, ReleaseId, Root, RootId, Signer, TrustedRoot, open, seal,
    seal_root,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use worker_protocol::{Delivered, Event as Message, Outcome, StoredValue};

const STORE_BYTES_MAX: u64 = 200_000;

/// What is behind files is away.
const MORE_CONFIG: &str = r#"
    [[sensor]]
    name = "gone"
    kind = "file"
    path = "/nothing/here"
    [[actuator]]
    name = "fan"
    kind = "simulated"
    min = 0
    max = 100
    [[actuator]]
    name = "lamp"
    kind = "file"
    path = "/nothing/here"
    min = 0
    max = 1
"#;

/// Root 1, release 2, assign 3, the device 4, a stranger 9.
fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn device() -> DeviceId {
    DeviceId::of_key(&key(4).public_key().0)
}

pub fn entry(app: &str) -> AppEntry {
    AppEntry {
        app: app.into(),
        release: ReleaseId::of(b""),
        run: true,
        interval_ms: 1_000,
        sensors: vec!["temperature".into()],
        channels: vec!["average".into()],
        scheduling: None,
        class: "best-effort".into(),
        deployment: 1,
        health_window_ms: None,
        provisions: None,
        sharing: None,
    }
}

pub fn sealed_manifest(manifest: Manifest, by: u8) -> Vec<u8> {
    seal(Domain::Manifest, minicbor::to_vec(manifest).unwrap(), &key(by))
}

pub fn sealed_release(release: &Release, by: u8) -> Vec<u8> {
    seal(Domain::Release, minicbor::to_vec(release).unwrap(), &key(by))
}

#[derive(Default)]
struct Wire {
    sent: VecDeque<(Topic, Vec<u8>)>,
    subscriptions: BTreeSet<String>,
}

struct WireBroker(Arc<Mutex<Wire>>);

impl Broker for WireBroker {
    fn publish(&mut self, topic: &Topic, payload: Vec<u8>) -> bool {
        self.0.lock().unwrap().sent.push_back((topic.clone(), payload));
        true
    }

    fn subscribe(&mut self, topic: &Topic) -> bool {
        self.0.lock().unwrap().subscriptions.insert(topic.to_string());
        true
    }

    fn unsubscribe(&mut self, topic: &Topic) -> bool {
        self.0.lock().unwrap().subscriptions.remove(&topic.to_string())
    }

    fn disconnect(&mut self) {}
}

pub struct Bench {
    agent: Agent,
    now: Moment,
    disk: Rc<SimDisk>,
    clock_trusted: bool,
    more_config: String,
    report_interval_ms: u64,
    wire: Arc<Mutex<Wire>>,
    hands: Rc<RefCell<Hands>>,
    runtime: Result<String, Refusal>,
    /// What the gateway has.
    blobs: BTreeMap<BlobId, Vec<u8>>,
    last_manifest: Vec<u8>,
    last_entries: Vec<AppEntry>,
    deaf: bool,
    /// A blob that the gateway does not send.
    lost: Option<BlobId>,
    change_block_of: Option<BlobId>,
    wants: usize,
    reports: Vec<Report>,
    /// Of all reports, as they were sent.
    pub report_bytes: usize,
    published: Vec<String>,
    log_lines: Vec<String>,
}

pub fn root_document() -> Root {
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
        floors: vec![Floor { app: "filter".into(), app_version_min: 1 }],
    }
}

pub fn sealed_root(root: &Root, by: &[u8]) -> Vec<u8> {
    let keys: Vec<SigningKey> = by.iter().map(|number| key(*number)).collect();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    seal_root(root, &signers)
}

pub fn public(number: u8) -> module_package::PublicKey {
    key(number).public_key()
}

fn first_enrolment() -> Enrolment {
    let sealed_root = sealed_root(&root_document(), &[1]);
    let root = TrustedRoot::pinned(&sealed_root, RootId::of(&sealed_root)).unwrap();
    Enrolment { device: device(), root, sealed_root, broker_url: String::new() }
}

fn boot(
    disk: &Rc<SimDisk>,
    hands: &Rc<RefCell<Hands>>,
    clock_trusted: bool,
    more_config: &str,
    report_interval_ms: u64,
) -> Agent {
    let config = Config::parse(&format!(
        "data_dir = \"/data\"\ngateway_url = \"\"\nname = \"bench\"\n\
         report_interval_ms = {report_interval_ms}\n\
         clock_trusted = {clock_trusted}\n[runtime]\npath = \"/r\"\n\
         [[sensor]]\nname = \"temperature\"\nkind = \"simulated\"\nseed = 1\n{MORE_CONFIG}{more_config}"
    ));
    let data = Path::new("/data");
    let state = State::open(disk.clone(), data).unwrap();
    let parts = Parts {
        config: config.unwrap(),
        key: key(4),
        enrolment: state.enrolment().unwrap().unwrap_or_else(first_enrolment),
        state,
        store: Store::open(disk.clone(), &data.join("store"), STORE_BYTES_MAX).unwrap(),
        app_storage: AppStorage::open(disk.clone(), &data.join("app-storage")).unwrap(),
        workers: Box::new(FakeWorkers(hands.clone())),
        seed: 1,
        boot_id: [0; 16],
        wall_clock_ms: || 1_000,
    };
    Agent::new(parts).unwrap()
}

impl Bench {
    pub fn new() -> Self {
        Self::with_clock(true)
    }

    pub fn with_clock(clock_trusted: bool) -> Self {
        Self::with_config(clock_trusted, String::new())
    }

    /// A device with a sensor `level` behind this file.
    pub fn with_sensor_file(path: &Path) -> Self {
        let path = path.display();
        let sensor = format!("[[sensor]]\nname = \"level\"\nkind = \"file\"\npath = \"{path}\"\n");
        Self::with_config(true, sensor)
    }

    /// A device with an output behind a line of this GPIO chip.
    pub fn with_gpio_output(name: &str, chip: &str) -> Self {
        let output = format!(
            "[[actuator]]\nname = \"{name}\"\nkind = \"gpio\"\nchip = \"{chip}\"\nline = 4\n"
        );
        Self::with_config(true, output)
    }

    pub fn with_report_interval(report_interval_ms: u64) -> Self {
        Self::with_all(true, String::new(), report_interval_ms)
    }

    pub fn with_config(clock_trusted: bool, more_config: String) -> Self {
        Self::with_all(clock_trusted, more_config, 1_000)
    }

    fn with_all(clock_trusted: bool, more_config: String, report_interval_ms: u64) -> Self {
        let (disk, hands) = (Rc::new(SimDisk::default()), Rc::default());
        let mut bench = Self {
            agent: boot(&disk, &hands, clock_trusted, &more_config, report_interval_ms),
            now: Moment::ZERO,
            disk,
            clock_trusted,
            more_config,
            report_interval_ms,
            wire: Arc::default(),
            hands,
            runtime: Ok("x86_64-linux".into()),
            blobs: BTreeMap::new(),
            last_manifest: vec![],
            last_entries: vec![],
            deaf: false,
            lost: None,
            change_block_of: None,
            wants: 0,
            reports: vec![],
            report_bytes: 0,
            published: vec![],
            log_lines: vec![],
        };
        bench.probe();
        bench
    }

    /// A new agent on the same disk.
    pub fn restart(&mut self) {
        self.hands = Rc::default();
        self.wire = Arc::default();
        self.wants = 0;
        self.now = Moment::ZERO;
        self.agent = boot(
            &self.disk,
            &self.hands,
            self.clock_trusted,
            &self.more_config,
            self.report_interval_ms,
        );
        self.probe();
    }

    fn probe(&mut self) {
        let info = |target: String| RuntimeInfo {
            profile: module_package::RuntimeProfile { target, ..samples::profile() },
            runtime: "fake".into(),
            confinement: vec![],
            builds: samples::builds(),
        };
        self.handle(Event::Probed(self.runtime.clone().map(info)));
        self.pump();
    }

    pub fn lose_runtime(&mut self) {
        self.runtime = Err(Refusal::new(RefusalCode::WorkerStart, "no such file"));
        self.restart();
    }

    pub fn find_runtime(&mut self) {
        self.runtime = Ok("x86_64-linux".into());
        self.probe();
    }

    /// The agent is not told.
    pub fn replace_runtime(&mut self, target: &str) {
        self.runtime = Ok(target.into());
    }

    pub fn connect(&mut self) {
        self.wire = Arc::default();
        let broker = WireBroker(self.wire.clone());
        self.handle(Event::Link(LinkNews::Connected(Box::new(broker))));
        self.pump();
        self.advance(1_100);
    }

    pub fn disconnect(&mut self) {
        self.handle(Event::Link(LinkNews::Disconnected));
    }

    fn handle(&mut self, event: Event) {
        self.agent.handle(event, self.now);
    }

    pub fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        self.pump();
        while self.agent.deadline() <= end {
            self.now = self.now.max(self.agent.deadline());
            self.handle(Event::Clock);
            self.pump();
        }
        self.now = end;
    }

    /// Lets everything happen that happens without time passing.
    fn pump(&mut self) {
        for _ in 0..10_000 {
            let order = self.hands.borrow_mut().orders.pop_front();
            if let Some((worker, order)) = order {
                self.obey(worker, order);
                continue;
            }
            let sent = self.wire.lock().unwrap().sent.pop_front();
            if let Some((topic, payload)) = sent {
                self.hear(topic, &payload);
                continue;
            }
            return;
        }
        panic!("the agent does not come to rest");
    }

    fn obey(&mut self, worker: WorkerId, order: Order) {
        let news = {
            let mut hands = self.hands.borrow_mut();
            let Some(live) = hands.live.get_mut(&worker) else { return };
            let is_end = matches!(order, Order::End);
            let messages = match order {
                Order::Spawn => vec![Message::Hello(hello(&self.runtime))],
                Order::Send(command) => answers(live, *command),
                Order::End => vec![],
            };
            let mut news: Vec<WorkerNews> = messages.into_iter().map(to_news).collect();
            if is_end || (live.behaviour == "dies" && live.begun) {
                news.push(WorkerNews::Ended("it ended with status 0".into()));
            }
            news
        };
        for news in news {
            self.handle(Event::Worker(worker, news));
        }
    }

    /// The gateway's part.
    fn hear(&mut self, topic: Topic, payload: &[u8]) {
        assert!(topic.is_written_by(&device()), "{topic}");
        match topic {
            Topic::Report(_) => {
                let open = open(Domain::Report, payload, 1 << 16, |_| Ok(key(4).public_key()));
                let mut report: Report = minicbor::decode(&open.unwrap()).unwrap();
                self.report_bytes += payload.len();
                if let Some(before) = self.reports.last() {
                    report.fill_in(before);
                }
                self.reports.push(report);
            }
            Topic::Log(_) => {
                let log: LogMessage = minicbor::decode(payload).unwrap();
                let of_apps = |line: &device_protocol::LogLine| {
                    !line.app.is_empty() || line.text.starts_with("dropped ")
                };
                let of_apps = log.lines.into_iter().filter(of_apps);
                let text = of_apps.map(|line| format!("{} {} {}", line.app, line.level, line.text));
                self.log_lines.extend(text);
            }
            Topic::Published(_) => {
                let value: PublishedMessage = minicbor::decode(payload).unwrap();
                let text = String::from_utf8(value.payload).unwrap();
                self.published.push(format!("{} {} {text}", value.app, value.channel));
            }
            Topic::Want(_) => {
                let want: Want = minicbor::decode(payload).unwrap();
                if want.missing.as_ref().is_some_and(Bitmap::is_empty) {
                    return;
                }
                self.wants += 1;
                if !self.deaf {
                    self.send_blocks(&want);
                }
            }
            _ => unreachable!(),
        }
    }

    fn send_blocks(&mut self, want: &Want) {
        let topic = Topic::Blob(want.blob).to_string();
        assert!(self.wire.lock().unwrap().subscriptions.contains(&topic));
        if self.lost == Some(want.blob) {
            return;
        }
        let Some(blob) = self.blobs.get(&want.blob).cloned() else { return };
        let missing = want.missing.clone().unwrap_or(Bitmap::full(1));
        for (index, bytes) in blob.chunks(BLOCK_BYTES as usize).enumerate() {
            if missing.contains(index as u32) {
                let mut bytes = bytes.to_vec();
                let changed = self.change_block_of.take_if(|blob| *blob == want.blob);
                bytes[0] ^= u8::from(changed.is_some());
                let blob_bytes = blob.len() as u64;
                let block = Block::packed(index as u32, blob_bytes, bytes);
                self.give_block(want.blob, &block);
            }
        }
    }

    pub fn give_block(&mut self, blob: BlobId, block: &Block) {
        let payload = minicbor::to_vec(block).unwrap();
        self.handle(Event::Link(LinkNews::Message { topic: Topic::Blob(blob), payload }));
    }

    pub fn manifest(&self, seq: u64, apps: &[AppEntry]) -> Manifest {
        Manifest {
            version: DOCUMENT_VERSION,
            epoch: 1,
            seq,
            device: device(),
            issued_at_ms: 0,
            not_after_ms: None,
            apps: apps.to_vec(),
        }
    }

    pub fn give_root(&mut self, version: u32, sealed: Vec<u8>) {
        let (topic, payload) = (Topic::Root(version), sealed);
        self.handle(Event::Link(LinkNews::Message { topic, payload }));
        self.pump();
        self.advance(1_600);
    }

    pub fn heartbeat(&self, time_ms: u64, seq: u64) -> Heartbeat {
        Heartbeat {
            version: DOCUMENT_VERSION,
            device: device(),
            time_ms,
            epoch: 1,
            seq,
            manifest: None,
            root_version: 1,
            nonce: None,
        }
    }

    pub fn give_heartbeat(&mut self, heartbeat: Heartbeat, by: u8) {
        let payload = seal(Domain::Heartbeat, minicbor::to_vec(heartbeat).unwrap(), &key(by));
        let topic = Topic::Heartbeat(device());
        self.handle(Event::Link(LinkNews::Message { topic, payload }));
        self.pump();
    }

    /// The nonce of the newest report that carries one.
    pub fn nonce(&self) -> [u8; 16] {
        self.reports.iter().rev().find_map(|report| report.nonce).expect("the device asks")
    }

    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.wire.lock().unwrap().subscriptions.contains(topic)
    }

    pub fn give_manifest(&mut self, sealed: Vec<u8>) {
        let (topic, payload) = (Topic::Manifest(device()), sealed);
        self.handle(Event::Link(LinkNews::Message { topic, payload }));
        self.pump();
        self.advance(1_600);
    }

    pub fn give(&mut self, seq: u64, apps: Vec<AppEntry>) {
        self.last_entries = apps.clone();
        self.last_manifest = sealed_manifest(self.manifest(seq, &apps), 3);
        self.give_manifest(self.last_manifest.clone());
    }

    /// Of the last manifest.
    pub fn entries(&self) -> Vec<AppEntry> {
        self.last_entries.clone()
    }

    pub fn give_manifest_again(&mut self) {
        self.give_manifest(self.last_manifest.clone());
    }

    pub fn release(&mut self, app: &str, version: u64, artifact: &str) -> Release {
        self.offer(artifact.as_bytes());
        samples::release_of(app, version as u32, artifact.as_bytes())
    }

    pub fn offer(&mut self, blob: &[u8]) {
        self.blobs.insert(BlobId::of(blob), blob.to_vec());
    }

    pub fn offer_release(&mut self, release: &Release) -> ReleaseId {
        let sealed = sealed_release(release, 2);
        self.offer(&sealed);
        ReleaseId::of(&sealed)
    }

    /// Versions are numbered by the manifest that brings them.
    pub fn deploy(&mut self, seq: u64, apps: &[(&str, &str)]) {
        let mut entries = Vec::new();
        for (app, artifact) in apps {
            let release = self.release(app, seq, artifact);
            entries.push(AppEntry { release: self.offer_release(&release), ..entry(app) });
        }
        self.give(seq, entries);
    }

    /// One application with what else its module gets.
    pub fn deploy_with(&mut self, seq: u64, app: &str, artifact: &str, provisions: Provisions) {
        let release = self.release(app, seq, artifact);
        let release = self.offer_release(&release);
        let provisions = provisions.non_empty();
        self.give(seq, vec![AppEntry { release, provisions, ..entry(app) }]);
    }

    /// What a worker says on its own, by the order of their ids.
    pub fn say(&mut self, index: usize, message: Message) {
        let worker = *self.hands.borrow().live.keys().nth(index).unwrap();
        self.handle(Event::Worker(worker, to_news(message)));
        self.pump();
    }

    pub fn channel_message(&self, counter: u64, app: &str, channel: &str) -> ChannelMessage {
        ChannelMessage {
            version: DOCUMENT_VERSION,
            device: device(),
            boot_id: [0; 16],
            counter,
            app: app.into(),
            channel: channel.into(),
            payload: counter.to_string().into_bytes(),
        }
    }

    pub fn give_message(&mut self, message: ChannelMessage, by: u8) {
        self.send_message(message, by);
        self.advance(200);
    }

    pub fn give_message_at_once(&mut self, message: ChannelMessage) {
        self.send_message(message, 3);
    }

    fn send_message(&mut self, message: ChannelMessage, by: u8) {
        let payload = minicbor::to_vec(message).unwrap();
        let payload = seal(Domain::ChannelMessage, payload, &key(by));
        let topic = Topic::Message(device());
        self.handle(Event::Link(LinkNews::Message { topic, payload }));
        self.pump();
    }

    /// What was delivered to modules: by the order of their start, the channel, the number
    /// and the payload.
    pub fn delivered(&self) -> Vec<String> {
        let hands = self.hands.borrow();
        let text = |(worker, delivered): &(WorkerId, Delivered)| {
            let payload = String::from_utf8_lossy(&delivered.payload);
            let number = hands.live[worker].number;
            format!("{number} {} {} {payload}", delivered.channel, delivered.seq)
        };
        hands.delivered.iter().map(text).collect()
    }

    /// What the last module to begin was given as stored.
    pub fn last_start(&self) -> Vec<StoredValue> {
        self.hands.borrow().starts.last().expect("a module has begun").clone()
    }

    pub fn outcomes(&self) -> Vec<Outcome> {
        self.hands.borrow().outcomes.clone()
    }

    pub fn damage_stored(&mut self, app: &str) {
        let file = BlobId::of(app.as_bytes()).to_string();
        self.disk.damage(&Path::new("/data/app-storage").join(file));
    }

    pub fn deploy_release(&mut self, seq: u64, artifact: &str, change: impl FnOnce(&mut Release)) {
        let mut release = self.release("filter", seq, artifact);
        change(&mut release);
        let release = self.offer_release(&release);
        self.give(seq, vec![AppEntry { release, ..entry("filter") }]);
    }

    pub fn report(&self) -> Report {
        self.reports.last().expect("a report was sent").clone()
    }

    pub fn reports(&self) -> usize {
        self.reports.len()
    }

    pub fn app(&self, name: &str) -> AppReport {
        let report = self.report();
        report.apps.into_iter().find(|app| app.app == name).expect("it is reported")
    }

    pub fn spawned(&self) -> usize {
        self.hands.borrow().spawned
    }

    /// A second in which one wants so much of a processor, and all others nothing.
    pub fn spin(&mut self, number: usize, ms: u64) {
        for live in self.hands.borrow_mut().live.values_mut() {
            live.ran_ns += if live.number == number { ms * 1_000_000 } else { 0 };
        }
        self.advance(1_000);
    }

    pub fn history(&self) -> Vec<String> {
        self.hands.borrow().history.clone()
    }

    pub fn running_versions(&self) -> usize {
        self.hands.borrow().live.values().filter(|worker| worker.begun).count()
    }

    pub fn kill_worker(&mut self) {
        let worker = *self.hands.borrow().live.keys().next().unwrap();
        let news = WorkerNews::Ended("it was ended by signal 9".into());
        self.handle(Event::Worker(worker, news));
        self.pump();
    }

    pub fn stop(&mut self) -> bool {
        self.handle(Event::Stop);
        self.pump();
        self.agent.is_stopped(self.now)
    }

    pub fn set_deaf(&mut self, deaf: bool) {
        self.deaf = deaf;
    }

    pub fn lose_blob(&mut self, blob: &[u8]) {
        self.lost = Some(BlobId::of(blob));
    }

    /// The first block of the artifact arrives changed.
    pub fn deploy_after_a_change_on_the_wire(&mut self, seq: u64, artifact: &str) {
        self.change_block_of = Some(BlobId::of(artifact.as_bytes()));
        self.deploy(seq, &[("filter", artifact)]);
    }

    pub fn reports_with_refusal(&self) -> usize {
        self.reports.iter().filter(|report| report.refused.is_some()).count()
    }

    pub fn wants(&self) -> usize {
        self.wants
    }

    pub fn published(&self) -> &[String] {
        &self.published
    }

    pub fn log_lines(&self) -> &[String] {
        &self.log_lines
    }

    pub fn subscriptions(&self) -> Vec<String> {
        let wire = self.wire.lock().unwrap();
        wire.subscriptions.iter().filter(|topic| topic.contains("/blob/")).cloned().collect()
    }

    pub fn damage_artifact(&mut self, artifact: &str) {
        self.disk.damage(&blob_path(&BlobId::of(artifact.as_bytes())));
    }

    pub fn damage_release(&mut self) {
        self.disk.damage(&blob_path(&self.app("filter").release.into()));
    }

    pub fn fail_writes(&mut self, fail: bool) {
        self.disk.fail_writes(fail.then_some(std::io::ErrorKind::PermissionDenied));
    }

    pub fn disk_operations(&self) -> u64 {
        self.disk.operations()
    }

    pub fn cut_disk_after(&mut self, operations: u64) {
        self.disk.cut_power_after(operations);
    }

    pub fn power_back(&mut self, seed: u64) {
        self.disk.restart(seed);
        self.restart();
    }
}

fn blob_path(blob: &BlobId) -> PathBuf {
    Path::new("/data/store/blobs").join(blob.to_string())
}
