//! The stream of events, from the caller's side.

use crate::client::Client;
use crate::error::ClientError;
use crate::feed::Feed;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use gateway_api::Event;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Where to begin, and whom to tell about interruptions.
#[derive(Clone, Default)]
pub struct EventOptions {
    /// Go on behind this event's id.
    pub last_event_id: Option<String>,
    /// Told why the connection was lost, and when the next attempt is made.
    pub on_interruption: Option<OnInterruption>,
}

type OnInterruption = Arc<dyn Fn(&ClientError, Duration) + Send + Sync>;

/// Events as they happen. A lost connection is made again, at growing intervals
/// and for as long as it takes, and continues where it ended;
/// [`Event::Resync`] says that something was lost on the way.
///
/// An `Err` is an event that could not be read, after which the stream goes on; or
/// the gateway's final refusal, for example of the token, after which it ends.
pub struct EventStream {
    events: BoxStream<'static, Result<Event, ClientError>>,
}

impl Client {
    /// Connects once, and fails if that fails; see [`EventStream`] for later.
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        self.events_with(EventOptions::default()).await
    }

    pub async fn events_with(&self, options: EventOptions) -> Result<EventStream, ClientError> {
        let feed = Feed::connect(self.clone(), options).await?;
        let events = stream::unfold(feed, |mut feed| async move {
            let item = feed.next().await?;
            Some((item, feed))
        });
        Ok(EventStream { events: events.boxed() })
    }
}

impl Stream for EventStream {
    type Item = Result<Event, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(cx)
    }
}
