//! A broker that is two, with an attacker between them: the gateway talks to one, the
//! devices to the other, and what goes down from the one to the other is up to a trick.
//!
//! Both speak TLS with a certificate of the gateway's authority, as a broker does that
//! somebody has taken over.

use anyhow::{Context, ensure};
use device_protocol::Topic;
use embedded_broker::{AccessControl, Broker, BrokerConfig, Limits, Login, LoginFuture, Who};
use harness::{Fleet, GatewayOptions, Kit};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const REQUESTS_MAX: usize = 10_000;

pub type Message = (Topic, Vec<u8>);
/// What becomes of one message on its way down.
pub type Trick = Box<dyn FnMut(Message) -> Vec<Message> + Send>;

pub struct Middle {
    gateway_side: Side,
    device_side: Side,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    trick: Trick,
    /// All that the gateway sent, and all that the devices sent.
    down: Vec<Message>,
    up: Vec<Message>,
}

struct Side {
    _broker: Broker,
    address: SocketAddr,
    client: AsyncClient,
}

/// Lets everyone in and everything through.
struct Anyone;

impl AccessControl for Anyone {
    fn authenticate<'a>(&'a self, _: &'a str, _: &'a [u8]) -> LoginFuture<'a> {
        Box::pin(async { Login::Allowed })
    }

    fn may_publish(&self, _: &Who, _: &str) -> bool {
        true
    }

    fn may_retain(&self, _: &Who, _: &str) -> bool {
        true
    }

    fn may_subscribe(&self, _: &Who, _: &str) -> bool {
        true
    }

    fn is_rate_limited(&self, _: &Who) -> bool {
        false
    }
}

impl Middle {
    /// A gateway that uses this as its broker, and sends its devices there.
    pub async fn start(data: &Path) -> anyhow::Result<(Fleet, Self)> {
        let kit = Kit::for_tests()?;
        let (_, acceptor) = broker_tls(&kit, data)?;
        let (gateway_side, from_gateway) = Side::start(acceptor.clone()).await?;
        let (device_side, from_devices) = Side::start(acceptor).await?;
        let shared = Arc::new(Mutex::new(Shared {
            trick: Box::new(|message| vec![message]),
            down: vec![],
            up: vec![],
        }));
        gateway_side.client.subscribe("farrier/1/#", QoS::AtLeastOnce).await?;
        device_side.client.subscribe(device_protocol::up_filter(), QoS::AtLeastOnce).await?;
        tokio::spawn(carry_down(from_gateway, device_side.client.clone(), shared.clone()));
        tokio::spawn(carry_up(from_devices, gateway_side.client.clone(), shared.clone()));
        let options = GatewayOptions {
            broker_url: Some(format!("mqtts://{}", gateway_side.address)),
            mqtt_advertise: Some(device_side.address),
            ..GatewayOptions::new(data)
        };
        let fleet = Fleet::start_with(kit, options)?;
        Ok((fleet, Self { gateway_side, device_side, shared }))
    }

    pub fn play(&self, trick: impl FnMut(Message) -> Vec<Message> + Send + 'static) {
        lock(&self.shared).trick = Box::new(trick);
    }

    pub fn be_honest(&self) {
        self.play(|message| vec![message]);
    }

    /// All that the gateway sent, oldest first.
    pub fn down(&self) -> Vec<Message> {
        lock(&self.shared).down.clone()
    }

    /// All that devices sent, oldest first.
    pub fn up(&self) -> Vec<Message> {
        lock(&self.shared).up.clone()
    }

    pub async fn tell_devices(&self, topic: &Topic, payload: Vec<u8>) -> anyhow::Result<()> {
        let (topic, retain) = (topic.to_string(), is_retained(topic));
        Ok(self.device_side.client.publish(topic, QoS::AtLeastOnce, retain, payload).await?)
    }

    pub async fn tell_gateway(&self, topic: &Topic, payload: Vec<u8>) -> anyhow::Result<()> {
        let topic = topic.to_string();
        Ok(self.gateway_side.client.publish(topic, QoS::AtLeastOnce, false, payload).await?)
    }
}

impl Side {
    async fn start(acceptor: TlsAcceptor) -> anyhow::Result<(Self, EventLoop)> {
        let listen = ([127, 0, 0, 1], 0).into();
        let config = BrokerConfig { listen, limits: Limits::default() };
        let broker = Broker::start(config, Arc::new(Anyone)).await?;
        let plain = broker.local_addr();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(accept(listener, acceptor, plain));
        let mut options = MqttOptions::new("attacker", plain.ip().to_string(), plain.port());
        options.set_credentials("attacker", "anything").set_max_packet_size(1 << 20, 1 << 20);
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        Ok((Self { _broker: broker, address, client }, events))
    }
}

/// With the broker's certificate, as an operator gets it from the gateway, and the folder
/// that it is in.
pub fn broker_tls(kit: &Kit, data: &Path) -> anyhow::Result<(PathBuf, TlsAcceptor)> {
    let folder = data.join("broker");
    write_broker_files(kit, data, &folder, "127.0.0.1:8883")?;
    let chain = CertificateDer::pem_file_iter(folder.join("broker.crt"))?;
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(folder.join("broker.key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok((folder, TlsAcceptor::from(Arc::new(config))))
}

/// `farrier-gateway mosquitto-config`, before the gateway's first start.
pub fn write_broker_files(
    kit: &Kit,
    data: &Path,
    folder: &Path,
    listen: &str,
) -> anyhow::Result<()> {
    let file = data.join("before-the-start.toml");
    std::fs::write(&file, format!("data_dir = {:?}\n", data.join("gateway")))?;
    let mut command = Command::new(kit.gateway());
    command.arg("mosquitto-config").arg("--config").arg(&file).arg("--out").arg(folder);
    let output = command.args(["--host", "127.0.0.1", "--listen", listen]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Takes TLS off each connection and passes the rest on.
pub async fn accept(listener: TcpListener, acceptor: TlsAcceptor, to: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut client = acceptor.accept(stream).await.context("TLS")?;
            let mut broker = TcpStream::connect(to).await?;
            tokio::io::copy_bidirectional(&mut client, &mut broker).await?;
            anyhow::Ok(())
        });
    }
}

/// What the gateway retains, a bridge has to retain as well.
fn is_retained(topic: &Topic) -> bool {
    matches!(topic, Topic::Manifest(_) | Topic::Root(_))
}

async fn carry_down(mut events: EventLoop, to: AsyncClient, shared: Arc<Mutex<Shared>>) {
    while let Ok(event) = events.poll().await {
        let Some(message) = read(event).filter(|(topic, _)| !topic.is_from_a_device()) else {
            continue;
        };
        let out = {
            let mut shared = lock(&shared);
            shared.down.push(message.clone());
            (shared.trick)(message)
        };
        for (topic, payload) in out {
            let retain = is_retained(&topic);
            let sent = to.publish(topic.to_string(), QoS::AtLeastOnce, retain, payload).await;
            if sent.is_err() {
                return;
            }
        }
    }
}

async fn carry_up(mut events: EventLoop, to: AsyncClient, shared: Arc<Mutex<Shared>>) {
    while let Ok(event) = events.poll().await {
        let Some((topic, payload)) = read(event) else { continue };
        lock(&shared).up.push((topic.clone(), payload.clone()));
        if to.publish(topic.to_string(), QoS::AtLeastOnce, false, payload).await.is_err() {
            return;
        }
    }
}

fn read(event: Event) -> Option<Message> {
    let Event::Incoming(Packet::Publish(message)) = event else { return None };
    Some((Topic::parse(&message.topic)?, message.payload.to_vec()))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
