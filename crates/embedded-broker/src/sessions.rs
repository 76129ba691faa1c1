//! The library's table of sessions, with three corrections that let a client that
//! comes back find what it was promised. Everything else here hands on.
//!
//! What it had not acknowledged is sent again last message first. MQTT demands the
//! first order, and a device that got manifest 6 before 5 would report a rollback.
//! The list passes through `Entry::kick`, where it is turned round.
//!
//! The message whose sending failed is lost, because it counts as in flight only
//! after it was sent. [`InFlightFirst`] notes it before.
//!
//! A client that comes back while its old session is just ending is refused.
//! `Entry::kick` tries again.
//!
//! The tests in `tests/broker/sessions.rs` need all three; when one passes without
//! its correction, the library has learned it.

use async_trait::async_trait;
use rmqtt::Result;
use rmqtt::context::ServerContext;
use rmqtt::hook::{Handler, HookManager, HookResult, Parameter, ReturnType, Type};
use rmqtt::inflight::{MomentStatus, OutInflightMessage};
use rmqtt::session::Session;
use rmqtt::shared::{DefaultShared, Entry, RetainLoadCallback, Shared};
use rmqtt::types::{
    ConnectInfo, ForwardedCount, ForwardedRecipients, From, Id, IsAdmin, MsgID, NodeId,
    OfflineSession, Publish, QoS, Reason, SessionStatus, SubRelations, SubRelationsMap,
    SubsSearchParams, SubsSearchResult, Subscribe, SubscribeReturn, To, TopicFilter, Tx,
    Unsubscribe,
};
use std::sync::Arc;
use std::time::Duration;

/// An ending session needs a moment to hand its messages back.
const KICK_RETRIES_MAX: u32 = 20;
const KICK_RETRY_DELAY: Duration = Duration::from_millis(25);

/// The most that a packet is longer than its topic and payload, without the
/// properties of MQTT 5 that a publisher may add.
const PACKET_OVERHEAD_BYTES: usize = 64;

type Undelivered = Vec<(To, From, Publish, Reason)>;

pub(crate) struct Sessions(DefaultShared);

impl Sessions {
    pub(crate) fn new(context: ServerContext) -> Self {
        Self(DefaultShared::new(Some(context)))
    }
}

/// Notes a message as in flight before it is sent. The library does it again after
/// the sending, which changes nothing.
pub(crate) struct InFlightFirst;

impl InFlightFirst {
    pub(crate) async fn watch(hooks: &dyn HookManager) {
        let register = hooks.register();
        register.add(Type::MessageDelivered, Box::new(Self)).await;
        register.start().await;
    }
}

#[async_trait]
impl Handler for InFlightFirst {
    async fn hook(&self, event: &Parameter, result: Option<HookResult>) -> ReturnType {
        if let Parameter::MessageDelivered(session, from, publish) = event {
            let status = match publish.qos {
                QoS::AtMostOnce => return (true, result),
                QoS::AtLeastOnce => MomentStatus::UnAck,
                QoS::ExactlyOnce => MomentStatus::UnReceived,
            };
            if is_accepted_by(session, publish).await {
                let message = OutInflightMessage::new(status, from.clone(), (*publish).clone());
                session.out_inflight().write().await.push_back(message);
            }
        }
        (true, result)
    }
}

/// Whether the client allowed packets of this size. The library disconnects it
/// instead of leaving out the message; kept, it would do so at each return.
async fn is_accepted_by(session: &Session, publish: &Publish) -> bool {
    let Ok(connect) = session.connect_info().await else { return false };
    let ConnectInfo::V5(_, connect) = &*connect else { return true };
    let bytes = publish.topic.len() + publish.payload.len() + PACKET_OVERHEAD_BYTES;
    connect.max_packet_size.is_none_or(|max| bytes <= max.get() as usize)
}

struct Slot(Box<dyn Entry>);

#[async_trait]
impl Entry for Slot {
    async fn kick(
        &mut self,
        clean_start: bool,
        clear_subscriptions: bool,
        is_admin: IsAdmin,
    ) -> Result<OfflineSession> {
        let mut left = self.0.kick(clean_start, clear_subscriptions, is_admin).await;
        for _ in 0..KICK_RETRIES_MAX {
            if left.is_ok() {
                break;
            }
            tokio::time::sleep(KICK_RETRY_DELAY).await;
            left = self.0.kick(clean_start, clear_subscriptions, is_admin).await;
        }
        let mut left = left?;
        if let OfflineSession::Exist(Some(left)) = &mut left {
            // The library takes from the end.
            left.inflight_messages.reverse();
        }
        Ok(left)
    }

    async fn try_lock(&self) -> Result<Box<dyn Entry>> {
        Ok(Box::new(Slot(self.0.try_lock().await?)))
    }

    fn id(&self) -> Id {
        self.0.id()
    }

    fn id_same(&self) -> Option<bool> {
        self.0.id_same()
    }

    async fn set(&mut self, session: Session, tx: Tx) -> Result<()> {
        self.0.set(session, tx).await
    }

    async fn remove(&mut self) -> Result<Option<(Session, Tx)>> {
        self.0.remove().await
    }

    async fn remove_with(&mut self, id: &Id) -> Result<Option<(Session, Tx)>> {
        self.0.remove_with(id).await
    }

    async fn online(&self) -> bool {
        self.0.online().await
    }

    async fn is_connected(&self) -> bool {
        self.0.is_connected().await
    }

    fn session(&self) -> Option<Session> {
        self.0.session()
    }

    fn exist(&self) -> bool {
        self.0.exist()
    }

    fn tx(&self) -> Option<Tx> {
        self.0.tx()
    }

    async fn subscribe(&self, subscribe: &Subscribe) -> Result<SubscribeReturn> {
        self.0.subscribe(subscribe).await
    }

    async fn unsubscribe(&self, unsubscribe: &Unsubscribe) -> Result<bool> {
        self.0.unsubscribe(unsubscribe).await
    }

    async fn publish(
        &self,
        from: From,
        publish: Publish,
    ) -> std::result::Result<(), (From, Publish, Reason)> {
        self.0.publish(from, publish).await
    }

    async fn subscriptions(&self) -> Option<Vec<SubsSearchResult>> {
        self.0.subscriptions().await
    }
}

#[async_trait]
impl Shared for Sessions {
    fn entry(&self, id: Id) -> Box<dyn Entry> {
        Box::new(Slot(self.0.entry(id)))
    }

    fn iter(&self) -> Box<dyn Iterator<Item = Box<dyn Entry>> + Sync + Send + '_> {
        Box::new(self.0.iter().map(|entry| -> Box<dyn Entry> { Box::new(Slot(entry)) }))
    }

    fn exist(&self, client_id: &str) -> bool {
        self.0.exist(client_id)
    }

    async fn forwards(
        &self,
        msg_id: Option<MsgID>,
        from: From,
        publish: Publish,
    ) -> std::result::Result<ForwardedCount, (ForwardedCount, Undelivered)> {
        self.0.forwards(msg_id, from, publish).await
    }

    async fn forwards_and_get_shareds(
        &self,
        from: From,
        publish: Publish,
    ) -> std::result::Result<
        (SubRelationsMap, ForwardedRecipients),
        (ForwardedRecipients, Undelivered),
    > {
        self.0.forwards_and_get_shareds(from, publish).await
    }

    async fn forwards_to(
        &self,
        from: From,
        publish: &Publish,
        relations: SubRelations,
        msg_id: Option<MsgID>,
    ) -> std::result::Result<ForwardedRecipients, (ForwardedRecipients, Undelivered)> {
        self.0.forwards_to(from, publish, relations, msg_id).await
    }

    fn random_session(&self) -> Option<Session> {
        self.0.random_session()
    }

    async fn session_status(&self, client_id: &str) -> Option<SessionStatus> {
        self.0.session_status(client_id).await
    }

    async fn client_states_count(&self) -> usize {
        self.0.client_states_count().await
    }

    fn sessions_count(&self) -> usize {
        self.0.sessions_count()
    }

    async fn query_subscriptions(&self, query: &SubsSearchParams) -> Vec<SubsSearchResult> {
        self.0.query_subscriptions(query).await
    }

    async fn subscriptions_count(&self) -> usize {
        self.0.subscriptions_count().await
    }

    async fn retain_load_with(
        &self,
        filter: &TopicFilter,
        found: Arc<dyn RetainLoadCallback>,
    ) -> Result<Vec<(NodeId, MsgID)>> {
        self.0.retain_load_with(filter, found).await
    }
}
