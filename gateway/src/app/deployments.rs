//! What people ask for: which module shall run where.

use super::desired::{Build, start_bytes};
use super::model::{Model, shorten};
use super::paging::{Pages, ordered, shown};
use super::placement::{check_asked, placement_of};
use super::{App, AppError, PageRequest, State, views};
use crate::origin;
use crate::store::record::{CounterRecord, DeploymentRecord, ModuleRecord};
use crate::store::{Change, StoreError};
use gateway_api::{Deployment, DeviceSelector, Event, ModuleLimits, NewDeployment, Page};
use module_limits::{Limit, LimitActions, MEMORY_BYTES_MAX, memory_bytes_default};
use module_package::{
    CompilePolicy, ConfigEntry, DeviceId, METERING_GAS, NAN_CANONICAL, NO_POLICY, Provisions,
    ReleaseLimits,
};
use scheduling::{REAL_TIME_INTERVAL_MS_MIN, Scheduling};
use std::sync::atomic::Ordering;
use target_spec::metering::{GAS_LIMIT_MAX, RESERVED_EXPORTS};
use worker_protocol::WASI_START;

const INTERVAL_MS: std::ops::RangeInclusive<u32> = 10..=3_600_000;
const INTERVAL_MS_DEFAULT: u32 = 1_000;
const CALL_MS: std::ops::RangeInclusive<u32> = 1..=60_000;
const CALL_MS_DEFAULT: u32 = 1_000;
/// A device cuts longer ones to a day as well.
const HEALTH_WINDOW_MS: std::ops::RangeInclusive<u32> = 0..=86_400_000;

/// Native stack of a call. The deepest recursion of usual C and Rust guests, whose
/// own data stack is 64 KiB to 1 MiB in linear memory, fits.
const STACK_BYTES: u32 = 256 * 1024;
/// A device's messages are shared by its applications.
const LOG_LINES_PER_S_MAX: u32 = 20;
const PUBLISHES_PER_S_MAX: u32 = 100;

const GRANTS_MAX: usize = 16;
const GRANT_NAME_BYTES_MAX: usize = 64;
const SELECTED_DEVICES_MAX: usize = 10_000;

impl App {
    pub fn deploy(&self, new: &NewDeployment) -> Result<Deployment, AppError> {
        check_deployment(new)?;
        let mut state = self.state();
        let module = state.model.find_module(&new.module)?.clone();
        check_unowned(&state.model, &module.name)?;
        self.check_module(&state, &module)?;
        let number = state.model.counter.last_deployment + 1;
        let devices = select(&state.model, &new.devices)?;
        let record = self.to_deployment(new, &module, devices, number)?;
        self.put_in_force(&mut state, record)
    }

    /// The same again, as a new deployment: how to go back to what ran before. The
    /// module's version, its limits and its grants are those of then, whatever is newest
    /// now; devices that have left the fleet since are left out.
    pub fn repeat_deployment(&self, id: &str) -> Result<Deployment, AppError> {
        let mut state = self.state();
        let earlier = state.model.find_deployment(id)?.clone();
        check_unowned(&state.model, &earlier.app)?;
        if earlier.application.is_some() {
            return Err(AppError::conflict(format!(
                "{id} was a part of an application, whose modules go back together. Apply its earlier file."
            )));
        }
        let module = state.model.find_module(&earlier.module.to_string())?.clone();
        self.check_module(&state, &module)?;
        let devices = earlier.devices.map(|devices| {
            let is_known = |device: &DeviceId| state.model.devices.contains_key(device);
            devices.into_iter().filter(is_known).collect::<Vec<_>>()
        });
        if devices.as_ref().is_some_and(Vec::is_empty) {
            return Err(AppError::conflict(format!(
                "None of the devices of {id} is in the fleet any more."
            )));
        }
        let number = state.model.counter.last_deployment + 1;
        let created_at_ms = self.now_ms();
        let record = DeploymentRecord { number, created_at_ms, devices, ..earlier };
        self.put_in_force(&mut state, record)
    }

    fn put_in_force(
        &self,
        state: &mut State,
        record: DeploymentRecord,
    ) -> Result<Deployment, AppError> {
        let needed = self.admit(state, &[&record])?;
        let counter = CounterRecord { last_deployment: record.number };
        let changes = vec![Change::Deployment(record.clone()), Change::Counter(counter)];
        self.commit(state, changes)?;
        tracing::info!(deployment.id = record.id(), module.id = %record.module, "deployed");
        self.begin_deployments(state, &[&record], &needed)?;
        let view = self.deployment_view(state, &record);
        self.events.send(Event::Deployment { deployment: view.clone() });
        Ok(view)
    }

    /// Whether these bytes may be deployed at all.
    pub(super) fn check_module(
        &self,
        state: &State,
        module: &ModuleRecord,
    ) -> Result<(), AppError> {
        self.check_developer_of(module)?;
        check_floor(module, state.model.floor_of(&module.name))
    }

    /// What was asked for as it is kept. It was checked by [`check_deployment`].
    pub(super) fn to_deployment(
        &self,
        new: &NewDeployment,
        module: &ModuleRecord,
        devices: Option<Vec<DeviceId>>,
        number: u64,
    ) -> Result<DeploymentRecord, AppError> {
        super::wasi::check_is_said(new.provisions.wasi.as_ref(), module)?;
        Ok(DeploymentRecord {
            number,
            app: module.name.clone(),
            module: module.module,
            module_version: module.version,
            devices,
            interval_ms: new.interval_ms.unwrap_or(INTERVAL_MS_DEFAULT),
            limits: limits_of(new, module)?,
            sensors: new.sensors.clone(),
            channels: new.channels.clone(),
            created_at_ms: self.now_ms(),
            removed: false,
            policy: Some(policy_of(new)),
            health_window_ms: new.health_window_ms,
            provisions: provisions_of(&new.provisions)?,
            application: None,
            builds: None,
            targets: None,
            placement: placement_of(new.placement.as_ref()),
            scheduling: scheduling_of(new)?,
            sharing: None,
        })
    }

    /// Sets going what follows from new deployments. They are written.
    pub(super) fn begin_deployments(
        &self,
        state: &mut State,
        records: &[&DeploymentRecord],
        needed: &[Build],
    ) -> Result<(), StoreError> {
        let origin = origin::present();
        records.iter().for_each(|record| state.origins.note(record.number, origin.clone()));
        for module in records.iter().flat_map(|record| record.modules()) {
            state.jobs.forget_refusals_of(*module);
            state.jobs.ask_for(*module);
        }
        // First, because the room in the queue was found for these.
        needed.iter().for_each(|build| self.pursue(state, build));
        self.reconcile_all(state)
    }

    pub fn remove_deployment(&self, id: &str) -> Result<(), AppError> {
        let mut state = self.state();
        let record = state.model.find_deployment(id)?.clone();
        let number = record.number;
        if let Some(owner) =
            state.model.applications.values().find(|a| a.deployments.contains(&number))
        {
            return Err(AppError::conflict(format!(
                "{id} is a part of the application {:?}. Apply a file without the module, or remove the \
                 application.",
                owner.name
            )));
        }
        let change = to_removal(&state.model, record);
        self.commit(&mut state, vec![change])?;
        tracing::info!(deployment.id = id, "deployment removed");
        self.reconcile_all(&mut state)?;
        self.events.send(Event::DeploymentRemoved { id: id.to_owned() });
        Ok(())
    }

    pub fn deployments(&self) -> Vec<Deployment> {
        let state = self.state();
        let live = state.model.deployments.values().filter(|d| !d.removed);
        live.map(|record| self.deployment_view(&state, record)).collect()
    }

    /// The oldest first.
    pub fn deployments_page(&self, request: &PageRequest) -> Result<Page<Deployment>, AppError> {
        let state = self.state();
        let live = state.model.deployments.values().filter(|d| !d.removed).collect();
        let key = |record: &&DeploymentRecord| ordered(record.number);
        let page = Pages::of(request, "deployments").cut(live, key)?;
        Ok(shown(page, |record| self.deployment_view(&state, record)))
    }

    pub fn deployment(&self, id: &str) -> Result<Deployment, AppError> {
        let state = self.state();
        Ok(self.deployment_view(&state, state.model.find_deployment(id)?))
    }

    pub(super) fn deployment_view(&self, state: &State, record: &DeploymentRecord) -> Deployment {
        let progress = self.progress_of(state, &self.telemetry(), record);
        views::deployment(record, progress)
    }

    /// Tells watchers of each deployment that looks different from the last time.
    pub(super) fn show_changed_deployments(&self) {
        let deployments = self.deployments();
        let mut shown =
            self.shown_deployments.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shown.retain(|_, old| deployments.iter().any(|new| new.id == old.id));
        for deployment in deployments {
            let number = deployment.id.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            if shown.get(&number) != Some(&deployment) {
                shown.insert(number, deployment.clone());
                self.events.send(Event::Deployment { deployment });
            }
        }
    }

    pub(super) fn note_deployments_changed(&self) {
        self.deployments_changed.store(true, Ordering::Release);
    }
}

/// What belongs to an application is deployed with it.
pub(super) fn check_unowned(model: &Model, app: &str) -> Result<(), AppError> {
    match model.owner_of(app) {
        None => Ok(()),
        Some(owner) => Err(AppError::conflict(format!(
            "{app} is a module of the application {:?}. Change its file and apply that, or remove the \
             application first.",
            owner.name
        ))),
    }
}

/// The ranges and lists that do not depend on the module.
pub(super) fn check_deployment(new: &NewDeployment) -> Result<(), AppError> {
    let interval_ms = match new.scheduling.real_time {
        Some(_) => REAL_TIME_INTERVAL_MS_MIN..=*INTERVAL_MS.end(),
        None => INTERVAL_MS,
    };
    check_range("interval_ms", new.interval_ms, interval_ms)?;
    check_range("call_ms_max", new.call_ms_max, CALL_MS)?;
    check_range("health_window_ms", new.health_window_ms, HEALTH_WINDOW_MS)?;
    check_grants("sensors", &new.sensors)?;
    check_grants("channels", &new.channels)?;
    check_grants("subscriptions", &new.provisions.subscriptions)?;
    check_grants("actuators", &new.provisions.actuators)?;
    check_asked(new.placement.as_ref())
}

/// How a deployment goes: an earlier one of the same name must not come back by it.
pub(super) fn to_removal(model: &Model, record: DeploymentRecord) -> Change {
    let number = record.number;
    let has_earlier = model.deployments.values().any(|d| d.app == record.app && d.number < number);
    match has_earlier {
        true => Change::Deployment(DeploymentRecord { removed: true, ..record }),
        false => Change::DeleteDeployment(number),
    }
}

pub(super) fn select(
    model: &Model,
    selector: &DeviceSelector,
) -> Result<Option<Vec<DeviceId>>, AppError> {
    let DeviceSelector::These(references) = selector else { return Ok(None) };
    if references.is_empty() || references.len() > SELECTED_DEVICES_MAX {
        return Err(AppError::bad_request(format!(
            "Name 1 to {SELECTED_DEVICES_MAX} devices, or \"all\" for every device, also those that enrol later."
        )));
    }
    let mut devices = Vec::with_capacity(references.len());
    for reference in references {
        let device = model.find_device(reference)?.device.clone();
        if !devices.contains(&device) {
            devices.push(device);
        }
    }
    Ok(Some(devices))
}

fn policy_of(new: &NewDeployment) -> CompilePolicy {
    let choose =
        |is_wanted: bool, name: &str| (if is_wanted { name } else { NO_POLICY }).to_owned();
    CompilePolicy {
        // Gas that is not counted cannot be limited.
        metering: choose(new.metering || new.limits.has_gas(), METERING_GAS),
        nan_canonicalization: choose(new.canonical_nans, NAN_CANONICAL),
    }
}

fn scheduling_of(new: &NewDeployment) -> Result<Option<Scheduling>, AppError> {
    let interval_ms = new.interval_ms.unwrap_or(INTERVAL_MS_DEFAULT);
    let checked = new.scheduling.check(interval_ms);
    checked.map_err(|(_, why)| AppError::bad_request(format!("Not deployed: {why}.")))?;
    Ok(new.scheduling.clone().non_usual())
}

fn provisions_of(new: &gateway_api::Provisions) -> Result<Option<Provisions>, AppError> {
    let entry =
        |(key, value): (&String, &String)| ConfigEntry { key: key.clone(), value: value.clone() };
    let provisions = Provisions {
        config: new.config.iter().map(entry).collect(),
        storage_bytes: new.storage_bytes.filter(|bytes| *bytes > 0),
        subscriptions: new.subscriptions.clone(),
        actuators: new.actuators.clone(),
        wasi: new.wasi.as_ref().map(super::wasi::to_provisions).transpose()?,
    };
    provisions.check().map_err(|why| AppError::bad_request(format!("Not deployed: {why}.")))?;
    Ok(provisions.non_empty())
}

pub(super) fn limits_of(
    new: &NewDeployment,
    module: &ModuleRecord,
) -> Result<ReleaseLimits, AppError> {
    let own_max = module.memory.and_then(|memory| memory.max_pages);
    let own_max = own_max.map(|pages| u64::from(pages) * super::desired::WASM_PAGE_BYTES);
    let usual = memory_bytes_default(start_bytes(module));
    let memory_bytes_max = new.memory_bytes_max.or(own_max).unwrap_or(usual);
    if memory_bytes_max > MEMORY_BYTES_MAX {
        return Err(AppError::bad_request(format!(
            "memory_bytes_max is {memory_bytes_max}; a module can have at most {MEMORY_BYTES_MAX}."
        )));
    }
    // All of a program is one call.
    let is_program = module.exports.iter().any(|export| export.name == WASI_START);
    let call_ms_usual = if is_program { *CALL_MS.end() } else { CALL_MS_DEFAULT };
    check_gas(&new.limits, module)?;
    let actions = new.limits.actions;
    check_actions(&new.limits, &actions)?;
    Ok(ReleaseLimits {
        memory_bytes_max,
        stack_bytes: STACK_BYTES,
        call_ms_max: new.call_ms_max.unwrap_or(call_ms_usual),
        log_lines_per_s_max: LOG_LINES_PER_S_MAX,
        publishes_per_s_max: PUBLISHES_PER_S_MAX,
        gas_per_call_max: new.limits.gas_per_call_max,
        gas_per_s_max: new.limits.gas_per_s_max,
        actions: (actions != LimitActions::default()).then_some(actions),
    })
}

fn check_gas(limits: &ModuleLimits, module: &ModuleRecord) -> Result<(), AppError> {
    for (name, value) in
        [("gas_per_call_max", limits.gas_per_call_max), ("gas_per_s_max", limits.gas_per_s_max)]
    {
        if value.is_some_and(|value| value == 0 || value > GAS_LIMIT_MAX) {
            return Err(AppError::bad_request(format!(
                "{name} is {}; it must be 1 to {GAS_LIMIT_MAX}.",
                value.unwrap_or_default()
            )));
        }
    }
    let is_taken = |export: &&&str| module.exports.iter().any(|own| own.name == ***export);
    match RESERVED_EXPORTS.iter().find(is_taken) {
        Some(taken) if limits.has_gas() => Err(AppError::conflict(format!(
            "The gas of {}@{} cannot be limited: the module exports {taken} itself, a name that \
             metering needs. Rename that export, or upload the module as it was before it was metered.",
            module.name, module.version
        ))),
        _ => Ok(()),
    }
}

fn check_actions(limits: &ModuleLimits, actions: &LimitActions) -> Result<(), AppError> {
    actions.check().map_err(|e| AppError::bad_request(format!("limits.actions: {e}.")))?;
    for (limit, has_limit, name) in [
        (Limit::GasPerCall, limits.gas_per_call_max.is_some(), "gas_per_call_max"),
        (Limit::GasRate, limits.gas_per_s_max.is_some(), "gas_per_s_max"),
    ] {
        if actions.asked(limit).is_some() && !has_limit {
            return Err(AppError::bad_request(format!(
                "limits.actions says what follows at {limit}, but there is no such limit: give {name} too."
            )));
        }
    }
    Ok(())
}

fn check_floor(module: &ModuleRecord, floor: u32) -> Result<(), AppError> {
    if module.version >= floor {
        return Ok(());
    }
    Err(AppError::conflict(format!(
        "{}@{} is below the floor: the root document allows {} from version {floor} on, and every device \
         would refuse it. Deploy {}@{floor} or a later one.",
        module.name, module.version, module.name, module.name
    )))
}

fn check_range(
    name: &str,
    value: Option<u32>,
    range: std::ops::RangeInclusive<u32>,
) -> Result<(), AppError> {
    match value {
        Some(value) if !range.contains(&value) => Err(AppError::bad_request(format!(
            "{name} is {value}; it must be {} to {}.",
            range.start(),
            range.end()
        ))),
        _ => Ok(()),
    }
}

fn check_grants(what: &str, names: &[String]) -> Result<(), AppError> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_valid = |name: &String| {
        !name.is_empty() && name.len() <= GRANT_NAME_BYTES_MAX && name.chars().all(is_allowed)
    };
    if names.len() > GRANTS_MAX {
        return Err(AppError::bad_request(format!("{what} names more than {GRANTS_MAX}.")));
    }
    for (index, name) in names.iter().enumerate() {
        if !is_valid(name) {
            return Err(AppError::bad_request(format!(
                "{:?} in {what} is not valid: use 1 to {GRANT_NAME_BYTES_MAX} letters, digits, '-', '_', '.' or '/'.",
                shorten(name)
            )));
        }
        if names[..index].contains(name) {
            return Err(AppError::bad_request(format!("{what} names {name:?} twice.")));
        }
    }
    Ok(())
}
