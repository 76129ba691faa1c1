//! Workers that say what a good module's worker says, and load nothing. When one is
//! given an artifact, the agent has verified it: that moment is noted.

use device_protocol::RefusalCode;
use farrier_agent::install::WorkerId;
use farrier_agent::refusal::Refusal;
use farrier_agent::workers::{Room, RuntimeInfo, Wanted, WorkerNews, Workers};
use scheduling::InForce;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Instant;
use worker_protocol::{Activity, Command, Event, Hello, PROTOCOL_VERSION, Usage};

#[derive(Default)]
pub struct Bench {
    /// What the agent has yet to hear.
    pub news: VecDeque<(WorkerId, WorkerNews)>,
    live: BTreeSet<WorkerId>,
    /// Artifacts that were verified and handed to a worker: size and time.
    pub verified: Vec<(u64, Instant)>,
}

pub struct SimWorkers {
    pub bench: Rc<RefCell<Bench>>,
    pub runtime: RuntimeInfo,
}

impl SimWorkers {
    fn hello(&self) -> Hello {
        let profile = self.runtime.profile.clone();
        Hello {
            protocol_version: PROTOCOL_VERSION,
            runtime: self.runtime.runtime.clone(),
            wamr_version: "none".into(),
            aot_version: profile.aot_version,
            target: profile.target,
            bounds_checks: profile.bounds_checks,
            cpu_features: profile.cpu_features,
            imports: profile.imports,
            self_test_failure: None,
            confinement: vec![],
        }
    }

    fn end(&self, worker: WorkerId) {
        let mut bench = self.bench.borrow_mut();
        if bench.live.remove(&worker) {
            bench.news.push_back((worker, WorkerNews::Ended("it was told to".into())));
        }
    }
}

impl Workers for SimWorkers {
    /// There is no kernel below that could.
    fn schedule(&mut self, _: WorkerId, _: Wanted<'_>) -> Result<InForce, Refusal> {
        let detail = "a simulated device has no threads";
        Err(Refusal::new(RefusalCode::SchedulingNotGiven, detail))
    }

    fn surroundings(&self, _: WorkerId) -> Vec<String> {
        vec![]
    }

    fn spawn(&mut self, worker: WorkerId, _: &str, _: Room) {
        let hello = self.hello();
        let mut bench = self.bench.borrow_mut();
        bench.live.insert(worker);
        bench.news.push_back((worker, WorkerNews::Hello(hello)));
    }

    fn send(&mut self, worker: WorkerId, command: Command) {
        let mut bench = self.bench.borrow_mut();
        let answer = match command {
            Command::Load(load) => {
                bench.verified.push((load.artifact.len() as u64, Instant::now()));
                Event::Loaded { has_init: true, has_tick: true }
            }
            Command::RunChecks { steps } => {
                Event::ChecksDone { passed: steps.len() as u32, failed: None }
            }
            Command::Start { .. } => Event::Started,
            Command::ReportUsage => {
                Event::Usage(Usage { activity: Activity::Running, ..Usage::default() })
            }
            Command::SetClock(_)
            | Command::RunTicks { .. }
            | Command::Unload
            | Command::Answer(_)
            | Command::Deliver(_) => return,
            Command::Stop => {
                drop(bench);
                return self.end(worker);
            }
        };
        bench.news.push_back((worker, WorkerNews::Event(answer)));
    }

    fn offer(&mut self, worker: WorkerId, command: Command) {
        self.send(worker, command);
    }

    fn stop(&mut self, worker: WorkerId) {
        self.end(worker);
    }

    fn kill(&mut self, worker: WorkerId) {
        self.end(worker);
    }

    fn forget(&mut self, _: WorkerId) {}

    /// There are no processes, so nothing is measured of them.
    fn pids(&self) -> Vec<(WorkerId, u32)> {
        Vec::new()
    }
}
