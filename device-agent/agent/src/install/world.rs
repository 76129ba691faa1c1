//! A device without processes or disks: it carries out actions in memory.
//!
//! Versions 3 and 4 of every application are bad: 3 is refused when its release
//! is opened, 4 when it is loaded. While it carries actions out it checks what
//! must hold at every moment.

use super::super::*;
use crate::samples;
use device_protocol::RefusalCode;
use module_package::ReleaseId;
use std::collections::{BTreeMap, VecDeque};

/// What survives a power cut.
#[derive(Default)]
pub struct DiskModel {
    pub desired: Vec<AppEntry>,
    pub installed: Persisted,
    pub blobs: BTreeSet<BlobId>,
}

pub struct Worker {
    entry: AppEntry,
    passed: bool,
    pub begun: bool,
    stopping: bool,
    refused: bool,
}

pub struct World {
    pub installer: Installer,
    pub disk: DiskModel,
    pub now: Moment,
    /// Blobs on their way.
    pub pending: BTreeSet<BlobId>,
    pub workers: BTreeMap<WorkerId, Worker>,
    /// Otherwise a worker that is told to stop ends at once.
    pub keep_stopped_workers: bool,
    /// Cut the power before this many more actions are carried out.
    pub cut_after: Option<usize>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            installer: Installer::new(Persisted::default(), 1),
            disk: DiskModel::default(),
            now: Moment::ZERO,
            pending: BTreeSet::new(),
            workers: BTreeMap::new(),
            keep_stopped_workers: false,
            cut_after: None,
        }
    }
}

pub fn entry(app: &str, version: u32) -> AppEntry {
    AppEntry {
        app: app.into(),
        release: ReleaseId::of(format!("{app} {version}").as_bytes()),
        run: true,
        interval_ms: 1_000,
        sensors: vec![],
        channels: vec![],
        scheduling: None,
        class: "best-effort".into(),
        deployment: 1,
        health_window_ms: None,
        provisions: None,
        sharing: None,
    }
}

pub fn version_of(entry: &AppEntry) -> u32 {
    let same = |version: &u32| ReleaseId::of(format!("{} {version}", entry.app).as_bytes());
    (1..10).find(|version| same(version) == entry.release).unwrap()
}

fn release(entry: &AppEntry) -> Release {
    let version = version_of(entry);
    samples::release_of(&entry.app, version, format!("{} artifact {version}", entry.app).as_bytes())
}

impl World {
    /// As the agent does it: the manifest is on the disk before it is acted on.
    pub fn accept(&mut self, entries: Vec<AppEntry>) {
        self.disk.desired = entries.clone();
        self.handle(Input::Desired(entries));
    }

    pub fn handle(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut actions = VecDeque::from(self.installer.handle(input, self.now));
            while let Some(action) = actions.pop_front() {
                if self.cut_after == Some(0) {
                    return self.cut_power();
                }
                self.cut_after = self.cut_after.map(|left| left - 1);
                if let Some(answer) = self.carry_out(action, &mut inputs) {
                    actions.extend(self.installer.handle(answer, self.now));
                }
            }
            self.check();
        }
    }

    fn carry_out(&mut self, action: Action, later: &mut VecDeque<Input>) -> Option<Input> {
        match action {
            Action::OpenRelease { slot, entry } => {
                if !self.disk.blobs.contains(&entry.release.into()) {
                    self.pending.insert(entry.release.into());
                    return None;
                }
                let refusal = Refusal::new(RefusalCode::WrongTarget, "test");
                let is_bad = version_of(&entry) == 3;
                let opened = if is_bad { Err(refusal) } else { Ok(Rc::new(release(&entry))) };
                return Some(Input::Release(slot, opened));
            }
            Action::ObtainArtifact { slot } => {
                let release = self.installer.slot(slot)?.release.clone()?;
                let blob = release.artifact.into();
                if self.disk.blobs.contains(&blob) {
                    return Some(Input::Artifact(slot, Ok(())));
                }
                self.pending.insert(blob);
            }
            Action::Spawn { worker, slot } => {
                let entry = self.installer.slot(slot).unwrap().entry.clone();
                let (passed, begun, stopping, refused) = (false, false, false, false);
                self.workers.insert(worker, Worker { entry, passed, begun, stopping, refused });
            }
            Action::Begin { worker, .. } => {
                let begun = self.workers.get_mut(&worker).unwrap();
                assert!(begun.passed && !begun.stopping, "begun without having passed");
                begun.begun = true;
            }
            Action::Stop(worker) => {
                self.check_stop(worker);
                if let Some(stopped) = self.workers.get_mut(&worker) {
                    stopped.stopping = true;
                    if !self.keep_stopped_workers {
                        later.push_back(self.end(worker));
                    }
                }
            }
            Action::Kill(worker) => later.push_back(self.end(worker)),
            Action::Persist(installed) => self.disk.installed = installed,
            Action::Collect => {
                let needed = self.installer.needed();
                self.disk.blobs.retain(|blob| needed.contains(blob));
                self.pending.retain(|blob| needed.contains(blob));
            }
            Action::Report => {}
        }
        None
    }

    fn end(&mut self, worker: WorkerId) -> Input {
        self.workers.remove(&worker);
        Input::Worker(worker, WorkerInput::Ended("as told".into()))
    }

    /// A proven version that shall still run is stopped only for one that has passed.
    fn check_stop(&self, worker: WorkerId) {
        let Some(stopped) = self.workers.get(&worker) else { return };
        let is_proven =
            self.disk.installed.proven.iter().any(|proven| proven.entry == stopped.entry);
        let wanted = self.disk.desired.iter().find(|entry| entry.app == stopped.entry.app);
        if stopped.begun && !stopped.refused && is_proven && wanted.is_some_and(|wanted| wanted.run)
        {
            let mut others = self.workers.iter().filter(|(id, _)| **id != worker);
            let successor =
                others.any(|(_, other)| other.passed && other.entry.app == stopped.entry.app);
            assert!(successor, "{} was stopped for nothing", stopped.entry.app);
        }
    }

    fn check(&self) {
        for proven in &self.disk.installed.proven {
            let blobs = [proven.entry.release.into(), BlobId::from(proven.artifact)];
            for blob in blobs {
                let is_there = self.disk.blobs.contains(&blob) || self.pending.contains(&blob);
                assert!(is_there, "a blob of the proven set was removed");
            }
        }
        for entry in &self.disk.desired {
            let of_app = self.workers.values().filter(|w| w.begun && w.entry.app == entry.app);
            assert!(of_app.count() <= 1, "two versions of {} tick", entry.app);
        }
    }

    pub fn worker(&mut self, worker: WorkerId, input: WorkerInput) {
        match input {
            WorkerInput::Passed => self.workers.get_mut(&worker).unwrap().passed = true,
            WorkerInput::Refused(_) => self.workers.get_mut(&worker).unwrap().refused = true,
            WorkerInput::Ended(_) | WorkerInput::Displaced { .. } | WorkerInput::NotStarted(_) => {
                self.workers.remove(&worker);
            }
            _ => {}
        }
        self.handle(Input::Worker(worker, input));
    }

    pub fn deliver(&mut self, blob: BlobId) {
        self.pending.remove(&blob);
        self.disk.blobs.insert(blob);
        self.handle(Input::Arrived(blob));
    }

    pub fn deliver_all(&mut self) {
        while let Some(blob) = self.pending.first().copied() {
            self.deliver(blob);
        }
    }

    pub fn damage_artifact(&mut self, app: &str, version: u32) {
        let artifact = release(&entry(app, version)).artifact;
        assert!(self.disk.blobs.remove(&artifact.into()));
    }

    /// Everything but the disk is gone; the agent starts again.
    pub fn cut_power(&mut self) {
        self.installer = Installer::new(self.disk.installed.clone(), 1);
        self.workers.clear();
        self.pending.clear();
        self.cut_after = None;
        self.handle(Input::Desired(self.disk.desired.clone()));
    }

    /// What a healthy worker does next.
    pub fn advance(&mut self, worker: WorkerId) {
        let Worker { entry, passed, begun, stopping, .. } = &self.workers[&worker];
        if *stopping {
            let ended = self.end(worker);
            return self.handle(ended);
        }
        let input = match (version_of(entry), passed, begun) {
            (4, false, _) => {
                WorkerInput::Refused(Refusal::new(RefusalCode::LoadFailed, "version 4"))
            }
            (_, false, _) => WorkerInput::Passed,
            (_, true, true) => WorkerInput::Started,
            (_, true, false) => return,
        };
        self.worker(worker, input);
    }

    /// Lets everything go well until nothing happens any more, also no trial.
    pub fn settle(&mut self) {
        for _ in 0..20 {
            self.deliver_all();
            self.settle_without_fetches();
            self.now += Moment::from_secs(11);
        }
    }

    pub fn wait(&mut self, time: Moment) {
        self.now += time;
        self.handle(Input::Clock);
    }

    /// What a worker that runs says of itself.
    pub fn measure(&mut self, worker: WorkerId, figures: Figures) {
        self.worker(worker, WorkerInput::Measured(Figures { is_running: true, ..figures }));
    }

    pub fn settle_without_fetches(&mut self) {
        for _ in 0..20 {
            self.handle(Input::Clock);
            for worker in self.workers.keys().copied().collect::<Vec<_>>() {
                if self.workers.contains_key(&worker) {
                    self.advance(worker);
                }
            }
        }
    }

    pub fn running(&self, app: &str) -> Option<WorkerId> {
        let mut of_app = self.workers.iter().filter(|(_, w)| w.begun && w.entry.app == app);
        of_app.next().map(|(id, _)| *id)
    }

    /// The last worker that has not passed yet.
    pub fn fresh_worker(&self) -> Option<WorkerId> {
        self.workers.iter().rfind(|(_, worker)| !worker.passed).map(|(id, _)| *id)
    }

    pub fn told_to_stop(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_none_or(|worker| worker.stopping)
    }

    pub fn entry_of(&self, worker: WorkerId) -> &AppEntry {
        &self.workers[&worker].entry
    }
}
