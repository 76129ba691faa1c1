//! What the broker asks its owner.

use std::future::Future;
use std::pin::Pin;

/// A client that has logged in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Who {
    client_id: String,
}

impl Who {
    pub(crate) fn new(client_id: &str) -> Self {
        Self { client_id: client_id.to_owned() }
    }

    /// Also its user name: a login in which the two differ is refused.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    Allowed,
    Refused,
}

pub type LoginFuture<'a> = Pin<Box<dyn Future<Output = Login> + Send + 'a>>;

/// Decides who may log in and what they may reach.
///
/// The rights are asked for again with each packet, so that one who lost them is
/// stopped at once; [`crate::Broker::disconnect`] then ends the session. They are
/// asked on the broker's own threads and must not block.
pub trait AccessControl: Send + Sync + 'static {
    /// Called for each CONNECT that names one and the same client id and user and
    /// brings a password.
    fn authenticate<'a>(&'a self, client_id: &'a str, password: &'a [u8]) -> LoginFuture<'a>;

    /// Also asked at login for the topic of a last will, which the broker later
    /// publishes without asking again.
    fn may_publish(&self, who: &Who, topic: &str) -> bool;

    /// Asked after `may_publish` for a message with the retain flag: the room for
    /// retained messages is shared, so whoever may fill it can deny it to others.
    fn may_retain(&self, who: &Who, topic: &str) -> bool;

    /// `filter` is as the client sent it and may hold wildcards anywhere.
    fn may_subscribe(&self, who: &Who, filter: &str) -> bool;

    /// Whether the limits of messages and bytes in a second hold for this client.
    fn is_rate_limited(&self, _who: &Who) -> bool {
        true
    }

    /// Told of each message that is dropped because its client sends too many.
    fn dropped(&self, _who: &Who) {}

    /// Told of each message and subscription that a client had no right to, and of each
    /// refused login with its certificate.
    fn refused(&self, _who: &Who) {}
}
