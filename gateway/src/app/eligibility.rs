//! Which devices can run a module, and why the others cannot.
//!
//! `desired` knows what rules a device out for good: target, CPU features, vectors,
//! imports, limits. What this adds holds for the moment only, because it comes from
//! the device's last report: free memory. So it is shown and decides nothing; a device
//! that is short of memory now may have room when the artifact arrives.

use super::deployments::limits_of;
use super::desired::{Ineligible, WASM_PAGE_BYTES, artifact_key, obstacles, start_bytes};
use super::placement::{check_asked, placement_of};
use super::{App, AppError, State, wasi};
use crate::store::record::{DeploymentRecord, DeviceRecord, ModuleRecord};
use crate::telemetry::{DeviceTelemetry, Telemetry};
use device_protocol::RefusalCode;
use gateway_api::{
    AskedOfDevices, DeviceEligibility, DeviceSelector, ModuleEligibility, ModuleLimits,
    ModuleNeeds, NewDeployment, Obstacle, Provisions, TableNeeds,
};

impl App {
    /// For a deployment with this limit of memory or the usual one, that asks for this of
    /// the devices.
    pub fn eligibility(
        &self,
        reference: &str,
        memory_bytes_max: Option<u64>,
        asked: &AskedOfDevices,
    ) -> Result<ModuleEligibility, AppError> {
        check_asked(Some(&asked.placement))?;
        let state = self.state();
        let module = state.model.find_module(reference)?;
        let new = NewDeployment {
            module: reference.to_owned(),
            devices: DeviceSelector::All,
            interval_ms: None,
            call_ms_max: None,
            memory_bytes_max,
            sensors: vec![],
            channels: vec![],
            metering: false,
            canonical_nans: false,
            health_window_ms: None,
            provisions: Provisions::default(),
            limits: ModuleLimits::default(),
            placement: None,
            scheduling: Default::default(),
        };
        let actuators = asked.actuators.clone();
        let provisions = module_package::Provisions { actuators, ..Default::default() };
        provisions.check().map_err(|why| AppError::bad_request(format!("{why}.")))?;
        let deployment = DeploymentRecord {
            number: 0,
            app: module.name.clone(),
            module: module.module,
            module_version: module.version,
            devices: None,
            interval_ms: 0,
            limits: limits_of(&new, module)?,
            sensors: asked.sensors.clone(),
            channels: vec![],
            created_at_ms: 0,
            removed: false,
            policy: None,
            health_window_ms: None,
            provisions: provisions.non_empty(),
            application: None,
            builds: None,
            targets: None,
            placement: placement_of(Some(&asked.placement)),
            scheduling: None,
            sharing: None,
        };
        let telemetry = self.telemetry();
        let on_device = |device| on_device(&state, &telemetry, module, &deployment, device);
        Ok(ModuleEligibility {
            module: module.module.to_string(),
            name: module.name.clone(),
            version: module.version,
            needs: needs_of(module, deployment.limits.memory_bytes_max),
            devices: state.model.served_devices().map(on_device).collect(),
        })
    }
}

fn needs_of(module: &ModuleRecord, memory_bytes_max: u64) -> ModuleNeeds {
    let to_needs = |table: &crate::store::record::TableRecord| TableNeeds {
        min_slots: table.min_slots,
        max_slots: table.max_slots,
    };
    let imports = module.imports.iter().map(|i| format!("{}.{}", i.module, i.name));
    ModuleNeeds {
        imports: imports.collect(),
        wasi: wasi::needs_of(module).iter().map(|need| need.name().to_owned()).collect(),
        proposals: module.proposals.clone(),
        memory_start_bytes: start_bytes(module),
        memory_bytes_max: most_bytes(module, memory_bytes_max),
        guest_stack_bytes: module.guest_stack_bytes,
        data_bytes: module.data_bytes,
        tables: module.tables.as_ref().map(|tables| tables.iter().map(to_needs).collect()),
        has_start: module.has_start,
    }
}

pub(super) fn on_device(
    state: &State,
    telemetry: &Telemetry,
    module: &ModuleRecord,
    deployment: &DeploymentRecord,
    device: &DeviceRecord,
) -> DeviceEligibility {
    let name = format!("{}@{}", module.name, module.version);
    let say = |why: &str| format!("{} cannot run {name} because {why}", device.name);
    let to_obstacle = |Ineligible { code, detail, advice }: Ineligible| Obstacle {
        code: Some(code.number()),
        detail: match code {
            RefusalCode::NoCodeGenerator => say(&format!("there is {detail}")),
            _ => say(&detail),
        },
        advice,
    };
    let mut found: Vec<Obstacle> =
        obstacles(module, deployment, device).into_iter().map(to_obstacle).collect();
    let mut remarks = Vec::new();
    let free_bytes = telemetry
        .device(&device.device)
        .and_then(DeviceTelemetry::report)
        .map(|report| report.usage.memory_available_bytes)
        .filter(|bytes| *bytes > 0);
    let key =
        artifact_key(module, &device.target, &device.bounds_checks, deployment.compile_policy());
    let artifact = state.model.artifacts.get(&key.hash());
    match free_bytes {
        None => remarks.push("it has not reported how much memory is free".to_owned()),
        Some(free_bytes) => {
            let code_bytes = artifact.map_or(0, |artifact| artifact.bytes);
            let start = start_bytes(module) + code_bytes;
            let most = most_bytes(module, deployment.limits.memory_bytes_max) + code_bytes;
            if start > free_bytes {
                found.push(Obstacle {
                    code: None,
                    detail: say(&format!(
                        "it takes {start} bytes of memory at the start, and {free_bytes} are free there"
                    )),
                    advice: "Remove an application from the device, or build the module with less memory."
                        .to_owned(),
                });
            } else if most > free_bytes {
                remarks.push(format!(
                    "it may grow to {most} bytes of memory, and {free_bytes} are free there now"
                ));
            }
        }
    }
    let stack_max = u64::from(deployment.limits.stack_bytes);
    match artifact.and_then(|artifact| artifact.stack_bytes) {
        Some(bytes) if bytes > stack_max => remarks.push(format!(
            "its deepest calls take {bytes} bytes of native stack, and it gets {stack_max}: these end \
             with a stack overflow"
        )),
        _ => {}
    }
    DeviceEligibility {
        device: device.device.to_string(),
        device_name: device.name.clone(),
        target: device.target.clone(),
        bounds_checks: device.bounds_checks.clone(),
        can_run: found.is_empty(),
        obstacles: found,
        remarks,
        memory_free_bytes: free_bytes,
        stack_bytes: artifact.and_then(|artifact| artifact.stack_bytes),
    }
}

/// What it may grow to.
fn most_bytes(module: &ModuleRecord, limit_bytes: u64) -> u64 {
    let Some(memory) = module.memory else { return 0 };
    let own = memory.max_pages.map_or(u64::MAX, |pages| u64::from(pages) * WASM_PAGE_BYTES);
    own.min(limit_bytes)
}
