//! What keeps an event stream going: connections, ids, delays.

use crate::client::Client;
use crate::error::ClientError;
use crate::events::EventOptions;
use crate::exchange::read_refusal;
use crate::messages::{MessageStream, messages};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::stream::StreamExt;
use gateway_api::Event;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use std::time::Duration;

const DELAY_MIN: Duration = Duration::from_millis(200);
const DELAY_MAX: Duration = Duration::from_secs(10);

/// The events that this build can read. Others come from a newer gateway and are
/// skipped; `every_known_name_is_an_event` holds the list against the type.
const KNOWN_NAMES: [&str; 9] = [
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

pub(crate) struct Feed {
    client: Client,
    options: EventOptions,
    request: String,
    /// Empty until an event had one.
    last_event_id: String,
    connection: Option<MessageStream>,
    delays: ExponentialBackoff,
    delay_min: Duration,
    has_ended: bool,
}

impl Feed {
    pub(crate) async fn connect(
        client: Client,
        options: EventOptions,
    ) -> Result<Self, ClientError> {
        let request = format!("GET {}", client.api_url(&["events"])?);
        let last_event_id = options.last_event_id.clone().unwrap_or_default();
        let delays = delays_from(DELAY_MIN);
        let mut feed = Self {
            client,
            options,
            request,
            last_event_id,
            connection: None,
            delays,
            delay_min: DELAY_MIN,
            has_ended: false,
        };
        feed.open().await?;
        Ok(feed)
    }

    pub(crate) async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        while !self.has_ended {
            let Some(connection) = &mut self.connection else {
                match self.reopen().await {
                    Some(item) => return Some(item),
                    None => continue,
                }
            };
            match connection.next().await {
                Some(Ok(message)) => {
                    if let Some(item) = self.read(message) {
                        return Some(item);
                    }
                }
                Some(Err(error)) => self.pause(&error).await,
                None => self.pause(&ClientError::StreamEnded).await,
            }
        }
        None
    }

    /// Waits before the next connection.
    async fn pause(&mut self, error: &ClientError) {
        self.connection = None;
        let delay = self.delays.next().unwrap_or(DELAY_MAX);
        if let Some(on_interruption) = &self.options.on_interruption {
            on_interruption(error, delay);
        }
        tokio::time::sleep(delay).await;
    }

    /// Some if that is worth telling.
    async fn reopen(&mut self) -> Option<Result<Event, ClientError>> {
        match self.open().await {
            // Without an id nobody can say what happened meanwhile.
            Ok(()) if self.last_event_id.is_empty() && !self.has_ended => Some(Ok(Event::Resync)),
            Ok(()) => None,
            Err(error) if error.is_transient() || error.status().is_some_and(|s| s >= 500) => {
                self.pause(&error).await;
                None
            }
            Err(error) => {
                self.has_ended = true;
                Some(Err(error))
            }
        }
    }

    async fn open(&mut self) -> Result<(), ClientError> {
        let timeout = self.client.request_timeout;
        let url = self.client.api_url(&["events"])?;
        let mut builder = self.client.http.get(url).header(ACCEPT, "text/event-stream");
        if let Ok(id) = HeaderValue::from_str(&self.last_event_id)
            && !id.is_empty()
        {
            builder = builder.header("last-event-id", id);
        }
        // Only the first line is timed: events may be hours apart.
        let response = tokio::time::timeout(timeout, builder.send())
            .await
            .map_err(|_| ClientError::Timeout { request: self.request.clone(), timeout })?
            .map_err(|source| self.client.transport_error(&self.request, timeout, source))?;
        if response.status() == 204 {
            // The standard's way to say: do not come back.
            self.has_ended = true;
            return Ok(());
        }
        if !response.status().is_success() {
            let request = self.request.clone();
            return Err(tokio::time::timeout(timeout, read_refusal(request, response))
                .await
                .map_err(|_| ClientError::Timeout { request: self.request.clone(), timeout })?
                .unwrap_or_else(|e| self.client.transport_error(&self.request, timeout, e)));
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !content_type.starts_with("text/event-stream") {
            return Err(ClientError::UnexpectedAnswer {
                request: self.request.clone(),
                expected: "a stream of events",
                why: format!("its content type is {content_type:?}"),
            });
        }
        self.connection = Some(messages(self.request.clone(), response));
        Ok(())
    }

    fn read(&mut self, message: eventsource_stream::Event) -> Option<Result<Event, ClientError>> {
        if let Some(delay) = message.retry {
            self.delay_min = delay.clamp(DELAY_MIN, DELAY_MAX);
        }
        self.delays = delays_from(self.delay_min);
        if !message.id.is_empty() {
            self.last_event_id = message.id;
        }
        match serde_json::from_str(&message.data) {
            Ok(event) => Some(Ok(event)),
            Err(_) if !KNOWN_NAMES.contains(&message.event.as_str()) => None,
            Err(error) => Some(Err(ClientError::UnexpectedAnswer {
                request: self.request.clone(),
                expected: "an event of this version",
                why: format!("event {:?}: {error}", message.event),
            })),
        }
    }
}

fn delays_from(delay_min: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(delay_min)
        .with_max_delay(DELAY_MAX)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_an_event() {
        for name in KNOWN_NAMES {
            let json = format!(r#"{{"type": "{name}"}}"#);
            if let Err(error) = serde_json::from_str::<Event>(&json) {
                assert!(error.to_string().starts_with("missing field"), "{name}: {error}");
            }
        }
        let error = serde_json::from_str::<Event>(r#"{"type": "?"}"#).unwrap_err().to_string();
        let known_count = error.matches('`').count() / 2 - 1;
        assert_eq!(known_count, KNOWN_NAMES.len(), "{error}");
    }
}
