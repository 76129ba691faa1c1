//! An MQTT 3.1.1 client that never reconnects by itself, with deadlines.

use crate::fleet::key_of;
use embedded_broker::Broker;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, MqttOptions, Outgoing, Packet, Publish,
    QoS, SubscribeReasonCode,
};
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(8);
const CLIENT_PACKET_BYTES_MAX: usize = 1024 * 1024;

pub struct Client {
    pub mqtt: AsyncClient,
    pub session_present: bool,
    packets: mpsc::UnboundedReceiver<Packet>,
    pump: JoinHandle<()>,
}

/// Fails the test with what was waited for.
pub async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

pub fn options(broker: &Broker, client_id: &str, user: &str, password: &str) -> MqttOptions {
    let address = broker.local_addr();
    let mut options = MqttOptions::new(client_id, address.ip().to_string(), address.port());
    options.set_credentials(user, password);
    options.set_max_packet_size(CLIENT_PACKET_BYTES_MAX, CLIENT_PACKET_BYTES_MAX);
    options
}

pub fn own_options(broker: &Broker, client_id: &str) -> MqttOptions {
    options(broker, client_id, client_id, &key_of(client_id))
}

impl Client {
    pub async fn login(broker: &Broker, client_id: &str) -> Self {
        Self::try_login(own_options(broker, client_id)).await.unwrap()
    }

    /// As one that comes back and wants its session.
    pub async fn resume(broker: &Broker, client_id: &str) -> Self {
        let mut options = own_options(broker, client_id);
        options.set_clean_session(false);
        Self::try_login(options).await.unwrap()
    }

    pub async fn try_login(options: MqttOptions) -> Result<Self, ConnectReturnCode> {
        let (mqtt, mut connection) = AsyncClient::new(options, 64);
        let connack = match within("an answer to CONNECT", connection.poll()).await {
            Ok(Event::Incoming(Packet::ConnAck(connack))) => connack,
            Err(ConnectionError::ConnectionRefused(code)) => return Err(code),
            other => panic!("instead of an answer to CONNECT: {other:?}"),
        };
        let (sender, packets) = mpsc::unbounded_channel();
        let pump = tokio::spawn(async move {
            loop {
                match connection.poll().await {
                    Ok(Event::Incoming(packet)) => drop(sender.send(packet)),
                    // The broker leaves closing to the client, against MQTT-3.14.4-3.
                    Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_) => return,
                    Ok(Event::Outgoing(_)) => {}
                }
            }
        });
        Ok(Self { mqtt, session_present: connack.session_present, packets, pump })
    }

    pub async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.mqtt.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    pub async fn retain(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.mqtt.publish(topic, QoS::AtLeastOnce, true, payload).await.unwrap();
    }

    /// Retains and waits until the broker has it.
    pub async fn retain_acked(&mut self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.retain(topic, payload).await;
        self.acked(1).await;
    }

    /// Waits for so many acknowledgements of own messages.
    pub async fn acked(&mut self, count: usize) {
        for _ in 0..count {
            self.until("PUBACK", |packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
        }
    }

    /// Whether the subscription was granted.
    pub async fn subscribe(&mut self, filter: &str) -> bool {
        self.mqtt.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        let codes = self.until("SUBACK", |packet| match packet {
            Packet::SubAck(suback) => Some(suback.return_codes),
            _ => None,
        });
        matches!(codes.await[..], [SubscribeReasonCode::Success(_)])
    }

    pub async fn message(&mut self) -> Publish {
        self.until("a message", |packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        })
        .await
    }

    async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(Packet) -> Option<T>) -> T {
        let found = within(what, async {
            loop {
                let packet = self.packets.recv().await?;
                if let Some(found) = wanted(packet) {
                    return Some(found);
                }
            }
        });
        found.await.unwrap_or_else(|| panic!("closed instead of {what}"))
    }

    /// Waits until the broker has closed the connection.
    pub async fn closed(&mut self) {
        within("the connection to close", async { while self.packets.recv().await.is_some() {} })
            .await;
    }

    /// Proves that the connection lives and that nothing else had been sent here
    /// before: publishes to itself and takes what comes first.
    pub async fn next_is_own(&mut self, topic: &str) {
        self.publish(topic, "own").await;
        let message = self.message().await;
        assert_eq!((message.topic.as_str(), &*message.payload), (topic, &b"own"[..]));
    }

    /// As when the power goes: no DISCONNECT.
    pub async fn vanish(self) {
        self.pump.abort();
        let _ = self.pump.await;
    }

    pub async fn log_out(mut self) {
        self.mqtt.disconnect().await.unwrap();
        self.closed().await;
    }
}
