//! What each device shall run, and what has to be built for it. Pure.
//!
//! A device wants, for each application, the latest deployment that selects it;
//! a removed one counts too and yields nothing. What a deployment needs on a
//! device is a [`Build`]: artifact, limits, known answers and grants together,
//! because the check before publishing runs with all of them.

use super::model::Model;
use super::placement::{check_hardware, check_placement};
use crate::store::record::{
    ArtifactKey, DeploymentRecord, DeviceRecord, KeyHash, ModuleRecord, to_cbor,
};
use device_protocol::RefusalCode;
use minicbor::Encode;
use module_package::{
    ArtifactId, BLOCK_BYTES, BlobId, CompilePolicy, DOCUMENT_VERSION, KeyId, Mismatch, Provisions,
    Release, ReleaseLimits, ReleaseTarget, RuntimeProfile,
};
use scheduling::{Excess, Utilization};
use std::collections::BTreeMap;
use target_spec::{Registry, TargetError};

pub const WASM_PAGE_BYTES: u64 = 65_536;

/// What is built, checked and signed as one.
#[derive(Debug, Clone, PartialEq, Encode)]
#[cbor(map)]
pub struct Build {
    #[n(0)]
    pub key: ArtifactKey,
    #[n(1)]
    pub app: String,
    #[n(2)]
    pub app_version: u32,
    #[n(3)]
    pub limits: ReleaseLimits,
    #[n(4)]
    pub known_answers: Vec<known_answer::Step>,
    #[n(5)]
    pub sensors: Vec<String>,
    #[n(6)]
    pub channels: Vec<String>,
    #[n(7)]
    pub imports: Vec<String>,
    /// Whose signature came with the module; the release names it.
    #[n(8)]
    pub developer: Option<KeyId>,
    #[n(9)]
    pub provisions: Option<Provisions>,
}

impl Build {
    pub fn hash(&self) -> KeyHash {
        BlobId::of(&to_cbor(self)).0
    }

    /// The release, but for what only the artifact tells.
    pub fn draft_release(&self) -> Release {
        let target = Registry::built_in().find(&self.key.target).ok();
        Release {
            version: DOCUMENT_VERSION,
            app: self.app.clone(),
            app_version: self.app_version,
            module: self.key.module,
            artifact: ArtifactId([0; 32]),
            artifact_bytes: 0,
            block_bytes: BLOCK_BYTES,
            block_hashes: vec![],
            target: ReleaseTarget {
                id: self.key.target.clone(),
                abi: target.map(|t| t.abi.clone()).unwrap_or_default(),
                cpu_features: target.map(|t| t.cpu_features.clone()).unwrap_or_default(),
                aot_version: self.key.aot_version,
                bounds_checks: self.key.bounds_checks.clone(),
            },
            policy: self.key.policy.clone(),
            imports: self.imports.clone(),
            limits: self.limits,
            known_answers: self.known_answers.clone(),
            compiler: self.key.compiler.clone(),
            developer: self.developer,
        }
    }
}

/// Why a device cannot run what is deployed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ineligible {
    /// The number that the device itself would refuse with.
    pub code: RefusalCode,
    pub detail: String,
    /// What to do about it.
    pub advice: String,
}

/// The latest deployment of each application that selects this device, without
/// those that were removed.
pub fn wanted_by<'a>(
    model: &'a Model,
    device: &DeviceRecord,
) -> BTreeMap<&'a str, &'a DeploymentRecord> {
    let mut wanted: BTreeMap<&str, &DeploymentRecord> = BTreeMap::new();
    for deployment in model.deployments.values().filter(|d| d.selects(device)) {
        wanted.insert(&deployment.app, deployment);
    }
    wanted.retain(|_, deployment| !deployment.removed);
    wanted
}

/// The artifact of a module for a device's class.
pub fn artifact_key(
    module: &ModuleRecord,
    target: &str,
    bounds_checks: &str,
    policy: CompilePolicy,
) -> ArtifactKey {
    let target_spec = Registry::built_in().find(target).ok();
    ArtifactKey {
        module: module.module,
        target: target.to_owned(),
        bounds_checks: bounds_checks.to_owned(),
        policy,
        compiler: aot_compiler::COMPILER_ID.to_owned(),
        aot_version: aot_compiler::AOT_VERSION,
        cpu_features: target_spec.map(|target| target.cpu_features.clone()),
    }
}

/// Which of the deployment's builds this device runs: the first that its target can run.
/// If there is none, the first of all, whose refusal says why.
pub fn module_for<'a>(
    model: &'a Model,
    deployment: &DeploymentRecord,
    device: &DeviceRecord,
) -> Option<&'a ModuleRecord> {
    let mut modules = deployment.modules().iter().filter_map(|id| model.modules.get(id));
    let first = modules.next()?;
    let fits = |module: &&ModuleRecord| target_obstacle(module, deployment, device).is_none();
    // Most deployments have one, and nothing to choose.
    if deployment.builds.is_none() || fits(&first) {
        return Some(first);
    }
    modules.find(fits).or(Some(first))
}

/// What keeps this kind of device from running these bytes, whoever asks for them.
pub fn target_obstacle(
    module: &ModuleRecord,
    deployment: &DeploymentRecord,
    device: &DeviceRecord,
) -> Option<Ineligible> {
    let build = to_build(module, deployment, device);
    check_device(device, &build).and_then(|()| check_vectors(module, device)).err()
}

/// What has to be built so that this device can run this deployment.
pub fn build_for(
    module: &ModuleRecord,
    deployment: &DeploymentRecord,
    device: &DeviceRecord,
) -> Result<Build, Ineligible> {
    match obstacles(module, deployment, device).into_iter().next() {
        Some(ineligible) => Err(ineligible),
        None => Ok(to_build(module, deployment, device)),
    }
}

fn to_build(module: &ModuleRecord, deployment: &DeploymentRecord, device: &DeviceRecord) -> Build {
    Build {
        key: artifact_key(
            module,
            &device.target,
            &device.bounds_checks,
            deployment.compile_policy(),
        ),
        app: deployment.app.clone(),
        app_version: module.version,
        limits: deployment.limits,
        known_answers: module.known_answers.clone(),
        sensors: deployment.sensors.clone(),
        channels: deployment.channels.clone(),
        imports: module.imports.iter().map(|i| format!("{}.{}", i.module, i.name)).collect(),
        developer: module.developer,
        provisions: deployment.provisions.clone(),
    }
}

/// All that keeps this device from running this deployment, whatever else happens.
pub fn obstacles(
    module: &ModuleRecord,
    deployment: &DeploymentRecord,
    device: &DeviceRecord,
) -> Vec<Ineligible> {
    let build = to_build(module, deployment, device);
    let checks = [
        check_device(device, &build),
        check_vectors(module, device),
        check_sensors(deployment, device),
        check_hardware(deployment, device),
        check_placement(deployment, device),
        check_memory(module, deployment),
        check_scheduling(deployment, device),
    ];
    checks.into_iter().filter_map(Result::err).collect()
}

fn refuse(code: RefusalCode, detail: String, advice: &str) -> Result<(), Ineligible> {
    Err(Ineligible { code, detail, advice: advice.to_owned() })
}

fn check_device(device: &DeviceRecord, build: &Build) -> Result<(), Ineligible> {
    match Registry::built_in().find(&device.target) {
        Ok(_) => {}
        Err(none @ TargetError::NoCodeGenerator(_)) => {
            let code = RefusalCode::NoCodeGenerator;
            return refuse(code, none.to_string(), code.advice());
        }
        Err(unknown @ TargetError::Unknown { .. }) => {
            let advice = "Upgrade the gateway: it does not know the device's target.";
            return refuse(RefusalCode::WrongTarget, unknown.to_string(), advice);
        }
    }
    let profile = RuntimeProfile {
        target: device.target.clone(),
        bounds_checks: device.bounds_checks.clone(),
        aot_version: device.aot_version,
        cpu_features: device.cpu_features.clone(),
        imports: device.imports.clone(),
    };
    match profile.check(&build.draft_release()) {
        Ok(()) => Ok(()),
        Err(mismatch @ Mismatch::Import { .. }) => {
            let advice = "Upgrade the device's runtime, or build the module without this import.";
            refuse(RefusalCode::UnknownImport, format!("the module {mismatch}"), advice)
        }
        Err(mismatch) => {
            let advice = "Enrol the device as the target that it is, or upgrade its runtime.";
            let detail = format!("the module would be {mismatch}");
            refuse(RefusalCode::WrongTarget, detail, advice)
        }
    }
}

/// Before a compile job finds out, function by function.
fn check_vectors(module: &ModuleRecord, device: &DeviceRecord) -> Result<(), Ineligible> {
    let uses_vectors = module.proposals.iter().any(|p| p == "simd" || p == "relaxed-simd");
    // Of a target without code there is nothing to say about vectors.
    let lacks_vectors = Registry::built_in().find(&device.target).is_ok_and(|target| !target.simd);
    if !uses_vectors || !lacks_vectors {
        return Ok(());
    }
    let detail = format!(
        "the module uses the WebAssembly proposal \"simd\", and the runtime has no vectors on {}",
        device.target
    );
    let advice = "Build the module without that feature, and deploy that build there.";
    refuse(RefusalCode::WrongTarget, detail, advice)
}

fn check_sensors(deployment: &DeploymentRecord, device: &DeviceRecord) -> Result<(), Ineligible> {
    let lacks = |sensor: &&String| !device.sensors.contains(sensor);
    let Some(lacking) = deployment.sensors.iter().find(lacks) else { return Ok(()) };
    let has = match device.sensors.as_slice() {
        [] => "it declares none".to_owned(),
        sensors => format!("it declares {}", sensors.join(", ")),
    };
    let detail = format!("{} has no sensor {lacking:?}; {has}", device.name);
    let advice = "Deploy without that sensor, or declare it in the agent's configuration.";
    refuse(RefusalCode::NotGranted, detail, advice)
}

/// What the device would refuse, and what an older one could not read. Whether there is
/// room beside its other modules, only the device knows.
fn check_scheduling(
    deployment: &DeploymentRecord,
    device: &DeviceRecord,
) -> Result<(), Ineligible> {
    let Some(asked) = &deployment.scheduling else { return Ok(()) };
    let (code, detail) = match &device.scheduling {
        None => {
            let detail = format!(
                "{} is asked for, and {} has not said that its owner allows anything of the kind",
                asked.words(deployment.interval_ms),
                device.name
            );
            (RefusalCode::SchedulingNotAllowed, detail)
        }
        Some(allowance) => {
            match allowance.admit(Some(asked), deployment.interval_ms, Utilization::default()) {
                Ok(()) => return Ok(()),
                Err(Excess::NotAllowed(detail)) => (RefusalCode::SchedulingNotAllowed, detail),
                Err(Excess::NoRoom(detail)) => (RefusalCode::RealTimeFull, detail),
            }
        }
    };
    refuse(code, detail, code.advice())
}

/// Of its linear memory.
pub(super) fn start_bytes(module: &ModuleRecord) -> u64 {
    module.memory.map_or(0, |memory| u64::from(memory.min_pages) * WASM_PAGE_BYTES)
}

fn check_memory(module: &ModuleRecord, deployment: &DeploymentRecord) -> Result<(), Ineligible> {
    let needed_bytes = start_bytes(module);
    let memory_bytes_max = deployment.limits.memory_bytes_max;
    if needed_bytes <= memory_bytes_max {
        return Ok(());
    }
    let detail = format!(
        "the module starts with {needed_bytes} bytes of memory, and the deployment allows \
         {memory_bytes_max}; deploy it with a larger memory_bytes_max"
    );
    refuse(RefusalCode::OverLimit, detail, "Raise the limit in the deployment.")
}
