//! From a file to deployments, or to all that is wrong with it here.

use super::channels;
use super::compare::{Names, compare};
use super::{changed_meanwhile, deployments_of, invalid_file, is_change};
use crate::app::deployments::check_deployment;
use crate::app::desired::{module_for, obstacles, target_obstacle};
use crate::app::linking::is_made_of;
use crate::app::model::Model;
use crate::app::modules::check_step;
use crate::app::{App, AppError, State, wasi};
use crate::store::record::{DeploymentRecord, DeviceRecord, ExternRecord, ModuleRecord};
use application_file::{
    ApplicationFile, Build, Devices, Direction, Isolation, Located, Place, Source, nearest,
};
use gateway_api::{
    ApplicationPlan, DeviceSelector, FileProblem, ModuleLimits, ModulePlan, NewApplication,
    NewDeployment, PlanAction, PlanBuild, PlanDifference, Provisions,
};
use known_answer::Step;
use module_package::{DeviceId, ModuleId, SharedWith, Sharing};
use std::collections::{BTreeMap, BTreeSet};
use target_spec::Registry;
use worker_protocol::WASI_START;

/// Most notes about devices for one module.
const NOTES_MAX: usize = 10;

/// What a file asks for, against what is there.
pub struct Draft {
    /// In the order of the file.
    pub modules: Vec<DraftModule>,
    /// Deployments of modules that the file does not have any more.
    pub removed: Vec<DeploymentRecord>,
    pub plan: ApplicationPlan,
}

pub struct DraftModule {
    pub record: DeploymentRecord,
    /// It says what runs already: that deployment stays, with its number.
    pub is_kept: bool,
    /// Its modules that get other known answers.
    pub answered: Vec<ModuleRecord>,
}

/// A file's module with what it refers to.
struct Resolved {
    record: DeploymentRecord,
    /// Of the builds that have to be uploaded first.
    paths: BTreeMap<ModuleId, String>,
    /// What stands in for those until then.
    stand_ins: Vec<ModuleRecord>,
    answered: Vec<ModuleRecord>,
}

/// Before the state is locked: a long file takes a while.
pub fn read_file(new: &NewApplication) -> Result<ApplicationFile, AppError> {
    application_file::read(&new.file).map_err(|errors| {
        invalid_file(errors.into_iter().map(|e| problem_at(e.at, e.what)).collect())
    })
}

impl App {
    pub(super) fn draft_application(
        &self,
        state: &State,
        file: &ApplicationFile,
        new: &NewApplication,
    ) -> Result<Draft, AppError> {
        let name = &file.name.value;
        let present = state.model.applications.get(name);
        let from_version = present.map_or(0, |application| application.version);
        if let Some(expected) = new.expected_version.filter(|version| *version != from_version) {
            return Err(changed_meanwhile(name, expected, from_version));
        }
        let resolved = self.resolve(state, file, new)?;
        let old = present.map(|present| deployments_of(&state.model, present)).unwrap_or_default();
        let removed: Vec<DeploymentRecord> =
            old.into_iter().filter(|old| file.module(&old.app).is_none()).collect();
        let mut modules = Vec::new();
        let mut plans = Vec::new();
        let mut lacking: BTreeSet<String> = BTreeSet::new();
        for module in resolved {
            let names = Names::new(&state.model, &module.paths);
            let (drafted, plan) = draft_module(&state.model, &names, &module, from_version > 0);
            lacking.extend(module.paths.into_values());
            modules.push(drafted);
            plans.push(plan);
        }
        plans.extend(removed.iter().map(removal));
        // In the order of the file, in which they get their versions.
        let missing = file.uploads().into_iter().filter(|label| lacking.contains(label)).collect();
        let to_version = from_version + u32::from(from_version == 0 || is_change(&plans));
        let asks_for_more = plans.iter().flat_map(|plan| &plan.differences).any(|d| d.is_more);
        let plan = ApplicationPlan {
            application: name.clone(),
            from_version,
            to_version,
            missing,
            modules: plans,
            asks_for_more,
        };
        Ok(Draft { modules, removed, plan })
    }

    /// The deployments that the file asks for, or everything that stands against them.
    fn resolve(
        &self,
        state: &State,
        file: &ApplicationFile,
        new: &NewApplication,
    ) -> Result<Vec<Resolved>, AppError> {
        let mut problems = Vec::new();
        let mut resolved = Vec::new();
        for module in &file.modules {
            let mut own = Vec::new();
            match self.resolve_module(state, file, module, new, &mut own) {
                Some(module) if own.is_empty() => resolved.push(module),
                _ => problems.extend(own),
            }
        }
        // A publisher may be among what is wrong.
        if problems.is_empty() {
            let records: Vec<&DeploymentRecord> = resolved.iter().map(|m| &m.record).collect();
            problems = channels::dangling(&state.model, file, &records);
        }
        match problems.is_empty() {
            true => Ok(resolved),
            false => {
                problems.truncate(application_file::ERRORS_MAX);
                Err(invalid_file(problems))
            }
        }
    }

    /// `None` or with problems: it cannot be.
    fn resolve_module(
        &self,
        state: &State,
        file: &ApplicationFile,
        module: &application_file::Module,
        new: &NewApplication,
        problems: &mut Vec<FileProblem>,
    ) -> Option<Resolved> {
        let name = &module.name;
        if let Some(owner) = state.model.owner_of(&name.value)
            && owner.name != file.name.value
        {
            let what = format!(
                "module {} belongs to the application {:?}; take it out of there first, or push the \
                 same bytes under another name",
                name.value, owner.name
            );
            problems.push(problem_at(name.at, what));
        }
        let devices = select(&state.model, &module.devices, problems);
        let targets = select_targets(module.targets.as_deref(), problems);
        let mut paths = BTreeMap::new();
        let mut stand_ins: Vec<ModuleRecord> = Vec::new();
        let mut builds: Vec<ModuleRecord> = Vec::new();
        for build in &module.builds {
            match find_build(&state.model, &name.value, build, new) {
                Ok(Found::Here(record)) => {
                    if let Err(error) = self.check_module(state, record) {
                        problems.push(problem_at(build.at, sentence_part(&error)));
                    }
                    builds.push(record.clone());
                }
                Ok(Found::ToUpload(id, path)) => {
                    let stand_in = stand_in(&state.model, &name.value, id, stand_ins.len());
                    paths.insert(id, path);
                    builds.push(stand_in.clone());
                    stand_ins.push(stand_in);
                }
                Err(what) => problems.push(problem_at(build.at, what)),
            }
        }
        for (index, build) in builds.iter().enumerate() {
            if builds[..index].iter().any(|other| other.module == build.module) {
                let what = "two builds of any_of have the same bytes; take one out";
                problems.push(problem_at(module.builds[index].at, what));
            }
        }
        let first = builds.first()?;
        let new = to_new_deployment(module);
        // Of the first it is looked at with all the rest.
        for build in builds.iter().skip(1) {
            let said = wasi::check_is_said(new.provisions.wasi.as_ref(), build);
            let at = module.wasi.as_ref().map_or(name.at, |wasi| wasi.at);
            problems.extend(said.err().map(|e| problem_at(at, sentence_part(&e))));
        }
        let made =
            check_deployment(&new).and_then(|()| self.to_deployment(&new, first, devices, 0));
        let record =
            made.map_err(|e| problems.push(problem_at(name.at, sentence_part(&e)))).ok()?;
        let ids = || builds.iter().map(|build| build.module).collect();
        let record = DeploymentRecord {
            application: Some(file.name.value.clone()),
            builds: (builds.len() > 1).then(ids),
            targets,
            sharing: sharing_of(module, &file.name.value),
            ..record
        };
        let answered = with_answers(&module.steps, &builds, &stand_ins, problems);
        Some(Resolved { record, paths, stand_ins, answered })
    }
}

fn sharing_of(module: &application_file::Module, application: &str) -> Option<Sharing> {
    let with = match module.isolation {
        Isolation::Module => return None,
        Isolation::Application => SharedWith::Application(application.to_owned()),
        Isolation::Shared => SharedWith::Everybody,
    };
    Some(Sharing { with, priority: module.priority.unwrap_or_default() })
}

/// The one place where a file's fields become those of a deployment.
fn to_new_deployment(module: &application_file::Module) -> NewDeployment {
    let values = |names: &[Located<String>]| names.iter().map(|name| name.value.clone()).collect();
    let channels = |direction| {
        module.channels_to(direction).map(|channel| channel.name.value.clone()).collect()
    };
    NewDeployment {
        module: module.name.value.clone(),
        // Chosen by `select`, with the places of names that are wrong.
        devices: DeviceSelector::All,
        interval_ms: module.interval_ms,
        call_ms_max: module.call_ms_max,
        memory_bytes_max: module.memory_bytes_max,
        sensors: values(&module.sensors),
        channels: channels(Direction::Publish),
        metering: module.metering,
        canonical_nans: module.canonical_nans,
        health_window_ms: module.health_window_ms,
        provisions: Provisions {
            config: module.config.clone(),
            storage_bytes: module.storage_bytes,
            subscriptions: channels(Direction::Subscribe),
            actuators: values(&module.actuators),
            wasi: module.wasi.as_ref().map(|wasi| wasi::of_file(&wasi.value)),
        },
        limits: ModuleLimits {
            gas_per_call_max: module.gas_per_call_max,
            gas_per_s_max: module.gas_per_s_max,
            actions: module.actions,
        },
        placement: Some(gateway_api::Placement {
            labels: module.placement.labels.clone(),
            accelerators: values(&module.placement.accelerators),
        }),
        scheduling: module.scheduling.clone(),
    }
}

pub fn problem_at(at: Place, what: impl Into<String>) -> FileProblem {
    FileProblem { line: at.line, column: at.column, what: what.into() }
}

/// A refusal's sentence as a part of a line.
fn sentence_part(error: &AppError) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

/// In one order, however they are named: another order is no change.
fn select(
    model: &Model,
    devices: &Devices,
    problems: &mut Vec<FileProblem>,
) -> Option<Vec<DeviceId>> {
    let Devices::These(these) = devices else { return None };
    let mut selected = Vec::new();
    for device in these {
        match model.find_device(&device.value) {
            Ok(record) => selected.push(record.device.clone()),
            Err(error) => problems.push(problem_at(device.at, sentence_part(&error))),
        }
    }
    selected.sort();
    selected.dedup();
    Some(selected)
}

/// In one order, too.
fn select_targets(
    targets: Option<&[Located<String>]>,
    problems: &mut Vec<FileProblem>,
) -> Option<Vec<String>> {
    let targets = targets?;
    for target in targets {
        if let Err(unknown) = Registry::built_in().find(&target.value) {
            let all = Registry::built_in().all().iter().map(|target| target.id.as_str());
            let advice = match nearest(&target.value, all) {
                Some(near) => format!("; did you mean {near:?}?"),
                None => String::new(),
            };
            problems.push(problem_at(target.at, format!("{unknown}{advice}")));
        }
    }
    let mut selected: Vec<String> = targets.iter().map(|target| target.value.clone()).collect();
    selected.sort();
    Some(selected)
}

enum Found<'a> {
    Here(&'a ModuleRecord),
    ToUpload(ModuleId, String),
}

fn find_build<'a>(
    model: &'a Model,
    name: &str,
    build: &Build,
    new: &NewApplication,
) -> Result<Found<'a>, String> {
    let record = match &build.source {
        Source::Version(version) => {
            let is_it = |m: &&ModuleRecord| m.name == name && m.version == *version;
            let newest = model.newest_of(name).map(|newest| newest.version);
            model.modules.values().find(is_it).ok_or_else(|| match newest {
                Some(newest) => {
                    format!("there is no {name}@{version}; the newest is {name}@{newest}")
                }
                None => format!("there is no module {name}; give its file, or push it first"),
            })?
        }
        Source::Id(id) => {
            let found = id.parse().ok().and_then(|id: ModuleId| model.modules.get(&id));
            found.ok_or_else(|| format!("there is no module with the id {id}; push it first"))?
        }
        Source::File(path) if build.libraries.is_empty() => {
            let id = id_of(path, new)?;
            match model.modules.get(&id) {
                Some(record) => record,
                None => return Ok(Found::ToUpload(id, path.clone())),
            }
        }
        Source::File(path) => {
            let mut inputs = vec![(None, id_of(path, new)?)];
            for (library, path) in &build.libraries {
                inputs.push((Some(library.clone()), id_of(&path.value, new)?));
            }
            match model.modules.values().find(|record| is_made_of(record, &inputs)) {
                Some(record) => record,
                None => return Ok(Found::ToUpload(to_stand_in_id(&inputs), build.label())),
            }
        }
    };
    match record.name == name {
        true => Ok(Found::Here(record)),
        false => Err(format!(
            "these bytes are here as {}@{}, and a module has one name; name the module {}",
            record.name, record.version, record.name
        )),
    }
}

fn id_of(path: &str, new: &NewApplication) -> Result<ModuleId, String> {
    let id = new.files.get(path).ok_or_else(|| {
        format!("{path:?} is a file, and its SHA-256 did not come with the request")
    })?;
    id.parse().map_err(|_| format!("the SHA-256 that came for {path:?} is none"))
}

/// Of what is yet to be linked: another one for other inputs, and no module's.
fn to_stand_in_id(inputs: &[(Option<String>, ModuleId)]) -> ModuleId {
    let parts = inputs.iter().map(|(name, module)| format!("{name:?} {module}\n"));
    ModuleId::of(parts.collect::<String>().as_bytes())
}

/// What is known of a module before its bytes are here: the newest one's memory is likely
/// to be its own, and so is being a program.
fn stand_in(model: &Model, name: &str, module: ModuleId, before: usize) -> ModuleRecord {
    let newest = model.newest_of(name);
    // Cannot overflow: a file names at most some hundred modules.
    let version = newest.map_or(0, |newest| newest.version).saturating_add(before as u32 + 1);
    ModuleRecord {
        module,
        name: name.to_owned(),
        version,
        bytes: 0,
        uploaded_at_ms: 0,
        function_count: 0,
        imports: vec![],
        exports: newest.and_then(start_of).into_iter().collect(),
        memory: newest.and_then(|newest| newest.memory),
        data_bytes: 0,
        proposals: vec![],
        known_answers: vec![],
        tables: None,
        has_start: None,
        guest_stack_bytes: None,
        developer: None,
        module_statement: None,
        linked: None,
    }
}

fn start_of(module: &ModuleRecord) -> Option<ExternRecord> {
    module.exports.iter().find(|export| export.name == WASI_START).cloned()
}

/// The builds that are here and have other known answers than the file gives them.
fn with_answers(
    steps: &[Located<Step>],
    builds: &[ModuleRecord],
    stand_ins: &[ModuleRecord],
    problems: &mut Vec<FileProblem>,
) -> Vec<ModuleRecord> {
    let mut answered = Vec::new();
    let is_here = |build: &&ModuleRecord| !stand_ins.iter().any(|s| s.module == build.module);
    for build in builds.iter().filter(is_here).filter(|_| !steps.is_empty()) {
        for step in steps {
            if let Err(what) = check_step(build, &step.value) {
                let what = format!("{}@{}: {what}", build.name, build.version);
                problems.push(problem_at(step.at, what.trim_end_matches('.')));
            }
        }
        let known_answers: Vec<Step> = steps.iter().map(|step| step.value.clone()).collect();
        if build.known_answers != known_answers {
            answered.push(ModuleRecord { known_answers, ..build.clone() });
        }
    }
    answered
}

fn answers_difference(model: &Model, module: &Resolved) -> Option<PlanDifference> {
    let new = module.answered.first()?;
    let old = model.modules.get(&new.module).map_or(0, |old| old.known_answers.len());
    let after = match new.known_answers.len() {
        count if count == old => format!("{count} other steps"),
        count => format!("{count} steps"),
    };
    Some(PlanDifference {
        what: "known_answers".to_owned(),
        before: (old > 0).then(|| format!("{old} steps")),
        after: Some(after),
        is_more: false,
    })
}

/// Against what runs under the module's name now, whoever deployed it.
fn draft_module(
    model: &Model,
    names: &Names<'_>,
    module: &Resolved,
    is_update: bool,
) -> (DraftModule, ModulePlan) {
    let record = &module.record;
    let mut live = model.deployments.values().filter(|d| d.app == record.app && !d.removed);
    let old = live.next_back();
    let has_others = live.next_back().is_some();
    let is_same = old.is_some_and(|old| is_equal(old, record));
    let is_kept = is_same && !has_others && module.answered.is_empty();
    let is_own = old.is_some_and(|old| old.application == record.application);
    let mut notes = obstacle_notes(model, module);
    if let Some(old) = old.filter(|_| !is_own) {
        notes.insert(
            0,
            match is_kept {
                true => format!("deployment {} becomes a part of the application", old.id()),
                false => format!("takes the place of deployment {}", old.id()),
            },
        );
    }
    let mut differences = compare(names, old, record, is_update);
    differences.extend(answers_difference(model, module));
    let plan = ModulePlan {
        module: record.app.clone(),
        action: match (old, is_kept && is_own) {
            (None, _) => PlanAction::Add,
            (_, true) => PlanAction::Keep,
            (_, false) => PlanAction::Change,
        },
        differences,
        builds: builds_by_target(model, names, module),
        notes,
    };
    let number = old.filter(|_| is_kept).map_or(0, |old| old.number);
    let created_at_ms = old.filter(|_| is_kept).map_or(record.created_at_ms, |d| d.created_at_ms);
    let record = DeploymentRecord { number, created_at_ms, ..record.clone() };
    (DraftModule { record, is_kept, answered: module.answered.clone() }, plan)
}

/// Whether both ask for the same, whatever they are called and since when.
fn is_equal(old: &DeploymentRecord, new: &DeploymentRecord) -> bool {
    let as_new = DeploymentRecord {
        number: new.number,
        created_at_ms: new.created_at_ms,
        application: new.application.clone(),
        policy: Some(old.compile_policy()),
        ..old.clone()
    };
    as_new == *new
}

fn removal(old: &DeploymentRecord) -> ModulePlan {
    ModulePlan {
        module: old.app.clone(),
        action: PlanAction::Remove,
        differences: vec![],
        builds: vec![],
        notes: vec![],
    }
}

pub fn concerned<'a>(
    model: &'a Model,
    record: &'a DeploymentRecord,
) -> impl Iterator<Item = &'a DeviceRecord> {
    model.served_devices().filter(|device| record.selects(device))
}

/// Which build each kind of device gets, and why not a better one.
fn builds_by_target(model: &Model, names: &Names<'_>, module: &Resolved) -> Vec<PlanBuild> {
    let mut kinds: BTreeMap<(String, String, Option<String>), u32> = BTreeMap::new();
    for device in concerned(model, &module.record) {
        let (build, reason) = choice(model, names, module, device);
        *kinds.entry((device.target.clone(), build, reason)).or_default() += 1;
    }
    let to_build =
        |((target, build, reason), device_count)| PlanBuild { target, device_count, build, reason };
    kinds.into_iter().map(to_build).collect()
}

fn choice(
    model: &Model,
    names: &Names<'_>,
    module: &Resolved,
    device: &DeviceRecord,
) -> (String, Option<String>) {
    let record = &module.record;
    let mut reasons = Vec::new();
    for id in record.modules() {
        let stand_in = module.stand_ins.iter().find(|stand_in| stand_in.module == *id);
        let Some(build) = stand_in.or_else(|| model.modules.get(id)) else { continue };
        match target_obstacle(build, record, device) {
            None => {
                let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
                return (names.build(*id), reason);
            }
            Some(obstacle) => {
                reasons.push(format!("not {}: {}", names.build(*id), obstacle.detail))
            }
        }
    }
    (names.build(record.module), Some(format!("refused there: {}", reasons.join("; "))))
}

/// What keeps single devices from running it, beside their target.
fn obstacle_notes(model: &Model, module: &Resolved) -> Vec<String> {
    let mut notes = Vec::new();
    for device in concerned(model, &module.record) {
        let Some(build) = module_for(model, &module.record, device) else { continue };
        if target_obstacle(build, &module.record, device).is_some() {
            continue;
        }
        let first = obstacles(build, &module.record, device).into_iter().next();
        notes.extend(first.map(|obstacle| format!("{}. {}", obstacle.detail, obstacle.advice)));
    }
    if notes.len() > NOTES_MAX {
        let more = notes.len() - NOTES_MAX;
        notes.truncate(NOTES_MAX);
        notes.push(format!("and {more} more devices cannot run it"));
    }
    notes
}
