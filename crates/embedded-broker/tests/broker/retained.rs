use crate::client::Client;
use crate::fleet::{GATEWAY, broker, broker_with};
use embedded_broker::Limits;
use std::collections::BTreeSet;

#[tokio::test]
async fn a_later_subscriber_gets_its_manifest() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    gateway.retain_acked("d/one/down/manifest", "first").await;
    gateway.retain_acked("d/one/down/manifest", "second").await;
    gateway.retain_acked("d/two/down/manifest", "other").await;
    gateway.log_out().await;

    let mut device = Client::login(&broker, "one").await;
    assert!(device.subscribe("d/one/down/manifest").await);
    let manifest = device.message().await;
    assert_eq!((&*manifest.payload, manifest.retain), (&b"second"[..], true));
    broker.stop().await;
}

#[tokio::test]
async fn a_wildcard_subscriber_gets_a_thousand_retained_messages() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    for number in 0..1_000 {
        gateway.retain(&format!("blob/{number}"), number.to_string()).await;
    }
    gateway.acked(1_000).await;

    let mut device = Client::login(&broker, "one").await;
    assert!(device.subscribe("blob/#").await);
    let mut found = BTreeSet::new();
    for _ in 0..1_000 {
        let message = device.message().await;
        assert!(message.retain);
        assert_eq!(message.topic.strip_prefix("blob/").unwrap().as_bytes(), message.payload);
        found.insert(message.topic);
    }
    assert_eq!(found.len(), 1_000);
    broker.stop().await;
}

#[tokio::test]
async fn an_empty_payload_deletes_a_retained_message() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    for (topic, payload) in [("blob/1", "kept"), ("blob/2", "kept"), ("blob/1", "")] {
        gateway.retain_acked(topic, payload).await;
    }
    assert!(gateway.subscribe("blob/+").await);
    assert_eq!(gateway.message().await.topic, "blob/2");
    gateway.next_is_own("blob/3").await;
    broker.stop().await;
}

#[tokio::test]
async fn retained_messages_beyond_the_limit_disconnect_their_publisher() {
    let broker = broker_with(Limits { retained_max: 2, ..Limits::default() }).await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    gateway.retain_acked("blob/1", "x").await;
    gateway.retain_acked("blob/2", "x").await;
    gateway.retain("blob/3", "x").await;
    gateway.closed().await;

    let mut again = Client::login(&broker, GATEWAY).await;
    again.retain_acked("blob/1", "").await;
    again.retain_acked("blob/3", "x").await;
    broker.stop().await;
}
