//! What devices have, and which of them a deployment is for by it.
//!
//! A deployment for all devices that names labels or accelerators selects those that have
//! them all, also ones that get them later. One that names its devices is refused, by what
//! is missing, on a device that has not.

use super::desired::Ineligible;
use super::model::shorten;
use super::{App, AppError};
use crate::store::Change;
use crate::store::record::{DeploymentRecord, DeviceRecord, PlacementRecord};
use device_protocol::{CAPABILITY_BYTES_MAX, Capabilities, RefusalCode};
use gateway_api::Placement;
use module_package::DeviceId;

/// Between two changes of one device that are kept: each is a record of the journal, and
/// what came too soon comes again.
const CHANGED_AGAIN_MS_MIN: u64 = 10_000;

/// Most labels, and most accelerators, of one deployment.
const ASKED_MAX: usize = 16;

impl App {
    /// Keeps what a device has told of itself, if it is something new.
    pub(super) fn note_capabilities(&self, device: &DeviceId, told: &Capabilities) {
        if !told.is_bounded() {
            tracing::warn!(device.id = %device, "tells of more than a device has");
            return;
        }
        let now_ms = self.now_ms();
        let mut state = self.state();
        let Some(record) = state.model.devices.get(device) else { return };
        let is_soon = |at_ms: u64| now_ms.saturating_sub(at_ms) < CHANGED_AGAIN_MS_MIN;
        // Most devices have nothing that their enrolment has not told: ten thousand of them
        // need no record more each.
        let enrolled = Capabilities { sensors: record.sensors.clone(), ..Capabilities::default() };
        if record.capabilities.as_ref().unwrap_or(&enrolled) == told
            || record.capabilities_at_ms.is_some_and(is_soon)
        {
            return;
        }
        let record = DeviceRecord {
            sensors: told.sensors.clone(),
            capabilities: Some(told.clone()),
            capabilities_at_ms: Some(now_ms),
            ..record.clone()
        };
        let kept = self.commit(&mut state, vec![Change::Device(record)]);
        let kept = kept.and_then(|()| self.reconcile(&mut state, std::slice::from_ref(device)));
        match kept {
            Ok(()) => {
                tracing::info!(device.id = %device, "has told what it has");
                self.show_device(&state, device);
            }
            // It comes again with a later report.
            Err(error) => tracing::error!(device.id = %device, "keep what it has: {error}"),
        }
    }
}

/// What the device has not of all that is asked for, in words.
fn lacking(placement: &PlacementRecord, device: &DeviceRecord) -> Vec<String> {
    let has = device.capabilities.as_ref();
    let labels = placement
        .labels
        .iter()
        .filter(|(key, value)| !has.is_some_and(|has| has.has_label(key, value)));
    let accelerators = placement
        .accelerators
        .iter()
        .filter(|name| !has.is_some_and(|has| has.accelerators.contains(name)));
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
        None => "its agent has not told what it has".to_owned(),
        Some(has) if has.accelerators.is_empty() && has.labels.is_empty() => {
            "it declares neither accelerators nor labels".to_owned()
        }
        Some(has) => {
            let labels =
                has.labels.iter().map(|label| format!("{} = {:?}", label.key, label.value));
            let all: Vec<String> = labels.chain(has.accelerators.iter().cloned()).collect();
            format!("it declares {}", all.join(", "))
        }
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
    let is_name = |text: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
        (1..=CAPABILITY_BYTES_MAX).contains(&text.len()) && text.chars().all(is_plain)
    };
    let labels = asked.labels.iter().flat_map(|(key, value)| [key, value]);
    if let Some(wrong) = labels.chain(&asked.accelerators).find(|text| !is_name(text)) {
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
