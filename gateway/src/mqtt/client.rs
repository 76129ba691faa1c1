//! The connection: what devices say goes to the rules, in order, on a thread of its
//! own; manifests and blocks go out, each by one task.

use super::heartbeats::publish_heartbeats;
use super::ingest::Ingest;
use super::messages::publish_messages;
use super::roots::publish_roots;
use super::{GATEWAY_CLIENT_ID, OutTray};
use crate::app::App;
use device_protocol::{BLOCK_MESSAGE_BYTES_MAX, Topic, up_filter};
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS, TlsConfiguration, Transport,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};

const KEEP_ALIVE: Duration = Duration::from_secs(20);
const RECONNECT_DELAY: Duration = Duration::from_millis(500);
/// Between two portions of blocks, so that other messages get their turn.
const BLOCK_PACE: Duration = Duration::from_millis(5);
const REQUESTS_MAX: usize = 64;
/// As much as any device can send through the broker: a limit of ours below the
/// broker's would let a device end this connection by one long message.
const INCOMING_BYTES_MAX: usize = 2 * embedded_broker::PACKET_BYTES_MAX as usize;
/// A packet is a message, its topic and a header.
const OUTGOING_BYTES_MAX: usize = 1_024 + BLOCK_MESSAGE_BYTES_MAX;

pub struct MqttLogin {
    pub host: String,
    pub port: u16,
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// For the embedded broker; another knows the gateway by its certificate.
    pub password: String,
}

/// Runs until the set is dropped.
pub fn start_client(app: &Arc<App>, tray: &Arc<OutTray>, login: MqttLogin) -> JoinSet<()> {
    let mut options = MqttOptions::new(GATEWAY_CLIENT_ID, login.host, login.port);
    if let Some(tls) = login.tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
    }
    options.set_credentials(GATEWAY_CLIENT_ID, login.password);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(INCOMING_BYTES_MAX, OUTGOING_BYTES_MAX);
    options.set_clean_session(true);
    let (client, event_loop) = AsyncClient::new(options, REQUESTS_MAX);
    // Its threads end when the connection's task, which holds it, is dropped.
    let ingest = Ingest::start(app);
    let mut tasks = JoinSet::new();
    tasks.spawn(run_connection(app.clone(), tray.clone(), client.clone(), event_loop, ingest));
    tasks.spawn(publish_manifests(app.clone(), tray.clone(), client.clone()));
    tasks.spawn(publish_heartbeats(app.clone(), tray.clone(), client.clone()));
    tasks.spawn(publish_messages(tray.clone(), client.clone()));
    tasks.spawn(publish_roots(app.clone(), tray.clone(), client.clone()));
    tasks.spawn(publish_blocks(app.clone(), tray.clone(), client));
    tasks
}

async fn run_connection(
    app: Arc<App>,
    tray: Arc<OutTray>,
    client: AsyncClient,
    mut event_loop: EventLoop,
    ingest: Ingest,
) {
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                app.metrics().note_broker(true);
                if let Err(error) = client.try_subscribe(up_filter(), QoS::AtLeastOnce) {
                    tracing::error!(%error, "subscribe to the devices' messages");
                }
                let app = app.clone();
                let devices = spawn_blocking(move || app.devices_with_manifests()).await;
                tray.add_manifests(devices.unwrap_or_default());
                tray.roots_waiting.notify_one();
                tray.blocks_waiting.notify_one();
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                ingest.add(message);
            }
            Ok(_) => {}
            Err(error) => {
                app.metrics().note_broker(false);
                tracing::warn!(%error, "the connection to the broker is lost");
                tokio::time::sleep(RECONNECT_DELAY).await;
            }
        }
    }
}

async fn publish_manifests(app: Arc<App>, tray: Arc<OutTray>, client: AsyncClient) {
    loop {
        while let Some(device) = tray.next_manifest() {
            let (app, of_device) = (app.clone(), device.clone());
            let sealed = spawn_blocking(move || app.sealed_manifest(&of_device)).await;
            // An empty payload takes the retained manifest of a device away that has no
            // rights any more.
            let Ok(sealed) = sealed.map(Option::unwrap_or_default) else { continue };
            let topic = Topic::Manifest(device.clone()).to_string();
            if let Err(error) = client.publish(topic, QoS::AtLeastOnce, true, sealed).await {
                tracing::error!(device.id = %device, %error, "publish a manifest");
            }
        }
        tray.manifests_waiting.notified().await;
    }
}

async fn publish_blocks(app: Arc<App>, tray: Arc<OutTray>, client: AsyncClient) {
    loop {
        let (due, wait_ms) = app.blocks_due();
        for request in &due {
            let (app, of) = (app.clone(), request.clone());
            let message = match spawn_blocking(move || app.block_message(&of)).await {
                Ok(Ok(message)) => message,
                Ok(Err(error)) => {
                    tracing::error!(blob.id = %request.blob, error = %with_cause(&error), "read a block");
                    continue;
                }
                Err(_) => continue,
            };
            let topic = request.topic.to_string();
            // Who misses one asks again, so no acknowledgement is needed.
            if let Err(error) = client.publish(topic, QoS::AtMostOnce, false, message).await {
                tracing::error!(blob.id = %request.blob, %error, "publish a block");
            }
        }
        match wait_ms {
            _ if !due.is_empty() => tokio::time::sleep(BLOCK_PACE).await,
            Some(wait_ms) => {
                let wait = Duration::from_millis(wait_ms.max(1));
                let _ = tokio::time::timeout(wait, tray.blocks_waiting.notified()).await;
            }
            None => tray.blocks_waiting.notified().await,
        }
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
