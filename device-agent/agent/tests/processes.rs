//! Supervision of real processes that behave well, badly, or not at all.

mod support;

use device_protocol::RefusalCode;
use farrier_agent::agent::Event;
use farrier_agent::config::{Config, RuntimeConfig};
use farrier_agent::install::WorkerId;
use farrier_agent::refusal::Refusal;
use farrier_agent::workers::{
    Launcher, Patience, ProcessWorkers, Room, RuntimeInfo, WorkerNews, Workers, probe,
};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use worker_protocol::{Command, Event as Message, Grants, Limits, Load};

const WORKER: WorkerId = WorkerId(1);

fn in_runtime<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// A runtime that behaves as `mode` says, see `examples/fake_worker.rs`.
fn runtime(mode: &str) -> RuntimeConfig {
    let launcher = vec![support::fake_worker().to_str().unwrap().to_owned()];
    RuntimeConfig { path: mode.into(), launcher, target: None, emulated: None }
}

fn launcher(mode: &str) -> Launcher {
    Launcher::new(&runtime(mode))
}

fn probe_refused(launcher: Launcher) -> Refusal {
    in_runtime(async { probe(&launcher).await }).unwrap_err()
}

#[test]
fn the_runtime_says_what_it_is() {
    let info: RuntimeInfo = in_runtime(async { probe(&launcher("ok")).await }).unwrap();
    assert_eq!(info.profile.target, "x86_64-linux");
    assert_eq!(info.runtime, "fake-worker 1, WAMR 0");
}

#[test]
fn a_runtime_that_is_not_there_is_named() {
    let config = RuntimeConfig { launcher: vec!["no-such-launcher".into()], ..runtime("ok") };
    let refusal = probe_refused(Launcher::new(&config));
    assert_eq!(refusal.code, RefusalCode::WorkerStart);
    assert!(refusal.detail.contains("no-such-launcher ok"), "{}", refusal.detail);
}

#[test]
fn a_runtime_that_dies_is_quoted() {
    let refusal = probe_refused(launcher("dies"));
    assert_eq!(refusal.code, RefusalCode::WorkerStart);
    assert!(refusal.detail.contains("ended with status 3"), "{}", refusal.detail);
    assert!(refusal.detail.contains("cannot find my library"), "{}", refusal.detail);
}

#[test]
fn a_runtime_that_says_nothing_is_given_up() {
    let patience = Patience { hello: Duration::from_millis(300), ..Patience::default() };
    let refusal = probe_refused(launcher("silent").with_patience(patience));
    assert_eq!(refusal.code, RefusalCode::WorkerStart);
    assert!(refusal.detail.contains("said nothing for 300ms"), "{}", refusal.detail);
    assert!(refusal.detail.contains("signal 9"), "{}", refusal.detail);
}

#[test]
fn a_runtime_without_a_hello_or_with_another_protocol_or_a_failed_self_test_is_refused() {
    let refusal = probe_refused(launcher("babbles"));
    assert!(refusal.detail.contains("no hello"), "{}", refusal.detail);
    let refusal = probe_refused(launcher("old-protocol"));
    assert!(refusal.detail.contains("version 0"), "{}", refusal.detail);
    let refusal = probe_refused(launcher("self-test"));
    assert_eq!(refusal.code, RefusalCode::SelfTest);
    assert!(refusal.detail.contains("load(70000)"), "{}", refusal.detail);
}

const ROOM: Room = Room {
    memory_bytes_max: 1 << 20,
    artifact_bytes: 1 << 20,
    is_real_time: false,
    rttime_us_max: None,
    cpu_weight: None,
};

struct Floor {
    workers: ProcessWorkers,
    events: mpsc::Receiver<Event>,
}

impl Floor {
    fn new(mode: &str) -> Self {
        let (sender, events) = mpsc::channel(16);
        let short = Duration::from_millis(400);
        let patience = Patience { answer: short, stop: short, ..Patience::default() };
        let launcher = launcher(mode).with_patience(patience);
        Self { workers: ProcessWorkers::new(launcher, sender), events }
    }

    /// A worker that runs an artifact of this text.
    async fn running(artifact: &str) -> Self {
        let mut floor = Self::new("ok");
        floor.workers.spawn(WORKER, "filter", ROOM);
        assert!(matches!(floor.news().await, WorkerNews::Hello(_)));
        floor.workers.send(WORKER, load(artifact));
        assert!(matches!(floor.news().await, WorkerNews::Event(Message::Loaded { .. })));
        floor.workers.send(WORKER, Command::Start { interval_ms: 1_000, stored: None });
        assert!(matches!(floor.news().await, WorkerNews::Event(Message::Started)));
        floor
    }

    async fn news(&mut self) -> WorkerNews {
        let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        match event.expect("news in time") {
            Some(Event::Worker(WORKER, news)) => news,
            _ => panic!("news of another kind"),
        }
    }

    async fn end(&mut self) -> String {
        loop {
            if let WorkerNews::Ended(how) = self.news().await {
                return how;
            }
        }
    }
}

fn load(artifact: &str) -> Command {
    Command::Load(Load {
        artifact: artifact.into(),
        app: "filter".into(),
        limits: Limits {
            memory_bytes_max: 0,
            stack_bytes: 0,
            call_ms_max: 0,
            log_lines_per_s_max: 0,
            publishes_per_s_max: 0,
            ..Limits::default()
        },
        grants: Grants::default(),
        ..Load::default()
    })
}

#[test]
fn a_worker_is_told_to_stop_and_stops() {
    in_runtime(async {
        let mut floor = Floor::running("ok").await;
        assert_eq!(floor.workers.pids().len(), 1);
        floor.workers.send(WORKER, Command::ReportUsage);
        floor.workers.stop(WORKER);
        assert_eq!(floor.end().await, "it ended with status 0");
    });
}

#[test]
fn a_worker_has_a_user_id_and_groups_of_its_own_where_the_agent_may_give_them() {
    in_runtime(async {
        let (sender, events) = mpsc::channel(16);
        let text =
            "data_dir = \"/d\"\ngateway_url = \"http://h\"\nname = \"n\"\n[runtime]\npath = \"/r\"";
        let config = Config::parse(text).unwrap();
        let workers = ProcessWorkers::new(launcher("ok"), sender).confined(&config);
        let mut floor = Floor { workers, events };
        floor.workers.spawn(WORKER, "filter", ROOM);
        assert!(matches!(floor.news().await, WorkerNews::Hello(_)));
        let claimed = floor.workers.surroundings(WORKER);
        let claims = |name: &str| claimed.iter().any(|claimed| claimed == name);
        let (_, pid) = floor.workers.pids()[0];
        let of_process = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let is_own = of_process("status").lines().any(|line| line.starts_with("Uid:\t59"));
        assert_eq!(claims("own-user"), is_own);
        let groups = of_process("cgroup");
        for name in ["memory", "cpu", "pids"] {
            let is_in = |line: &str| {
                let names = line.split(':').nth(1).unwrap_or_default();
                line.contains("farrier-agent-") && names.split(',').any(|n| n == name)
            };
            let is_in_force = groups.lines().any(is_in);
            assert_eq!(claims(&format!("cgroup-v1-{name}")), is_in_force, "{groups}");
        }
        floor.workers.stop(WORKER);
        floor.end().await;
        floor.workers.forget(WORKER);
        assert!(floor.workers.surroundings(WORKER).is_empty());
    });
}

#[test]
fn an_artifact_of_the_largest_size_reaches_the_worker() {
    in_runtime(async {
        let text = format!("ok {}", "x".repeat(48 << 20));
        let mut floor = Floor::running(&text).await;
        floor.workers.stop(WORKER);
        assert_eq!(floor.end().await, "it ended with status 0");
    });
}

#[test]
fn a_worker_that_does_not_stop_is_ended_by_force() {
    in_runtime(async {
        let mut floor = Floor::running("does-not-stop").await;
        let began = Instant::now();
        floor.workers.stop(WORKER);
        assert_eq!(floor.end().await, "it was ended by signal 9");
        assert!(began.elapsed() >= Duration::from_millis(400));
    });
}

#[test]
fn a_worker_in_an_endless_call_is_killed_at_once() {
    in_runtime(async {
        let mut floor = Floor::running("overruns").await;
        loop {
            if let WorkerNews::Event(Message::Overrun { .. }) = floor.news().await {
                break;
            }
        }
        floor.workers.kill(WORKER);
        assert_eq!(floor.end().await, "it was ended by signal 9");
    });
}

#[test]
fn a_worker_that_dies_is_reaped_and_its_status_told() {
    in_runtime(async {
        let mut floor = Floor::running("dies").await;
        let how = floor.end().await;
        assert!(how.contains("ended with status 9"), "{how}");
    });
}

#[test]
fn a_worker_that_does_not_answer_is_ended() {
    in_runtime(async {
        let mut floor = Floor::running("no-usage").await;
        floor.workers.send(WORKER, Command::ReportUsage);
        let how = floor.end().await;
        assert!(how.contains("did not answer in time"), "{how}");
    });
}

#[test]
fn a_worker_is_ended_before_its_hello_when_nobody_wants_it_any_more() {
    in_runtime(async {
        let mut floor = Floor::new("silent");
        floor.workers.spawn(WORKER, "filter", ROOM);
        floor.workers.kill(WORKER);
        assert_eq!(floor.end().await, "it was ended by signal 9");
    });
}

#[test]
fn a_worker_that_never_says_hello_is_not_started() {
    in_runtime(async {
        let mut floor = Floor::new("dies");
        floor.workers.spawn(WORKER, "filter", ROOM);
        let news = floor.news().await;
        assert!(matches!(news, WorkerNews::NotStarted(r) if r.code == RefusalCode::WorkerStart));
    });
}

/// Several modules of one group, each a worker.
struct Company {
    workers: ProcessWorkers,
    events: mpsc::Receiver<Event>,
}

impl Company {
    fn new(patience: Patience) -> Self {
        let (sender, events) = mpsc::channel(64);
        Self {
            workers: ProcessWorkers::new(launcher("ok").with_patience(patience), sender),
            events,
        }
    }

    async fn news(&mut self) -> (u64, WorkerNews) {
        let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        match event.expect("news in time") {
            Some(Event::Worker(worker, news)) => (worker.0, news),
            _ => panic!("news of another kind"),
        }
    }

    /// The next news of this worker that is neither a log line nor a message.
    async fn news_of(&mut self, worker: u64) -> WorkerNews {
        loop {
            let (of, news) = self.news().await;
            let is_talk =
                matches!(news, WorkerNews::Event(Message::Log(_) | Message::Published(_)));
            if of == worker && !is_talk {
                return news;
            }
        }
    }

    async fn running(&mut self, worker: u64, artifact: &str) {
        self.loaded(worker, artifact).await;
        let start = Command::Start { interval_ms: 1_000, stored: None };
        self.workers.send(WorkerId(worker), start);
        assert!(matches!(self.news_of(worker).await, WorkerNews::Event(Message::Started)));
    }

    async fn loaded(&mut self, worker: u64, artifact: &str) {
        self.workers.spawn_in_group(WorkerId(worker), &format!("m{worker}"), ROOM, "shared");
        assert!(matches!(self.news_of(worker).await, WorkerNews::Hello(_)));
        self.workers.send(WorkerId(worker), load(artifact));
        assert!(matches!(self.news_of(worker).await, WorkerNews::Event(Message::Loaded { .. })));
    }

    fn pid_of(&self, worker: u64) -> u32 {
        self.workers.seat(WorkerId(worker)).expect("a process").pid
    }

    async fn answers(&mut self, worker: u64) {
        self.workers.send(WorkerId(worker), Command::ReportUsage);
        assert!(matches!(self.news_of(worker).await, WorkerNews::Event(Message::Usage(_))));
    }

    /// How it ended, and that it is forgotten.
    async fn ended(&mut self, worker: u64) -> Result<String, String> {
        let how = match self.news_of(worker).await {
            WorkerNews::Ended(how) => Ok(how),
            WorkerNews::Displaced { by, how } => Err(format!("{by} brought it down: {how}")),
            other => panic!("{other:?}"),
        };
        self.workers.forget(WorkerId(worker));
        how
    }
}

#[test]
fn modules_of_one_group_share_a_process_and_each_ends_by_itself() {
    in_runtime(async {
        let mut company = Company::new(Patience::default());
        company.running(1, "ok").await;
        company.running(2, "ok").await;
        company.workers.spawn(WorkerId(3), "alone", ROOM);
        assert!(matches!(company.news_of(3).await, WorkerNews::Hello(_)));
        assert_eq!(company.pid_of(1), company.pid_of(2));
        assert_ne!(company.pid_of(1), company.pid_of(3));
        assert_eq!(company.workers.seat(WorkerId(2)).map(|seat| seat.modules), Some(2));
        let pid = company.pid_of(2);
        // The one for which the process was started goes first.
        company.workers.stop(WorkerId(1));
        assert_eq!(company.ended(1).await, Ok("it was unloaded".into()));
        company.answers(2).await;
        // A kill is for this one alone as well, as long as it does not hold the process.
        company.running(4, "ok").await;
        assert_eq!((company.pid_of(4), company.pid_of(2)), (pid, pid));
        company.workers.kill(WorkerId(4));
        assert_eq!(company.ended(4).await, Ok("it was unloaded".into()));
        company.answers(2).await;
        company.workers.stop(WorkerId(2));
        assert_eq!(company.ended(2).await, Ok("it ended with status 0".into()));
        // The next one has a new process.
        company.running(5, "ok").await;
        assert_ne!(company.pid_of(5), pid);
    });
}

#[test]
fn a_module_that_holds_its_process_is_blamed_and_its_neighbours_are_not() {
    in_runtime(async {
        let mut company = Company::new(Patience::default());
        company.running(1, "ok").await;
        company.running(2, "overruns").await;
        loop {
            if let WorkerNews::Event(Message::Overrun { .. }) = company.news_of(2).await {
                break;
            }
        }
        company.workers.kill(WorkerId(2));
        let displaced = company.ended(1).await.unwrap_err();
        assert_eq!(displaced, "m2 brought it down: it was ended by signal 9");
        assert_eq!(company.ended(2).await, Ok("it was ended by signal 9".into()));
        // They find each other again.
        company.running(3, "ok").await;
        company.running(4, "ok").await;
        assert_eq!(company.pid_of(3), company.pid_of(4));
    });
}

#[test]
fn a_process_that_dies_says_by_its_file_who_was_called_last() {
    in_runtime(async {
        let mut company = Company::new(Patience::default());
        company.running(1, "ok").await;
        company.running(2, "ok").await;
        company.running(3, "dies").await;
        let (first, second) = (company.ended(1).await, company.ended(2).await);
        for displaced in [first, second] {
            let displaced = displaced.unwrap_err();
            assert!(displaced.starts_with("m3 brought it down: "), "{displaced}");
        }
        let how = company.ended(3).await.unwrap();
        assert!(how.contains("ended with status 9"), "{how}");
        assert!(company.workers.pids().is_empty());
    });
}

#[test]
fn a_module_that_is_not_let_go_in_time_costs_the_process() {
    in_runtime(async {
        let unload = Duration::from_millis(300);
        let mut company = Company::new(Patience { unload, ..Patience::default() });
        company.running(1, "ok").await;
        company.running(2, "does-not-stop").await;
        company.workers.stop(WorkerId(2));
        let displaced = company.ended(1).await.unwrap_err();
        assert!(displaced.starts_with("m2 brought it down: it did not answer in time"));
        assert!(company.ended(2).await.is_ok());
    });
}

#[test]
fn modules_that_do_not_fit_together_have_several_processes() {
    in_runtime(async {
        let mut company = Company::new(Patience::default());
        // Of 256 MiB, which is what a process is given unless the device says otherwise.
        let room = Room { memory_bytes_max: 100 << 20, ..ROOM };
        for worker in 1..=3 {
            company.workers.spawn_in_group(WorkerId(worker), "large", room, "shared");
            assert!(matches!(company.news_of(worker).await, WorkerNews::Hello(_)));
        }
        assert_eq!(company.pid_of(1), company.pid_of(2));
        assert_ne!(company.pid_of(1), company.pid_of(3));
        company.workers.spawn_in_group(WorkerId(4), "small", ROOM, "another");
        assert!(matches!(company.news_of(4).await, WorkerNews::Hello(_)));
        let others = [1, 2, 3].map(|worker| company.pid_of(worker));
        assert!(!others.contains(&company.pid_of(4)), "groups are apart");
        // What leaves makes room.
        company.workers.kill(WorkerId(2));
        company.ended(2).await.unwrap();
        company.workers.spawn_in_group(WorkerId(5), "large", room, "shared");
        assert!(matches!(company.news_of(5).await, WorkerNews::Hello(_)));
        assert_eq!(company.pid_of(5), others[0]);
    });
}
