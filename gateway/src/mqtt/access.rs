//! Who may log in to the broker and reach what: the rules of `app` and the topics
//! of `device-protocol`, as the broker asks for them.

use crate::app::App;
use device_protocol::{Topic, up_filter};
use embedded_broker::{AccessControl, Login, LoginFuture, Who};
use module_package::{BlobId, DeviceId};
use std::sync::Arc;

/// No device id looks like this.
pub const GATEWAY_CLIENT_ID: &str = "farrier-gateway";

pub struct BrokerAccess {
    pub app: Arc<App>,
    /// Of the password of the gateway's own client, made at each start.
    pub gateway_password_hash: BlobId,
}

impl AccessControl for BrokerAccess {
    fn authenticate<'a>(&'a self, client_id: &'a str, password: &'a [u8]) -> LoginFuture<'a> {
        Box::pin(async move {
            if client_id == GATEWAY_CLIENT_ID {
                let is_ours = BlobId::of(password) == self.gateway_password_hash;
                return if is_ours { Login::Allowed } else { Login::Refused };
            }
            let checked = self.app.check_login(client_id, password);
            self.app.metrics().note_login(checked.is_ok());
            match checked {
                Ok(device) => {
                    tracing::debug!(device.id = %device, "logs in to the broker");
                    Login::Allowed
                }
                Err(refusal) => {
                    let shown: String = client_id.chars().take(40).collect();
                    tracing::warn!(client.id = shown, %refusal, "MQTT login refused");
                    Login::Refused
                }
            }
        })
    }

    fn may_publish(&self, who: &Who, topic: &str) -> bool {
        let Some(topic) = Topic::parse(topic) else { return false };
        if who.client_id() == GATEWAY_CLIENT_ID {
            return !topic.is_from_a_device();
        }
        device_of(who).is_some_and(|device| topic.is_written_by(&device))
    }

    fn may_retain(&self, who: &Who, topic: &str) -> bool {
        let is_kept = matches!(Topic::parse(topic), Some(Topic::Manifest(_) | Topic::Root(_)));
        who.client_id() == GATEWAY_CLIENT_ID && is_kept
    }

    fn is_rate_limited(&self, who: &Who) -> bool {
        who.client_id() != GATEWAY_CLIENT_ID
    }

    fn dropped(&self, who: &Who) {
        if let Some(device) = device_of(who) {
            self.app.note_dropped_message(&device);
        }
    }

    fn refused(&self, who: &Who) {
        self.dropped(who);
    }

    /// A filter with a wildcard is no topic, so a device gets none.
    fn may_subscribe(&self, who: &Who, filter: &str) -> bool {
        if who.client_id() == GATEWAY_CLIENT_ID {
            return filter == up_filter();
        }
        let Some(topic) = Topic::parse(filter) else { return false };
        device_of(who).is_some_and(|device| topic.is_read_by(&device))
    }
}

fn device_of(who: &Who) -> Option<DeviceId> {
    who.client_id().parse().ok()
}
