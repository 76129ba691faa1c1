//! How far a deployment has come on each device, from what is built, what was
//! published, and what the device last reported.

use super::builds::BuildStatus;
use super::desired::{Build, build_for, module_for};
use super::views::{Viewpoint, compile_in_words};
use super::{App, State, estimate};
use crate::store::record::{DeploymentRecord, DeviceRecord, ManifestRecord, ReleaseRecord};
use crate::telemetry::{DeviceTelemetry, Telemetry};
use device_protocol::{AppReport, AppState, RefusalCode};
use gateway_api::{DeploymentState, DeviceProgress, ProgressState, Refusal};

impl App {
    /// One for each device that the deployment concerns.
    pub(super) fn progress_of(
        &self,
        state: &State,
        telemetry: &Telemetry,
        deployment: &DeploymentRecord,
    ) -> Vec<DeviceProgress> {
        let devices = state.model.served_devices().filter(|d| deployment.selects(d));
        let from = self.viewpoint();
        devices
            .map(|device| {
                let of_device = telemetry.device(&device.device);
                let mut progress = on_device(state, of_device, deployment, device, &from);
                if deployment.builds.is_some() {
                    let module = module_for(&state.model, deployment, device);
                    progress.build = module.map(|m| format!("{}@{}", m.name, m.version));
                }
                let is_online = of_device.is_some_and(|d| d.is_online(from.now_ms));
                if !is_online {
                    note_silence(&mut progress, of_device.is_some());
                }
                progress
            })
            .collect()
    }
}

/// A silent device finishes nothing, so nothing of it is shown as going on.
fn note_silence(progress: &mut DeviceProgress, has_reported: bool) {
    match progress.state {
        ProgressState::Published | ProgressState::Fetching | ProgressState::Starting => {
            progress.state = ProgressState::Published;
            let what = match has_reported {
                true => "the device is offline",
                false => "the device has not reported yet",
            };
            progress.detail = format!("{what}; it gets its manifest when it connects");
        }
        ProgressState::Running => {
            progress.detail = "as of its last report: the device is offline".into();
        }
        _ => {}
    }
}

fn on_device(
    state: &State,
    telemetry: Option<&DeviceTelemetry>,
    deployment: &DeploymentRecord,
    device: &DeviceRecord,
    from: &Viewpoint,
) -> DeviceProgress {
    let with = |progress_state, detail: String| DeviceProgress {
        device: device.device.to_string(),
        device_name: device.name.clone(),
        target: device.target.clone(),
        state: progress_state,
        build: None,
        generation: None,
        fetched_bytes: 0,
        fetch_total_bytes: 0,
        refusal: None,
        detail,
    };
    let is_later = |other: &&DeploymentRecord| {
        other.app == deployment.app && other.number > deployment.number && other.selects(device)
    };
    if let Some(later) = state.model.deployments.values().find(is_later) {
        let detail = match later.removed {
            true => "a later deployment of the application was removed from the device".to_owned(),
            false => format!("deployment {} has taken its place", later.id()),
        };
        return with(ProgressState::Replaced, detail);
    }
    let Some(module) = module_for(&state.model, deployment, device) else {
        return with(ProgressState::Refused, "the module is gone".into());
    };
    let build = match build_for(module, deployment, device) {
        Ok(build) => build,
        Err(ineligible) => {
            let refusal = to_refusal(ineligible.code, &ineligible.detail);
            let progress = with(ProgressState::Refused, ineligible.detail);
            return DeviceProgress { refusal: Some(refusal), ..progress };
        }
    };
    let floor = state.model.floor_of(&deployment.app);
    if module.version < floor {
        let detail = format!(
            "the root document allows {} from version {floor} on, and this is version {}; deploy a \
             newer one",
            deployment.app, module.version
        );
        let refusal = to_refusal(RefusalCode::BelowFloor, &detail);
        let progress = with(ProgressState::Refused, detail);
        return DeviceProgress { refusal: Some(refusal), ..progress };
    }
    match state.build_status(&build) {
        BuildStatus::Absent => with(ProgressState::Compiling, "waits to be compiled".into()),
        BuildStatus::Queued => {
            let detail = with_outlook("waits to be compiled", state, &build, from);
            with(ProgressState::Compiling, detail)
        }
        BuildStatus::Compiling => {
            let detail = with_outlook("is being compiled", state, &build, from);
            with(ProgressState::Compiling, detail)
        }
        BuildStatus::Checking => with(ProgressState::Compiling, "is being checked".into()),
        BuildStatus::AwaitingSignature(detail) => {
            with(ProgressState::AwaitingReleaseSignature, detail)
        }
        BuildStatus::Refused(detail) => with(ProgressState::Refused, detail),
        BuildStatus::Ready(_)
            if state.no_room.contains(&(device.device.clone(), deployment.number)) =>
        {
            let detail = "the device's manifest has no room for another application; remove one";
            with(ProgressState::Refused, detail.into())
        }
        BuildStatus::Ready(release) => {
            let manifest = state.model.manifests.get(&device.device);
            after_publishing(
                with(ProgressState::Published, String::new()),
                &release,
                manifest,
                telemetry,
                deployment,
            )
        }
    }
}

/// `is being compiled: 120 of 300 functions, about 3 s left`.
fn with_outlook(what: &str, state: &State, build: &Build, from: &Viewpoint) -> String {
    let Some(job) = state.jobs.compiles.get(&build.key.hash()) else { return what.to_owned() };
    let outlook = estimate::outlook(state, job, from.workers, from.now_ms);
    match compile_in_words(job, &outlook).as_str() {
        "" => what.to_owned(),
        words => format!("{what}: {words}"),
    }
}

/// The manifest is out; the rest is the device's word.
fn after_publishing(
    published: DeviceProgress,
    release: &ReleaseRecord,
    manifest: Option<&ManifestRecord>,
    telemetry: Option<&DeviceTelemetry>,
    deployment: &DeploymentRecord,
) -> DeviceProgress {
    let entry = manifest.and_then(|m| {
        m.entries
            .iter()
            .find(|e| e.deployment == deployment.number && e.entry.release == release.release)
    });
    let Some(entry) = entry else { return published };
    let published = DeviceProgress {
        generation: Some(entry.since_seq),
        fetch_total_bytes: release.release_bytes + release.artifact_bytes,
        ..published
    };
    let Some(report) = telemetry.and_then(DeviceTelemetry::report) else { return published };
    if report.seq < entry.since_seq {
        let refused = report.refused.as_ref();
        return match refused.filter(|refused| refused.seq.is_some_and(|seq| seq >= entry.since_seq))
        {
            Some(refused) => DeviceProgress {
                state: ProgressState::Refused,
                refusal: Some(to_refusal(refused.code, &refused.detail)),
                detail: "the device refused the manifest".into(),
                ..published
            },
            None => published,
        };
    }
    let app = report.apps.iter().find(|app| app.app == deployment.app);
    match app {
        Some(app) if app.release == entry.entry.release => as_reported(published, app),
        // Accepted; its first word about the application comes with the next report.
        _ => DeviceProgress { state: ProgressState::Starting, ..published },
    }
}

/// The device speaks of the version that it should run. Where it runs an earlier
/// one instead, its detail says so.
fn as_reported(published: DeviceProgress, app: &AppReport) -> DeviceProgress {
    let state = match app.state {
        // It runs, and may yet make way for the version before.
        AppState::Running if app.trial_left_ms.is_some() => ProgressState::Starting,
        AppState::Fetching => ProgressState::Fetching,
        AppState::Starting => ProgressState::Starting,
        AppState::Running => ProgressState::Running,
        AppState::BackingOff | AppState::Stopped | AppState::StoppedTimeLimit => {
            ProgressState::Stopped
        }
        // It ran, and did something for which it was stopped.
        AppState::Refused if app.refusal.is_some_and(is_stop) => ProgressState::Stopped,
        AppState::Refused => ProgressState::Refused,
    };
    let detail = match app.detail.is_empty() {
        true if app.trial_left_ms.is_some() => {
            let left_ms = app.trial_left_ms.unwrap_or_default();
            format!("runs, and is kept if it is well for {} s more", left_ms.div_ceil(1_000))
        }
        true if state == ProgressState::Stopped => app.state.as_str().to_owned(),
        _ => app.detail.clone(),
    };
    DeviceProgress {
        state,
        refusal: app.refusal.map(|code| to_refusal(code, &app.detail)),
        detail,
        fetched_bytes: app.fetched_bytes,
        fetch_total_bytes: app.fetch_total_bytes,
        ..published
    }
}

fn is_stop(code: RefusalCode) -> bool {
    matches!(code, RefusalCode::GasLimit | RefusalCode::RateLimit | RefusalCode::CrashLoop)
}

pub(super) fn to_refusal(code: RefusalCode, detail: &str) -> Refusal {
    Refusal {
        code: code.number(),
        title: code.title().to_owned(),
        advice: code.advice().to_owned(),
        detail: detail.to_owned(),
    }
}

pub(super) fn state_of(progress: &[DeviceProgress]) -> DeploymentState {
    let count = |is: fn(&DeviceProgress) -> bool| progress.iter().filter(|p| is(p)).count();
    let replaced = count(|p| p.state == ProgressState::Replaced);
    let running = count(|p| p.state == ProgressState::Running);
    let ended = count(|p| matches!(p.state, ProgressState::Refused | ProgressState::Stopped));
    match progress.len() {
        0 => DeploymentState::Waiting,
        all if all == replaced => DeploymentState::Replaced,
        all if all == replaced + running => DeploymentState::Done,
        all if all == replaced + running + ended => DeploymentState::Failed,
        _ => DeploymentState::InProgress,
    }
}
