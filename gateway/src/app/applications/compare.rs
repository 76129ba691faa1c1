//! What differs between two deployments, and which of it is more.
//!
//! More is what lets a module do or use what it could not before: another sensor, a
//! larger memory, further devices. Other bytes are not more by themselves: that is what
//! a version is.

use crate::app::model::Model;
use crate::store::record::{DeploymentRecord, PlacementRecord};
use gateway_api::PlanDifference;
use module_limits::Limit;
use module_package::{
    DeviceId, ModuleId, NO_POLICY, Provisions, ReleaseLimits, SharedWith, Sharing, WasiDirectory,
    WasiPlace, WasiProvisions,
};
use scheduling::{BEST_EFFORT, CPU_WEIGHT_USUAL, Policy, Scheduling, Utilization, numbers};
use std::collections::{BTreeMap, BTreeSet};

/// Most names of devices in one difference.
const DEVICES_SHOWN_MAX: usize = 8;

/// What people call things.
pub struct Names<'a> {
    model: &'a Model,
    /// Of modules that have to be uploaded first.
    paths: &'a BTreeMap<ModuleId, String>,
}

impl<'a> Names<'a> {
    pub fn new(model: &'a Model, paths: &'a BTreeMap<ModuleId, String>) -> Self {
        Self { model, paths }
    }

    pub fn build(&self, id: ModuleId) -> String {
        match self.model.modules.get(&id) {
            Some(module) => format!("{}@{}", module.name, module.version),
            None => self.paths.get(&id).cloned().unwrap_or_else(|| id.to_string()),
        }
    }

    fn builds(&self, record: &DeploymentRecord) -> String {
        let builds: Vec<String> = record.modules().iter().map(|id| self.build(*id)).collect();
        builds.join(" or ")
    }

    fn devices(&self, devices: Option<&[DeviceId]>) -> String {
        let Some(devices) = devices else { return "all".to_owned() };
        let name = |id: &DeviceId| {
            self.model.devices.get(id).map_or_else(|| id.to_string(), |device| device.name.clone())
        };
        let mut names: Vec<String> = devices.iter().map(name).collect();
        names.sort();
        let more = names.len().saturating_sub(DEVICES_SHOWN_MAX);
        names.truncate(DEVICES_SHOWN_MAX);
        match more {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}

/// `is_update`: there was a version of the application before, so that a module which is
/// new in it is more.
pub fn compare(
    names: &Names<'_>,
    old: Option<&DeploymentRecord>,
    new: &DeploymentRecord,
    is_update: bool,
) -> Vec<PlanDifference> {
    let mut differences = Differences { list: Vec::new(), is_update: is_update || old.is_some() };
    let of_old = |get: &dyn Fn(&DeploymentRecord) -> String| old.map(get);
    let builds = |d: &DeploymentRecord| names.builds(d);
    differences.text("build", of_old(&builds), builds(new), old.is_none());
    // By the lists: their first names may be the same.
    if old.is_none_or(|old| (&old.devices, &old.targets) != (&new.devices, &new.targets)) {
        let devices = |d: &DeploymentRecord| {
            let targets = d.targets.as_ref().map(|targets| format!(" of {}", targets.join(", ")));
            names.devices(d.devices.as_deref()) + &targets.unwrap_or_default()
        };
        let is_more = differences.is_update && old.is_none_or(|old| has_further_devices(old, new));
        differences.add("devices", of_old(&devices), Some(devices(new)), is_more);
    }
    if old.map(|old| &old.placement).unwrap_or(&None) != &new.placement {
        let placement = |d: &DeploymentRecord| placement_in_words(d.placement.as_ref());
        // For all devices, less that they need is more of them.
        let is_more = old.is_some_and(|old| is_wider(old, new));
        differences.add("placement", of_old(&placement), Some(placement(new)), is_more);
    }
    differences.grants("sensor", old.map_or(&[], |old| &old.sensors), &new.sensors);
    differences.grants("channel", old.map_or(&[], |old| &old.channels), &new.channels);
    let provided = |get: fn(&Provisions) -> &Vec<String>| {
        let names = |d: &DeploymentRecord| d.provisions.as_ref().map(get).cloned();
        (old.and_then(names).unwrap_or_default(), names(new).unwrap_or_default())
    };
    let (before, after) = provided(|p| &p.subscriptions);
    differences.grants("subscription", &before, &after);
    let (before, after) = provided(|p| &p.actuators);
    differences.grants("actuator", &before, &after);
    let (limits, of_new) = (old.map(|old| old.limits), new.limits);
    let mut limit = |what, get: fn(&ReleaseLimits) -> u64| {
        differences.most(what, limits.as_ref().map(get), get(&of_new));
    };
    limit("memory_bytes_max", |l| l.memory_bytes_max);
    limit("call_ms_max", |l| l.call_ms_max.into());
    if old.is_some() {
        // Every module has the same of these, so they say nothing of a new one.
        limit("stack_bytes", |l| l.stack_bytes.into());
        limit("log_lines_per_s_max", |l| l.log_lines_per_s_max.into());
        limit("publishes_per_s_max", |l| l.publishes_per_s_max.into());
    }
    let gas =
        |get: fn(&ReleaseLimits) -> Option<u64>| (limits.as_ref().and_then(get), get(&of_new));
    differences.gas("gas_per_call_max", gas(|l| l.gas_per_call_max));
    differences.gas("gas_per_s_max", gas(|l| l.gas_per_s_max));
    let actions = |limits: &ReleaseLimits| limits.actions.unwrap_or_default();
    for limit in Limit::ALL {
        let before = limits.as_ref().map(|limits| actions(limits).at(limit));
        // What follows for a new module is a part of its limits.
        let after = actions(&of_new).at(limit);
        if let Some(before) = before.filter(|before| *before != after) {
            // They are in the order of how hard they are.
            let is_more = after < before;
            let name = format!("actions.{limit}");
            differences.add(&name, Some(before.to_string()), Some(after.to_string()), is_more);
        }
    }
    let storage = |d: &DeploymentRecord| -> u64 {
        d.provisions.as_ref().and_then(|p| p.storage_bytes).unwrap_or_default().into()
    };
    if old.is_some() || storage(new) > 0 {
        differences.most("storage_bytes", old.map(storage), storage(new));
    }
    let of_wasi = |d: &DeploymentRecord| d.provisions.as_ref().and_then(|p| p.wasi.clone());
    differences
        .wasi(old.map(|old| of_wasi(old).unwrap_or_default()), of_wasi(new).unwrap_or_default());
    differences.scheduling(old, new);
    differences.sharing(old.map(|old| old.sharing.as_ref()), new.sharing.as_ref());
    differences.config(old.and_then(|old| old.provisions.as_ref()), new.provisions.as_ref());
    if let Some(old) = old {
        let is_more_often = new.interval_ms < old.interval_ms;
        let before = Some(old.interval_ms.to_string());
        differences.text("interval_ms", before, new.interval_ms.to_string(), is_more_often);
        let window = |d: &DeploymentRecord| {
            d.health_window_ms.map_or_else(|| "the devices' own".to_owned(), |ms| ms.to_string())
        };
        differences.text("health_window_ms", Some(window(old)), window(new), false);
        let (before, after) = (old.compile_policy(), new.compile_policy());
        let is_on = |policy: &str| (policy != NO_POLICY).to_string();
        let metering = (is_on(&before.metering), is_on(&after.metering));
        differences.text("metering", Some(metering.0), metering.1, false);
        let nans = (is_on(&before.nan_canonicalization), is_on(&after.nan_canonicalization));
        differences.text("canonical_nans", Some(nans.0), nans.1, false);
    }
    differences.list
}

fn placement_in_words(placement: Option<&PlacementRecord>) -> String {
    let Some(placement) = placement else { return "anywhere".to_owned() };
    let labels = placement.labels.iter().map(|(key, value)| format!("{key} = {value}"));
    labels.chain(placement.accelerators.iter().cloned()).collect::<Vec<_>>().join(", ")
}

fn is_wider(old: &DeploymentRecord, new: &DeploymentRecord) -> bool {
    let Some(before) = &old.placement else { return false };
    let Some(after) = &new.placement else { return new.devices.is_none() };
    let keeps_labels =
        before.labels.iter().all(|(key, value)| after.labels.get(key) == Some(value));
    let keeps_accelerators =
        before.accelerators.iter().all(|name| after.accelerators.contains(name));
    new.devices.is_none() && !(keeps_labels && keeps_accelerators)
}

struct Differences {
    list: Vec<PlanDifference>,
    is_update: bool,
}

impl Differences {
    fn add(&mut self, what: &str, before: Option<String>, after: Option<String>, is_more: bool) {
        self.list.push(PlanDifference { what: what.to_owned(), before, after, is_more });
    }

    /// Of something new, `before` is `None`; that is more if anything was there before.
    fn text(&mut self, what: &str, before: Option<String>, after: String, is_more: bool) {
        if before.as_ref() != Some(&after) {
            let is_more = is_more && (before.is_some() || self.is_update);
            self.add(what, before, Some(after), is_more);
        }
    }

    fn most(&mut self, what: &str, before: Option<u64>, after: u64) {
        let is_more = before.is_none_or(|before| after > before);
        self.text(what, before.map(|before| before.to_string()), after.to_string(), is_more);
    }

    /// No limit is the highest.
    fn gas(&mut self, what: &str, limits: (Option<u64>, Option<u64>)) {
        let (before, after) = limits;
        if before != after {
            let height = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
            let is_more = height(after) > height(before);
            let text = |limit: Option<u64>| limit.map(|limit| limit.to_string());
            self.add(what, text(before), text(after), is_more);
        }
    }

    /// A class is more than another where it takes more of a processor, or goes before what
    /// went before it.
    fn scheduling(&mut self, old: Option<&DeploymentRecord>, new: &DeploymentRecord) {
        let asked = |d: &DeploymentRecord| d.scheduling.clone().unwrap_or_default();
        let (before, after) = (old.map(asked), asked(new));
        if before.is_none() && after.is_usual() {
            return;
        }
        let class = |d: &DeploymentRecord| {
            let asked = d.scheduling.as_ref().and_then(|asked| asked.real_time);
            asked.map_or_else(
                || BEST_EFFORT.to_owned(),
                |real_time| {
                    let only = Scheduling { real_time: Some(real_time), ..Scheduling::default() };
                    only.words(d.interval_ms)
                },
            )
        };
        let rank = |d: &DeploymentRecord| {
            let real_time = d.scheduling.as_ref().and_then(|asked| asked.real_time);
            let load = Utilization::of(d.scheduling.as_ref(), d.interval_ms);
            (
                load,
                real_time.map_or(0, |real_time| match real_time.policy {
                    Policy::Fifo => u16::from(real_time.priority()),
                    // Deadlines go before every priority.
                    Policy::Deadline => u16::MAX,
                }),
            )
        };
        let is_more = old.is_none_or(|old| {
            let ((load, priority), (old_load, old_priority)) = (rank(new), rank(old));
            load > old_load || priority > old_priority
        });
        self.text("class", old.map(class), class(new), is_more);
        let cpus = |asked: &Scheduling| match asked.cpus.as_slice() {
            [] => "any".to_owned(),
            cpus => numbers(cpus),
        };
        let old_cpus = before.as_ref().map(cpus);
        let is_further = before.as_ref().is_some_and(|before| {
            !before.cpus.is_empty()
                && (after.cpus.is_empty() || after.cpus.iter().any(|c| !before.cpus.contains(c)))
        });
        if before.is_some() || !after.cpus.is_empty() {
            self.text("cpus", old_cpus, cpus(&after), is_further);
        }
        let weight = |asked: &Scheduling| u64::from(asked.cpu_weight.unwrap_or(CPU_WEIGHT_USUAL));
        if before.is_some() || after.cpu_weight.is_some() {
            let old_weight = before.as_ref().map(weight).or(Some(CPU_WEIGHT_USUAL.into()));
            self.most("cpu_weight", old_weight, weight(&after));
        }
    }

    /// The more a module shares its process with, the less stands between it and them.
    fn sharing(&mut self, before: Option<Option<&Sharing>>, after: Option<&Sharing>) {
        let isolation = |sharing: Option<&Sharing>| match sharing.map(|sharing| &sharing.with) {
            None => (0, "module"),
            Some(SharedWith::Application(_)) => (1, "application"),
            Some(SharedWith::Everybody) => (2, "shared"),
        };
        let ((weakness, name), old) = (isolation(after), before.map(isolation));
        if old.is_some() || after.is_some() {
            let is_weaker = old.is_none_or(|(old, _)| weakness > old);
            let before = old.map(|(_, name)| name.to_owned());
            self.text("isolation", before, name.to_owned(), is_weaker);
        }
        let priority = |sharing: Option<&Sharing>| sharing.map_or(0, |sharing| sharing.priority);
        if before.is_some() || priority(after) > 0 {
            let old = before.map(|before| priority(before).into());
            self.most("priority", old, priority(after).into());
        }
    }

    /// Values are the module's own matter, so none of them is more.
    fn config(&mut self, before: Option<&Provisions>, after: Option<&Provisions>) {
        let entries = |provisions: Option<&Provisions>| -> BTreeMap<String, String> {
            let config = provisions.map(|p| p.config.clone()).unwrap_or_default();
            config.into_iter().map(|entry| (entry.key, entry.value)).collect()
        };
        self.entries("config", &entries(before), &entries(after));
    }

    fn entries(
        &mut self,
        what: &str,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
    ) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let (old, new) = (before.get(key), after.get(key));
            if old != new {
                self.add(&format!("{what}.{key}"), old.cloned(), new.cloned(), false);
            }
        }
    }

    /// Each capability is a difference of its own. Arguments and variables are the module's
    /// own matter, like its configuration; that it gets any is more.
    fn wasi(&mut self, before: Option<WasiProvisions>, after: WasiProvisions) {
        let old = before.clone().unwrap_or_default();
        let names = |wasi: &WasiProvisions| {
            let given = [
                ("arguments", !wasi.arguments.is_empty()),
                ("environment", !wasi.environment.is_empty()),
                ("stdout to the log", wasi.log.unwrap_or(false)),
                ("clock", wasi.clock.unwrap_or(false)),
                ("random", wasi.random.unwrap_or(false)),
            ];
            let given = given.into_iter().filter(|(_, is_given)| *is_given);
            let given = given.map(|(name, _)| name.to_owned());
            given.chain(wasi.directories.iter().map(directory_in_words)).collect::<Vec<_>>()
        };
        self.grants("wasi", &names(&old), &names(&after));
        let text = |strings: &[String]| strings.join(" ");
        if old.arguments != after.arguments && !old.arguments.is_empty() {
            let (old, new) = (text(&old.arguments), text(&after.arguments));
            self.add("wasi.arguments", Some(old), Some(new), false);
        }
        let variables = |wasi: &WasiProvisions| -> BTreeMap<String, String> {
            wasi.environment.iter().map(|v| (v.key.clone(), v.value.clone())).collect()
        };
        self.entries("wasi.environment", &variables(&old), &variables(&after));
        if before.is_some() && old.restart != after.restart {
            let text = |restart: Option<module_package::WasiRestart>| {
                crate::app::wasi::to_restart(restart.unwrap_or_default()).as_str().to_owned()
            };
            self.add("wasi.restart", Some(text(old.restart)), Some(text(after.restart)), false);
        }
    }

    /// Each name that came or went is a difference of its own.
    fn grants(&mut self, what: &str, before: &[String], after: &[String]) {
        for gone in before.iter().filter(|name| !after.contains(name)) {
            self.add(what, Some(gone.clone()), None, false);
        }
        for new in after.iter().filter(|name| !before.contains(name)) {
            let is_more = self.is_update;
            self.add(what, None, Some(new.clone()), is_more);
        }
    }
}

/// With what may be done there, so that a change of that is a difference too.
fn directory_in_words(directory: &WasiDirectory) -> String {
    let guest = &directory.guest;
    match &directory.place {
        WasiPlace::Private { bytes_max } => {
            format!("directory {guest} of its own, {bytes_max} bytes")
        }
        WasiPlace::Host { name, read_only: true } => {
            format!("directory {guest}, the device's {name} to read")
        }
        WasiPlace::Host { name, .. } => format!("directory {guest}, the device's {name} to write"),
    }
}

fn has_further_devices(old: &DeploymentRecord, new: &DeploymentRecord) -> bool {
    fn has_further<T: PartialEq>(old: Option<&[T]>, new: Option<&[T]>) -> bool {
        match (old, new) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(old), Some(new)) => new.iter().any(|one| !old.contains(one)),
        }
    }
    has_further(old.devices.as_deref(), new.devices.as_deref())
        || has_further(old.targets.as_deref(), new.targets.as_deref())
}

/// `filter may use sensor humidity`, for a sentence.
pub fn in_words(module: &str, difference: &PlanDifference) -> String {
    let PlanDifference { what, before, after, .. } = difference;
    match (before, after) {
        (Some(before), Some(after)) => format!("{module}: {what} {before} -> {after}"),
        (None, Some(after)) => format!("{module}: {what} {after} is new"),
        (Some(before), None) => format!("{module}: {what} {before} is gone"),
        (None, None) => format!("{module}: {what}"),
    }
}
