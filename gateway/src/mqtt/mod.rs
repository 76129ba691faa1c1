//! The gateway as a client of its broker.
//!
//! The rules say "this device's manifest has changed" and "blocks are wanted"
//! ([`Outbox`]); what to send is fetched from them when it can be sent, so nothing
//! piles up while the broker is away, and after each connect all manifests are
//! published again, because the broker may have lost what it retained.

mod access;
mod client;
mod heartbeats;
mod ingest;
mod messages;
pub mod mosquitto;
mod roots;
pub mod tls;

pub use access::{BrokerAccess, GATEWAY_CLIENT_ID};
pub use client::{MqttLogin, start_client};

use crate::app::Outbox;
use module_package::DeviceId;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// What waits to be sent. At most one entry for each device, but for messages to modules.
#[derive(Default)]
pub struct OutTray {
    manifests: Mutex<BTreeSet<DeviceId>>,
    manifests_waiting: Notify,
    blocks_waiting: Notify,
    roots_waiting: Notify,
    heartbeats: Mutex<BTreeSet<DeviceId>>,
    heartbeats_waiting: Notify,
    /// Devices whose session is to be ended.
    gone: Mutex<BTreeSet<DeviceId>>,
    gone_waiting: Notify,
    /// Sealed messages to modules, in order.
    messages: Mutex<VecDeque<(DeviceId, Vec<u8>)>>,
    messages_waiting: Notify,
}

/// More than so many do not wait for a broker that is away.
const MESSAGES_MAX: usize = 1_000;

impl Outbox for OutTray {
    fn manifest_changed(&self, device: &DeviceId) {
        self.add_manifests([device.clone()]);
    }

    fn root_published(&self) {
        self.roots_waiting.notify_one();
    }

    fn heartbeat_due(&self, device: &DeviceId) {
        self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner).insert(device.clone());
        self.heartbeats_waiting.notify_one();
    }

    fn device_gone(&self, device: &DeviceId) {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(device.clone());
        self.gone_waiting.notify_one();
        // There is no manifest for it any more, so the retained one is cleared.
        self.add_manifests([device.clone()]);
    }

    fn blocks_wanted(&self) {
        self.blocks_waiting.notify_one();
    }

    fn send_message(&self, device: &DeviceId, sealed: Vec<u8>) -> bool {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = messages.len() < MESSAGES_MAX;
        if has_room {
            messages.push_back((device.clone(), sealed));
            self.messages_waiting.notify_one();
        }
        has_room
    }
}

impl OutTray {
    fn add_manifests(&self, devices: impl IntoIterator<Item = DeviceId>) {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner).extend(devices);
        self.manifests_waiting.notify_one();
    }

    fn next_message(&self) -> Option<(DeviceId, Vec<u8>)> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn next_heartbeat(&self) -> Option<DeviceId> {
        self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }

    /// Waits for a device whose session is to be ended.
    pub async fn next_gone(&self) -> DeviceId {
        loop {
            let next = self.gone.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            if let Some(device) = next {
                return device;
            }
            self.gone_waiting.notified().await;
        }
    }

    fn next_manifest(&self) -> Option<DeviceId> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }
}
