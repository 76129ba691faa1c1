//! A broker with simple rights: `gateway` may do everything; any other client may
//! write below `d/<id>/up/`, read below `d/<id>/down/` and the blobs, and retain
//! nothing. A client's password is `key of <id>`.

use embedded_broker::{
    AccessControl, Broker, BrokerConfig, BrokerError, Limits, Login, LoginFuture, Who,
};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

pub const GATEWAY: &str = "gateway";

#[derive(Default)]
pub struct Fleet {
    revoked: Mutex<HashSet<String>>,
    refused: Mutex<Vec<String>>,
}

impl Fleet {
    pub fn revoke(&self, client_id: &str) {
        self.revoked.lock().unwrap().insert(client_id.to_owned());
    }

    /// Of whom something was refused since the last question.
    pub fn take_refused(&self) -> Vec<String> {
        std::mem::take(&mut self.refused.lock().unwrap())
    }
}

pub fn key_of(client_id: &str) -> String {
    format!("key of {client_id}")
}

impl AccessControl for Fleet {
    fn authenticate<'a>(&'a self, client_id: &'a str, password: &'a [u8]) -> LoginFuture<'a> {
        Box::pin(async move {
            let revoked = self.revoked.lock().unwrap().contains(client_id);
            match !revoked && password == key_of(client_id).as_bytes() {
                true => Login::Allowed,
                false => Login::Refused,
            }
        })
    }

    fn may_publish(&self, who: &Who, topic: &str) -> bool {
        let id = who.client_id();
        id == GATEWAY || topic.starts_with(&format!("d/{id}/up/"))
    }

    fn may_retain(&self, who: &Who, _topic: &str) -> bool {
        who.client_id() == GATEWAY
    }

    fn may_subscribe(&self, who: &Who, filter: &str) -> bool {
        let id = who.client_id();
        id == GATEWAY || filter.starts_with(&format!("d/{id}/down/")) || filter.starts_with("blob/")
    }

    fn refused(&self, who: &Who) {
        self.refused.lock().unwrap().push(who.client_id().to_owned());
    }

    fn is_rate_limited(&self, who: &Who) -> bool {
        who.client_id() != GATEWAY
    }
}

pub fn localhost(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub async fn broker() -> Broker {
    broker_with(Limits::default()).await
}

pub async fn broker_with(limits: Limits) -> Broker {
    start(0, limits, Arc::default()).await.unwrap()
}

pub async fn start(port: u16, limits: Limits, fleet: Arc<Fleet>) -> Result<Broker, BrokerError> {
    Broker::start(BrokerConfig { listen: localhost(port), limits }, fleet).await
}
