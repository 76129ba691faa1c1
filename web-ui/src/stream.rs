//! One `EventSource` and its closures: the tab's only stream of events.
//!
//! The browser reconnects by itself after a broken connection and says where it
//! was. After an answer that is not a stream (the session ended, a proxy says
//! 502) it gives up; `live` then opens another.

use gateway_api::Event;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{EventSource, MessageEvent};

/// The names of [`Event`], which are the names on the wire.
const EVENT_NAMES: [&str; 9] = [
    "resync",
    "device",
    "samples",
    "module",
    "artifact",
    "deployment",
    "deployment-removed",
    "log",
    "published",
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
    serde_json::from_str(data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_listener() {
        let log = r#"{"type":"log","line":{"device":"d","device_name":"n","app":"","level":"info",
            "text":"hello","time_ms":1}}"#;
        for data in [r#"{"type":"resync"}"#, r#"{"type":"deployment-removed","id":"x"}"#, log] {
            let event = read(data).expect(data);
            assert!(EVENT_NAMES.contains(&event.name()), "{}", event.name());
        }
    }

    #[test]
    fn an_unknown_event_is_left_out() {
        assert_eq!(read(r#"{"type":"eclipse"}"#), None);
        assert_eq!(read("not json"), None);
    }
}
