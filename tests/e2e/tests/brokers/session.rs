//! A client of the broker that keeps to nothing but MQTT.

use anyhow::Context;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, MqttOptions, Packet, Publish, QoS,
    SubscribeReasonCode,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const REQUESTS_MAX: usize = 64;

pub struct Session {
    client: AsyncClient,
    /// Ends with the connection.
    packets: mpsc::UnboundedReceiver<Packet>,
    received: Arc<Mutex<Vec<Publish>>>,
}

/// Why there is no session.
#[derive(Debug, PartialEq, Eq)]
pub enum NoSession {
    Refused(ConnectReturnCode),
    Lost(String),
}

impl Session {
    pub async fn login(options: MqttOptions) -> Result<Self, NoSession> {
        let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => break,
                Ok(_) => {}
                Err(ConnectionError::ConnectionRefused(code)) => {
                    return Err(NoSession::Refused(code));
                }
                Err(error) => return Err(NoSession::Lost(error.to_string())),
            }
        }
        let (send, packets) = mpsc::unbounded_channel();
        let received: Arc<Mutex<Vec<Publish>>> = Arc::default();
        let into = received.clone();
        tokio::spawn(async move {
            // The first error is the end: another poll would connect again.
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Packet::Publish(message)) => {
                        into.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                    }
                    Event::Incoming(packet) => {
                        if send.send(packet).is_err() {
                            return;
                        }
                    }
                    Event::Outgoing(_) => {}
                }
            }
        });
        Ok(Self { client, packets, received })
    }

    /// Whether the broker grants it.
    pub async fn subscribe(&mut self, filter: &str) -> anyhow::Result<bool> {
        self.client.subscribe(filter, QoS::AtLeastOnce).await?;
        self.until("SUBACK", |packet| match packet {
            Packet::SubAck(ack) => {
                Some(ack.return_codes.iter().all(|code| *code != SubscribeReasonCode::Failure))
            }
            _ => None,
        })
        .await
    }

    /// Returns when the broker has acknowledged it, which says nothing of delivery.
    pub async fn publish(
        &mut self,
        topic: &str,
        retain: bool,
        payload: impl Into<Vec<u8>>,
    ) -> anyhow::Result<()> {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await?;
        self.until("PUBACK", |packet| matches!(packet, Packet::PubAck(_)).then_some(())).await
    }

    /// Hands a message over without any acknowledgement.
    pub async fn throw(&self, topic: &str, payload: Vec<u8>) -> anyhow::Result<()> {
        Ok(self.client.publish(topic, QoS::AtMostOnce, false, payload).await?)
    }

    pub fn received(&self) -> Vec<Publish> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the broker has ended the connection.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let end = async { while self.packets.recv().await.is_some() {} };
        tokio::time::timeout(ANSWER_WITHIN, end).await.context("the session did not end")
    }

    async fn until<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(Packet) -> Option<T>,
    ) -> anyhow::Result<T> {
        let answer = async {
            loop {
                let packet = self.packets.recv().await;
                let packet = packet.with_context(|| format!("an end in place of a {what}"))?;
                if let Some(found) = wanted(packet) {
                    return Ok(found);
                }
            }
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        answer.with_context(|| format!("no {what} came"))?
    }
}
