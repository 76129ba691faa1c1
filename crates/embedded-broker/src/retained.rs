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
use std::ops::Bound;
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

impl Kept {
    /// How many messages and bytes there would be with this one in its place.
    fn size_with(&self, topic: &str, message: &Message) -> (usize, usize) {
        let (replaced, freed) = self.by_topic.get(topic).map_or((0, 0), |old| (1, old.bytes));
        (self.by_topic.len() - replaced + 1, self.bytes - freed + message.bytes)
    }

    fn delete_expired(&mut self, now: Instant) {
        self.by_topic.retain(|_, message| !message.is_expired(now));
        self.bytes = self.by_topic.values().map(|message| message.bytes).sum();
    }
}

impl Message {
    fn new(topic: &str, mut retain: Retain, now: Instant) -> Self {
        let expiry = retain.publish.properties.as_ref().and_then(|p| p.message_expiry_interval);
        let expires = expiry.map(|seconds| now + Duration::from_secs(seconds.get().into()));
        // Payload and topic are slices of the connection's read buffer and would
        // hold all of it; the topic is set again from the key on the way out.
        retain.publish.payload = retain.publish.payload.to_vec().into();
        retain.publish.topic = TopicName::new();
        let bytes = topic.len() + retain.publish.payload.len();
        Self { retain, bytes, expires }
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
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

    fn keep(&self, topic: &str, message: Message, now: Instant) -> Result<(), Full> {
        let mut kept = self.kept();
        let (len, bytes) = kept.size_with(topic, &message);
        if len > self.len_max || bytes > self.bytes_max {
            kept.delete_expired(now);
        }
        let (len, bytes) = kept.size_with(topic, &message);
        if len > self.len_max || bytes > self.bytes_max {
            return Err(Full { len: kept.by_topic.len(), bytes: kept.bytes });
        }
        kept.by_topic.insert(topic.to_owned(), message);
        kept.bytes = bytes;
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
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(prefix))
            .filter(|(topic, message)| filter_matches(filter, topic) && !message.is_expired(now))
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
        retain: Retain,
        _message_expiry: Option<Duration>,
    ) -> rmqtt::Result<()> {
        if retain.publish.payload.is_empty() {
            self.delete(topic);
            return Ok(());
        }
        let now = Instant::now();
        self.keep(topic, Message::new(topic, retain, now), now)
            .inspect_err(|full| tracing::warn!(topic = &**topic, "{full}"))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use rmqtt::codec::types::Publish;
    use rmqtt::codec::v5::PublishProperties;
    use rmqtt::types::{From, Id, QoS};
    use std::num::NonZeroU32;

    const GENERAL_EXPIRY: Option<Duration> = Some(Duration::ZERO);

    fn message(payload: &'static [u8], expiry_s: Option<u32>) -> Retain {
        let properties = expiry_s.map(|seconds| PublishProperties {
            message_expiry_interval: NonZeroU32::new(seconds),
            ..PublishProperties::default()
        });
        let publish = Publish {
            dup: false,
            retain: true,
            qos: QoS::AtLeastOnce,
            topic: TopicName::new(),
            packet_id: None,
            payload: payload.into(),
            properties,
        };
        let from = From::from_custom(Id::new(1, 1, None, None, "x".into(), None));
        Retain { msg_id: None, from, publish: Box::new(publish).into() }
    }

    fn topics(kept: &RetainedMessages, filter: &str, now: Instant) -> Vec<String> {
        kept.matching(filter, now).iter().map(|(topic, _)| topic.to_string()).collect()
    }

    #[tokio::test]
    async fn only_an_expiry_of_the_publisher_ends_a_message() {
        let kept = RetainedMessages::new(10, 1_000);
        kept.set(&"for/ever".into(), message(b"x", None), GENERAL_EXPIRY).await.unwrap();
        kept.set(&"for/ten".into(), message(b"x", Some(10)), GENERAL_EXPIRY).await.unwrap();
        let now = Instant::now();
        assert_eq!(topics(&kept, "for/+", now), ["for/ever", "for/ten"]);
        assert_eq!(topics(&kept, "for/+", now + Duration::from_secs(10)), ["for/ever"]);
    }

    #[tokio::test]
    async fn count_and_bytes_are_bounded_and_room_comes_back() {
        let kept = RetainedMessages::new(2, 10);
        kept.set(&"a".into(), message(b"1234", None), None).await.unwrap();
        kept.set(&"b".into(), message(b"1234", None), None).await.unwrap();
        kept.set(&"c".into(), message(b"1", None), None).await.unwrap_err();
        kept.set(&"b".into(), message(b"12345", None), None).await.unwrap_err();
        kept.set(&"b".into(), message(b"4321", None), None).await.unwrap();
        kept.set(&"a".into(), message(b"", None), None).await.unwrap();
        kept.set(&"a".into(), message(b"", None), None).await.unwrap();
        kept.set(&"c".into(), message(b"1234", None), None).await.unwrap();
        assert_eq!((kept.count().await, kept.max().await), (2, 2));
        assert_eq!(kept.kept().bytes, 10);
    }

    #[tokio::test]
    async fn expired_messages_make_room() {
        let kept = RetainedMessages::new(1, 10);
        let now = Instant::now();
        let old = Message::new("old", message(b"1", Some(1)), now);
        let new = || Message::new("new", message(b"1", None), now);
        kept.keep("old", old, now).unwrap();
        kept.keep("new", new(), now).unwrap_err();
        kept.keep("new", new(), now + Duration::from_secs(1)).unwrap();
        assert_eq!(kept.kept().bytes, 4);
    }

    #[tokio::test]
    async fn a_search_finds_all_that_match() {
        let kept = RetainedMessages::new(10, 1_000);
        for topic in ["a", "a/b", "a/b/c", "ab", "$SYS/x", "b"] {
            kept.set(&topic.into(), message(b"x", None), None).await.unwrap();
        }
        for (filter, found) in [
            ("a/b", &["a/b"][..]),
            ("a/#", &["a", "a/b", "a/b/c"]),
            ("+", &["a", "ab", "b"]),
            ("#", &["a", "a/b", "a/b/c", "ab", "b"]),
            ("a/+/c", &["a/b/c"]),
            ("$SYS/#", &["$SYS/x"]),
            ("c/#", &[]),
        ] {
            assert_eq!(topics(&kept, filter, Instant::now()), found, "{filter}");
        }
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, matches) in [
            ("sport/tennis/#", "sport/tennis", true),
            ("sport/tennis/#", "sport/tennis/a/b", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/+", "$SYS/x", true),
            ("a", "a/b", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(filter_matches(filter, topic), matches, "{filter} {topic}");
        }
    }
}
