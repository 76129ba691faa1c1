//! What devices have, and which of them a deployment is for by it.
//!
//! A deployment for all devices that names labels or accelerators selects those that have
//! them all, also ones that get them later. One that names its devices is refused, by what
//! is missing, on a device that has not.

use super::desired::Ineligible;
use super::model::shorten;
use super::reports::TOLD_AGAIN_MS_MIN;
use super::{App, AppError, State};
use crate::store::record::{DeploymentRecord, DeviceRecord, PlacementRecord};
use application_file::is_capability;
use device_protocol::{CAPABILITY_BYTES_MAX, Capabilities, RefusalCode};
use gateway_api::Placement;
use module_package::DeviceId;

/// Most labels, and most accelerators, of one deployment.
const ASKED_MAX: usize = 16;

impl App {
    /// Keeps what a device has told of itself, if it is something new.
    pub(super) fn note_capabilities(
        &self,
        state: &mut State,
        device: &DeviceId,
        told: Capabilities,
    ) {
        if !told.is_bounded() {
            tracing::warn!(device.id = %device, "tells of more than a device has");
            return;
        }
        let now_ms = self.now_ms();
        let Some(record) = state.model.devices.get(device) else { return };
        let is_soon = |at_ms: u64| now_ms.saturating_sub(at_ms) < TOLD_AGAIN_MS_MIN;
        let is_known = match &record.capabilities {
            Some(known) => *known == told,
            // Most devices have nothing that their enrolment has not told: ten thousand of
            // them need no record more each.
            None => {
                let Capabilities { sensors, actuators, accelerators, labels, unavailable } = &told;
                let has_more = !actuators.is_empty() || !accelerators.is_empty();
                let has_more = has_more || !labels.is_empty() || !unavailable.is_empty();
                *sensors == record.sensors && !has_more
            }
        };
        if is_known || record.capabilities_at_ms.is_some_and(is_soon) {
            return;
        }
        let record = DeviceRecord {
            sensors: told.sensors.clone(),
            capabilities: Some(told),
            capabilities_at_ms: Some(now_ms),
            ..record.clone()
        };
        match self.keep_told(state, record) {
            Ok(()) => {
                tracing::info!(device.id = %device, "has told what it has");
                self.show_device(state, device);
            }
            // It comes again with a later report.
            Err(error) => tracing::error!(device.id = %device, "keep what it has: {error}"),
        }
    }
}

/// What the device has not of all that is asked for, in words.
fn lacking(placement: &PlacementRecord, device: &DeviceRecord) -> Vec<String> {
    let labels = placement.labels.iter().filter(|(key, value)| !device.has_label(key, value));
    let accelerators = placement.accelerators.iter().filter(|name| !device.has_accelerator(name));
    let labels = labels.map(|(key, value)| format!("the label {key} = {value:?}"));
    labels.chain(accelerators.map(|name| format!("the accelerator {name:?}"))).collect()
}

pub fn check_placement(
    deployment: &DeploymentRecord,
    device: &DeviceRecord,
) -> Result<(), Ineligible> {
    let placement = deployment.placement.as_ref();
    let lacking = placement.map(|placement| lacking(placement, device)).unwrap_or_default();
    if lacking.is_empty() {
        return Ok(());
    }
    let has = match device.capabilities.as_ref() {
        Some(has) if !has.accelerators.is_empty() || !has.labels.is_empty() => {
            let labels =
                has.labels.iter().map(|label| format!("{} = {:?}", label.key, label.value));
            let all: Vec<String> = labels.chain(has.accelerators.iter().cloned()).collect();
            format!("it declares {}", all.join(", "))
        }
        // What has sensors alone has told of them by its enrolment, and nothing is kept.
        _ => "it has declared neither accelerators nor labels".to_owned(),
    };
    Err(Ineligible {
        code: RefusalCode::NotPlaced,
        detail: format!("{} has not {}; {has}", device.name, lacking.join(" and ")),
        advice: "Deploy elsewhere, or declare it in the agent's configuration.".to_owned(),
    })
}

/// Of sensors and actuators: what is declared and all the same not there.
pub fn check_hardware(
    deployment: &DeploymentRecord,
    device: &DeviceRecord,
) -> Result<(), Ineligible> {
    let Some(has) = &device.capabilities else { return Ok(()) };
    let actuators = deployment.provisions.iter().flat_map(|given| &given.actuators);
    if let Some(lacking) = actuators.clone().find(|name| !has.actuators.contains(name)) {
        let declares = match has.actuators.as_slice() {
            [] => "it declares none".to_owned(),
            actuators => format!("it declares {}", actuators.join(", ")),
        };
        return Err(Ineligible {
            code: RefusalCode::NotGranted,
            detail: format!("{} has no actuator {lacking:?}; {declares}", device.name),
            advice: "Deploy without that actuator, or declare it in the agent's configuration."
                .to_owned(),
        });
    }
    let mut wanted = deployment.sensors.iter().chain(actuators);
    let find = |name: &String| has.unavailable.iter().find(|missing| missing.name == *name);
    match wanted.find_map(find) {
        None => Ok(()),
        Some(missing) => Err(Ineligible {
            code: RefusalCode::NotGranted,
            detail: format!(
                "{} of {} is not available: {}",
                missing.name, device.name, missing.why
            ),
            advice: "Load the driver, or correct the agent's configuration, and start it again."
                .to_owned(),
        }),
    }
}

/// What was asked for as it is kept.
pub fn placement_of(placement: Option<&Placement>) -> Option<PlacementRecord> {
    let asked = placement.filter(|placement| !placement.is_empty())?;
    let mut accelerators = asked.accelerators.clone();
    accelerators.sort();
    accelerators.dedup();
    Some(PlacementRecord { labels: asked.labels.clone(), accelerators })
}

pub fn check_asked(placement: Option<&Placement>) -> Result<(), AppError> {
    let Some(asked) = placement else { return Ok(()) };
    let labels = asked.labels.iter().flat_map(|(key, value)| [key, value]);
    if let Some(wrong) = labels.chain(&asked.accelerators).find(|text| !is_capability(text)) {
        return Err(AppError::bad_request(format!(
            "{:?} is no label and no accelerator: use 1 to {CAPABILITY_BYTES_MAX} letters, digits, \
             '-', '_', '.', '/' or ':'.",
            shorten(wrong)
        )));
    }
    if asked.labels.len() > ASKED_MAX || asked.accelerators.len() > ASKED_MAX {
        return Err(AppError::bad_request(format!(
            "More than {ASKED_MAX} labels or accelerators are asked for."
        )));
    }
    Ok(())
}
