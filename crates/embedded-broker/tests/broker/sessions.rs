use crate::client::{Client, own_options};
use crate::fleet::{GATEWAY, broker, broker_with};
use embedded_broker::Limits;

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
        let message = device.message().await;
        numbers.push(std::str::from_utf8(&message.payload).unwrap().parse().unwrap());
    }
    numbers
}

#[tokio::test]
async fn messages_for_an_absent_device_arrive_in_order() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    let mut device = Client::resume(&broker, "one").await;
    assert!(!device.session_present);
    assert!(device.subscribe(TOPIC).await);
    publish_numbers(&mut gateway, 0..10).await;
    assert_eq!(numbers(&mut device, 10).await, Vec::from_iter(0..10));
    device.log_out().await;

    publish_numbers(&mut gateway, 10..1_000).await;
    let mut device = Client::resume(&broker, "one").await;
    assert!(device.session_present);
    assert_eq!(numbers(&mut device, 990).await, Vec::from_iter(10..1_000));
    broker.stop().await;
}

#[tokio::test]
async fn unacknowledged_messages_are_sent_again_in_order() {
    let broker = broker().await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    let mut options = own_options(&broker, "one");
    options.set_clean_session(false).set_manual_acks(true);
    let mut device = Client::try_login(options).await.unwrap();
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
    let broker = broker_with(Limits { queue_len_max: 10, ..Limits::default() }).await;
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
    // The broker may notice the absence late and then has a few in flight.
    assert!(kept.len() < 20 && kept.ends_with(&Vec::from_iter(40..50)), "{kept:?}");
    broker.stop().await;
}
