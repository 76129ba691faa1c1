//! Turns the library's hooks into questions to [`AccessControl`].
//!
//! The library allows what no hook refuses, so the gate answers every question
//! that it is registered for and is registered before the first connection.

use crate::access::{AccessControl, Login, Who};
use crate::door::{Peer, Peers};
use crate::limits::Limits;
use async_trait::async_trait;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use rmqtt::codec::v5::SubscribeAckReason;
use rmqtt::hook::{Handler, HookManager, HookResult, Parameter, ReturnType, Type};
use rmqtt::types::{
    AuthResult, ClientId, ConnectInfo, LastWill, Publish, PublishAclResult, Subscribe,
    SubscribeReturn,
};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Messages after which the rates of clients that were quiet are forgotten.
const RATES_KEPT: u32 = 4_096;

#[derive(Clone)]
pub(crate) struct Gate {
    access: Arc<dyn AccessControl>,
    peers: Peers,
    login_timeout: Duration,
    rates: Arc<Rates>,
}

impl Gate {
    pub(crate) fn new(access: Arc<dyn AccessControl>, peers: Peers, limits: &Limits) -> Self {
        let rates = Arc::new(Rates::new(limits));
        Self { access, peers, login_timeout: limits.login_timeout, rates }
    }

    pub(crate) async fn close_over(self, hooks: &dyn HookManager) {
        let register = hooks.register();
        for question in
            [Type::ClientAuthenticate, Type::MessagePublishCheckAcl, Type::ClientSubscribeCheckAcl]
        {
            register.add(question, Box::new(self.clone())).await;
        }
        register.start().await;
    }

    async fn login(&self, connect: &ConnectInfo) -> AuthResult {
        let client_id: &str = connect.client_id();
        // Only the door reaches the library's listener in earnest; another program of
        // this machine that found the port is nobody.
        let peer = connect.id().remote_addr.and_then(|address| self.peers.find(address));
        let Some(peer) = peer else {
            tracing::warn!("an MQTT login that did not come through the door is refused");
            return AuthResult::NotAuthorized;
        };
        match self.refusal(client_id, connect, &peer).await {
            // Never a superuser: the library asks nothing more about those.
            None => {
                peer.log_in(self.access.is_rate_limited(&Who::new(client_id)));
                AuthResult::Allow(false, None)
            }
            Some(reason) => {
                tracing::info!(client.id = client_id, peer = %peer.address, reason, "MQTT login refused");
                // Whose certificate it is, TLS has proved; a client id anyone can say.
                if let Some(name) = peer.certificate_name.as_ref().filter(|name| !name.is_empty()) {
                    self.access.refused(&Who::new(name));
                }
                AuthResult::NotAuthorized
            }
        }
    }

    async fn refusal(
        &self,
        client_id: &str,
        connect: &ConnectInfo,
        peer: &Peer,
    ) -> Option<&'static str> {
        let Some(user) = connect.username() else { return Some("anonymous") };
        // With this a client id belongs to whoever knows its password, so that no
        // other login can take over its session. An empty client id has become a
        // random one by now and fails here too.
        if <str as AsRef<[u8]>>::as_ref(user) != client_id.as_bytes() {
            return Some("user name is not the client id");
        }
        if peer.certificate_name.as_ref().is_some_and(|name| name != client_id) {
            return Some("the certificate is not of this client id");
        }
        let Some(password) = connect.password() else { return Some("no password") };
        // The library would wait for ever and keep a place among the logins.
        let answer = self.access.authenticate(client_id, password);
        match tokio::time::timeout(self.login_timeout, answer).await {
            Ok(Login::Allowed) => {}
            Ok(Login::Refused) => return Some("credentials"),
            Err(_) => return Some("checking the credentials took too long"),
        }
        // The library publishes a last will without the question it asks about
        // other messages, so this is the one chance to ask.
        if let Some(will) = connect.last_will() {
            let topic: &str = match &will {
                LastWill::V3(will) => &will.topic,
                LastWill::V5(will) => &will.topic,
            };
            if !self.may_publish(&Who::new(client_id), topic, will.retain()) {
                return Some("last will to a topic that it may not write");
            }
        }
        None
    }

    fn may_publish(&self, who: &Who, topic: &str, retain: bool) -> bool {
        self.access.may_publish(who, topic) && (!retain || self.access.may_retain(who, topic))
    }

    fn publish(&self, client_id: &ClientId, publish: &Publish) -> PublishAclResult {
        let who = Who::new(client_id);
        if self.access.is_rate_limited(&who) && !self.rates.has_room(client_id) {
            self.access.dropped(&who);
            return PublishAclResult::rejected(false, None);
        }
        let client_id: &str = client_id;
        if self.may_publish(&who, &publish.topic, publish.retain) {
            return PublishAclResult::allow();
        }
        self.access.refused(&who);
        tracing::info!(client.id = client_id, topic = &*publish.topic, "MQTT publish refused");
        // Dropped but not disconnected: an agent of another version that writes a
        // topic unknown here still does the rest of its work.
        PublishAclResult::rejected(false, None)
    }

    fn subscribe(&self, client_id: &str, subscribe: &Subscribe) -> SubscribeReturn {
        let filter: &str = &subscribe.topic_filter;
        let who = Who::new(client_id);
        if self.access.may_subscribe(&who, filter) {
            return SubscribeReturn::new_success(subscribe.opts.qos(), None);
        }
        self.access.refused(&who);
        tracing::info!(client.id = client_id, filter, "MQTT subscription refused");
        SubscribeReturn::new_failure(SubscribeAckReason::NotAuthorized)
    }
}

/// How much each client has published of late.
struct Rates {
    limiter: DefaultKeyedRateLimiter<ClientId>,
    since_swept: AtomicU32,
}

impl Rates {
    fn new(limits: &Limits) -> Self {
        // Zero was refused at the start.
        let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limits.messages_per_s_max))
            .allow_burst(at_least_one(limits.messages_burst_max));
        Self { limiter: RateLimiter::keyed(quota), since_swept: AtomicU32::new(0) }
    }

    fn has_room(&self, client_id: &ClientId) -> bool {
        if self.since_swept.fetch_add(1, Ordering::Relaxed) >= RATES_KEPT {
            self.since_swept.store(0, Ordering::Relaxed);
            self.limiter.retain_recent();
        }
        self.limiter.check_key(client_id).is_ok()
    }
}

#[async_trait]
impl Handler for Gate {
    async fn hook(&self, question: &Parameter, answer: Option<HookResult>) -> ReturnType {
        let answer = match question {
            Parameter::ClientAuthenticate(connect) => {
                HookResult::AuthResult(self.login(connect).await)
            }
            Parameter::MessagePublishCheckAcl(session, publish) => {
                HookResult::PublishAclResult(self.publish(&session.id.client_id, publish))
            }
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                HookResult::SubscribeAclResult(self.subscribe(&session.id.client_id, subscribe))
            }
            _ => return (true, answer),
        };
        (false, Some(answer))
    }
}
