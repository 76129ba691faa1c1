use crate::client::Client;
use crate::fleet::{Fleet, GATEWAY, broker, start};
use embedded_broker::Limits;
use rumqttc::QoS;
use std::sync::Arc;

#[tokio::test]
async fn a_message_to_a_foreign_topic_is_not_delivered() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    assert!(gateway.subscribe("#").await);
    let device = Client::login(&broker, "one").await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for topic in ["d/two/up/report", "d/one/down/manifest", "blob/1", "$SYS/x"] {
            device.mqtt.publish(topic, qos, false, "forged").await.unwrap();
        }
    }
    // One client's messages are handled in turn: what is first here was first.
    device.publish("d/one/up/report", "true").await;
    let first = gateway.message().await;
    assert_eq!((first.topic.as_str(), &*first.payload), ("d/one/up/report", &b"true"[..]));
    broker.stop().await;
}

#[tokio::test]
async fn a_device_may_not_retain() {
    let broker = broker().await;
    let mut device = Client::login(&broker, "one").await;
    device.retain_acked("d/one/up/report", "junk").await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    assert!(gateway.subscribe("d/one/up/report").await);
    gateway.next_is_own("d/one/up/report").await;
    broker.stop().await;
}

#[tokio::test]
async fn subscriptions_beyond_the_own_topics_are_refused() {
    let broker = broker().await;
    let mut device = Client::login(&broker, "one").await;
    for filter in ["#", "+/#", "d/+/down/manifest", "d/two/down/manifest", "d/one/up/report"] {
        assert!(!device.subscribe(filter).await, "{filter}");
    }
    for shared in ["$share/group/#", "$exclusive/#", "$limit/2/#", "$delayed/1/#"] {
        assert!(!device.subscribe(shared).await, "{shared}");
    }
    assert!(device.subscribe("d/one/down/manifest").await);

    let gateway = Client::login(&broker, GATEWAY).await;
    gateway.publish("d/two/down/manifest", "not yours").await;
    gateway.publish("d/one/down/manifest", "yours").await;
    assert_eq!(&*device.message().await.payload, b"yours");
    broker.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_client() {
    let fleet = Arc::new(Fleet::default());
    let broker = start(0, Limits::default(), fleet.clone()).await.unwrap();
    let mut one = Client::login(&broker, "one").await;
    assert!(one.subscribe("blob/1").await);
    one.publish("d/one/up/report", "mine").await;
    one.acked(1).await;
    assert!(fleet.take_refused().is_empty());
    assert!(!one.subscribe("#").await);
    one.publish("d/two/up/report", "forged").await;
    one.retain("d/one/up/report", "mine").await;
    one.acked(2).await;
    assert_eq!(fleet.take_refused(), ["one"; 3]);
    broker.stop().await;
}
