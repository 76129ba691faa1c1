//! The connection to the broker.
//!
//! [`keep_connected`] is a task that connects, passes on what comes, and connects
//! again with growing delays. Every attempt is a new client, because the password
//! is a token that is good once. The broker is not trusted: what comes is signed
//! or hashed, and is checked by whoever takes it.

use crate::agent::Event;
use crate::delay::Delays;
use crate::membership::MembershipKeeper;
use crate::wall_clock_ms;
use device_protocol::{
    BLOCK_MESSAGE_BYTES_MAX, Login, MESSAGE_VERSION, Topic, UP_MESSAGE_BYTES_MAX, encode_sealed,
};
use ed25519_dalek::SigningKey;
use module_package::{DeviceId, Domain, seal};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event as Packet, EventLoop, Incoming,
    MqttOptions, QoS, TlsConfiguration, Transport,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What the agent does with a connection; tests have one without a broker. All
/// answer whether it was taken: a full queue is no error, the caller repeats.
pub trait Broker: Send {
    fn publish(&mut self, topic: &Topic, payload: Vec<u8>) -> bool;
    fn subscribe(&mut self, topic: &Topic) -> bool;
    fn unsubscribe(&mut self, topic: &Topic) -> bool;
    fn disconnect(&mut self);
}

pub enum LinkNews {
    Connected(Box<dyn Broker>),
    Disconnected,
    Message { topic: Topic, payload: Vec<u8> },
}

/// Where the broker is, and who logs in.
#[derive(Clone)]
pub struct LinkConfig {
    pub address: BrokerAddress,
    pub device: DeviceId,
    pub key: SigningKey,
    /// For `mqtts`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Once there is a membership, it says where the broker is instead of the two
    /// above, which are of an enrolment from before there were any.
    pub membership: Option<Arc<MembershipKeeper>>,
    pub clock_trusted: bool,
    /// Longest delay between two attempts, before jitter.
    pub reconnect_max: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
}

const KEEP_ALIVE: Duration = Duration::from_secs(15);
const RECONNECT_MIN: Duration = Duration::from_millis(500);
/// A connection that lasted so long was a good one: the next delay is short again.
const STABLE_AFTER: Duration = Duration::from_secs(20);
/// Messages that wait for the connection.
const REQUESTS_MAX: usize = 128;
/// Topic and packet header around a payload.
const PACKET_HEADER_BYTES_MAX: usize = 1024;

impl BrokerAddress {
    /// Reads `mqtt://host:port` or `mqtts://host:port`.
    pub fn parse(url: &str) -> Result<Self, String> {
        let invalid = || format!("{url:?} is no broker address such as mqtt://127.0.0.1:1883");
        let uri: http::Uri = url.parse().map_err(|_| invalid())?;
        let is_tls = match uri.scheme_str() {
            Some("mqtt") => false,
            Some("mqtts") => true,
            _ => return Err(invalid()),
        };
        let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 8883 } else { 1883 });
        Ok(Self { host, port, is_tls })
    }
}

/// Runs until the agent ends.
pub async fn keep_connected(config: LinkConfig, events: mpsc::Sender<Event>) {
    let mut delays = Delays::random(RECONNECT_MIN, config.reconnect_max);
    loop {
        let began = Instant::now();
        let mut was_connected = false;
        let error = match current(&config).and_then(|config| connect(&config)) {
            Ok((client, event_loop)) => {
                converse(client, event_loop, &events, &mut was_connected).await
            }
            Err(error) => error,
        };
        if events.send(Event::Link(LinkNews::Disconnected)).await.is_err() {
            return;
        }
        if began.elapsed() >= STABLE_AFTER {
            delays.reset();
        }
        let delay = delays.next_delay();
        let BrokerAddress { host, port, .. } = &config.address;
        tracing::warn!(
            device.id = %config.device,
            "no connection to the broker {host}:{port}: {error}; next attempt in {delay:.1?}"
        );
        let Some(membership) = &config.membership else {
            tokio::time::sleep(delay).await;
            continue;
        };
        if was_connected {
            membership.note_connection();
        } else {
            // The certificate may have ended, the clock be wrong, or the broker have moved.
            membership.wish_for_renewal();
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = membership.renewed() => {}
        }
    }
}

/// The same with what the membership says now.
fn current(config: &LinkConfig) -> Result<LinkConfig, String> {
    let membership = config.membership.as_ref().and_then(|keeper| keeper.current());
    let Some(membership) = membership else { return Ok(config.clone()) };
    let address = BrokerAddress::parse(&membership.broker_url)?;
    let tls = match address.is_tls {
        true => Some(crate::tls::client_config(&membership, &config.key, config.clock_trusted)?),
        false => None,
    };
    Ok(LinkConfig { address, tls, ..config.clone() })
}

fn connect(config: &LinkConfig) -> Result<(AsyncClient, EventLoop), String> {
    let LinkConfig { address, device, tls, .. } = config;
    let mut options = MqttOptions::new(device.as_str(), &address.host, address.port);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_credentials(device.as_str(), login_token(config)?);
    options.set_max_packet_size(
        BLOCK_MESSAGE_BYTES_MAX + PACKET_HEADER_BYTES_MAX,
        UP_MESSAGE_BYTES_MAX + PACKET_HEADER_BYTES_MAX,
    );
    if address.is_tls {
        let tls = tls.clone().ok_or("there is no TLS configuration")?;
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
    }
    Ok(AsyncClient::new(options, REQUESTS_MAX))
}

fn login_token(config: &LinkConfig) -> Result<String, String> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|e| e.to_string())?;
    let device = config.device.clone();
    let time_ms = config.membership.as_ref().map_or_else(wall_clock_ms, |keeper| keeper.now_ms());
    let login = Login { version: MESSAGE_VERSION, device, time_ms, nonce };
    let payload = minicbor::to_vec(login).map_err(|e| e.to_string())?;
    Ok(encode_sealed(&seal(Domain::Login, payload, &config.key)))
}

/// One connection, to its end. Returns why it ended.
async fn converse(
    client: AsyncClient,
    mut event_loop: EventLoop,
    events: &mpsc::Sender<Event>,
    was_connected: &mut bool,
) -> String {
    loop {
        let news = match event_loop.poll().await {
            Ok(Packet::Incoming(Incoming::ConnAck(_))) => {
                *was_connected = true;
                LinkNews::Connected(Box::new(MqttBroker { client: client.clone() }))
            }
            Ok(Packet::Incoming(Incoming::Publish(publish))) => {
                let Some(topic) = Topic::parse(&publish.topic) else { continue };
                LinkNews::Message { topic, payload: publish.payload.to_vec() }
            }
            Ok(Packet::Incoming(Incoming::Disconnect)) => return "the broker said good-bye".into(),
            Ok(_) => continue,
            Err(error) => return explain(&error),
        };
        // The agent's queue is bounded: while it is full, the broker waits.
        if events.send(Event::Link(news)).await.is_err() {
            return "the agent is ending".into();
        }
    }
}

fn explain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => "it refuses the login. Is the device still enrolled, and is its clock right?".into(),
        other => other.to_string(),
    }
}

struct MqttBroker {
    client: AsyncClient,
}

impl Broker for MqttBroker {
    fn publish(&mut self, topic: &Topic, payload: Vec<u8>) -> bool {
        self.client.try_publish(topic.to_string(), QoS::AtLeastOnce, false, payload).is_ok()
    }

    fn subscribe(&mut self, topic: &Topic) -> bool {
        self.client.try_subscribe(topic.to_string(), QoS::AtLeastOnce).is_ok()
    }

    fn unsubscribe(&mut self, topic: &Topic) -> bool {
        self.client.try_unsubscribe(topic.to_string()).is_ok()
    }

    fn disconnect(&mut self) {
        // An error means that there is no connection any more.
        let _ = self.client.try_disconnect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_addresses_are_read() {
        let address = |host: &str, port, is_tls| BrokerAddress { host: host.into(), port, is_tls };
        assert_eq!(
            BrokerAddress::parse("mqtt://127.0.0.1:1234"),
            Ok(address("127.0.0.1", 1234, false))
        );
        assert_eq!(
            BrokerAddress::parse("mqtts://broker.example"),
            Ok(address("broker.example", 8883, true))
        );
        assert_eq!(BrokerAddress::parse("mqtt://[::1]:5"), Ok(address("::1", 5, false)));
        for bad in ["", "http://x", "mqtt://", "127.0.0.1:1883"] {
            assert!(BrokerAddress::parse(bad).unwrap_err().contains("broker address"), "{bad}");
        }
    }

    #[test]
    fn a_login_token_is_signed_by_the_device_and_new_each_time() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = module_package::Signer::public_key(&key);
        let config = LinkConfig {
            address: BrokerAddress { host: "h".into(), port: 1, is_tls: false },
            device: DeviceId::of_key(&public.0),
            key,
            tls: None,
            membership: None,
            clock_trusted: false,
            reconnect_max: Duration::from_secs(1),
        };
        let token = login_token(&config).unwrap();
        assert!(token.len() <= device_protocol::LOGIN_TOKEN_BYTES_MAX);
        assert_ne!(token, login_token(&config).unwrap());
        let sealed = device_protocol::decode_sealed(&token).unwrap();
        let payload = module_package::open(Domain::Login, &sealed, 1024, |_| Ok(public)).unwrap();
        let login: Login = module_package::decode_exact(&payload).unwrap();
        assert_eq!(login.device, config.device);
    }
}
