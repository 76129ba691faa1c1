//! Folds the gateway's events into the lists that the pages show.
//!
//! Plain functions over plain lists: `live` holds the lists in signals and says
//! when. Every event carries the whole new state of its thing, so an event that
//! arrives twice changes nothing.

use crate::model::{AppSample, Artifact, Deployment, DeviceSample, History, LogLine, Module};
use crate::stream::Event;

/// Ten minutes of one report a second.
const SAMPLES_MAX: usize = 600;
/// As many lines as a person scrolls through; `farrier logs` has the rest.
pub const LOG_LINES_MAX: usize = 500;

/// The newest module comes first.
pub fn put_module(modules: &mut Vec<Module>, module: Module) {
    put(modules, module, |module| &module.id, sort_modules);
}

pub fn sort_modules(modules: &mut Vec<Module>) {
    sort_by_rank(modules, |module| newest_first(module.uploaded_at_ms, &module.id));
}

/// An artifact of a module that is not here yet is in that module's own event.
pub fn put_artifact(modules: &mut [Module], artifact: Artifact) {
    let Some(module) = modules.iter_mut().find(|module| module.id == artifact.module) else {
        return;
    };
    let same = |known: &&mut Artifact| {
        known.target == artifact.target && known.bounds_checks == artifact.bounds_checks
    };
    match module.artifacts.iter_mut().find(same) {
        Some(known) => *known = artifact,
        None => module.artifacts.push(artifact),
    }
}

/// The newest deployment comes first.
pub fn put_deployment(deployments: &mut Vec<Deployment>, deployment: Deployment) {
    put(deployments, deployment, |deployment| &deployment.id, sort_deployments);
}

pub fn sort_deployments(deployments: &mut Vec<Deployment>) {
    sort_by_rank(deployments, |one| newest_first(one.created_at_ms, &one.id));
}

/// Replaces what has the same id, or adds it in its place.
fn put<T>(items: &mut Vec<T>, item: T, id: fn(&T) -> &str, sort: fn(&mut Vec<T>)) {
    match items.iter_mut().find(|known| id(known) == id(&item)) {
        Some(known) => *known = item,
        None => {
            items.push(item);
            sort(items);
        }
    }
}

/// Sorts by a text, so that the download holds one sort for all lists.
fn sort_by_rank<T>(items: &mut Vec<T>, rank: fn(&T) -> String) {
    let mut order: Vec<(String, usize)> =
        items.iter().enumerate().map(|(index, item)| (rank(item), index)).collect();
    order.sort_unstable();
    let mut taken: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(order.into_iter().filter_map(|(_, index)| taken.get_mut(index)?.take()));
}

/// Of equal length for all times, so that texts compare as the numbers do.
fn newest_first(time_ms: u64, id: &str) -> String {
    format!("{:020} {id}", u64::MAX - time_ms)
}

/// Appends what a report brought; points that are already there stay once.
pub fn append_samples(history: &mut History, device: DeviceSample, apps: Vec<AppSample>) {
    if history.device.last().is_none_or(|last| last.time_ms < device.time_ms) {
        history.device.push(device);
    }
    for sample in apps {
        let newest = history.apps.iter().rev().find(|known| known.app == sample.app);
        if newest.is_none_or(|last| last.time_ms < sample.time_ms) {
            history.apps.push(sample);
        }
    }
    trim_history(history);
}

/// Puts a history from the gateway below the points that arrived meanwhile.
pub fn merge_history(arrived: &mut History, mut fetched: History) {
    let live = std::mem::replace(arrived, History { device: vec![], apps: vec![] });
    let newest_ms = fetched.device.last().map_or(0, |sample| sample.time_ms);
    fetched.device.extend(live.device.into_iter().filter(|sample| sample.time_ms > newest_ms));
    let newest_ms = fetched.apps.last().map_or(0, |sample| sample.time_ms);
    fetched.apps.extend(live.apps.into_iter().filter(|sample| sample.time_ms > newest_ms));
    trim_history(&mut fetched);
    *arrived = fetched;
}

fn trim_history(history: &mut History) {
    let excess = history.device.len().saturating_sub(SAMPLES_MAX);
    history.device.drain(..excess);
    // The device's points go back as far as the charts do.
    let oldest_ms = history.device.first().map_or(0, |sample| sample.time_ms);
    history.apps.retain(|sample| sample.time_ms >= oldest_ms);
}

pub fn append_log(lines: &mut Vec<LogLine>, line: LogLine) {
    lines.push(line);
    let excess = lines.len().saturating_sub(LOG_LINES_MAX);
    lines.drain(..excess);
}

/// Puts lines from the gateway before those that arrived meanwhile.
pub fn merge_logs(arrived: &mut Vec<LogLine>, mut fetched: Vec<LogLine>) {
    let newest_ms = fetched.last().map_or(0, |line| line.time_ms);
    fetched.extend(arrived.drain(..).filter(|line| line.time_ms > newest_ms));
    *arrived = fetched;
}

/// Keeps events back while everything is read again.
///
/// An event that arrives between the gateway's answer and our reading of it is
/// newer than the answer and must come after it. Applied late, an event that is
/// older than the answer is followed by all newer ones, so the end is the same.
#[derive(Debug, Default)]
pub struct Holdback {
    held: Option<Vec<Event>>,
    again: bool,
}

impl Holdback {
    /// False if a reading is already under way; another follows it then.
    pub fn start(&mut self) -> bool {
        self.again = self.held.is_some();
        self.held.get_or_insert_default();
        !self.again
    }

    /// The event, if it is to be applied now.
    pub fn pass(&mut self, event: Event) -> Option<Event> {
        match &mut self.held {
            Some(held) => {
                held.push(event);
                None
            }
            None => Some(event),
        }
    }

    /// What was held back, and whether to read once more.
    pub fn finish(&mut self) -> (Vec<Event>, bool) {
        (self.held.take().unwrap_or_default(), std::mem::take(&mut self.again))
    }
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
