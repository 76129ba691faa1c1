//! One device: the agent's start, with a disk in memory and workers that pretend.

use crate::attack::Attack;
use crate::disk::{MemoryDisk, Pool};
use crate::workers::{Bench, SimWorkers};
use device_protocol::Topic;
use farrier_agent::agent::{Agent, Event, Parts};
use farrier_agent::app_storage::AppStorage;
use farrier_agent::config::Config;
use farrier_agent::enrol::{Applicant, enrol};
use farrier_agent::mqtt::{LinkNews, keep_connected};
use farrier_agent::state::State;
use farrier_agent::store::Store;
use farrier_agent::workers::RuntimeInfo;
use module_package::BlobId;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

const EVENTS_MAX: usize = 64;
const STORE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What one device has seen, for whoever counts.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub connected_at: Option<Instant>,
    pub connections: u32,
    /// Bytes of all MQTT packets with a message for it.
    pub received_bytes: u64,
    pub blocks: u64,
    pub first_block_at: Option<Instant>,
    /// Blocks that came before.
    pub repeated_blocks: u64,
    pub manifests: u64,
    pub first_manifest_at: Option<Instant>,
    pub last_manifest_at: Option<Instant>,
    /// Of which it got blocks.
    pub blobs: BTreeSet<BlobId>,
    /// The last artifact that it verified, and when.
    pub verified: Option<(u64, Instant)>,
    pub verifications: u64,
}

pub type Shared = Arc<Mutex<Seen>>;

pub(crate) fn look(seen: &Shared) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(|e| e.into_inner())
}

pub struct DeviceParts {
    pub config: Config,
    pub runtime: RuntimeInfo,
    pub pool: Rc<Pool>,
    pub seen: Shared,
    /// Enrolments at a time: each needs a thread.
    pub enrolling: Rc<Semaphore>,
    /// Instead of an agent, something that misuses its connection.
    pub attack: Option<Attack>,
}

/// Runs until it is dropped.
pub async fn run(parts: DeviceParts) -> anyhow::Result<()> {
    let DeviceParts { config, runtime, pool, seen, enrolling, attack } = parts;
    let began = Instant::now();
    let disk = Rc::new(MemoryDisk::new(pool));
    let state = State::open(disk.clone(), &config.data_dir)?;
    let key = state.key()?;
    let enrolment = {
        let _turn = enrolling.acquire().await?;
        enrol(Applicant { config: &config, key: &key, runtime: &runtime }).await
    };
    // The membership would lie on the real disk; without TLS the enrolment is enough.
    let (enrolment, _membership) = enrolment;
    state.set_enrolment(&enrolment)?;
    let keeper = farrier_agent::start::membership_keeper(&config, &enrolment, &key, &state);
    let link = farrier_agent::start::link_config(&config, &enrolment, &key, &Arc::new(keeper))?;
    if let Some(attack) = attack {
        return attack.run(link, enrolment.device, seen).await;
    }
    let app_storage = AppStorage::open(disk.clone(), Path::new("/app-storage"))?;
    let store = Store::open(disk, Path::new("/store"), STORE_BYTES_MAX)?;
    let bench = Rc::new(RefCell::new(Bench::default()));
    let workers = Box::new(SimWorkers { bench: bench.clone(), runtime: runtime.clone() });
    let mut boot_id = [0; 16];
    getrandom::fill(&mut boot_id).map_err(|e| anyhow::anyhow!("make a boot id: {e}"))?;
    let (seed, wall_clock_ms) = (farrier_agent::delay::random_seed(), farrier_agent::wall_clock_ms);
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
    agent.handle(Event::Probed(Ok(runtime)), began.elapsed());
    let (events, mut events_rx) = mpsc::channel(EVENTS_MAX);
    let connection = tokio::spawn(keep_connected(link, events));
    let _connection = AbortOnDrop(connection);
    let mut counter = Counter { seen, blocks: HashMap::new() };
    loop {
        let wait = agent.deadline().saturating_sub(began.elapsed());
        let event = tokio::select! {
            event = events_rx.recv() => match event {
                Some(event) => event,
                None => return Ok(()),
            },
            () = tokio::time::sleep(wait) => Event::Clock,
        };
        counter.count(&event);
        agent.handle(event, began.elapsed());
        // A statement of its own, so that the borrow ends before the agent goes on.
        while let Some((worker, news)) = take_news(&bench) {
            agent.handle(Event::Worker(worker, news), began.elapsed());
        }
        counter.take_verified(&mut bench.borrow_mut());
    }
}

fn take_news(
    bench: &RefCell<Bench>,
) -> Option<(farrier_agent::install::WorkerId, farrier_agent::workers::WorkerNews)> {
    bench.borrow_mut().news.pop_front()
}

pub(crate) struct AbortOnDrop(pub tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Counter {
    seen: Shared,
    /// By blob, the blocks that came.
    blocks: HashMap<BlobId, std::collections::HashSet<u32>>,
}

impl Counter {
    fn count(&mut self, event: &Event) {
        let mut seen = look(&self.seen);
        let (topic, payload) = match event {
            Event::Link(LinkNews::Connected(_)) => {
                seen.connected_at = Some(Instant::now());
                seen.connections += 1;
                return;
            }
            Event::Link(LinkNews::Message { topic, payload }) => (topic, payload),
            _ => return,
        };
        seen.received_bytes += packet_bytes(topic, payload);
        match topic {
            Topic::Manifest(_) => {
                seen.manifests += 1;
                seen.first_manifest_at.get_or_insert_with(Instant::now);
                seen.last_manifest_at = Some(Instant::now());
            }
            Topic::Blob(blob) | Topic::SiteBlob(blob, _) | Topic::OwnBlob(_, blob) => {
                seen.blocks += 1;
                seen.first_block_at.get_or_insert_with(Instant::now);
                seen.blobs.insert(*blob);
                if let Some(index) = index_of(payload)
                    && !self.blocks.entry(*blob).or_default().insert(index)
                {
                    seen.repeated_blocks += 1;
                }
            }
            _ => {}
        }
    }

    fn take_verified(&self, bench: &mut Bench) {
        for verified in bench.verified.drain(..) {
            let mut seen = look(&self.seen);
            seen.verified = Some(verified);
            seen.verifications += 1;
        }
    }
}

/// Of a PUBLISH of MQTT 3.1.1: header, length, topic and payload; a packet id with
/// QoS 1, which manifests have.
pub fn packet_bytes(topic: &Topic, payload: &[u8]) -> u64 {
    let id_bytes = if matches!(topic, Topic::Manifest(_)) { 2 } else { 0 };
    let rest = 2 + topic.to_string().len() + id_bytes + payload.len();
    let length_bytes = match rest {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    };
    (1 + length_bytes + rest) as u64
}

/// Without taking the bytes out: the agent does that.
fn index_of(payload: &[u8]) -> Option<u32> {
    let mut decoder = minicbor::Decoder::new(payload);
    decoder.map().ok()?;
    while let Ok(key) = decoder.u32() {
        match key {
            1 => return decoder.u32().ok(),
            _ => decoder.skip().ok()?,
        }
    }
    None
}

/// How often a device may be asked about, while it runs elsewhere.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
