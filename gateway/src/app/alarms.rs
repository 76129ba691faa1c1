//! What a device's signed reports give away: that newer documents are kept from it,
//! that it exists twice, or that somebody forges its reports.

use super::{App, State, views};
use crate::telemetry::{DeviceTelemetry, StoredLog};
use device_protocol::RefusalCode;
use gateway_api::{Alarm, Event};
use module_package::DeviceId;

/// How long a device that reports may have an older manifest without a reason.
const FROZEN_AFTER_MS: u64 = 60_000;

pub fn alarms_of(
    state: &State,
    of_device: &DeviceTelemetry,
    device: &DeviceId,
    now_ms: u64,
) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut raise = |kind: &str, text: String| alarms.push(Alarm { kind: kind.to_owned(), text });
    let behind_ms = state.behind.get(device).map(|behind| behind.for_ms);
    let report = of_device.report();
    let said = report.and_then(|report| report.refused.as_ref());
    let said = said.filter(|refused| refused.code == RefusalCode::Frozen);
    if let (Some(behind_ms @ FROZEN_AFTER_MS..), Some(report)) = (behind_ms, report) {
        let wanted = state.model.manifests.get(device).map_or(0, |manifest| manifest.seq);
        // Between a report and the next look it may have caught up.
        if report.seq < wanted {
            raise(
                "frozen",
                format!(
                    "It reports, but stays on generation {} although {wanted} was published {} s \
                     ago. Look for what keeps messages from it.",
                    report.seq,
                    behind_ms / 1_000
                ),
            );
        }
    } else if let Some(refused) = said {
        raise("frozen", format!("It says that it is being frozen: {}.", refused.detail));
    }
    if of_device.is_cloned(now_ms) {
        raise(
            "cloned",
            "Two starts of it report in turn: its key is probably in use twice. Revoke it and \
             enrol the genuine device again."
                .to_owned(),
        );
    }
    if let Some(count) = of_device.forged(now_ms) {
        raise(
            "forged-reports",
            format!("{count} reports in its name were not signed by it, and were refused."),
        );
    }
    alarms
}

impl App {
    /// Tells watchers and the log of each alarm that is new, and of the end of others.
    pub(super) fn show_alarms(&self) {
        let now_ms = self.now_ms();
        let mut state = self.state();
        let mut telemetry = self.telemetry();
        let mut changed = Vec::new();
        for (device, of_device) in telemetry.devices() {
            let alarms = alarms_of(&state, of_device, device, now_ms);
            let kinds: Vec<String> = alarms.iter().map(|alarm| alarm.kind.clone()).collect();
            let shown = state.shown_alarms.get(device).map_or(&[][..], Vec::as_slice);
            if shown != kinds {
                let is_new = |alarm: &Alarm| !shown.contains(&alarm.kind);
                let new: Vec<Alarm> = alarms.into_iter().filter(is_new).collect();
                changed.push((device.clone(), kinds, new));
            }
        }
        for (device, kinds, new) in changed {
            for alarm in new {
                tracing::warn!(device.id = %device, alarm = alarm.kind, "{}", alarm.text);
                let Ok(name) = self.device_name(&state, &device) else { continue };
                let stored = StoredLog {
                    arrival: telemetry.next_arrival(),
                    time_ms: now_ms,
                    app: String::new(),
                    level: "error".into(),
                    text: format!("alarm, {}: {}", alarm.kind, alarm.text),
                };
                self.events.send(Event::Log { line: views::log_line(&device, &name, &stored) });
                telemetry.device_mut(&device).logs.push(stored);
            }
            state.shown_alarms.insert(device.clone(), kinds);
            if let Some(record) = state.model.devices.get(&device) {
                let device = views::device(&state, &telemetry, record, now_ms);
                self.events.send(Event::Device { device: Box::new(device) });
            }
        }
    }
}
