//! Deployments: which module shall run where.

use super::Refusal;
use crate::json::quoted;
use crate::json::{FromJson, Part, json_struct};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    pub id: String,
    pub app: String,
    /// The application that it is a part of, if it was not made by itself.
    pub application: Option<String>,
    pub module_version: u32,
    pub devices: DeviceSelector,
    pub interval_ms: u32,
    pub call_ms_max: u32,
    pub memory_bytes_max: u64,
    pub sensors: Vec<String>,
    pub channels: Vec<String>,
    pub created_at_ms: u64,
    pub state: String,
    pub progress: Vec<DeviceProgress>,
    /// All that it asks for, also what is not shown, without where and when.
    pub terms: Value,
}

/// What two deployments that do the same may differ in.
const PLACE: [&str; 5] = ["id", "devices", "created_at_ms", "state", "progress"];

impl FromJson for Deployment {
    fn from_json(part: Part<'_>) -> Self {
        let mut terms = Value::Null;
        if let Some(object) = part.value().and_then(Value::as_object) {
            let kept = object.iter().filter(|(name, _)| !PLACE.contains(&name.as_str()));
            terms = Value::Object(kept.map(|(name, v)| (name.clone(), v.clone())).collect());
        }
        Self {
            id: part.field("id"),
            app: part.field("app"),
            application: part.field("application"),
            module_version: part.field("module_version"),
            devices: part.field("devices"),
            interval_ms: part.field("interval_ms"),
            call_ms_max: part.field("call_ms_max"),
            memory_bytes_max: part.field("memory_bytes_max"),
            sensors: part.field("sensors"),
            channels: part.field("channels"),
            created_at_ms: part.field("created_at_ms"),
            state: part.field("state"),
            progress: part.field("progress"),
            terms,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceSelector {
    /// Also those that enrol later.
    All,
    These(Vec<String>),
}

impl FromJson for DeviceSelector {
    fn from_json(part: Part<'_>) -> Self {
        match part.value().and_then(Value::as_str) {
            Some("all") => Self::All,
            _ => Self::These(part.field("these")),
        }
    }
}

json_struct! {
    pub struct DeviceProgress {
        device: String,
        device_name: String,
        target: String,
        state: String,
        generation: Option<u64>,
        fetched_bytes: u64,
        fetch_total_bytes: u64,
        refusal: Option<Refusal>,
        detail: String,
    }
}

/// What a person asks for; the rest is the gateway's usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeployment {
    pub module: String,
    pub devices: DeviceSelector,
    pub interval_ms: u32,
    pub sensors: Vec<String>,
    pub channels: Vec<String>,
}

impl NewDeployment {
    /// By hand: a writer of any JSON would be there for this one text.
    pub fn to_json(&self) -> String {
        let devices = match &self.devices {
            DeviceSelector::All => quoted("all"),
            DeviceSelector::These(devices) => format!("{{\"these\":{}}}", texts(devices)),
        };
        format!(
            "{{\"module\":{},\"devices\":{devices},\"interval_ms\":{},\"sensors\":{},\"channels\":{}}}",
            quoted(&self.module),
            self.interval_ms,
            texts(&self.sensors),
            texts(&self.channels),
        )
    }
}

fn texts(all: &[String]) -> String {
    let all: Vec<String> = all.iter().map(|text| quoted(text)).collect();
    format!("[{}]", all.join(","))
}

/// What an application does now and what it did before, as far as that was something
/// else: where "go back" leads.
pub fn earlier_deployment<'a>(
    newest_first: &'a [Deployment],
    app: &str,
) -> Option<(&'a Deployment, &'a Deployment)> {
    let mut of_app = newest_first.iter().filter(|one| one.app == app);
    let now = of_app.by_ref().find(|one| one.state != "replaced")?;
    let is_earlier = |one: &&Deployment| one.state == "replaced" && one.terms != now.terms;
    Some((now, of_app.find(is_earlier)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_sent_as_it_is() {
        let text = "a \"b\" \\ \n \u{1} ü";
        let new = NewDeployment {
            module: text.into(),
            devices: DeviceSelector::These(vec![text.into(), "d".into()]),
            interval_ms: 5,
            sensors: vec![],
            channels: vec![text.into()],
        };
        let read: Value = serde_json::from_str(&new.to_json()).unwrap();
        assert_eq!((&read["module"], &read["channels"][0]), (&text.into(), &text.into()));
        assert_eq!(read["devices"]["these"][0], *text);
        assert_eq!(
            (read["interval_ms"].as_u64(), read["sensors"].as_array().map(Vec::len)),
            (Some(5), Some(0))
        );
    }
}
