//! What a deployment would do: the same rules as when it is made, and nothing is written.

use super::applications::{Names, compare};
use super::deployments::{check_deployment, check_unowned, select};
use super::desired::{build_for, wanted_by};
use super::eligibility::on_device;
use super::{App, AppError};
use crate::store::record::{DeploymentRecord, DeviceRecord};
use gateway_api::{
    DeploymentPlan, DevicePlan, DevicePlanAction, NewDeployment, PlanDifference, ReplacedDeployment,
};
use std::collections::BTreeMap;

impl App {
    pub fn plan_deployment(&self, new: &NewDeployment) -> Result<DeploymentPlan, AppError> {
        check_deployment(new)?;
        let state = self.state();
        let module = state.model.find_module(&new.module)?;
        check_unowned(&state.model, &module.name)?;
        self.check_module(&state, module)?;
        let devices = select(&state.model, &new.devices)?;
        let number = state.model.counter.last_deployment + 1;
        let record = self.to_deployment(new, module, devices, number)?;
        let needed = self.admit(&state, &[&record])?;
        let telemetry = self.telemetry();
        let paths = BTreeMap::new();
        let names = Names::new(&state.model, &paths);
        let mut replaces: BTreeMap<u64, ReplacedDeployment> = BTreeMap::new();
        let plan_device = |device: &DeviceRecord| {
            let eligibility = on_device(&state, &telemetry, module, &record, device);
            let old = wanted_by(&state.model, device).get(record.app.as_str()).copied();
            let is_same = old.is_some_and(|old| {
                let replaced =
                    replaces.entry(old.number).or_insert_with(|| to_replaced(&names, old, &record));
                replaced.device_count += 1;
                !replaced.differences.iter().any(concerns_a_device)
            });
            // Too little free memory is no refusal: it may be back when the artifact arrives.
            let build = build_for(module, &record, device);
            let action = match (&build, old) {
                (Err(_), _) => DevicePlanAction::Refuse,
                (Ok(_), None) => DevicePlanAction::Add,
                (Ok(_), Some(_)) if is_same => DevicePlanAction::Keep,
                (Ok(_), Some(_)) => DevicePlanAction::Change,
            };
            DevicePlan {
                device: device.device.to_string(),
                device_name: device.name.clone(),
                target: device.target.clone(),
                action,
                replaces: old.map(DeploymentRecord::id),
                needs_compile: build
                    .is_ok_and(|build| !state.model.artifacts.contains_key(&build.key.hash())),
                obstacles: eligibility.obstacles,
                remarks: eligibility.remarks,
            }
        };
        let (meant, others): (Vec<_>, Vec<_>) =
            state.model.served_devices().partition(|device| record.selects(device));
        let mut devices: Vec<DevicePlan> = meant.into_iter().map(plan_device).collect();
        devices.sort_by(|a, b| a.device_name.cmp(&b.device_name));
        Ok(DeploymentPlan {
            app: record.app.clone(),
            module: module.module.to_string(),
            module_version: module.version,
            replaces: replaces.into_values().collect(),
            devices,
            other_device_count: others.len() as u32,
            compile_count: needed.len() as u32,
        })
    }
}

fn to_replaced(
    names: &Names<'_>,
    old: &DeploymentRecord,
    new: &DeploymentRecord,
) -> ReplacedDeployment {
    ReplacedDeployment {
        id: old.id(),
        module_version: old.module_version,
        device_count: 0,
        differences: compare(names, Some(old), new, true),
    }
}

/// Which devices a deployment is for makes no difference on one that it is for.
fn concerns_a_device(difference: &PlanDifference) -> bool {
    !matches!(difference.what.as_str(), "devices" | "placement")
}
