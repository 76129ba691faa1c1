use crate::client::{Client, options, own_options};
use crate::fleet::{GATEWAY, broker, key_of};
use rumqttc::{ConnectReturnCode, LastWill, MqttOptions, QoS};

const REFUSED: ConnectReturnCode = ConnectReturnCode::NotAuthorized;

async fn refusal(options: MqttOptions) -> Option<ConnectReturnCode> {
    Client::try_login(options).await.err()
}

#[tokio::test]
async fn anonymous_is_refused() {
    let broker = broker().await;
    let address = broker.local_addr();
    let anonymous = MqttOptions::new("one", address.ip().to_string(), address.port());
    assert_eq!(refusal(anonymous).await, Some(REFUSED));
    broker.stop().await;
}

#[tokio::test]
async fn a_wrong_or_empty_password_is_refused() {
    let broker = broker().await;
    assert_eq!(refusal(options(&broker, "one", "one", "guess")).await, Some(REFUSED));
    assert_eq!(refusal(options(&broker, "one", "one", "")).await, Some(REFUSED));
    assert_eq!(refusal(own_options(&broker, "one")).await, None);
    broker.stop().await;
}

#[tokio::test]
async fn a_client_id_other_than_the_user_is_refused() {
    let broker = broker().await;
    assert_eq!(refusal(options(&broker, "one", "two", &key_of("two"))).await, Some(REFUSED));
    assert_eq!(refusal(options(&broker, "one", "two", &key_of("one"))).await, Some(REFUSED));
    // The library gives an empty id a random one.
    assert_eq!(refusal(options(&broker, "", "two", &key_of("two"))).await, Some(REFUSED));
    assert_eq!(refusal(options(&broker, "", "", &key_of(""))).await, Some(REFUSED));
    broker.stop().await;
}

#[tokio::test]
async fn a_client_id_cannot_be_taken_over_by_another_login() {
    let broker = broker().await;
    let mut one = Client::login(&broker, GATEWAY).await;
    assert!(one.subscribe("x").await);
    for (user, password) in [("two", key_of("two")), (GATEWAY, key_of("two"))] {
        let thief = options(&broker, GATEWAY, user, &password);
        assert_eq!(refusal(thief).await, Some(REFUSED));
    }
    one.next_is_own("x").await;
    broker.stop().await;
}

#[tokio::test]
async fn a_device_replaces_its_own_old_connection() {
    let broker = broker().await;
    let mut old = Client::login(&broker, "one").await;
    let mut new = Client::login(&broker, "one").await;
    old.closed().await;
    assert!(new.subscribe("blob/1").await);
    broker.stop().await;
}

#[tokio::test]
async fn a_last_will_to_a_foreign_topic_is_refused_at_login() {
    let broker = broker().await;
    for (topic, retain) in [("d/two/up/report", false), ("d/one/up/report", true), ("#", false)] {
        let mut forger = own_options(&broker, "one");
        forger.set_last_will(LastWill::new(topic, "forged", QoS::AtLeastOnce, retain));
        assert_eq!(refusal(forger).await, Some(REFUSED), "{topic} retain {retain}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_last_will_to_an_own_topic_is_published() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    assert!(gateway.subscribe("d/+/up/+").await);
    let mut mortal = own_options(&broker, "one");
    mortal.set_last_will(LastWill::new("d/one/up/report", "gone", QoS::AtLeastOnce, false));
    Client::try_login(mortal).await.unwrap().vanish().await;
    assert_eq!(&*gateway.message().await.payload, b"gone");
    broker.stop().await;
}
