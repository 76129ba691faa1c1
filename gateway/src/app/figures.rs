//! Figures of the whole fleet: what runs, the charts, and the overview. All are
//! from the devices' last reports.

use super::paging::{Pages, shown};
use super::{App, AppError, PageRequest, views};
use crate::store::record::DeviceRecord;
use crate::telemetry::{AppFigures, DeviceTelemetry};
use gateway_api::{
    AppSample, AppStatus, Artifact, ArtifactState, Connection, Delivery, DeploymentState, History,
    Overview, Page,
};

impl App {
    pub fn ps(&self) -> Vec<AppStatus> {
        self.find_trap_places(|_| true);
        let state = self.state();
        let telemetry = self.telemetry();
        let mut devices: Vec<_> = state.model.devices.values().collect();
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        let now_ms = self.now_ms();
        let of =
            |d: &&DeviceRecord| views::app_statuses(&state, telemetry.device(&d.device), d, now_ms);
        devices.iter().flat_map(of).collect()
    }

    pub fn ps_page(&self, request: &PageRequest) -> Result<Page<AppStatus>, AppError> {
        self.find_trap_places(|_| true);
        let state = self.state();
        let telemetry = self.telemetry();
        let now_ms = self.now_ms();
        let mut running = Vec::new();
        for record in state.model.devices.values() {
            let Some(of_device) = telemetry.device(&record.device) else { continue };
            running.extend(of_device.apps().map(|app| (record, of_device, app)));
        }
        let key = |(record, _, app): &(&DeviceRecord, &DeviceTelemetry, AppFigures<'_>)| {
            format!("{}\n{}\n{}", record.name, record.device, app.report.app)
        };
        let page = Pages::of(request, "ps").cut(running, key)?;
        Ok(shown(page, |(record, of_device, app)| {
            let connection = views::connection(Some(of_device), record, now_ms);
            views::app_status(&state, of_device, record, connection, &app)
        }))
    }

    pub fn history(&self, reference: &str) -> Result<History, AppError> {
        let state = self.state();
        let device = &state.model.find_device(reference)?.device;
        let telemetry = self.telemetry();
        let Some(of_device) = telemetry.device(device) else {
            return Ok(History { device: vec![], apps: vec![] });
        };
        let mut apps: Vec<AppSample> = of_device
            .app_points()
            .flat_map(|(app, points)| {
                points.iter().map(move |p| views::to_app_sample(device, app, p))
            })
            .collect();
        apps.sort_by(|a, b| (a.time_ms, &a.app).cmp(&(b.time_ms, &b.app)));
        let points = of_device.points().map(|point| views::to_device_sample(device, point));
        Ok(History { device: points.collect(), apps })
    }

    pub fn overview(&self) -> Overview {
        let devices = self.devices();
        let deployments = self.deployments();
        let modules = self.modules();
        let count = |wanted: Connection| devices.iter().filter(|d| d.connection == wanted).count();
        let online_apps: Vec<&AppStatus> = devices
            .iter()
            .filter(|d| d.connection == Connection::Online)
            .flat_map(|d| &d.apps)
            .collect();
        let running = online_apps.iter().filter(|app| app.state == "running").count();
        let artifacts: Vec<&Artifact> = modules.iter().flat_map(|m| &m.artifacts).collect();
        let in_state = |wanted: &[ArtifactState]| {
            artifacts.iter().filter(|a| wanted.contains(&a.state)).count() as u32
        };
        let deployments_in = |wanted: DeploymentState| {
            deployments.iter().filter(|d| d.state == wanted).count() as u32
        };
        let delivery = self.delivery_figures();
        Overview {
            devices_online: count(Connection::Online) as u32,
            devices_offline: count(Connection::Offline) as u32,
            devices_new: count(Connection::New) as u32,
            modules: modules.len() as u32,
            deployments_in_progress: deployments_in(DeploymentState::InProgress),
            deployments_failed: deployments_in(DeploymentState::Failed),
            apps_running: running as u32,
            apps_not_running: (online_apps.len() - running) as u32,
            app_cpu_percent: online_apps.iter().filter_map(|app| app.cpu_percent).sum(),
            app_memory_bytes: online_apps.iter().map(|app| app.memory_bytes).sum(),
            artifacts_ready: in_state(&[ArtifactState::Ready]),
            artifacts_in_work: in_state(&[
                ArtifactState::Queued,
                ArtifactState::Compiling,
                ArtifactState::Checking,
                ArtifactState::AwaitingReleaseSignature,
            ]),
            artifacts_refused: in_state(&[ArtifactState::Refused]),
            storage_full: self.is_storage_full(),
            delivery: Delivery {
                shared_blocks: delivery.shared_blocks,
                own_blocks: delivery.own_blocks,
                published_bytes: delivery.published_bytes,
            },
        }
    }
}
