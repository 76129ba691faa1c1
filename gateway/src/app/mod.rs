//! The rules: what may be uploaded, deployed and enrolled, what follows from it,
//! and what the outside is told.
//!
//! [`App`] is called by `http`, `mqtt`, `compile` and `check`, from any thread.
//! It keeps the ground state in memory and commits each change to the store
//! before it shows. One rule drives the rest: after every change [`App`]
//! reconciles, that is, compares what the devices should run (`desired`) with what
//! is built and what their manifests say, and asks for what is missing: a compile
//! job, a check, a signature, a new manifest. So nothing depends on the order in
//! which things happened, and a restart at any point goes on where it was.
//!
//! It names no HTTP, MQTT or database type. It blocks while it writes to disk, so
//! asynchronous callers put it on a blocking thread.

mod access;
mod account;
mod ahead;
mod alarms;
mod allowance;
mod applications;
mod audit;
mod blocks;
mod builds;
mod compiling;
mod deployments;
mod desired;
mod developers;
mod device_query;
mod devices;
mod eligibility;
mod error;
mod estimate;
mod events;
mod figures;
mod heartbeats;
mod history;
mod linking;
mod logins;
mod membership;
mod messages;
mod model;
mod modules;
mod paging;
mod pending;
mod placement;
mod planning;
mod progress;
mod provenance;
mod reconcile;
mod releases;
mod reports;
mod revoking;
mod standing;
mod status;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;
mod trap_places;
mod trust;
mod views;
mod wasi;

pub use access::{Caller, LoggedIn, SESSION_MS_MAX, Visitor};
pub use applications::Applied;
pub use blocks::{BlockRequest, DeliveryFigures, SiteLimits};
pub use builds::{CheckInput, CompileInput};
pub use compiling::{CompileOutcome, Compiled};
pub use device_query::DeviceSearch;
pub use devices::Enrolled;
pub use error::AppError;
pub use events::{EventBus, NumberedEvent};
pub use heartbeats::PulseRules;
pub use linking::{LinkInput, check_parts};
pub use logins::LoginRefusal;
pub use membership::BrokerTrust;
pub use modules::Upload;
pub use paging::PageRequest;
pub use releases::SigningPass;
pub use reports::{LogQuery, PublishedQuery, Since, UpRefusal};
pub use standing::NotReady;
pub use trust::TrustRules;

use crate::authority::Authority;
use crate::history::History;
use crate::metrics::Metrics;
use crate::origin::Origins;
use crate::signing::Signing;
use crate::store::record::KeyHash;
use crate::store::{Blobs, Change, Store, StoreError};
use crate::surroundings::Surroundings;
use crate::telemetry::Telemetry;
use builds::Jobs;
use model::Model;
use module_package::{DeviceId, PublicKey};
use releases::SignerState;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use tokio::sync::Notify;

/// Whoever compiles and checks. Both calls only tell of a job; the answer comes by
/// [`App::finish_compile`] and [`App::finish_check`].
pub trait Workshop: Send + Sync {
    /// One more job waits: see [`App::take_compile`].
    fn compile(&self);
    fn check(&self, job: KeyHash);
}

/// Whoever carries messages to devices.
pub trait Outbox: Send + Sync {
    /// The device's manifest has changed: fetch it by [`App::sealed_manifest`] and
    /// publish it. May be called often; only the newest counts.
    fn manifest_changed(&self, device: &DeviceId);
    /// There is a new root document: see [`App::root_documents`].
    fn root_published(&self);
    /// It is time for a heartbeat: fetch it by [`App::sealed_heartbeat`].
    fn heartbeat_due(&self, device: &DeviceId);
    /// Blocks are asked for: see [`App::blocks_due`].
    fn blocks_wanted(&self);
    /// The device has no rights any more: end its session and take its retained
    /// manifest away.
    fn device_gone(&self, device: &DeviceId);
    /// Publishes a sealed message to the device's modules, after those before it. False
    /// where too many wait already.
    fn send_message(&self, device: &DeviceId, sealed: Vec<u8>) -> bool;
}

/// Where the gateway is reached, known once its ports are bound.
#[derive(Debug, Clone)]
pub struct Addresses {
    pub http_url: String,
    pub mqtt_url: String,
    pub broker_trust: BrokerTrust,
}

pub struct Rooms {
    pub store: Arc<dyn Store>,
    pub blobs: Arc<dyn Blobs>,
    pub history: History,
    pub signing: Signing,
    pub trust: TrustRules,
    pub authority: Arc<Authority>,
    pub workshop: Arc<dyn Workshop>,
    pub outbox: Arc<dyn Outbox>,
    pub surroundings: Surroundings,
    pub upload_bytes_max: u64,
    pub compiling: CompileRoom,
    pub pulse: PulseRules,
    /// Bytes a second of the sites that have a limit.
    pub sites: SiteLimits,
    /// Whether blocks are compressed where that pays.
    pub compress_blocks: bool,
}

/// What compile jobs have to share.
#[derive(Debug, Clone, Copy)]
pub struct CompileRoom {
    /// Jobs that may wait.
    pub queue_max: usize,
    /// Jobs that are in work at the same time.
    pub workers: usize,
    pub cpus: usize,
}

pub struct App {
    rooms: Rooms,
    addresses: OnceLock<Addresses>,
    /// Locked before `telemetry` where both are needed.
    state: Mutex<State>,
    telemetry: Mutex<Telemetry>,
    /// A copy for the broker's threads, which must not wait for the disk.
    device_keys: RwLock<HashMap<DeviceId, PublicKey>>,
    /// What the configured runtimes offer, once one has said so.
    offered_imports: RwLock<Option<BTreeSet<String>>>,
    logins: Mutex<logins::Logins>,
    renewals: governor::DefaultDirectRateLimiter,
    pending: Mutex<pending::Pending>,
    login_links: Mutex<access::LoginLinks>,
    login_limits: access::LoginLimits,
    /// Locked after `state` where both are needed.
    last_uses: Mutex<access::LastUses>,
    block_desk: Mutex<blocks::BlockDesk>,
    heartbeats: Mutex<heartbeats::Heartbeats>,
    sent_messages: Mutex<messages::SentMessages>,
    /// The first minute that is not in the history yet. Charts read it while a minute is
    /// being written, so it has no lock.
    history_until: AtomicU32,
    /// Held by who writes minutes, over whole writes: locked before all else.
    history_turn: Mutex<()>,
    events: EventBus,
    /// What watchers were last told of each deployment.
    shown_deployments: Mutex<HashMap<u64, gateway_api::Deployment>>,
    deployments_changed: AtomicBool,
    signing_wanted: Notify,
    metrics: Arc<Metrics>,
    /// The last write failed for want of space.
    storage_full: AtomicBool,
}

/// The ground state, and the work in progress.
#[derive(Default)]
struct State {
    model: Model,
    jobs: Jobs,
    /// There were manifests, or results of jobs, that the disk had no room for.
    waits_for_space: bool,
    /// When they were last tried again, by [`App::steady_ms`].
    space_taken_ms: Option<u64>,
    /// Deployments that a device's manifest has no room for.
    no_room: BTreeSet<(DeviceId, u64)>,
    /// When a device was last reminded of the manifest that it ignores. This and the
    /// next are by [`App::steady_ms`].
    manifest_told_ms: HashMap<DeviceId, u64>,
    /// Devices that report and have an older manifest, without a reason.
    behind: HashMap<DeviceId, Behind>,
    /// The kinds of alarms that watchers were told of.
    shown_alarms: HashMap<DeviceId, Vec<String>>,
    /// When a device last got a manifest above one that only it knew, by
    /// [`App::steady_ms`].
    overtaken_ms: HashMap<DeviceId, u64>,
    /// When it was last written what a device's owner allows, by [`App::steady_ms`].
    allowance_ms: HashMap<DeviceId, u64>,
    /// The requests that deployments were made by.
    origins: Origins,
}

#[derive(Debug, Clone, Copy)]
struct Behind {
    since_ms: u64,
    /// For how long, at the last tick.
    for_ms: u64,
}

impl App {
    /// Loads everything and takes up the work where it was left.
    pub fn open(rooms: Rooms) -> Result<Arc<Self>, AppError> {
        let model = Model::of(rooms.store.load()?);
        let keys = model.served_devices().map(|d| (d.device.clone(), d.public_key)).collect();
        let steady_ms = rooms.surroundings.clock.steady_ms();
        let now_ms = rooms.surroundings.clock.now_ms();
        let events = EventBus::starting_at(now_ms);
        let block_desk = blocks::BlockDesk::new(&rooms.sites, steady_ms);
        let app = Arc::new(Self {
            rooms,
            addresses: OnceLock::new(),
            state: Mutex::new(State { model, ..State::default() }),
            telemetry: Mutex::default(),
            device_keys: RwLock::new(keys),
            offered_imports: RwLock::default(),
            logins: Mutex::new(logins::Logins::starting_at(steady_ms)),
            renewals: membership::renewal_limiter(),
            pending: Mutex::default(),
            login_links: Mutex::default(),
            login_limits: access::LoginLimits::default(),
            last_uses: Mutex::default(),
            heartbeats: Mutex::default(),
            sent_messages: Mutex::default(),
            history_until: AtomicU32::new(history::minute_of(now_ms)),
            history_turn: Mutex::default(),
            block_desk: Mutex::new(block_desk),
            events,
            shown_deployments: Mutex::default(),
            deployments_changed: AtomicBool::new(true),
            signing_wanted: Notify::new(),
            metrics: Arc::default(),
            storage_full: AtomicBool::new(false),
        });
        let mut state = app.state();
        app.forget_lost_blobs(&mut state)?;
        app.sweep_claims(&mut state)?;
        app.begin_with_demo_root(&mut state)?;
        app.check_own_keys(&state)?;
        if app.remote_signer().is_some() {
            state.jobs.signer = Some(SignerState::default());
        }
        app.conform_to_root(&mut state)?;
        app.reconcile_all(&mut state)?;
        drop(state);
        app.sign_waiting_here()?;
        Ok(app)
    }

    /// Called once, when the ports are bound.
    pub fn set_addresses(&self, addresses: Addresses) {
        // A second call would be a bug of the start, and changes nothing.
        let _ = self.addresses.set(addresses);
    }

    pub fn events(&self) -> &EventBus {
        &self.events
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub fn now_ms(&self) -> u64 {
        self.rooms.surroundings.clock.now_ms()
    }

    /// For intervals, which the calendar's jumps do not change.
    fn steady_ms(&self) -> u64 {
        self.rooms.surroundings.clock.steady_ms()
    }

    /// Things that happen because time passes. Called about twice a second.
    pub fn tick(&self) {
        self.notice_offline_devices();
        self.republish_ignored_manifests();
        self.send_heartbeats();
        if let Err(error) = self.renew_manifests() {
            tracing::error!(%error, "renew manifests");
        }
        self.show_alarms();
        self.try_for_space();
        self.take_up_deferred();
        if self.deployments_changed.swap(false, Ordering::AcqRel) {
            self.show_changed_deployments();
        }
    }

    /// What the views of this moment need beside the state.
    fn viewpoint(&self) -> views::Viewpoint {
        views::Viewpoint { now_ms: self.now_ms(), workers: self.rooms.compiling.workers }
    }

    /// Whether browsers reach the gateway by https, as its address says.
    pub fn is_behind_tls(&self) -> bool {
        self.addresses.get().is_some_and(|addresses| addresses.http_url.starts_with("https://"))
    }

    fn addresses(&self) -> Result<&Addresses, AppError> {
        self.addresses.get().ok_or_else(|| {
            AppError::refused(
                gateway_api::ProblemCode::Unavailable,
                "The gateway is starting; try again.",
            )
        })
    }

    /// Writes the changes, then shows them.
    fn commit(&self, state: &mut State, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let note = self.note_of(&changes);
        self.note_space(self.rooms.store.commit_noted(&changes, note))?;
        for change in changes {
            self.note_device_change(&change);
            state.model.apply(change);
        }
        Ok(())
    }

    // A panic while a lock was held has been answered as a 500. The ground state
    // is changed only after its commit and by single insertions, so it is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn telemetry(&self) -> MutexGuard<'_, Telemetry> {
        self.telemetry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn device_key(&self, device: &DeviceId) -> Option<PublicKey> {
        self.device_keys.read().unwrap_or_else(PoisonError::into_inner).get(device).copied()
    }
}
