//! One `EventSource` and its closures: the tab's only stream of events.
//!
//! The browser reconnects by itself after a broken connection and says where it
//! was. After an answer that is not a stream (the session ended, a proxy says
//! 502) it gives up; `live` then opens another.

use crate::json::{self, read_value};
use crate::model::{AppSample, Artifact, Deployment, Device, DeviceSample, LogLine, Module};
use serde_json::Value;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{EventSource, MessageEvent};

/// What the gateway tells, as `gateway-api` defines it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Events were lost: read everything again.
    Resync,
    Device(Box<Device>),
    Samples {
        device: DeviceSample,
        apps: Vec<AppSample>,
    },
    Module(Box<Module>),
    Artifact(Artifact),
    Deployment(Box<Deployment>),
    DeploymentRemoved(String),
    Log(LogLine),
}

/// The names on the wire, without those of single published values: no page shows them.
const EVENT_NAMES: [&str; 8] = [
    "resync",
    "device",
    "samples",
    "module",
    "artifact",
    "deployment",
    "deployment-removed",
    "log",
];

#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// The connection stands.
    Open,
    Event(Box<Event>),
    /// The connection broke; `gave_up` if the browser will not try again.
    Broken {
        gave_up: bool,
    },
}

/// Closes the stream when it is dropped.
pub struct Stream {
    source: EventSource,
    // The browser calls these, so they must live as long as the source.
    _on_open: Closure<dyn FnMut()>,
    _on_error: Closure<dyn FnMut()>,
    _on_event: Closure<dyn FnMut(MessageEvent)>,
}

impl Stream {
    pub fn open(path: &str, on_signal: impl Fn(Signal) + Clone + 'static) -> Result<Self, JsValue> {
        let source = EventSource::new(path)?;

        let tell = on_signal.clone();
        let on_open = Closure::<dyn FnMut()>::new(move || tell(Signal::Open));
        source.set_onopen(Some(on_open.as_ref().unchecked_ref()));

        let tell = on_signal.clone();
        let asked = source.clone();
        let on_error = Closure::<dyn FnMut()>::new(move || {
            tell(Signal::Broken { gave_up: asked.ready_state() == EventSource::CLOSED });
        });
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));

        let on_event = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            if let Some(event) = message.data().as_string().as_deref().and_then(read) {
                on_signal(Signal::Event(Box::new(event)));
            }
        });
        for name in EVENT_NAMES {
            source.add_event_listener_with_callback(name, on_event.as_ref().unchecked_ref())?;
        }
        Ok(Self { source, _on_open: on_open, _on_error: on_error, _on_event: on_event })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.set_onopen(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}

/// An event of a newer gateway that this page does not know is left out; the
/// page is reloaded with the gateway's own dashboard soon enough.
fn read(data: &str) -> Option<Event> {
    let event = json::parse(data).ok()?;
    let part = |name: &str| event.get(name).unwrap_or(&Value::Null);
    let event = match event.get("type")?.as_str()? {
        "resync" => Event::Resync,
        "device" => Event::Device(Box::new(read_value(part("device")).ok()?)),
        "samples" => Event::Samples {
            device: read_value(part("device")).ok()?,
            apps: read_value(part("apps")).ok()?,
        },
        "module" => Event::Module(Box::new(read_value(part("module")).ok()?)),
        "artifact" => Event::Artifact(read_value(part("artifact")).ok()?),
        "deployment" => Event::Deployment(Box::new(read_value(part("deployment")).ok()?)),
        "deployment-removed" => Event::DeploymentRemoved(part("id").as_str()?.to_owned()),
        "log" => Event::Log(read_value(part("line")).ok()?),
        _ => return None,
    };
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each.
    fn examples() -> Vec<gateway_api::Event> {
        let json = [
            r#"{"type":"resync"}"#,
            r#"{"type":"device","device":{"id":"d","name":"n","target":"t","target_name":"T",
                "bounds_checks":"software","cpu_features":[],"agent":"a","runtime":"r",
                "emulated":true,"sensors":["s"],"enrolled_at_ms":1,"connection":"online",
                "last_seen_ms":2,"generation_wanted":3,"generation":3,"uptime_ms":4,
                "cpu_percent":0.5,"memory_total_bytes":5,"memory_available_bytes":4,
                "agent_rss_bytes":1,"store_bytes":1,"refusal":null,"apps":[]}}"#,
            r#"{"type":"samples","device":{"device":"d","time_ms":1,"report_counter":1,
                "cpu_percent":null,"memory_used_bytes":1},"apps":[{"device":"d","app":"a",
                "time_ms":1,"report_counter":1,"cpu_percent":1.5,"memory_bytes":2}]}"#,
            r#"{"type":"module","module":{"id":"m","name":"n","version":1,"bytes":8,
                "uploaded_at_ms":1,"function_count":0,"imports":[],"exports":[],"memory":null,
                "data_bytes":0,"proposals":[],"known_answers":[],"artifacts":[]}}"#,
            r#"{"type":"artifact","artifact":{"module":"m","target":"t",
                "bounds_checks":"software","state":"ready","detail":"","artifact":null,
                "bytes":1,"compile_ms":2,"checks_passed":3,"release":null}}"#,
            r#"{"type":"deployment","deployment":{"id":"p","app":"a","module":"m",
                "module_version":1,"devices":"all","interval_ms":1000,"call_ms_max":1000,
                "memory_bytes_max":1,"sensors":[],"channels":[],"created_at_ms":1,
                "state":"in-progress","progress":[]}}"#,
            r#"{"type":"deployment-removed","id":"x"}"#,
            r#"{"type":"log","line":{"device":"d","device_name":"n","app":"","level":"info",
                "text":"hello","time_ms":1}}"#,
        ];
        json.iter().map(|data| serde_json::from_str(data).expect(data)).collect()
    }

    #[test]
    fn every_event_of_the_api_is_read() {
        let examples = examples();
        for event in &examples {
            let data = serde_json::to_string(event).unwrap();
            assert!(read(&data).is_some(), "{data}");
        }
        let names: Vec<_> = examples.iter().map(gateway_api::Event::name).collect();
        assert_eq!(names, EVENT_NAMES);
        let removed = r#"{"type":"deployment-removed","id":"x"}"#;
        assert_eq!(read(removed), Some(Event::DeploymentRemoved("x".into())));
    }

    #[test]
    fn an_unknown_event_is_left_out() {
        assert_eq!(read(r#"{"type":"eclipse"}"#), None);
        assert_eq!(read("not json"), None);
    }
}
