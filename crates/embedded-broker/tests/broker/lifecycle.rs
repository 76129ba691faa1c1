use crate::client::{Client, own_options, within};
use crate::fleet::{Fleet, GATEWAY, broker, localhost, start};
use embedded_broker::{BrokerError, Limits};
use rumqttc::ConnectReturnCode;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn two_brokers_in_one_process_keep_apart() {
    let (left, right) = (broker().await, broker().await);
    assert_ne!(left.local_addr().port(), 0);
    assert_ne!(left.local_addr(), right.local_addr());
    let mut on_left = Client::login(&left, GATEWAY).await;
    let mut on_right = Client::login(&right, GATEWAY).await;
    on_left.retain_acked("x", "left").await;
    assert!(on_right.subscribe("x").await);
    on_right.next_is_own("x").await;
    left.stop().await;
    on_right.next_is_own("x").await;
    right.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_an_error_and_not_an_exit() {
    let first = broker().await;
    let port = first.local_addr().port();
    match start(port, Limits::default(), Arc::default()).await.map(drop) {
        Err(BrokerError::Listen { address, source }) => {
            assert_eq!((address, source.kind()), (localhost(port), ErrorKind::AddrInUse));
        }
        other => panic!("{other:?}"),
    }
    Client::login(&first, GATEWAY).await;
    first.stop().await;
}

#[tokio::test]
async fn limits_of_zero_are_refused() {
    let none = Limits { inflight_max: 0, ..Limits::default() };
    let refusal = start(0, none, Arc::default()).await.map(drop);
    assert!(matches!(refusal, Err(BrokerError::ZeroLimit { name: "inflight_max" })));
    let unlimited = Limits { packet_bytes_max: 0, ..Limits::default() };
    let refusal = start(0, unlimited, Arc::default()).await.map(drop);
    assert!(matches!(refusal, Err(BrokerError::ZeroLimit { name: "packet_bytes_max" })));
}

#[tokio::test]
async fn a_restart_on_the_same_port_starts_empty() {
    let first = broker().await;
    let port = first.local_addr().port();
    let mut gateway = Client::login(&first, GATEWAY).await;
    gateway.retain_acked("x", "old").await;
    first.stop().await;
    gateway.closed().await;

    let second = start(port, Limits::default(), Arc::default()).await.unwrap();
    let mut gateway = Client::resume(&second, GATEWAY).await;
    assert!(!gateway.session_present);
    assert!(gateway.subscribe("x").await);
    gateway.next_is_own("x").await;
    second.stop().await;
}

#[tokio::test]
async fn stop_frees_the_port() {
    let broker = broker().await;
    let address = broker.local_addr();
    let mut client = Client::login(&broker, GATEWAY).await;
    client.publish("x", "on its way").await;
    broker.stop().await;
    // Also shows that the library's listener allows an address in TIME_WAIT.
    TcpListener::bind(address).unwrap();
    client.closed().await;
}

#[tokio::test]
async fn a_dropped_broker_ends_too() {
    let broker = broker().await;
    let address = broker.local_addr();
    let mut client = Client::login(&broker, GATEWAY).await;
    drop(broker);
    client.closed().await;
    within("the port", async {
        while TcpListener::bind(address).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn disconnect_kicks_within_a_second() {
    let fleet = Arc::new(Fleet::default());
    let broker = start(0, Limits::default(), fleet.clone()).await.unwrap();
    let mut one = Client::login(&broker, "one").await;
    let mut two = Client::login(&broker, "two").await;
    assert!(two.subscribe("d/two/down/x").await);

    let asked = Instant::now();
    fleet.revoke("one");
    broker.disconnect("one").await;
    one.closed().await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());

    let refusal = Client::try_login(own_options(&broker, "one")).await.err();
    assert_eq!(refusal, Some(ConnectReturnCode::NotAuthorized));
    broker.disconnect("never seen").await;
    let gateway = Client::login(&broker, GATEWAY).await;
    gateway.publish("d/two/down/x", "still here").await;
    two.message().await;
    broker.stop().await;
}

#[tokio::test]
async fn disconnect_forgets_the_session_of_an_absent_client_too() {
    let broker = broker().await;
    let mut device = Client::resume(&broker, "one").await;
    assert!(device.subscribe("d/one/down/x").await);
    device.vanish().await;
    broker.disconnect("one").await;
    assert!(!Client::resume(&broker, "one").await.session_present);
    broker.stop().await;
}
