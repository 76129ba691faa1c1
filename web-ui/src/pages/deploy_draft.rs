//! What stands in the deploy dialog, before it is a request.

use crate::model::{Deployment, DeviceSelector, Module, NewDeployment};
use std::collections::BTreeMap;

const GUEST_API: &str = "farrier";
const INTERVAL_MS_DEFAULT: u32 = 1_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub all_devices: bool,
    /// Ids and names, used where not all devices are meant.
    pub chosen: BTreeMap<String, String>,
    pub interval_ms: String,
    /// None where the module does not open any.
    pub sensors: Option<String>,
    /// None where the module does not publish.
    pub channels: Option<String>,
}

impl Draft {
    pub fn toggle(&mut self, device: &str, name: &str) {
        if self.chosen.remove(device).is_none() {
            self.chosen.insert(device.to_owned(), name.to_owned());
        }
    }

    pub fn to_request(&self, module: &Module) -> Result<NewDeployment, String> {
        if !self.all_devices && self.chosen.is_empty() {
            return Err("Choose at least one device.".to_owned());
        }
        let interval_ms = self.interval_ms.trim().parse::<u32>().ok();
        let interval_ms = interval_ms
            .filter(|ms| (10..=3_600_000).contains(ms))
            .ok_or("The interval is a number from 10 to 3600000.")?;
        Ok(NewDeployment {
            module: module.id.clone(),
            devices: if self.all_devices {
                DeviceSelector::All
            } else {
                DeviceSelector::These(self.chosen.keys().cloned().collect())
            },
            interval_ms,
            sensors: split(self.sensors.as_deref()),
            channels: split(self.channels.as_deref()),
        })
    }
}

/// What a person most likely wants: what the application had before, else the
/// sensors that the devices have. Names of channels stand in the module's code,
/// where nobody can look them up, so a first deployment has to be told.
pub fn prefill(module: &Module, device_sensors: &[String], earlier: &[Deployment]) -> Draft {
    let before = earlier.iter().find(|one| one.app == module.name);
    let sensors = imports(module, "sensor_open")
        .then(|| before.map_or(device_sensors, |before| before.sensors.as_slice()).join(", "));
    let channels = imports(module, "publish")
        .then(|| before.map(|before| before.channels.join(", ")).unwrap_or_default());
    Draft {
        all_devices: true,
        chosen: BTreeMap::new(),
        interval_ms: before.map_or(INTERVAL_MS_DEFAULT, |before| before.interval_ms).to_string(),
        sensors,
        channels,
    }
}

fn imports(module: &Module, name: &str) -> bool {
    module
        .imports
        .iter()
        .any(|import| import.module.as_deref() == Some(GUEST_API) && import.name == name)
}

fn split(text: Option<&str>) -> Vec<String> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModuleExtern;

    fn module(imports: &[&str]) -> Module {
        let import = |name: &&str| ModuleExtern {
            module: Some(GUEST_API.into()),
            name: (*name).into(),
            kind: "function".into(),
            signature: String::new(),
        };
        Module {
            id: "m".into(),
            name: "filter".into(),
            version: 1,
            bytes: 8,
            uploaded_at_ms: 0,
            function_count: 1,
            imports: imports.iter().map(import).collect(),
            exports: vec![],
            memory: None,
            data_bytes: 0,
            proposals: vec![],
            known_answers: vec![],
            artifacts: vec![],
        }
    }

    #[test]
    fn only_what_the_module_imports_is_asked_for() {
        let silent = prefill(&module(&[]), &[], &[]);
        assert_eq!((silent.sensors, silent.channels), (None, None));
        let publisher = prefill(&module(&["publish"]), &[], &[]);
        assert_eq!(publisher.channels.as_deref(), Some(""));
    }

    #[test]
    fn a_draft_becomes_a_request() {
        let module = module(&["sensor_open", "publish"]);
        let mut draft = prefill(&module, &[], &[]);
        draft.sensors = Some(" temperature, ,wind ".into());
        draft.toggle("d1", "one");
        draft.all_devices = false;
        let new = draft.to_request(&module).unwrap();
        assert_eq!(new.sensors, ["temperature", "wind"]);
        assert_eq!(new.devices, DeviceSelector::These(vec!["d1".into()]));
        assert_eq!(new.interval_ms, 1_000);
        let known: gateway_api::NewDeployment = serde_json::from_str(&new.to_json()).unwrap();
        assert_eq!((known.interval_ms, known.channels.len()), (Some(1_000), 0));
        assert_eq!(known.devices, gateway_api::DeviceSelector::These(vec!["d1".into()]));
    }

    #[test]
    fn a_draft_that_makes_no_sense_says_why() {
        let module = module(&[]);
        let mut draft = prefill(&module, &[], &[]);
        draft.interval_ms = "5".into();
        assert!(draft.to_request(&module).unwrap_err().contains("interval"));
        draft.all_devices = false;
        assert!(draft.to_request(&module).unwrap_err().contains("device"));
        draft.toggle("d", "one");
        draft.toggle("d", "one");
        assert!(draft.chosen.is_empty());
    }
}
