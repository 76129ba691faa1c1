use crate::client::{Client, own_options, within};
use crate::fleet::{GATEWAY, broker_with, key_of};
use embedded_broker::{Broker, Limits};
use rumqttc::ConnectReturnCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The packet of a client that logs in by itself and asks for `filter`.
fn connect_and_subscribe(client_id: &str, filter: &str) -> Vec<u8> {
    fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        assert!(body.len() < 128, "one byte of length");
        [&[kind, body.len() as u8], &body[..]].concat()
    }
    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
    }
    // Level 4 is MQTT 3.1.1; the flags say user, password and clean session.
    let level_flags_keep_alive = [4, 0b1100_0010, 0, 60];
    let (id, key) = (text(client_id), text(&key_of(client_id)));
    let connect: [&[u8]; 5] = [&text("MQTT"), &level_flags_keep_alive, &id, &id, &key];
    let packet_id_1 = [0, 1];
    let qos_0 = [0];
    let subscribe: [&[u8]; 3] = [&packet_id_1, &text(filter), &qos_0];
    [packet(0x10, &connect), packet(0x82, &subscribe)].concat()
}

async fn raw(broker: &Broker, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // An end and a reset are both closed.
    let _ = within("the end of the stream", stream.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn an_oversize_packet_disconnects_that_client_only() {
    let broker = broker_with(Limits { packet_bytes_max: 20_000, ..Limits::default() }).await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    assert!(gateway.subscribe("d/+/up/+").await);
    let mut greedy = Client::login(&broker, "one").await;
    let modest = Client::login(&broker, "two").await;
    greedy.publish("d/one/up/report", vec![0; 20_000]).await;
    greedy.closed().await;
    modest.publish("d/two/up/report", vec![0; 19_000]).await;
    assert_eq!(gateway.message().await.payload.len(), 19_000);
    broker.stop().await;
}

#[tokio::test]
async fn an_oversize_connect_is_not_read() {
    let broker = broker_with(Limits { packet_bytes_max: 20_000, ..Limits::default() }).await;
    // CONNECT that announces 2 MB, with the protocol's name.
    let mut stream = raw(&broker, b"\x10\xff\xff\x7f\x00\x04MQTT\x04\xc2\x00\x3c").await;
    closed(&mut stream).await;
    broker.stop().await;
}

#[tokio::test]
async fn sessions_are_bounded_and_their_owners_come_back() {
    let broker = broker_with(Limits { sessions_max: 2, ..Limits::default() }).await;
    let one = Client::resume(&broker, "one").await;
    let _two = Client::login(&broker, "two").await;
    let third = Client::try_login(own_options(&broker, "three")).await.err();
    assert_eq!(third, Some(ConnectReturnCode::ServiceUnavailable));
    one.vanish().await;
    Client::resume(&broker, "one").await;
    broker.stop().await;
}

#[tokio::test]
async fn subscriptions_are_bounded_for_each_client() {
    let limits = Limits { subscriptions_per_client_max: 2, ..Limits::default() };
    let broker = broker_with(limits).await;
    let mut one = Client::login(&broker, "one").await;
    assert!(one.subscribe("blob/1").await);
    assert!(one.subscribe("blob/2").await);
    assert!(!one.subscribe("blob/3").await);
    let mut two = Client::login(&broker, "two").await;
    assert!(two.subscribe("blob/3").await);
    broker.stop().await;
}

#[tokio::test]
async fn a_login_without_keep_alive_is_refused() {
    let broker = broker_with(Limits::default()).await;
    let mut options = own_options(&broker, "one");
    options.set_keep_alive(Duration::ZERO);
    let refusal = Client::try_login(options).await.err();
    assert_eq!(refusal, Some(ConnectReturnCode::ServiceUnavailable));
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_and_delays_nobody() {
    let limits = Limits { send_timeout: Duration::from_millis(500), ..Limits::default() };
    let broker = broker_with(limits).await;
    let mut stalled = raw(&broker, &connect_and_subscribe("stalled", "blob/1")).await;
    let mut suback = [0; 4 + 5];
    within("SUBACK", stalled.read_exact(&mut suback)).await.unwrap();
    let mut device = Client::login(&broker, "one").await;
    assert!(device.subscribe("blob/1").await);

    // More than the kernel buffers for a connection.
    let mut gateway = Client::login(&broker, GATEWAY).await;
    for _ in 0..400 {
        gateway.publish("blob/1", vec![7; 64 * 1024]).await;
    }
    gateway.acked(400).await;
    for _ in 0..400 {
        device.message().await;
    }
    // Reading would end the stall, and the end of the stream stands behind what
    // was sent: only writing shows that nobody is there any more.
    within("the stalled connection to close", async {
        const PINGREQ: [u8; 2] = [0xc0, 0];
        while stalled.write_all(&PINGREQ).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    broker.stop().await;
}

#[tokio::test]
async fn a_login_that_stalls_is_closed() {
    let limits = Limits { login_timeout: Duration::from_millis(200), ..Limits::default() };
    let broker = broker_with(limits).await;
    let mut stream = raw(&broker, &connect_and_subscribe("one", "blob/1")[..20]).await;
    closed(&mut stream).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_connection_that_never_says_a_word_is_closed() {
    let limits = Limits { login_timeout: Duration::from_millis(100), ..Limits::default() };
    let broker = broker_with(limits).await;
    let mut silent = raw(&broker, b"").await;
    closed(&mut silent).await;
    // The library alone would wait for ever for the rest of the protocol's name.
    let mut nearly_silent = raw(&broker, b"\x10").await;
    closed(&mut nearly_silent).await;
    broker.stop().await;
}

#[tokio::test]
async fn silent_connections_of_one_address_leave_room_for_others() {
    let limits = Limits { connections_before_login_max: 4, ..Limits::default() };
    let broker = broker_with(limits).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(raw(&broker, b"").await);
    }
    // Its share is used up, so the next of this address is closed at once.
    closed(&mut raw(&broker, b"").await).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.77:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(broker.local_addr()).await.unwrap();
    other.write_all(&connect_and_subscribe("one", "blob/1")).await.unwrap();
    let mut connack_and_suback = [0; 4 + 5];
    within("a login", other.read_exact(&mut connack_and_suback)).await.unwrap();
    broker.stop().await;
}

#[tokio::test]
async fn messages_beyond_the_rate_are_dropped_and_the_client_stays() {
    let limits = Limits { messages_per_s_max: 1, messages_burst_max: 20, ..Limits::default() };
    let broker = broker_with(limits).await;
    let mut gateway = Client::login(&broker, GATEWAY).await;
    assert!(gateway.subscribe("d/+/up/+").await);
    let mut flooder = Client::login(&broker, "one").await;
    for number in 0..200_u32 {
        flooder.publish("d/one/up/report", number.to_be_bytes()).await;
    }
    flooder.acked(200).await;
    // Another client's message comes after all that were let through.
    let quiet = Client::login(&broker, "two").await;
    quiet.publish("d/two/up/report", "last").await;
    let mut let_through = 0;
    while gateway.message().await.topic != "d/two/up/report" {
        let_through += 1;
    }
    assert!((20..30).contains(&let_through), "{let_through} messages");
    assert!(flooder.subscribe("blob/1").await);
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_too_many_bytes_waits_with_them() {
    let limits = Limits { bytes_per_s_max: 64 * 1024, ..Limits::default() };
    let broker = broker_with(limits).await;
    let mut sender = Client::login(&broker, "one").await;
    let began = std::time::Instant::now();
    for _ in 0..4 {
        sender.publish("d/one/up/report", vec![0; 40 * 1024]).await;
    }
    sender.acked(4).await;
    // 160 KiB, of which the first 64 go at once.
    assert!(began.elapsed() > Duration::from_millis(1_200), "{:?}", began.elapsed());
    broker.stop().await;
}
