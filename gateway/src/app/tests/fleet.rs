//! A gateway without disk, network and processes, and devices that are keys.

use crate::app::{
    Addresses, App, AppError, BrokerTrust, CompileInput, CompileOutcome, CompileRoom, Compiled,
    Outbox, PulseRules, Rooms, SiteLimits, TrustRules, Workshop,
};
use crate::authority::Authority;
use crate::signing::Signing;
use crate::store::memory::{MemoryBlobs, MemoryStore};
use crate::store::record::KeyHash;
use crate::store::{Blobs, Store};
use crate::surroundings::{Clock, Randomness, Surroundings};
use device_protocol::{
    AppReport, AppState, DeviceUsage, EnrolRequest, EnrolStatement, Login, MESSAGE_VERSION, Report,
    Topic, encode_sealed,
};
use ed25519_dalek::SigningKey;
use gateway_api::{
    Deployment, DeviceSelector, ModuleLimits, NewClaimToken, NewDeployment, ProblemCode,
    ProgressState, Provisions,
};
use module_package::{
    DeviceId, Domain, Manifest, Release, RootId, Signer, TrustedRoot, open_manifest, open_release,
    seal,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub const ALL_IMPORTS: [&str; 5] = [
    "farrier.log",
    "farrier.clock_monotonic_ns",
    "farrier.sensor_open",
    "farrier.sensor_read",
    "farrier.publish",
];

pub const COMPILING: CompileRoom = CompileRoom { queue_max: 4, workers: 2, cpus: 8 };

/// A module that exports `answer` and imports nothing.
pub fn plain_wasm(answer: u32) -> Vec<u8> {
    let text = format!(
        "(module (memory (export \"memory\") 1) (func (export \"answer\") (result i32) i32.const {answer}))"
    );
    wat::parse_str(text).unwrap()
}

#[derive(Default)]
pub struct FakeClock {
    now_ms: AtomicU64,
    steady_ms: AtomicU64,
}

impl FakeClock {
    fn at(ms: u64) -> Self {
        Self { now_ms: ms.into(), steady_ms: AtomicU64::new(5) }
    }

    fn pass(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
        self.steady_ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn set(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn steady_ms(&self) -> u64 {
        self.steady_ms.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
struct CountingRandomness(AtomicU64);

impl Randomness for CountingRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::SeqCst) as u8;
        }
        self.0.fetch_add(77, Ordering::SeqCst);
    }
}

#[derive(Default)]
pub struct FakeWorkshop {
    /// Jobs that it was told of.
    pub compile_count: AtomicU64,
    pub checks: Mutex<Vec<KeyHash>>,
}

impl Workshop for FakeWorkshop {
    fn compile(&self) {
        self.compile_count.fetch_add(1, Ordering::SeqCst);
    }

    fn check(&self, job: KeyHash) {
        self.checks.lock().unwrap().push(job);
    }
}

#[derive(Default)]
pub struct FakeOutbox {
    pub heartbeats: Mutex<Vec<DeviceId>>,
    pub told: Mutex<Vec<DeviceId>>,
    pub gone: Mutex<Vec<DeviceId>>,
    pub roots_told: AtomicU64,
    pub messages: Mutex<Vec<(DeviceId, Vec<u8>)>>,
}

impl Outbox for FakeOutbox {
    fn manifest_changed(&self, device: &DeviceId) {
        self.told.lock().unwrap().push(device.clone());
    }

    fn root_published(&self) {
        self.roots_told.fetch_add(1, Ordering::SeqCst);
    }

    fn heartbeat_due(&self, device: &DeviceId) {
        self.heartbeats.lock().unwrap().push(device.clone());
    }

    fn blocks_wanted(&self) {}

    fn send_message(&self, device: &DeviceId, sealed: Vec<u8>) -> bool {
        self.messages.lock().unwrap().push((device.clone(), sealed));
        true
    }

    fn device_gone(&self, device: &DeviceId) {
        self.gone.lock().unwrap().push(device.clone());
    }
}

pub struct Fleet {
    pub app: Arc<App>,
    pub clock: Arc<FakeClock>,
    pub workshop: Arc<FakeWorkshop>,
    pub outbox: Arc<FakeOutbox>,
    store: Arc<MemoryStore>,
    blobs: Arc<MemoryBlobs>,
    randomness: Arc<CountingRandomness>,
}

pub struct FakeDevice {
    pub key: SigningKey,
    pub id: DeviceId,
    pub name: String,
    pub target: &'static str,
    pub imports: Vec<String>,
    pub sensors: Vec<String>,
    pub cpu_features: Vec<String>,
}

impl FakeDevice {
    pub fn new(number: u8, target: &'static str) -> Self {
        let key = SigningKey::from_bytes(&[number; 32]);
        let id = DeviceId::of_key(&key.public_key().0);
        let cpu_features = target_spec::Registry::built_in().find(target);
        Self {
            key,
            id,
            name: format!("device-{number}"),
            target,
            imports: ALL_IMPORTS.map(str::to_owned).to_vec(),
            sensors: vec!["temperature".into()],
            cpu_features: cpu_features.map(|t| t.cpu_features.clone()).unwrap_or_default(),
        }
    }

    pub fn enrol_request(&self, claim_token: &str) -> EnrolRequest {
        self.request(Some(claim_token))
    }

    /// Without a claim token.
    pub fn ask_request(&self) -> EnrolRequest {
        self.request(None)
    }

    fn request(&self, claim_token: Option<&str>) -> EnrolRequest {
        let token: Option<device_protocol::ClaimToken> =
            claim_token.map(|token| token.parse().unwrap());
        let statement = EnrolStatement {
            version: MESSAGE_VERSION,
            public_key: self.key.public_key(),
            claim_hash: token.map(|token| token.secret_hash()),
            name: self.name.clone(),
            target: self.target.into(),
            bounds_checks: "software".into(),
            aot_version: aot_compiler::AOT_VERSION,
            cpu_features: self.cpu_features.clone(),
            imports: self.imports.clone(),
            agent: "farrier-agent 0".into(),
            runtime: "farrier-runtime 0".into(),
            emulated: false,
            sensors: self.sensors.clone(),
        };
        let sealed = seal(Domain::Enrol, minicbor::to_vec(statement).unwrap(), &self.key);
        let claim_token = claim_token.map(str::to_owned);
        EnrolRequest { claim_token, statement: encode_sealed(&sealed) }
    }

    pub fn login_token(&self, time_ms: u64, nonce: u8) -> Vec<u8> {
        let login = Login {
            version: MESSAGE_VERSION,
            device: self.id.clone(),
            time_ms,
            nonce: [nonce; 16],
        };
        let sealed = seal(Domain::Login, minicbor::to_vec(login).unwrap(), &self.key);
        encode_sealed(&sealed).into_bytes()
    }

    /// A report of what runs, as an agent would send it.
    pub fn report(&self, counter: u64, seq: u64, apps: Vec<AppReport>) -> Report {
        Report {
            version: MESSAGE_VERSION,
            device: self.id.clone(),
            boot_id: [1; 16],
            counter,
            epoch: 1,
            seq,
            manifest: None,
            uptime_ms: counter * 1_000,
            usage: DeviceUsage::default(),
            apps,
            refused: None,
            emulated: false,
            nonce: None,
            root_version: None,
            clock: None,
            system: None,
            builds: None,
            brief: None,
            capabilities: None,
            scheduling: None,
        }
    }

    pub fn sealed_report(&self, report: &Report) -> Vec<u8> {
        seal(Domain::Report, minicbor::to_vec(report).unwrap(), &self.key)
    }
}

pub fn app_report(app: &str, release: module_package::ReleaseId, state: AppState) -> AppReport {
    AppReport {
        app: app.into(),
        release,
        module: None,
        artifact: None,
        app_version: 1,
        state,
        refusal: None,
        detail: String::new(),
        fetched_bytes: 0,
        fetch_total_bytes: 0,
        cpu_us: 0,
        memory_bytes: 65_536,
        memory_peak_bytes: 65_536,
        calls: 1,
        traps: 0,
        restarts: 0,
        published: 0,
        publishes_dropped: 0,
        log_lines: 0,
        log_lines_dropped: 0,
        checks_passed: 1,
        checks_failed: 0,
        worker_rss_bytes: 0,
        gas_used: None,
        guest: None,
        trial_left_ms: None,
        health: None,
        limits: None,
        throttled: None,
        ticks: None,
        program: None,
        scheduling: None,
        confinement: None,
        trap_kinds: None,
        overhead_bytes: None,
        company: None,
        worker_cpu_us: None,
        outlets: None,
        last_trap: None,
        fallback: false,
    }
}

/// As the workers do it.
fn unless_full(finished: Result<(), crate::store::StoreError>, defer: impl FnOnce()) {
    match finished {
        Err(error) if error.is_full() => defer(),
        finished => finished.unwrap(),
    }
}

impl Fleet {
    pub fn new() -> Self {
        let clock = Arc::new(FakeClock::at(1_000_000));
        let (store, blobs) = (Arc::default(), Arc::default());
        let randomness = Arc::new(CountingRandomness::default());
        Self::start(clock, store, blobs, randomness, None, TrustRules::default())
    }

    /// With these keys and rules in place of a demonstration's.
    pub fn with_trust(signing: Signing, trust: TrustRules) -> Self {
        let clock = Arc::new(FakeClock::at(1_000_000));
        let (store, blobs) = (Arc::default(), Arc::default());
        Self::start(clock, store, blobs, Arc::default(), Some(signing), trust)
    }

    fn start(
        clock: Arc<FakeClock>,
        store: Arc<MemoryStore>,
        blobs: Arc<MemoryBlobs>,
        randomness: Arc<CountingRandomness>,
        keys: Option<Signing>,
        trust: TrustRules,
    ) -> Self {
        let workshop = Arc::new(FakeWorkshop::default());
        let outbox = Arc::new(FakeOutbox::default());
        let surroundings = Surroundings { clock: clock.clone(), randomness: randomness.clone() };
        let app = App::open(Rooms {
            store: store.clone(),
            blobs: blobs.clone(),
            history: crate::history::History::in_memory(),
            signing: keys.unwrap_or_else(|| Signing::ephemeral(&surroundings)),
            trust,
            authority: Arc::new(
                Authority::ephemeral(&surroundings, std::time::Duration::from_secs(3_600)).unwrap(),
            ),
            workshop: workshop.clone(),
            outbox: outbox.clone(),
            surroundings,
            upload_bytes_max: 1 << 20,
            compiling: COMPILING,
            pulse: PulseRules { heartbeat_ms: 60_000, manifest_valid_ms: 30 * 86_400_000 },
            sites: SiteLimits::new(),
            compress_blocks: false,
        })
        .unwrap();
        app.set_addresses(Addresses {
            http_url: "http://h".into(),
            mqtt_url: "mqtt://m".into(),
            broker_trust: BrokerTrust { certificates: vec![vec![1]], name: None },
        });
        Self { app, clock, workshop, outbox, store, blobs, randomness }
    }

    /// The same gateway after its process ended: only store and blobs are left.
    pub fn restart(self) -> Self {
        let signing = self.app.rooms.signing.clone_for_restart();
        let trust = self.app.rooms.trust.clone();
        Self::start(self.clock, self.store, self.blobs, self.randomness, Some(signing), trust)
    }

    pub fn pass_ms(&self, ms: u64) {
        self.clock.pass(ms);
    }

    pub fn fill_disk(&self, is_full: bool) {
        self.store.is_full.store(is_full, Ordering::SeqCst);
    }

    pub fn fill_disk_after(&self, commits: u64) {
        self.store.full_after.store(commits, Ordering::SeqCst);
    }

    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub fn claim_token(&self) -> String {
        self.app.new_claim_token(&NewClaimToken { valid_s: None }).unwrap().token
    }

    pub fn enrol(&self, device: &FakeDevice) {
        self.app.enrol(&device.enrol_request(&self.claim_token())).unwrap();
    }

    pub fn upload(&self, name: &str, wasm: &[u8]) -> gateway_api::Module {
        self.app.upload_module(name, wasm).unwrap().1
    }

    pub fn deploy(&self, module: &str) -> Deployment {
        self.app.deploy(&deployment_of(module)).unwrap()
    }

    /// Does every queued job, with these results; gives the targets compiled for.
    pub fn work(
        &self,
        compile: impl Fn(&str) -> Result<Vec<u8>, String>,
        check: impl Fn(&str) -> Result<u32, String>,
    ) -> Vec<String> {
        let mut targets = Vec::new();
        loop {
            let compile_count = self.workshop.compile_count.swap(0, Ordering::SeqCst);
            let checks = std::mem::take(&mut *self.workshop.checks.lock().unwrap());
            if compile_count == 0 && checks.is_empty() {
                return targets;
            }
            for _ in 0..compile_count {
                let Some((job, input)) = self.take() else { continue };
                targets.push(input.target.clone());
                self.finish(job, compile(&input.target), 5);
            }
            for job in checks {
                let Some(input) = self.app.begin_check(job).unwrap() else { continue };
                let finished = self.app.finish_check(job, check(&input.target));
                unless_full(finished, || self.app.defer_check(job));
            }
        }
    }

    /// What a free worker gets.
    pub fn take(&self) -> Option<(KeyHash, CompileInput)> {
        self.app.take_compile().map(|(job, input)| (job, input.unwrap()))
    }

    pub fn finish(&self, job: KeyHash, result: Result<Vec<u8>, String>, compile_ms: u64) {
        let to_compiled =
            |aot| Compiled { aot, code_bytes: 3, function_count: 1, stack_bytes: Some(64) };
        let result = result.map(to_compiled);
        let outcome = CompileOutcome { result, log: "all well".into(), compile_ms, threads: 2 };
        unless_full(self.app.finish_compile(job, outcome), || self.app.defer_compile(job));
    }

    /// Every job succeeds.
    pub fn work_well(&self) -> Vec<String> {
        self.work(|target| Ok(format!("aot for {target}").into_bytes()), |_| Ok(1))
    }

    /// What a device that walked all root documents trusts.
    pub fn root(&self) -> TrustedRoot {
        let mut trusted: Option<TrustedRoot> = None;
        for (_, sealed) in self.app.root_documents() {
            trusted = Some(match trusted {
                None => TrustedRoot::pinned(&sealed, RootId::of(&sealed)).unwrap(),
                Some(root) => root.step(&sealed).unwrap(),
            });
        }
        trusted.expect("there is a root document")
    }

    /// What the device would accept as its manifest.
    pub fn manifest(&self, device: &FakeDevice) -> Option<Manifest> {
        let sealed = self.app.sealed_manifest(&device.id)?;
        Some(open_manifest(&sealed, &self.root(), &device.id, None).unwrap().0)
    }

    /// The release of the device's only application.
    pub fn release(&self, device: &FakeDevice) -> Release {
        let manifest = self.manifest(device).unwrap();
        let id = manifest.apps[0].release;
        let sealed = self.blobs.get(id.into()).unwrap();
        open_release(&sealed, id, &self.root()).unwrap()
    }

    pub fn report(&self, device: &FakeDevice, report: &Report) {
        let topic = Topic::Report(device.id.clone()).to_string();
        self.app.take_up(&topic, &device.sealed_report(report)).unwrap();
    }

    /// One line of a module's log.
    pub fn log(&self, device: &FakeDevice, text: &str) {
        let line = device_protocol::LogLine {
            app: "a".into(),
            level: "info".into(),
            text: text.into(),
            time_ms: 0,
        };
        let message =
            device_protocol::LogMessage { version: MESSAGE_VERSION, lines: vec![line], dropped: 0 };
        let topic = Topic::Log(device.id.clone()).to_string();
        self.app.take_up(&topic, &minicbor::to_vec(message).unwrap()).unwrap();
    }

    /// The progress of a deployment on a device.
    pub fn progress(&self, deployment: &str, device: &FakeDevice) -> gateway_api::DeviceProgress {
        let deployment = self.app.deployment(deployment).unwrap();
        let of_device = deployment.progress.into_iter().find(|p| p.device == device.id.to_string());
        of_device.expect("the deployment concerns the device")
    }

    pub fn progress_state(&self, deployment: &str, device: &FakeDevice) -> ProgressState {
        self.progress(deployment, device).state
    }
}

pub fn deployment_of(module: &str) -> NewDeployment {
    NewDeployment {
        module: module.into(),
        devices: DeviceSelector::All,
        interval_ms: None,
        call_ms_max: None,
        memory_bytes_max: None,
        sensors: vec![],
        channels: vec![],
        metering: false,
        canonical_nans: false,
        health_window_ms: None,
        provisions: Provisions::default(),
        limits: ModuleLimits::default(),
        placement: None,
        scheduling: Default::default(),
    }
}

/// The code and the text of a refusal.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(result: Result<T, AppError>) -> (ProblemCode, String) {
    match result.unwrap_err() {
        AppError::Refused { code, detail } => (code, detail),
        other => panic!("a fault, not a refusal: {other}"),
    }
}
