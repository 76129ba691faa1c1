//! From what is known to what the API shows. Pure; by hand, so that neither side
//! changes the other by accident.

use super::State;
use super::alarms::alarms_of;
use super::builds::{BuildStatus, CompileJob, JobState};
use super::desired::{artifact_key, build_for, module_for, wanted_by};
use super::estimate::{self, Outlook};
use super::progress::{state_of, to_refusal};
use crate::store::record::{
    ArtifactKey, CompileRecord, DeploymentRecord, DeviceRecord, ExternRecord, LinkedInputRecord,
    ModuleRecord,
};
use crate::telemetry::{AppFigures, DeviceTelemetry, StoredLog, StoredPublished, Telemetry};
use device_protocol::TrapReport;
use device_protocol::{
    AppReport, AppState, BuildReport, Capabilities, HostCallReport, InboxReport, LoadReport,
    MetricReport, OutletReport, RefusalCode, StorageReport, SystemReport,
};
use gateway_api::{
    AppSample, AppStatus, Artifact, ArtifactState, Company, Connection, Deployment, Device,
    DeviceProgress, DeviceSample, DeviceSelector, Event, HostCallStatus, InboxStatus, LimitHit,
    LimitLast, LinkedInput, LogLine, MetricStatus, Module, ModuleExtern, ModuleLimits,
    ModuleMemory, OutletStatus, ProgramStatus, Provisions, Published, StorageStatus, SystemStatus,
    TrapStatus,
};
use module_limits::{Limit, LimitAction, LimitHits};
use module_package::{CompilePolicy, DeviceId, NO_POLICY};
use target_spec::Registry;
use worker_protocol::{GUEST_API_MODULE, GuestCall, WasiCall};

/// What a view depends on beside the state.
#[derive(Debug, Clone, Copy)]
pub struct Viewpoint {
    pub now_ms: u64,
    /// Compile jobs that are in work at the same time.
    pub workers: usize,
}

pub fn module(state: &State, record: &ModuleRecord, from: &Viewpoint) -> Module {
    let to_extern = |e: &ExternRecord| ModuleExtern {
        module: e.module.clone(),
        name: e.name.clone(),
        kind: e.kind.clone(),
        signature: e.signature.clone(),
    };
    let to_input = |input: &LinkedInputRecord| LinkedInput {
        name: input.name.clone(),
        module: input.module.to_string(),
        bytes: input.bytes,
        developer: input.developer.map(|key| key.to_string()),
    };
    Module {
        id: record.module.to_string(),
        name: record.name.clone(),
        version: record.version,
        bytes: record.bytes,
        uploaded_at_ms: record.uploaded_at_ms,
        function_count: record.function_count,
        imports: record.imports.iter().map(to_extern).collect(),
        exports: record.exports.iter().map(to_extern).collect(),
        memory: record.memory.map(|memory| ModuleMemory {
            min_pages: memory.min_pages.into(),
            max_pages: memory.max_pages.map(u64::from),
        }),
        data_bytes: record.data_bytes,
        proposals: record.proposals.clone(),
        known_answers: record.known_answers.iter().map(ToString::to_string).collect(),
        artifacts: artifacts_of(state, record, from),
        developer: record.developer.map(|key| key.to_string()),
        developer_name: None,
        linked: record.linked.iter().flatten().map(to_input).collect(),
    }
}

/// One for each class of device and policy that the module is deployed with, and
/// for each that it was built for before.
fn artifacts_of(state: &State, module: &ModuleRecord, from: &Viewpoint) -> Vec<Artifact> {
    let mut keys: Vec<ArtifactKey> = Vec::new();
    for device in state.model.devices.values() {
        let wanted = wanted_by(&state.model, device).into_values();
        let is_used = |deployment: &&DeploymentRecord| {
            module_for(&state.model, deployment, device).is_some_and(|m| m.module == module.module)
        };
        keys.extend(wanted.filter(is_used).map(|deployment| {
            let policy = deployment.compile_policy();
            artifact_key(module, &device.target, &device.bounds_checks, policy)
        }));
    }
    let built = state.model.artifacts.values().map(|a| &a.key);
    let in_work = state.jobs.compiles.values().map(|job| &job.key);
    let others = built.chain(in_work).filter(|key| key.module == module.module);
    keys.extend(
        others.map(|key| artifact_key(module, &key.target, &key.bounds_checks, key.policy.clone())),
    );
    let by_class = |key: &ArtifactKey| {
        let CompilePolicy { metering, nan_canonicalization } = key.policy.clone();
        (key.target.clone(), key.bounds_checks.clone(), metering, nan_canonicalization)
    };
    keys.sort_by_key(by_class);
    keys.dedup();
    keys.iter().map(|key| artifact(state, key, from)).collect()
}

pub fn artifact(state: &State, key: &ArtifactKey, from: &Viewpoint) -> Artifact {
    let hash = key.hash();
    let job = state.jobs.compiles.get(&hash);
    let record = state.model.artifacts.get(&hash);
    let policy = [&key.policy.metering, &key.policy.nan_canonicalization];
    let mut view = Artifact {
        module: key.module.to_string(),
        target: key.target.clone(),
        bounds_checks: key.bounds_checks.clone(),
        policy: policy.into_iter().filter(|policy| *policy != NO_POLICY).cloned().collect(),
        state: ArtifactState::Queued,
        detail: String::new(),
        artifact: record.map(|r| r.artifact.to_string()),
        bytes: record.map(|r| r.bytes),
        compile_ms: record.map(|r| r.compile_ms).or(job.and_then(|job| job.compile_ms)),
        checks_passed: None,
        release: None,
        functions_done: None,
        functions_total: None,
        jobs_before: None,
        compile_left_ms: None,
        stack_bytes: record.and_then(|r| r.stack_bytes),
    };
    match latest_status(state, key) {
        BuildStatus::Ready(release) => {
            view.state = ArtifactState::Ready;
            view.checks_passed = Some(release.checks_passed);
            view.release = Some(release.release.to_string());
        }
        BuildStatus::Checking => view.state = ArtifactState::Checking,
        BuildStatus::Compiling => view.state = ArtifactState::Compiling,
        BuildStatus::AwaitingSignature(detail) => {
            view.state = ArtifactState::AwaitingReleaseSignature;
            view.detail = detail;
        }
        BuildStatus::Refused(detail) => {
            view.state = ArtifactState::Refused;
            view.detail = detail;
        }
        BuildStatus::Queued | BuildStatus::Absent => {}
    }
    if let Some(job) = job {
        show_outlook(&mut view, state, job, from);
    }
    view
}

/// For a job that waits or is in work: how far it is, and how long it will take.
fn show_outlook(view: &mut Artifact, state: &State, job: &CompileJob, from: &Viewpoint) {
    if !matches!(view.state, ArtifactState::Queued | ArtifactState::Compiling) {
        return;
    }
    let outlook = estimate::outlook(state, job, from.workers, from.now_ms);
    view.detail = compile_in_words(job, &outlook);
    view.compile_left_ms = outlook.left_ms;
    if job.state == JobState::Queued {
        view.jobs_before = Some(outlook.jobs_before);
    }
    if job.functions.1 > 0 {
        view.functions_done = Some(job.functions.0);
        view.functions_total = Some(job.functions.1);
    }
}

/// `120 of 300 functions, about 3 s left`; empty where nothing is known.
pub fn compile_in_words(job: &CompileJob, outlook: &Outlook) -> String {
    let mut words = Vec::new();
    match (outlook.jobs_before, job.functions) {
        (1, _) => words.push("1 job before it".to_owned()),
        (2.., _) => words.push(format!("{} jobs before it", outlook.jobs_before)),
        (0, (_, 0)) => {}
        (0, (done, total)) => words.push(format!("{done} of {total} functions")),
    }
    // Below a second nobody waits.
    if let Some(left_ms) = outlook.left_ms.filter(|ms| *ms >= 1_000) {
        words.push(format!("about {} s left", left_ms.div_ceil(1_000)));
    }
    words.join(", ")
}

/// How far the latest deployment of the artifact has come; without a deployment,
/// how far anyone has.
fn latest_status(state: &State, key: &ArtifactKey) -> BuildStatus {
    let model = &state.model;
    let mut refusal = None;
    if let Some(module) = model.modules.get(&key.module) {
        let uses_it = |d: &&DeploymentRecord| d.modules().contains(&key.module);
        let live = model.deployments.values().rev().filter(|d| !d.removed).filter(uses_it);
        for deployment in live {
            let of_class = model.devices.values().filter(|d| {
                d.target == key.target
                    && d.bounds_checks == key.bounds_checks
                    && deployment.selects(d)
                    && module_for(model, deployment, d).is_some_and(|m| m.module == key.module)
            });
            for device in of_class {
                match build_for(module, deployment, device) {
                    Ok(build) if build.key == *key => {
                        let status = state.build_status(&build);
                        if status != BuildStatus::Absent {
                            return status;
                        }
                    }
                    Ok(_) => {}
                    Err(ineligible) => refusal = Some(BuildStatus::Refused(ineligible.detail)),
                }
            }
        }
    }
    let hash = key.hash();
    if let Some(release) = model.releases.values().find(|r| r.artifact_key == hash) {
        return BuildStatus::Ready(release.clone());
    }
    if let Some(unsigned) = model.unsigned.values().find(|u| u.artifact_key == hash)
        && let Some(status) = state.signature_status(unsigned.build)
    {
        return status;
    }
    match state.jobs.compiles.get(&hash).map(|job| &job.state) {
        Some(JobState::InWork) => BuildStatus::Compiling,
        Some(JobState::Refused(detail)) => BuildStatus::Refused(detail.clone()),
        Some(JobState::Queued) => BuildStatus::Queued,
        None => refusal.unwrap_or(BuildStatus::Queued),
    }
}

pub fn compile_record(record: &CompileRecord) -> gateway_api::CompileRecord {
    let CompileRecord { key, .. } = record;
    gateway_api::CompileRecord {
        module: key.module.to_string(),
        target: key.target.clone(),
        bounds_checks: key.bounds_checks.clone(),
        cpu_features: key.cpu_features.clone().unwrap_or_default(),
        metering: key.policy.metering.clone(),
        nan_canonicalization: key.policy.nan_canonicalization.clone(),
        compiler: key.compiler.clone(),
        aot_version: key.aot_version,
        started_at_ms: record.started_at_ms,
        compile_ms: record.compile_ms,
        threads: record.threads,
        module_bytes: record.module_bytes,
        function_count: record.function_count,
        code_bytes: record.code_bytes,
        artifact_bytes: record.aot_bytes,
        stack_bytes: record.stack_bytes,
        refusal: record.refusal.clone(),
        log: record.log.clone(),
    }
}

pub fn deployment(record: &DeploymentRecord, progress: Vec<DeviceProgress>) -> Deployment {
    Deployment {
        id: record.id(),
        app: record.app.clone(),
        application: record.application.clone(),
        module: record.module.to_string(),
        module_version: record.module_version,
        devices: match &record.devices {
            None => DeviceSelector::All,
            Some(devices) => {
                DeviceSelector::These(devices.iter().map(ToString::to_string).collect())
            }
        },
        targets: record.targets.clone().unwrap_or_default(),
        interval_ms: record.interval_ms,
        call_ms_max: record.limits.call_ms_max,
        memory_bytes_max: record.limits.memory_bytes_max,
        scheduling: record.scheduling.clone().unwrap_or_default(),
        sensors: record.sensors.clone(),
        channels: record.channels.clone(),
        provisions: provisions(record.provisions.clone().unwrap_or_default()),
        limits: ModuleLimits {
            gas_per_call_max: record.limits.gas_per_call_max,
            gas_per_s_max: record.limits.gas_per_s_max,
            actions: record.limits.actions.unwrap_or_default(),
        },
        created_at_ms: record.created_at_ms,
        state: state_of(&progress),
        progress,
    }
}

fn provisions(provisions: module_package::Provisions) -> Provisions {
    let config = provisions.config.into_iter();
    Provisions {
        config: config.map(|entry| (entry.key, entry.value)).collect(),
        storage_bytes: provisions.storage_bytes,
        subscriptions: provisions.subscriptions,
        actuators: provisions.actuators,
        wasi: provisions.wasi.map(super::wasi::to_view),
    }
}

pub fn device(state: &State, telemetry: &Telemetry, record: &DeviceRecord, now_ms: u64) -> Device {
    let of_device = telemetry.device(&record.device);
    let report = of_device.and_then(DeviceTelemetry::report);
    let usage = report.map(|r| r.usage.clone()).unwrap_or_default();
    let target = Registry::built_in().find_device(&record.target);
    Device {
        id: record.device.to_string(),
        name: record.name.clone(),
        target: record.target.clone(),
        target_name: target.map(|t| t.name.to_owned()).unwrap_or_default(),
        bounds_checks: record.bounds_checks.clone(),
        cpu_features: record.cpu_features.clone(),
        agent: record.agent.clone(),
        runtime: record.runtime.clone(),
        emulated: report.map_or(record.emulated, |r| r.emulated),
        scheduling: record.scheduling.clone(),
        sensors: record.sensors.clone(),
        enrolled_at_ms: record.enrolled_at_ms,
        connection: connection(of_device, record, now_ms),
        last_seen_ms: of_device.and_then(DeviceTelemetry::last_seen_ms),
        generation_wanted: state.model.manifests.get(&record.device).map_or(0, |m| m.seq),
        generation: report.map_or(0, |r| r.seq),
        uptime_ms: report.map_or(0, |r| r.uptime_ms),
        cpu_percent: of_device.and_then(|d| d.cpu_percent),
        memory_total_bytes: usage.memory_total_bytes,
        memory_available_bytes: usage.memory_available_bytes,
        agent_rss_bytes: usage.agent_rss_bytes,
        store_bytes: usage.store_bytes,
        revoked_at_ms: record.revoked_at_ms,
        fingerprint: device_protocol::fingerprint(&record.public_key),
        undeployable: Registry::built_in().find(&record.target).err().map(|e| e.to_string()),
        refused_messages: telemetry.refused_messages(&record.device),
        refusal: report.and_then(|r| r.refused.as_ref()).map(|r| to_refusal(r.code, &r.detail)),
        apps: app_statuses(state, of_device, record, now_ms),
        alarms: of_device.map(|d| alarms_of(state, d, &record.device, now_ms)).unwrap_or_default(),
        reports_refused: of_device.map_or(0, |d| d.reports_refused),
        root_version: report.and_then(|r| r.root_version),
        clock: report.and_then(|r| r.clock).map(|clock| clock.as_str().to_owned()),
        system: report.and_then(|r| r.system.as_ref()).map(system),
        builds: report.and_then(|r| r.builds.as_ref()).map(builds),
        capabilities: record.capabilities.as_ref().map(capabilities),
    }
}

pub fn connection(
    of_device: Option<&DeviceTelemetry>,
    record: &DeviceRecord,
    now_ms: u64,
) -> Connection {
    // The session of a revoked device is ended with its rights.
    let may_be_online = record.revoked_at_ms.is_none();
    match of_device {
        Some(device) if may_be_online && device.is_online(now_ms) => Connection::Online,
        Some(device) if device.last_seen_ms().is_some() => Connection::Offline,
        _ => Connection::New,
    }
}

pub fn app_statuses(
    state: &State,
    of_device: Option<&DeviceTelemetry>,
    record: &DeviceRecord,
    now_ms: u64,
) -> Vec<AppStatus> {
    let Some(of_device) = of_device else { return vec![] };
    let connection = connection(Some(of_device), record, now_ms);
    let status = |app| app_status(state, of_device, record, connection, &app);
    of_device.apps().map(status).collect()
}

pub fn app_status(
    state: &State,
    of_device: &DeviceTelemetry,
    record: &DeviceRecord,
    connection: Connection,
    app: &AppFigures<'_>,
) -> AppStatus {
    let AppFigures { report: app, cpu_percent } = app;
    let report = of_device.report();
    let guest = app.guest.clone().unwrap_or_default();
    let limits = app.limits.unwrap_or_default();
    // Until a full report has come the device names its release alone; which artifact and
    // module that is, its signature says.
    let artifact = app.artifact.or_else(|| state.model.artifact_of(app.release));
    let built = artifact.and_then(|artifact| state.model.artifact(artifact));
    AppStatus {
        device: record.device.to_string(),
        device_name: record.name.clone(),
        target: record.target.clone(),
        app: app.app.clone(),
        version: app.app_version,
        module: app.module.or(built.map(|b| b.key.module)).map(|m| m.to_string()),
        artifact: artifact.map(|a| a.to_string()),
        artifact_bytes: built.map(|b| b.bytes),
        compile_ms: built.map(|b| b.compile_ms),
        state: state_in_words(app).to_owned(),
        refusal: app.refusal.map(|code| to_refusal(code, &app.detail)),
        detail: app.detail.clone(),
        cpu_percent: *cpu_percent,
        cpu_us: app.cpu_us,
        memory_bytes: app.memory_bytes,
        memory_peak_bytes: app.memory_peak_bytes,
        worker_rss_bytes: app.worker_rss_bytes,
        calls: app.calls,
        traps: app.traps,
        restarts: app.restarts,
        published: app.published,
        publishes_dropped: app.publishes_dropped,
        log_lines: app.log_lines,
        log_lines_dropped: app.log_lines_dropped,
        checks_passed: app.checks_passed,
        checks_failed: app.checks_failed,
        gas_used: app.gas_used,
        host_calls: guest.host_calls.iter().map(host_call).collect(),
        metrics: guest.metrics.into_iter().map(metric).collect(),
        storage: guest.storage.map(storage),
        inboxes: guest.inboxes.into_iter().map(inbox).collect(),
        emulated: report.is_some_and(|r| r.emulated),
        fallback: app.fallback,
        report_boot_id: report.map(|r| hex::encode(r.boot_id)).unwrap_or_default(),
        report_counter: report.map_or(0, |r| r.counter),
        reported_at_ms: of_device.last_seen_ms().unwrap_or_default(),
        connection: Some(connection),
        limit_hits: limit_hits(&limits),
        limit_last: limits.last_limit.zip(limits.last_action).map(to_limit_last),
        throttled: app.throttled.unwrap_or(false),
        program: app.program.map(|program| ProgramStatus {
            runs: program.runs,
            exit_code: program.exit_code,
            is_finished: program.is_finished,
        }),
        confinement: app.confinement.clone(),
        trap_kinds: app.trap_kinds.iter().flat_map(|kinds| kinds.iter()).collect(),
        overhead_bytes: app.overhead_bytes,
        company: app.company.as_ref().map(|company| Company {
            pid: company.pid,
            modules: company.modules,
            displaced: company.displaced,
            displaced_by: company.displaced_by.clone(),
        }),
        worker_cpu_us: app.worker_cpu_us,
        outlets: app.outlets.iter().flatten().map(outlet).collect(),
        ticks: app.ticks.clone(),
        scheduling: app.scheduling.clone(),
        last_trap: app.last_trap.as_ref().map(|trap| last_trap(trap, of_device)),
    }
}

fn last_trap(trap: &TrapReport, of_device: &DeviceTelemetry) -> TrapStatus {
    TrapStatus {
        export: trap.export.clone(),
        kind: trap.kind,
        detail: trap.detail.clone(),
        place: of_device.trap_places.get(trap).cloned(),
    }
}

fn system(system: &SystemReport) -> SystemStatus {
    let to_load = |l: LoadReport| [l.one, l.five, l.fifteen].map(|milli| f64::from(milli) / 1e3);
    SystemStatus {
        load: system.load_milli.map(to_load),
        cpus: system.cpus,
        temperature_c: system.temperature_milli_c.map(|milli_c| f64::from(milli_c) / 1e3),
        storage_total_bytes: system.storage_total_bytes,
        storage_free_bytes: system.storage_free_bytes,
        uptime_s: system.uptime_s,
    }
}

fn capabilities(has: &Capabilities) -> gateway_api::DeviceCapabilities {
    gateway_api::DeviceCapabilities {
        actuators: has.actuators.clone(),
        accelerators: has.accelerators.clone(),
        labels: has.labels.iter().map(|l| (l.key.clone(), l.value.clone())).collect(),
        unavailable: has.unavailable.iter().map(|u| (u.name.clone(), u.why.clone())).collect(),
    }
}

fn builds(builds: &BuildReport) -> gateway_api::BuildStatus {
    let BuildReport { agent, runtime, wamr_version, aot_version, target, bounds_checks } =
        builds.clone();
    gateway_api::BuildStatus {
        agent: agent.version,
        agent_sha256_start: agent.sha256_start.map(hex::encode),
        runtime: runtime.version,
        runtime_sha256_start: runtime.sha256_start.map(hex::encode),
        wamr_version,
        aot_version,
        target,
        bounds_checks,
    }
}

fn outlet(outlet: &OutletReport) -> OutletStatus {
    let OutletReport { channel, depth, published, dropped } = outlet.clone();
    OutletStatus { channel, depth, published, dropped }
}

fn host_call(call: &HostCallReport) -> HostCallStatus {
    let HostCallReport { number, calls, bytes, time_ns } = *call;
    let of_guest_api = GuestCall::from_number(number).map(GuestCall::import_name);
    let of_wasi = || WasiCall::from_number(number).map(WasiCall::import_name);
    let known = of_guest_api.or_else(of_wasi);
    let import = known.unwrap_or_else(|| format!("{GUEST_API_MODULE}.#{number}"));
    HostCallStatus { import, calls, bytes, time_ns }
}

fn storage(storage: StorageReport) -> StorageStatus {
    let StorageReport { used_bytes, quota_bytes } = storage;
    StorageStatus { used_bytes, quota_bytes }
}

fn inbox(inbox: InboxReport) -> InboxStatus {
    let InboxReport { channel, depth, received, dropped } = inbox;
    InboxStatus { channel, depth, received, dropped }
}

fn metric(metric: MetricReport) -> MetricStatus {
    MetricStatus { name: metric.name, value: metric.value }
}

/// What a device says by a code only, because older gateways know no such state.
fn state_in_words(app: &AppReport) -> &'static str {
    match (app.state, app.refusal) {
        (AppState::Refused, Some(RefusalCode::GasLimit)) => "stopped: gas limit",
        (AppState::Refused, Some(RefusalCode::RateLimit)) => "stopped: rate limit",
        (AppState::Refused, Some(RefusalCode::CrashLoop)) => "quarantined",
        (AppState::Running, None) => match app.program.filter(|program| program.is_finished) {
            Some(program) if program.exit_code == Some(0) => "finished",
            Some(_) => "failed",
            None => "running",
        },
        (state, _) => state.as_str(),
    }
}

fn limit_hits(limits: &LimitHits) -> Vec<LimitHit> {
    let hit = |limit| LimitHit { limit, hits: limits.of(limit) };
    Limit::ALL.into_iter().map(hit).filter(|hit| hit.hits > 0).collect()
}

fn to_limit_last((limit, action): (Limit, LimitAction)) -> LimitLast {
    LimitLast { limit, action }
}

/// The points that the last report added.
pub fn newest_samples(telemetry: &Telemetry, device: &DeviceId) -> Option<Event> {
    let of_device = telemetry.device(device)?;
    let point = *of_device.last_point()?;
    let apps = of_device.app_points().filter_map(|(app, points)| {
        let last = points.last().filter(|last| last.time_ms == point.time_ms)?;
        Some(to_app_sample(device, app, last))
    });
    let mut apps: Vec<AppSample> = apps.collect();
    apps.sort_by(|a, b| a.app.cmp(&b.app));
    Some(Event::Samples { device: to_device_sample(device, &point), apps })
}

pub fn to_device_sample(device: &DeviceId, point: &crate::telemetry::DevicePoint) -> DeviceSample {
    DeviceSample {
        device: device.to_string(),
        time_ms: point.time_ms,
        report_counter: point.report_counter(),
        cpu_percent: point.cpu_percent(),
        memory_used_bytes: point.memory_used_bytes,
    }
}

pub fn to_app_sample(
    device: &DeviceId,
    app: &str,
    point: &crate::telemetry::AppPoint,
) -> AppSample {
    AppSample {
        device: device.to_string(),
        app: app.to_owned(),
        time_ms: point.time_ms,
        report_counter: point.report_counter(),
        cpu_percent: point.cpu_percent(),
        memory_bytes: point.memory_bytes,
    }
}

pub fn log_line(device: &DeviceId, device_name: &str, line: &StoredLog) -> LogLine {
    LogLine {
        device: device.to_string(),
        device_name: device_name.to_owned(),
        app: line.app.clone(),
        level: line.level.clone(),
        text: line.text.clone(),
        time_ms: line.time_ms,
    }
}

pub fn published(device: &DeviceId, device_name: &str, value: &StoredPublished) -> Published {
    Published {
        device: device.to_string(),
        device_name: device_name.to_owned(),
        app: value.app.clone(),
        channel: value.channel.clone(),
        seq: value.seq,
        payload: hex::encode(&value.payload),
        time_ms: value.time_ms,
    }
}
