//! Heartbeats, as they become due. They are not retained: an old one says nothing.

use super::OutTray;
use crate::app::App;
use device_protocol::Topic;
use rumqttc::{AsyncClient, QoS};
use std::sync::Arc;
use tokio::task::spawn_blocking;

pub async fn publish_heartbeats(app: Arc<App>, tray: Arc<OutTray>, client: AsyncClient) {
    loop {
        while let Some(device) = tray.next_heartbeat() {
            let (app, of_device) = (app.clone(), device.clone());
            let sealed = spawn_blocking(move || app.sealed_heartbeat(&of_device)).await;
            let Ok(Some(sealed)) = sealed else { continue };
            let topic = Topic::Heartbeat(device.clone()).to_string();
            if let Err(error) = client.publish(topic, QoS::AtMostOnce, false, sealed).await {
                tracing::error!(device.id = %device, %error, "publish a heartbeat");
            }
        }
        tray.heartbeats_waiting.notified().await;
    }
}
