//! Messages to modules, in the order in which they were sent. They are not retained: a
//! device that is away does not get them.

use super::OutTray;
use device_protocol::Topic;
use rumqttc::{AsyncClient, QoS};
use std::sync::Arc;

pub async fn publish_messages(tray: Arc<OutTray>, client: AsyncClient) {
    loop {
        while let Some((device, sealed)) = tray.next_message() {
            let topic = Topic::Message(device.clone()).to_string();
            // The device drops what comes twice.
            if let Err(error) = client.publish(topic, QoS::AtLeastOnce, false, sealed).await {
                tracing::error!(device.id = %device, %error, "publish a message");
            }
        }
        tray.messages_waiting.notified().await;
    }
}
