//! The stream of server-sent events.
//!
//! Ten thousand devices that report each second are twenty thousand events a second, of
//! which a page shows those of one device. So a watcher may name the devices whose reports
//! it wants; what is rare and concerns the whole fleet comes to everybody.

use super::HttpState;
use super::extract::Query;
use crate::app::{App, Caller, NumberedEvent};
use crate::metrics::Present;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use gateway_api::Event;
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// So often it is asked whether the token or session of a stream is still good: while
/// events come, and while none do.
const ASKED_AGAIN: Duration = Duration::from_secs(1);
const ASKED_AGAIN_IDLE: Duration = Duration::from_secs(15);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    devices: Option<String>,
}

/// Whose events of single devices are wanted; `None` for everybody's.
struct Wanted(Option<Vec<String>>);

impl Wanted {
    fn of(query: EventsQuery) -> Self {
        // The URI's own limit bounds the list.
        Self(query.devices.map(|ids| ids.split(',').map(str::to_owned).collect()))
    }

    fn has(&self, event: &Event) -> bool {
        let device = match event {
            Event::Device { device } => &device.id,
            Event::Samples { device, .. } => &device.device,
            Event::Log { line } => &line.device,
            Event::Published { published } => &published.device,
            _ => return true,
        };
        self.0.as_ref().is_none_or(|ids| ids.contains(device))
    }
}

/// Everything from now on, or from behind the `Last-Event-ID`.
pub async fn stream(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<SseEvent, Infallible>>> {
    let newest = state.app.events().subscribe();
    let last_seen = headers.get("last-event-id").map(|id| id.to_str().ok()?.trim().parse().ok());
    let position = match last_seen {
        // Not a number of ours: this cannot be in the ring, and brings a resync.
        Some(None) => u64::MAX,
        Some(Some(number)) => number,
        None => *newest.borrow(),
    };
    let HttpState { app, ending, .. } = state;
    let open = app.metrics().open_stream();
    let watcher = Watcher {
        _open: open,
        app,
        caller,
        asked: None,
        newest,
        ending,
        wanted: Wanted::of(query),
        position,
        ready: VecDeque::new(),
    };
    let events = unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok(event), watcher))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

struct Watcher {
    /// Counts this stream.
    _open: Present,
    app: Arc<App>,
    caller: Caller,
    /// When it was last asked whether the caller may still listen.
    asked: Option<Instant>,
    newest: watch::Receiver<u64>,
    ending: watch::Receiver<bool>,
    wanted: Wanted,
    /// The number of the last event that was given out.
    position: u64,
    ready: VecDeque<NumberedEvent>,
}

impl Watcher {
    /// `None` when the gateway ends, and the browser then connects again; or when the
    /// caller's right has ended, and it is then told to log in.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if !self.may_listen().await {
                return None;
            }
            while let Some(NumberedEvent { number, event }) = self.ready.pop_front() {
                self.position = number;
                if self.wanted.has(&event) {
                    return Some(to_sse(number, &event));
                }
            }
            // Before reading, so that an event in between wakes us again.
            let newest = *self.newest.borrow_and_update();
            match self.app.events().after(self.position) {
                Some(events) if events.is_empty() => {}
                Some(events) => {
                    self.ready = events.into();
                    continue;
                }
                None => {
                    self.position = newest;
                    self.app.metrics().note_resync();
                    return Some(to_sse(newest, &Event::Resync));
                }
            }
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                ended = self.ending.wait_for(|ending| *ending) => {
                    let _ = ended;
                    return None;
                }
                () = tokio::time::sleep(ASKED_AGAIN_IDLE) => {}
            }
        }
    }

    async fn may_listen(&mut self) -> bool {
        if self.asked.is_some_and(|asked| asked.elapsed() < ASKED_AGAIN) {
            return true;
        }
        self.asked = Some(Instant::now());
        let (app, caller) = (self.app.clone(), self.caller.clone());
        tokio::task::spawn_blocking(move || app.is_still_good(&caller)).await.unwrap_or(false)
    }
}

fn to_sse(number: u64, event: &Event) -> SseEvent {
    // The API's types always have a JSON form.
    let data = serde_json::to_string(event).unwrap_or_default();
    SseEvent::default().id(number.to_string()).event(event.name()).data(data)
}
