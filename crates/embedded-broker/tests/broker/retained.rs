use crate::client::Client;
use crate::fleet::{GATEWAY, broker};

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
