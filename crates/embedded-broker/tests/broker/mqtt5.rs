//! The same gate with MQTT 5, where the broker gives reasons.

use crate::client::within;
use crate::fleet::{GATEWAY, broker, key_of};
use embedded_broker::Broker;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, LastWill, Packet, PubAckReason, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};

struct Client {
    mqtt: AsyncClient,
    connection: EventLoop,
}

fn options(broker: &Broker, client_id: &str) -> MqttOptions {
    let address = broker.local_addr();
    let mut options = MqttOptions::new(client_id, address.ip().to_string(), address.port());
    options.set_credentials(client_id, key_of(client_id));
    options
}

async fn login(options: MqttOptions) -> Result<Client, ConnectReturnCode> {
    let (mqtt, mut connection) = AsyncClient::new(options, 64);
    match within("an answer to CONNECT", connection.poll()).await {
        Ok(Event::Incoming(Packet::ConnAck(_))) => Ok(Client { mqtt, connection }),
        Err(ConnectionError::ConnectionRefused(code)) => Err(code),
        other => panic!("instead of an answer to CONNECT: {other:?}"),
    }
}

impl Client {
    async fn until<T>(&mut self, what: &str, wanted: impl Fn(Packet) -> Option<T>) -> T {
        within(what, async {
            loop {
                if let Event::Incoming(packet) = self.connection.poll().await.unwrap()
                    && let Some(found) = wanted(packet)
                {
                    return found;
                }
            }
        })
        .await
    }

    async fn publish(&mut self, topic: &str, retain: bool, payload: &str) -> PubAckReason {
        let payload = payload.to_owned();
        self.mqtt.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
        self.until("PUBACK", |packet| match packet {
            Packet::PubAck(puback) => Some(puback.reason),
            _ => None,
        })
        .await
    }

    async fn subscribe(&mut self, filter: &str) -> SubscribeReasonCode {
        self.mqtt.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        let codes = self.until("SUBACK", |packet| match packet {
            Packet::SubAck(suback) => Some(suback.return_codes),
            _ => None,
        });
        codes.await[0]
    }
}

#[tokio::test]
async fn logins_are_refused_with_a_reason() {
    let broker = broker().await;
    let address = broker.local_addr();
    let anonymous = MqttOptions::new("one", address.ip().to_string(), address.port());
    let mut wrong_key = options(&broker, "one");
    wrong_key.set_credentials("one", "guess");
    let mut not_the_user = options(&broker, "one");
    not_the_user.set_credentials("two", key_of("two"));
    let mut forger = options(&broker, "one");
    let will = LastWill::new("d/two/up/report", "forged", QoS::AtLeastOnce, false, None);
    forger.set_last_will(will);
    for refused in [anonymous, wrong_key, not_the_user, forger] {
        let code = login(refused).await.err();
        assert_eq!(code, Some(ConnectReturnCode::NotAuthorized));
    }
    broker.stop().await;
}

#[tokio::test]
async fn foreign_topics_are_refused_with_a_reason() {
    let broker = broker().await;
    let mut device = login(options(&broker, "one")).await.unwrap();
    let mut publish = async |topic, retain| device.publish(topic, retain, "x").await;
    assert_eq!(publish("d/two/up/report", false).await, PubAckReason::NotAuthorized);
    assert_eq!(publish("d/one/up/report", true).await, PubAckReason::NotAuthorized);
    assert_ne!(publish("d/one/up/report", false).await, PubAckReason::NotAuthorized);
    assert_eq!(device.subscribe("#").await, SubscribeReasonCode::NotAuthorized);
    let granted = SubscribeReasonCode::Success(QoS::AtLeastOnce);
    assert_eq!(device.subscribe("blob/1").await, granted);
    broker.stop().await;
}

#[tokio::test]
async fn a_later_subscriber_gets_a_retained_message() {
    let broker = broker().await;
    let mut gateway = login(options(&broker, GATEWAY)).await.unwrap();
    gateway.publish("d/one/down/manifest", true, "manifest").await;
    let mut device = login(options(&broker, "one")).await.unwrap();
    device.subscribe("d/one/down/manifest").await;
    let message = device.until("the manifest", |packet| match packet {
        Packet::Publish(publish) => Some((publish.retain, publish.payload)),
        _ => None,
    });
    assert_eq!(message.await, (true, "manifest".into()));
    broker.stop().await;
}
