//! Retained messages, in memory and bounded.
//!
//! The library's own store accepts every message and keeps none. It also hands
//! each message over with its general expiry for waiting messages; that one is
//! ignored here, because a manifest must be found by a device that comes back
//! after a year. Only an expiry that the publisher set itself (MQTT 5) counts.

use async_trait::async_trait;
use rmqtt::retain::RetainStorage;
use rmqtt::types::{Retain, TopicFilter, TopicName};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) struct RetainedMessages {
    len_max: usize,
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_topic: BTreeMap<String, Message>,
    bytes: usize,
    len_highest: usize,
}

struct Message {
    retain: Retain,
    bytes: usize,
    expires: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for another retained message: {len} are kept, {bytes} bytes")]
struct Full {
    len: usize,
    bytes: usize,
}

impl RetainedMessages {
    pub(crate) fn new(len_max: usize, bytes_max: usize) -> Self {
        Self { len_max, bytes_max, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change below leaves the map whole at each step, so a panic while
        // the lock was held spoils nothing.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, topic: &str, retain: Retain, expires: Option<Instant>) -> Result<(), Full> {
        let mut kept = self.kept();
        let bytes = topic.len() + retain.publish.payload.len();
        let replaced = kept.by_topic.get(topic).map_or(0, |old| old.bytes);
        let len = kept.by_topic.len() + usize::from(replaced == 0);
        if len > self.len_max || kept.bytes - replaced + bytes > self.bytes_max {
            return Err(Full { len: kept.by_topic.len(), bytes: kept.bytes });
        }
        kept.bytes = kept.bytes - replaced + bytes;
        kept.by_topic.insert(topic.to_owned(), Message { retain, bytes, expires });
        kept.len_highest = kept.len_highest.max(len);
        Ok(())
    }

    fn delete(&self, topic: &str) {
        let mut kept = self.kept();
        if let Some(old) = kept.by_topic.remove(topic) {
            kept.bytes -= old.bytes;
        }
    }

    fn matching(&self, filter: &str, now: Instant) -> Vec<(TopicName, Retain)> {
        let kept = self.kept();
        // All matches begin with what stands before the first wildcard. "a/#"
        // matches "a" too, so the slash before it is not part of the prefix.
        let prefix = match filter.find(['+', '#']) {
            Some(at) => filter[..at].trim_end_matches('/'),
            None => filter,
        };
        kept.by_topic
            .range(prefix.to_owned()..)
            .take_while(|(topic, _)| topic.starts_with(prefix))
            .filter(|(topic, _)| filter_matches(filter, topic))
            .filter(|(_, message)| message.expires.is_none_or(|expires| now < expires))
            .map(|(topic, message)| (TopicName::from(topic.as_str()), message.retain.clone()))
            .collect()
    }
}

#[async_trait]
impl RetainStorage for RetainedMessages {
    fn enable(&self) -> bool {
        true
    }

    async fn set(
        &self,
        topic: &TopicName,
        mut retain: Retain,
        _message_expiry: Option<Duration>,
    ) -> rmqtt::Result<()> {
        if retain.publish.payload.is_empty() {
            self.delete(topic);
            return Ok(());
        }
        let expiry = retain.publish.properties.as_ref().and_then(|p| p.message_expiry_interval);
        let expires = expiry.map(|s| Instant::now() + Duration::from_secs(s.get().into()));
        // Payload and topic are slices of the connection's read buffer and would
        // hold all of it; the topic is set again from the key on the way out.
        retain.publish.payload = retain.publish.payload.to_vec().into();
        retain.publish.topic = TopicName::new();
        let kept = self.keep(topic, retain, expires);
        kept.inspect_err(|full| tracing::warn!(topic = &**topic, "{full}"))?;
        Ok(())
    }

    async fn get(&self, filter: &TopicFilter) -> rmqtt::Result<Vec<(TopicName, Retain)>> {
        Ok(self.matching(filter, Instant::now()))
    }

    async fn count(&self) -> isize {
        self.kept().by_topic.len().try_into().unwrap_or(isize::MAX)
    }

    async fn max(&self) -> isize {
        self.kept().len_highest.try_into().unwrap_or(isize::MAX)
    }
}

/// MQTT 3.1.1, section 4.7. Topics that begin with `$` match no filter that
/// begins with a wildcard.
fn filter_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}
