//! Every version of the root document, retained under a topic of its own: after each
//! connect, and when there is a new one.

use super::OutTray;
use crate::app::App;
use device_protocol::Topic;
use rumqttc::{AsyncClient, QoS};
use std::sync::Arc;
use tokio::task::spawn_blocking;

pub async fn publish_roots(app: Arc<App>, tray: Arc<OutTray>, client: AsyncClient) {
    loop {
        tray.roots_waiting.notified().await;
        let app = app.clone();
        let roots = spawn_blocking(move || app.root_documents()).await.unwrap_or_default();
        for (version, sealed) in roots {
            let topic = Topic::Root(version).to_string();
            if let Err(error) = client.publish(topic, QoS::AtLeastOnce, true, sealed).await {
                tracing::error!(root.version = version, %error, "publish a root document");
            }
        }
    }
}
