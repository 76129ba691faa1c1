//! What the gateway counts about itself and its fleet, for `GET /metrics`.
//!
//! Counters are raised where something happens; gauges are set from a [`Standing`] when
//! somebody reads. docs/metrics.md has every name, and a test compares. No label comes
//! from a device, a user or a path as it was sent: states, targets that we have a
//! compiler for, and route templates are all there is, so that the number of series does
//! not grow with the fleet.

use crate::telemetry::Increase;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::borrow::Cow;
use std::sync::atomic::Ordering;
use target_spec::Registry as Targets;

pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Gauges<const N: usize> = Family<Labels<N>, Gauge>;
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// Seconds. From a cached list to an upload of a large module.
const REQUEST_BUCKETS: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];
/// Seconds. A small module takes some hundredths, and 120 s are the usual limit.
const COMPILE_BUCKETS: [f64; 9] = [0.02, 0.05, 0.1, 0.25, 1.0, 4.0, 15.0, 60.0, 120.0];

/// What is counted as it happens.
pub struct Metrics {
    registry: Registry,
    http_requests: Counters<3>,
    http_seconds: Histograms<1>,
    messages: Counters<2>,
    message_bytes: Counters<1>,
    logins: Counters<1>,
    gas: Counter,
    calls: Counter,
    traps: Counter,
    restarts: Counter,
    module_messages: Counters<1>,
    log_lines: Counters<1>,
    compile_jobs: Counters<2>,
    compile_seconds: Histograms<1>,
    cache_lookups: Counters<1>,
    resyncs: Counter,
    webhooks: Counters<1>,
    event_streams: Gauge,
    broker_connected: Gauge,
    broker_connects: Counter,
    workers: Gauge,
    standing: StandingGauges,
}

/// Set when somebody reads.
struct StandingGauges {
    devices: Gauges<1>,
    placed: Gauges<1>,
    alarms: Gauges<1>,
    deployments: Gauges<1>,
    queue: Gauges<1>,
    blocks: Counters<1>,
    block_bytes: Counter,
    store_bytes: Gauges<1>,
    store_free: Gauge,
    store_full: Gauge,
}

/// How things are at this moment; each count has the value of its one label.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Standing {
    pub devices: Vec<(&'static str, u64)>,
    pub placed_modules: Vec<(&'static str, u64)>,
    pub alarms: Vec<(&'static str, u64)>,
    pub deployments: Vec<(&'static str, u64)>,
    pub compile_queue: Vec<(&'static str, u64)>,
    pub blocks: Vec<(&'static str, u64)>,
    pub block_bytes: u64,
    pub store_bytes: Vec<(&'static str, u64)>,
    pub store_free_bytes: Option<u64>,
    pub storage_full: bool,
}

/// What became of a compile job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    Compiled,
    /// The module or the target: no artifact can be made of it.
    Refused,
    /// A fault of the gateway.
    Fault,
}

impl JobEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Compiled => "compiled",
            Self::Refused => "refused",
            Self::Fault => "fault",
        }
    }
}

/// What became of an attempt to tell a receiver something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEnd {
    Delivered,
    /// It will be sent again.
    Repeated,
    /// It was given up.
    Dead,
    /// It made room for a newer one.
    Dropped,
}

impl WebhookEnd {
    const ALL: [Self; 4] = [Self::Delivered, Self::Repeated, Self::Dead, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Repeated => "repeated",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
        }
    }
}

/// Counts one while it lives.
pub struct Present(Gauge);

impl Present {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    // The library puts a full stop behind it.
    registry.register(name, help, metric.clone());
    metric
}

fn histograms<const N: usize>(make: fn() -> Histogram) -> Histograms<N> {
    Family::new_with_constructor(make)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("farrier");
        let r = &mut registry;
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("gateway", "The gateway that answers", version);
        let metrics = Self {
            http_requests: add(r, "http_requests", "HTTP requests", Family::default()),
            http_seconds: add(
                r,
                "http_request_duration_seconds",
                "Time to the first byte of an answer",
                histograms(|| Histogram::new(REQUEST_BUCKETS)),
            ),
            messages: add(r, "device_messages", "MQTT messages of devices", Family::default()),
            message_bytes: add(
                r,
                "device_message_bytes",
                "Payload of the devices' MQTT messages",
                Family::default(),
            ),
            logins: add(r, "mqtt_logins", "Logins to the embedded broker", Family::default()),
            gas: add(r, "module_gas", "Gas that metered modules used", Counter::default()),
            calls: add(r, "module_calls", "Calls of modules", Counter::default()),
            traps: add(r, "module_traps", "Traps of modules", Counter::default()),
            restarts: add(r, "module_restarts", "Restarts of modules", Counter::default()),
            module_messages: add(
                r,
                "module_messages",
                "Messages that modules published",
                Family::default(),
            ),
            log_lines: add(r, "module_log_lines", "Log lines of modules", Family::default()),
            compile_jobs: add(r, "compile_jobs", "Compile jobs that ended", Family::default()),
            compile_seconds: add(
                r,
                "compile_duration_seconds",
                "Time of compile jobs, without the queue",
                histograms(|| Histogram::new(COMPILE_BUCKETS)),
            ),
            cache_lookups: add(
                r,
                "artifact_cache_lookups",
                "Builds that were asked for, by whether the artifact was there",
                Family::default(),
            ),
            webhooks: add(
                r,
                "webhook_deliveries",
                "Notices to the receivers of webhooks",
                Family::default(),
            ),
            resyncs: add(
                r,
                "event_stream_resyncs",
                "Times that a watcher had to read everything again",
                Counter::default(),
            ),
            event_streams: add(r, "event_streams", "Open event streams", Gauge::default()),
            broker_connected: add(
                r,
                "broker_connected",
                "1 while the gateway is connected to its broker",
                Gauge::default(),
            ),
            broker_connects: add(
                r,
                "broker_connections",
                "Connections of the gateway to its broker that were made",
                Counter::default(),
            ),
            workers: add(
                r,
                "compile_workers",
                "Tasks that take compile jobs and checks",
                Gauge::default(),
            ),
            standing: StandingGauges::new(r),
            registry,
        };
        metrics.begin_at_zero();
        metrics
    }
}

impl StandingGauges {
    fn new(r: &mut Registry) -> Self {
        Self {
            devices: add(r, "devices", "Devices", Family::default()),
            placed: add(r, "placed_modules", "Modules on online devices", Family::default()),
            alarms: add(r, "alarms", "Devices with an alarm", Family::default()),
            deployments: add(r, "deployments", "Deployments", Family::default()),
            queue: add(r, "compile_queue_jobs", "Compile jobs not ended", Family::default()),
            blocks: add(
                r,
                "delivered_blocks",
                "Blocks published since the start",
                Family::default(),
            ),
            block_bytes: add(
                r,
                "delivered_bytes",
                "Bytes of the blocks published since the start",
                Counter::default(),
            ),
            store_bytes: add(r, "store_bytes", "Bytes that are kept", Family::default()),
            store_free: add(
                r,
                "store_free_bytes",
                "Free space of the file system with the data",
                Gauge::default(),
            ),
            store_full: add(
                r,
                "store_full",
                "1 while changes are refused for want of space",
                Gauge::default(),
            ),
        }
    }

    fn set(&self, standing: &Standing) {
        let set = |gauges: &Gauges<1>, label: &'static str, counts: &[(&'static str, u64)]| {
            for (value, count) in counts {
                gauges.get_or_create(&[(label, (*value).into())]).set(to_gauge(*count));
            }
        };
        set(&self.devices, "state", &standing.devices);
        set(&self.placed, "state", &standing.placed_modules);
        set(&self.alarms, "kind", &standing.alarms);
        set(&self.deployments, "state", &standing.deployments);
        set(&self.queue, "state", &standing.compile_queue);
        for (to, count) in &standing.blocks {
            let of_kind = self.blocks.get_or_create(&[("to", (*to).into())]);
            of_kind.inner().store(*count, Ordering::Relaxed);
        }
        set(&self.store_bytes, "kind", &standing.store_bytes);
        self.block_bytes.inner().store(standing.block_bytes, Ordering::Relaxed);
        self.store_free.set(to_gauge(standing.store_free_bytes.unwrap_or_default()));
        self.store_full.set(i64::from(standing.storage_full));
    }
}

fn to_gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Metrics {
    /// A series that appears with its first event has no rate for that event.
    fn begin_at_zero(&self) {
        for result in ["kept", "dropped"] {
            drop(self.module_messages.get_or_create(&[("result", result.into())]));
            drop(self.log_lines.get_or_create(&[("result", result.into())]));
        }
        for result in WebhookEnd::ALL {
            drop(self.webhooks.get_or_create(&[("result", result.as_str().into())]));
        }
        for result in ["hit", "miss"] {
            drop(self.cache_lookups.get_or_create(&[("result", result.into())]));
        }
        for result in ["allowed", "refused"] {
            drop(self.logins.get_or_create(&[("result", result.into())]));
        }
        for kind in ["report", "log", "published", "want", "other"] {
            drop(self.message_bytes.get_or_create(&[("kind", kind.into())]));
            for result in ["taken", "refused"] {
                let labels = [("kind", kind.into()), ("result", result.into())];
                drop(self.messages.get_or_create(&labels));
            }
        }
        for target in Targets::built_in().all() {
            let target: Cow<'static, str> = target.id.to_string().into();
            drop(self.compile_seconds.get_or_create(&[("target", target.clone())]));
            for end in [JobEnd::Compiled, JobEnd::Refused, JobEnd::Fault] {
                let labels = [("target", target.clone()), ("result", end.as_str().into())];
                drop(self.compile_jobs.get_or_create(&labels));
            }
        }
    }

    /// `route` is a template of the router.
    pub fn note_request(&self, method: &str, route: &str, status: u16, elapsed_s: f64) {
        let method = match method {
            "GET" => "GET",
            "HEAD" => "HEAD",
            "POST" => "POST",
            "PUT" => "PUT",
            "DELETE" => "DELETE",
            _ => "other",
        };
        let route: Cow<'static, str> = route.to_owned().into();
        let labels = [
            ("method", method.into()),
            ("route", route.clone()),
            ("status", status.to_string().into()),
        ];
        self.http_requests.get_or_create(&labels).inc();
        self.http_seconds.get_or_create(&[("route", route)]).observe(elapsed_s);
    }

    pub fn note_message(&self, kind: &'static str, bytes: usize, is_taken: bool) {
        let result = if is_taken { "taken" } else { "refused" };
        let labels = [("kind", kind.into()), ("result", result.into())];
        self.messages.get_or_create(&labels).inc();
        self.message_bytes.get_or_create(&[("kind", kind.into())]).inc_by(bytes as u64);
    }

    pub fn note_login(&self, is_allowed: bool) {
        let result = if is_allowed { "allowed" } else { "refused" };
        self.logins.get_or_create(&[("result", result.into())]).inc();
    }

    pub fn note_increase(&self, increase: &Increase) {
        self.gas.inc_by(increase.gas);
        self.calls.inc_by(increase.calls);
        self.traps.inc_by(increase.traps);
        self.restarts.inc_by(increase.restarts);
        let of = |counters: &Counters<1>, kept: u64, dropped: u64| {
            counters.get_or_create(&[("result", "kept".into())]).inc_by(kept);
            counters.get_or_create(&[("result", "dropped".into())]).inc_by(dropped);
        };
        of(&self.module_messages, increase.published, increase.publishes_dropped);
        of(&self.log_lines, increase.log_lines, increase.log_lines_dropped);
    }

    pub fn note_compile(&self, target: &str, end: JobEnd, elapsed_ms: u64) {
        // Only targets with a compiler have jobs; should that change, the labels do not.
        let known = Targets::built_in().find(target).is_ok();
        let target: Cow<'static, str> = match known {
            true => target.to_owned().into(),
            false => "other".into(),
        };
        let labels = [("target", target.clone()), ("result", end.as_str().into())];
        self.compile_jobs.get_or_create(&labels).inc();
        if end != JobEnd::Fault {
            let of_target = self.compile_seconds.get_or_create(&[("target", target)]);
            of_target.observe(elapsed_ms as f64 / 1_000.0);
        }
    }

    pub fn note_cache_lookup(&self, is_hit: bool) {
        let result = if is_hit { "hit" } else { "miss" };
        self.cache_lookups.get_or_create(&[("result", result.into())]).inc();
    }

    pub fn note_webhook(&self, end: WebhookEnd) {
        self.webhooks.get_or_create(&[("result", end.as_str().into())]).inc();
    }

    pub fn note_resync(&self) {
        self.resyncs.inc();
    }

    /// Of an event stream, as long as it is held.
    pub fn open_stream(&self) -> Present {
        Present::new(&self.event_streams)
    }

    /// Of a task that takes jobs, as long as it is held.
    pub fn open_worker(&self) -> Present {
        Present::new(&self.workers)
    }

    pub fn note_broker(&self, is_connected: bool) {
        if is_connected {
            self.broker_connects.inc();
        }
        self.broker_connected.set(i64::from(is_connected));
    }

    pub fn is_broker_connected(&self) -> bool {
        self.broker_connected.get() == 1
    }

    pub fn workers(&self) -> u64 {
        u64::try_from(self.workers.get()).unwrap_or_default()
    }

    /// All of it, in OpenMetrics text.
    pub fn text(&self, standing: &Standing) -> Result<String, std::fmt::Error> {
        self.standing.set(standing);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
