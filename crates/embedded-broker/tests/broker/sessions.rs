use crate::client::{Client, own_options};
use crate::fleet::{GATEWAY, broker, broker_with};
use embedded_broker::{Broker, Limits};
use rumqttc::Publish;

const TOPIC: &str = "d/one/down/work";

async fn publish_numbers(gateway: &mut Client, numbers: std::ops::Range<u32>) {
    let count = numbers.len();
    for number in numbers {
        gateway.publish(TOPIC, number.to_string()).await;
    }
    gateway.acked(count).await;
}

async fn numbers(device: &mut Client, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(number_in(&device.message().await));
    }
    numbers
}

fn number_in(message: &Publish) -> u32 {
    std::str::from_utf8(&message.payload).unwrap().parse().unwrap()
}

/// A client that acknowledges nothing by itself.
async fn resume_with_own_acks(broker: &Broker) -> Client {
    let mut options = own_options(broker, "one");
    options.set_clean_session(false).set_manual_acks(true);
    Client::try_login(options).await.unwrap()
}

#[tokio::test]
async fn messages_for_an_absent_device_arrive_in_order() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    let mut device = Client::resume(&broker, "one").await;
    assert!(!device.session_present);
    assert!(device.subscribe(TOPIC).await);
    device.log_out().await;

    publish_numbers(&mut gateway, 0..1_000).await;
    let mut device = Client::resume(&broker, "one").await;
    assert!(device.session_present);
    assert_eq!(numbers(&mut device, 1_000).await, Vec::from_iter(0..1_000));
    broker.stop().await;
}

/// It may take some twice, but after each return in order and without a gap.
///
/// Not so what is published in the very moment of the return: that can overtake
/// what waited, or be lost. A device subscribes again after each login, so that
/// it gets what is retained, and asks again for what it lacks.
#[tokio::test]
async fn no_waiting_message_is_lost_to_a_device_that_keeps_vanishing() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    let mut device = Client::resume(&broker, "one").await;
    assert!(device.subscribe(TOPIC).await);
    device.log_out().await;
    publish_numbers(&mut gateway, 0..900).await;
    let mut next = 0;
    while next < 900 {
        device = resume_with_own_acks(&broker).await;
        assert!(device.session_present);
        // Some more are under way when it goes.
        let enough = 900.min(next + 50);
        while next < enough {
            let message = device.message().await;
            let number = number_in(&message);
            assert!(number <= next, "{next} is missing before {number}");
            next = next.max(number + 1);
            device.mqtt.ack(&message).await.unwrap();
        }
        device.vanish().await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_client_may_come_back_at_once() {
    let broker = broker().await;
    for _ in 0..100 {
        Client::login(&broker, "one").await.vanish().await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn unacknowledged_messages_are_sent_again_in_order() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    let mut device = resume_with_own_acks(&broker).await;
    assert!(device.subscribe(TOPIC).await);
    publish_numbers(&mut gateway, 0..10).await;
    assert_eq!(numbers(&mut device, 10).await, Vec::from_iter(0..10));
    device.vanish().await;
    publish_numbers(&mut gateway, 10..20).await;

    let mut device = Client::resume(&broker, "one").await;
    assert_eq!(numbers(&mut device, 20).await, Vec::from_iter(0..20));
    broker.stop().await;
}

#[tokio::test]
async fn a_full_queue_loses_the_oldest_messages() {
    let limits = Limits { queue_len_max: 10, inflight_max: 5, ..Limits::default() };
    let broker = broker_with(limits).await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    let mut device = Client::resume(&broker, "one").await;
    assert!(device.subscribe(TOPIC).await);
    device.log_out().await;
    publish_numbers(&mut gateway, 0..50).await;

    let mut device = Client::resume(&broker, "one").await;
    let mut kept = Vec::new();
    while kept.last() != Some(&49) {
        kept.extend(numbers(&mut device, 1).await);
    }
    assert!(kept.is_sorted(), "{kept:?}");
    // The broker may notice the absence late and then has some in flight.
    assert!(kept.len() <= 10 + 5 && kept.ends_with(&Vec::from_iter(40..50)), "{kept:?}");
    broker.stop().await;
}
