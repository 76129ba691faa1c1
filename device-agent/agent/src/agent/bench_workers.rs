//! Workers without processes: they note what the agent does with them, and the
//! text of an artifact says how one behaves.

use crate::install::WorkerId;
use crate::refusal::Refusal;
use crate::workers::{Appetite, Room, Wanted, WorkerNews, Workers};
use ::scheduling::{InForce, RealTime};
use device_protocol::RefusalCode;
use module_limits::Limit;
use module_traps::TrapKind;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use worker_protocol::{
    Activity, Ask, Asked, Command, Delivered, Event as Message, FailedStep, Grants, GuestCall,
    GuestUsage, Hello, HostCallUsage, InboxUsage, LoadFailure, LogLevel, LogLine, METRICS_MAX,
    Metric, Outcome, OutletUsage, PROTOCOL_VERSION, Published, StorageUsage, StoredValue, Usage,
};

/// As on a device whose kernel has all of it.
const CONFINEMENT: [&str; 7] = [
    "no-core-dumps",
    "open-files-limit",
    "data-limit",
    "no-new-privileges",
    "own-network-namespace",
    "landlock",
    "syscall-filter",
];

pub enum Order {
    Spawn,
    Send(Box<Command>),
    End,
}

#[derive(Default)]
pub struct FakeWorker {
    pub number: usize,
    pub behaviour: String,
    usage: Usage,
    pub begun: bool,
    /// Of a processor.
    pub ran_ns: u64,
    usages_until_recovery: u32,
}

#[derive(Default)]
pub struct Hands {
    pub orders: VecDeque<(WorkerId, Order)>,
    pub live: BTreeMap<WorkerId, FakeWorker>,
    pub spawned: usize,
    /// What the agent did with workers, by the order of their start.
    pub history: Vec<String>,
    /// What modules were given as stored when they began.
    pub starts: Vec<Vec<StoredValue>>,
    pub outcomes: Vec<Outcome>,
    pub delivered: Vec<(WorkerId, Delivered)>,
    /// What modules may use.
    pub loads: Vec<Grants>,
}

impl Hands {
    fn note(&mut self, what: &str, worker: WorkerId) {
        if let Some(live) = self.live.get(&worker) {
            self.history.push(format!("{what} {}", live.number));
        }
    }
}

pub struct FakeWorkers(pub Rc<RefCell<Hands>>);

impl Workers for FakeWorkers {
    fn surroundings(&self, _: WorkerId) -> Vec<String> {
        vec!["own-user".into()]
    }

    fn spawn(&mut self, worker: WorkerId, _: &str, _: Room) {
        let mut hands = self.0.borrow_mut();
        hands.spawned += 1;
        let number = hands.spawned;
        hands.live.insert(worker, FakeWorker { number, ..FakeWorker::default() });
        hands.note("spawn", worker);
        hands.orders.push_back((worker, Order::Spawn));
    }

    fn send(&mut self, worker: WorkerId, command: Command) {
        let mut hands = self.0.borrow_mut();
        match &command {
            Command::Start { stored, .. } => {
                hands.note("begin", worker);
                hands.starts.push(stored.clone().expect("an agent keeps what is stored"));
            }
            Command::Answer(answer) => hands.outcomes.push(answer.outcome),
            Command::Deliver(delivered) => hands.delivered.push((worker, delivered.clone())),
            Command::Load(load) => hands.loads.push(load.grants.clone()),
            _ => {}
        }
        hands.orders.push_back((worker, Order::Send(Box::new(command))));
    }

    fn offer(&mut self, worker: WorkerId, command: Command) {
        self.send(worker, command);
    }

    /// A kernel with room for all but what wants a whole processor.
    fn schedule(&mut self, worker: WorkerId, wanted: Wanted<'_>) -> Result<InForce, Refusal> {
        self.0.borrow_mut().note("schedule", worker);
        let real_time = wanted.scheduling.real_time;
        let has_room = |asked: RealTime| asked.utilization_ppm(wanted.interval_ms) < 1_000_000;
        if real_time.is_some_and(|asked| !has_room(asked)) {
            return Err(Refusal::new(RefusalCode::SchedulingNotGiven, "EBUSY"));
        }
        Ok(InForce { policy: real_time.map(|asked| asked.policy), ..InForce::default() })
    }

    fn appetite(&self, worker: WorkerId) -> Option<Appetite> {
        let hands = self.0.borrow();
        hands.live.get(&worker).map(|live| Appetite { ran_ns: live.ran_ns, waited_ns: 0 })
    }

    fn lower(&mut self, worker: WorkerId, is_low: bool) -> std::io::Result<()> {
        self.0.borrow_mut().note(if is_low { "lower" } else { "raise" }, worker);
        Ok(())
    }

    fn stop(&mut self, worker: WorkerId) {
        self.0.borrow_mut().note("stop", worker);
        self.0.borrow_mut().orders.push_back((worker, Order::End));
    }

    fn kill(&mut self, worker: WorkerId) {
        self.0.borrow_mut().note("kill", worker);
        self.0.borrow_mut().orders.push_back((worker, Order::End));
    }

    fn forget(&mut self, worker: WorkerId) {
        self.0.borrow_mut().live.remove(&worker);
    }

    fn pids(&self) -> Vec<(WorkerId, u32)> {
        self.0.borrow().live.keys().map(|worker| (*worker, std::process::id())).collect()
    }
}

pub fn keep(key: &str, value: &[u8]) -> Message {
    let ask = Ask::Keep(StoredValue { key: key.into(), value: value.into() });
    Message::Asked(Asked { id: 1, ask })
}

pub fn to_news(message: Message) -> WorkerNews {
    match message {
        Message::Hello(hello) => WorkerNews::Hello(hello),
        message => WorkerNews::Event(message),
    }
}

pub fn hello(runtime: &Result<String, Refusal>) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        runtime: "fake".into(),
        wamr_version: "0".into(),
        aot_version: 6,
        target: runtime.clone().unwrap_or_default(),
        bounds_checks: "software".into(),
        cpu_features: vec![],
        imports: vec!["farrier.log".into()],
        self_test_failure: None,
        confinement: CONFINEMENT.map(str::to_owned).to_vec(),
    }
}

/// What a worker of this behaviour says to a command.
pub fn answers(live: &mut FakeWorker, command: Command) -> Vec<Message> {
    match command {
        Command::Load(load) => {
            let text = String::from_utf8(load.artifact).unwrap();
            live.behaviour = text.split_whitespace().next().unwrap_or_default().into();
            let reason = match live.behaviour.as_str() {
                "malformed" => LoadFailure::Malformed,
                "wrong-profile" => LoadFailure::WrongProfile,
                "unknown-import" => LoadFailure::UnknownImport,
                "over-limit" => LoadFailure::OverLimit,
                _ => return vec![Message::Loaded { has_init: true, has_tick: true }],
            };
            vec![Message::LoadFailed { reason, detail: "as told".into() }]
        }
        Command::RunChecks { .. } => {
            let fails = live.behaviour == "wrong-answer";
            live.usage.checks_passed += u64::from(!fails);
            let failed = fails.then(|| FailedStep { number: 2, detail: "5 is not 4".into() });
            let (channel, payload) = ("average".into(), b"check".to_vec());
            let aloud = Message::Published(Published { channel, seq: 1, payload });
            let mut said = vec![Message::ChecksDone { passed: 1, failed }];
            if live.behaviour == "checks-aloud" {
                said.insert(0, aloud);
            }
            said
        }
        // No agent asks for it.
        Command::RunTicks { .. } | Command::Unload => vec![],
        Command::Start { stored, .. } => begin(live, &stored.unwrap_or_default()),
        Command::ReportUsage => {
            live.usage.calls += u64::from(live.begun);
            live.usage.cpu_us += 1_000;
            live.usages_until_recovery = live.usages_until_recovery.saturating_sub(1);
            if live.begun && live.usages_until_recovery == 0 {
                live.usage.activity = Activity::Running;
            }
            if live.behaviour == "talkative" {
                live.usage.guest = Some(all_figures());
            }
            if live.begun && live.behaviour == "typical" {
                tick_for_five_seconds(&mut live.usage);
            }
            if live.begun && live.behaviour == "sick" {
                let health = live.usage.health.get_or_insert_default();
                (health.last, health.sick) = (5, health.sick + 1);
            }
            vec![Message::Usage(live.usage.clone())]
        }
        Command::Stop | Command::SetClock(_) | Command::Answer(_) | Command::Deliver(_) => vec![],
    }
}

/// A module that ticks each second: reads a sensor, publishes, logs now and then, keeps
/// a metric and hears commands on a channel.
fn tick_for_five_seconds(usage: &mut Usage) {
    usage.calls += 4;
    usage.cpu_us += 2_345;
    (usage.memory_bytes, usage.memory_peak_bytes) = (1_179_648, 1_179_648);
    usage.published += 5;
    usage.log_lines += 1;
    usage.gas_used = Some(usage.gas_used.unwrap_or(20_000) + 654_321);
    usage.overhead_bytes = Some(23_456);
    let outlet = OutletUsage { channel: "temperature.mean".into(), published: 0, dropped: 0 };
    usage.outlets.get_or_insert_with(|| vec![outlet])[0].published = usage.published;
    let guest = usage.guest.get_or_insert_default();
    // Opened once: a sensor and a configuration.
    let calls = [(0, 1), (3, 0), (4, 5), (5, 5), (7, 5), (8, 0)];
    if guest.host_calls.is_empty() {
        let call = |(number, _)| HostCallUsage { number, calls: 1, bytes: 11, time_ns: 900 };
        guest.host_calls = calls.map(call).to_vec();
        guest.metrics = vec![Metric { name: "variance".into(), value: 0.0 }];
        guest.storage = Some(StorageUsage { used_bytes: 40, quota_bytes: 4_096 });
        let channel = "commands".into();
        guest.inboxes = vec![InboxUsage { channel, depth: 0, received: 3, dropped: 0 }];
    }
    for (call, (_, more)) in guest.host_calls.iter_mut().zip(calls) {
        call.calls += more;
        call.bytes += more * 24;
        call.time_ns += more * 1_234;
    }
    guest.metrics[0].value += 0.123;
}

/// As many and as long as they may be.
fn all_figures() -> GuestUsage {
    let name = |number: usize| format!("{number:064}");
    let call = |call: &GuestCall| HostCallUsage {
        number: call.number(),
        calls: u64::MAX / 1_000,
        bytes: u64::MAX / 1_000,
        time_ns: u64::MAX / 1_000,
    };
    let metric = |number| Metric { name: name(number), value: 0.1 };
    let inbox =
        |number| InboxUsage { channel: name(number), depth: 16, received: 9_999, dropped: 9_999 };
    GuestUsage {
        host_calls: GuestCall::ALL.iter().map(call).collect(),
        metrics: (0..METRICS_MAX).map(metric).collect(),
        storage: Some(StorageUsage { used_bytes: 9_999, quota_bytes: 9_999 }),
        inboxes: (0..16).map(inbox).collect(),
    }
}

fn begin(live: &mut FakeWorker, stored: &[StoredValue]) -> Vec<Message> {
    live.begun = true;
    let value = |channel: &str| {
        let (channel, payload) = (channel.into(), b"20.5".to_vec());
        Message::Published(Published { channel, seq: 1, payload })
    };
    let line = LogLine { level: LogLevel::Info, text: "started".into() };
    let mut said = vec![Message::Started];
    match live.behaviour.as_str() {
        "overruns" => {
            said.push(Message::Overrun { export: "tick".into(), elapsed_ms: 1_001 });
        }
        "too-much-gas" => {
            let (limit, detail) = (Limit::GasPerCall, "tick: out of gas".into());
            said.push(Message::LimitStop { limit, detail });
        }
        "traps" => {
            live.usage.activity = Activity::BackingOff;
            live.usages_until_recovery = 5;
            let (export, detail) = ("tick".into(), "unreachable".into());
            let kind = Some(TrapKind::Unreachable);
            live.usage.trap_kinds.get_or_insert_default().note(TrapKind::Unreachable);
            said.push(Message::Trapped {
                export,
                detail,
                restart_in_ms: 100,
                kind,
                place: Some(77),
            });
        }
        // Counts its starts.
        "stores" => {
            let earlier = stored.iter().find(|kept| kept.key == "starts");
            let count = earlier.map_or(0, |kept| kept.value[0]);
            said.push(keep("starts", &[count + 1]));
        }
        _ => said.extend([Message::Log(line), value("average"), value("not-granted")]),
    }
    said
}
