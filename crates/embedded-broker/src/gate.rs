//! Turns the library's hooks into questions to [`AccessControl`].
//!
//! The library allows what no hook refuses, so the gate answers every question
//! that it is registered for and is registered before the first connection.

use crate::access::{AccessControl, Login, Who};
use async_trait::async_trait;
use rmqtt::codec::v5::SubscribeAckReason;
use rmqtt::hook::{Handler, HookManager, HookResult, Parameter, ReturnType, Type};
use rmqtt::types::{
    AuthResult, ConnectInfo, LastWill, Publish, PublishAclResult, Subscribe, SubscribeReturn,
};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone)]
pub(crate) struct Gate {
    access: Arc<dyn AccessControl>,
    login_timeout: Duration,
}

impl Gate {
    pub(crate) fn new(access: Arc<dyn AccessControl>, login_timeout: Duration) -> Self {
        Self { access, login_timeout }
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
        match self.refusal(client_id, connect).await {
            // Never a superuser: the library asks nothing more about those.
            None => AuthResult::Allow(false, None),
            Some(reason) => {
                tracing::info!(client.id = client_id, reason, "MQTT login refused");
                AuthResult::NotAuthorized
            }
        }
    }

    async fn refusal(&self, client_id: &str, connect: &ConnectInfo) -> Option<&'static str> {
        let Some(user) = connect.username() else { return Some("anonymous") };
        // With this a client id belongs to whoever knows its password, so that no
        // other login can take over its session. An empty client id has become a
        // random one by now and fails here too.
        if <str as AsRef<[u8]>>::as_ref(user) != client_id.as_bytes() {
            return Some("user name is not the client id");
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

    fn publish(&self, client_id: &str, publish: &Publish) -> PublishAclResult {
        let who = Who::new(client_id);
        if self.may_publish(&who, &publish.topic, publish.retain) {
            return PublishAclResult::allow();
        }
        tracing::info!(client.id = client_id, topic = &*publish.topic, "MQTT publish refused");
        // Dropped but not disconnected: an agent of another version that writes a
        // topic unknown here still does the rest of its work.
        PublishAclResult::rejected(false, None)
    }

    fn subscribe(&self, client_id: &str, subscribe: &Subscribe) -> SubscribeReturn {
        let filter: &str = &subscribe.topic_filter;
        if self.access.may_subscribe(&Who::new(client_id), filter) {
            return SubscribeReturn::new_success(subscribe.opts.qos(), None);
        }
        tracing::info!(client.id = client_id, filter, "MQTT subscription refused");
        SubscribeReturn::new_failure(SubscribeAckReason::NotAuthorized)
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
