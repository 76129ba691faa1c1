//! Guest API version 1: what a module may import, all of it in module `farrier`.
//!
//! `worker_protocol::GuestCall` has the names and types, `docs/guest-api.md` documents
//! them for developers of modules; the three change together. One file here is one
//! subject.
//!
//! A pointer that leaves the linear memory traps the module, as its own access
//! would. Everything else that goes wrong is a negative number for it to handle.

mod actuators;
mod channels;
mod clocks;
mod config;
mod error;
mod host_call;
mod limits;
mod logging;
mod metrics;
mod random;
mod sensors;
mod storage;
mod tally;
mod wasi;

pub use clocks::unknown_time;
pub use tally::HostCallTally;

use crate::rate::RateLimit;
use crate::shared::Shared;
use host_call::{Answer, HostCall};
use module_limits::{Limit, LimitActions};
use sensors::OpenSensor;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use storage::Storage;
use wamr::{FuncType, HostFunction, Runtime, ValueType};
use wasi::Wasi;
use wasi_preview1::Program;
use worker_protocol::{
    ACTUATIONS_PER_S_MAX, ConfigEntry, GUEST_API_MODULE, Grants, GuestCall, GuestType, Limits,
    SENSOR_READS_PER_S_MAX, STORES_PER_S_MAX, WasiCall, WasiGrants,
};

/// What host functions know of the instance that calls them. Made afresh with it,
/// except for what `Meters` holds.
pub struct GuestState {
    sensors: Vec<OpenSensor>,
    channels: Vec<String>,
    config: Vec<ConfigEntry>,
    actuators: Vec<String>,
    /// Made at the first call of WASI.
    program: Option<Box<Program>>,
    meters: Meters,
}

/// Rates, stored values and the way out. They outlive an instance: a trap must not refill them.
#[derive(Clone)]
pub struct Meters {
    shared: Arc<Shared>,
    rates: Arc<Mutex<Rates>>,
    storage: Arc<Mutex<Storage>>,
    actions: LimitActions,
    started: Instant,
    wasi: Rc<Wasi>,
}

struct Rates {
    log: RateLimit,
    publish: RateLimit,
    store: RateLimit,
    sensor: RateLimit,
    actuate: RateLimit,
    /// Lines that were too many, and of which no line has told.
    log_lines_untold: u64,
    /// The limit for which the present call was ended.
    ended_by: Option<Limit>,
}

impl Meters {
    pub fn new(shared: Arc<Shared>, app: &str, limits: &Limits, grants: &Grants) -> Self {
        let log = RateLimit::new(limits.log_lines_per_s_max);
        let publish = RateLimit::new(limits.publishes_per_s_max);
        let store = RateLimit::new(STORES_PER_S_MAX);
        let sensor = RateLimit::new(SENSOR_READS_PER_S_MAX);
        let actuate = RateLimit::new(ACTUATIONS_PER_S_MAX);
        let (log_lines_untold, ended_by) = (0, None);
        let rates = Rates { log, publish, store, sensor, actuate, log_lines_untold, ended_by };
        let rates = Arc::new(Mutex::new(rates));
        let storage = Arc::new(Mutex::new(Storage::new(grants.storage_bytes)));
        let actions = limits.actions();
        let given = shared.take_directories();
        let wasi = Rc::new(Wasi::new(app, grants.wasi.as_ref(), given));
        Self { shared, rates, storage, actions, started: Instant::now(), wasi }
    }

    /// Each directory of the grants has to have come.
    pub fn check_directories(&self) -> Result<(), String> {
        self.wasi.check_directories()
    }

    pub fn wasi_grants(&self) -> &WasiGrants {
        self.wasi.grants()
    }

    /// What the last call gave to `proc_exit`, if that ended it.
    pub fn take_exit_code(&self) -> Option<u32> {
        self.wasi.take_exit_code()
    }

    /// Ticks that follow each other at once would meet every rate at a random place.
    pub fn begin_replay(&self) {
        let unlimited = || RateLimit::new(u32::MAX);
        let mut rates = self.rates();
        (rates.log, rates.publish, rates.store) = (unlimited(), unlimited(), unlimited());
        (rates.sensor, rates.actuate) = (unlimited(), unlimited());
        drop(rates);
        if !self.acts() {
            self.storage().begin(vec![]);
        }
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GuestState {
    pub fn new(grants: &Grants, meters: Meters) -> Self {
        let sensors = grants.sensors.iter().map(OpenSensor::new).collect();
        let (channels, config) = (grants.channels.clone(), grants.config.clone());
        let actuators = grants.actuators.clone();
        Self { sensors, channels, config, actuators, program: None, meters }
    }
}

type Body = fn(&mut HostCall<'_, '_>, &[wamr::Value]) -> Answer;

fn body_of(call: GuestCall) -> Body {
    match call {
        GuestCall::Log => logging::log,
        GuestCall::ClockMonotonicNs => clocks::monotonic_ns,
        GuestCall::ClockWallMs => clocks::wall_ms,
        GuestCall::SensorOpen => sensors::open,
        GuestCall::SensorRead => sensors::read,
        GuestCall::Publish => channels::publish,
        GuestCall::Random => random::random,
        GuestCall::MetricSet => metrics::set,
        GuestCall::ConfigGet => config::get,
        GuestCall::KvGet => storage::get,
        GuestCall::KvSet => storage::set,
        GuestCall::KvDelete => storage::delete,
        GuestCall::Receive => channels::receive,
        GuestCall::ActuatorSet => actuators::set,
    }
}

/// `farrier.log` and so on, for the hello.
pub fn import_names() -> Vec<String> {
    let guest_api = GuestCall::ALL.iter().map(|call| call.import_name());
    guest_api.chain(WasiCall::ALL.iter().map(|call| call.import_name())).collect()
}

/// For all guests: each call finds its own in the state of the instance.
pub fn register(runtime: &Runtime) -> Result<(), wamr::RegisterError> {
    for call in GuestCall::ALL.iter().copied() {
        let body = body_of(call);
        let params = call.params().iter().map(to_wamr).collect::<Vec<_>>();
        let func_type =
            FuncType::new(params, call.result().iter().map(to_wamr).collect::<Vec<_>>());
        runtime.register(HostFunction::new(
            GUEST_API_MODULE,
            call.name(),
            func_type,
            move |caller, args| {
                let began = Instant::now();
                let mut host_call = HostCall::new(caller);
                let answer = body(&mut host_call, args);
                // One that traps counts like any other.
                let bytes = host_call.bytes();
                let shared = &host_call.state()?.meters.shared;
                shared.host_calls.note(call, bytes, began.elapsed());
                answer
            },
        ))?;
    }
    wasi::register(runtime)
}

fn to_wamr(guest_type: &GuestType) -> ValueType {
    match guest_type {
        GuestType::I32 => ValueType::I32,
        GuestType::I64 => ValueType::I64,
    }
}
